"""The pages show messages as they are sent: change one and the other has to follow."""

from __future__ import annotations

from pathlib import Path

import pytest
from bot_html import shown_text
from message_making import DOCS, examples, storm

from itb_assets.observability.alerts.digest import digest
from itb_assets.observability.alerts.markup import to_mrkdwn
from itb_assets.observability.alerts.messages import render

PAGE = Path(__file__).resolve().parents[2] / "docs" / "alerts.md"
FORMS = examples()


def seen(name):
    """Return what a person sees of an example."""
    kind, message, how = FORMS[name]
    return shown_text(render(kind, message, docs_url=DOCS, **how)).replace("\xa0", " ")


def shown_on_the_page(name):
    """Return the block below the name of an example."""
    _, found, rest = PAGE.read_text("utf-8").partition(f"{name}:\n\n```text\n")
    assert found, f"docs/alerts.md shows no example {name!r}"
    return rest.partition("\n```")[0]


@pytest.mark.parametrize("name", FORMS)
def test_an_example_on_the_page_is_what_is_sent(name):
    assert shown_on_the_page(name) == seen(name)


def test_the_digest_on_the_page_is_what_is_sent():
    assert shown_on_the_page("Twenty alerts in one message") == shown_text(digest(storm())).replace(
        "\xa0", " "
    )


def test_slacks_form_on_the_page_is_what_is_sent():
    kind, message, how = FORMS["A training failed"]
    sent = to_mrkdwn(render(kind, message, docs_url=DOCS, **how))
    assert shown_on_the_page("The first one as Slack reads it") == sent
