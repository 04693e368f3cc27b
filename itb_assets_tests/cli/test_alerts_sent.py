"""What `itb` sends and says over each channel: the link to what to do, and no part of a secret."""

from __future__ import annotations

import base64
from pathlib import Path
from urllib.parse import quote

import pytest
from local_bot import TOKEN, BotApi, deployment, telegram

from hostile_wire import ANSWERS, hostile, raw  # isort: skip - beside bot_api, where local_bot looks

PAGE = "operations.md#alerts-what-to-do"
APPRISE_KEY = "zz5ecretPathOfAppriseZz"
KEY = TOKEN.partition(":")[2]


@pytest.mark.parametrize(
    ("lang", "docs", "in_html", "in_slack"),
    [
        (
            "en",
            "https://host/docs",
            f'<a href="https://host/docs/{PAGE}">What to do</a>',
            f"<https://host/docs/{PAGE}|What to do>",
        ),
        ("pt", "", f"O que fazer: <code>docs/{PAGE}</code>", f"O que fazer: `docs/{PAGE}`"),
    ],
    ids=["linked", "named"],
)
def test_what_to_do_is_a_link_where_the_docs_have_an_address_and_named_where_not(
    tmp_path, postgres_url, lang, docs, in_html, in_slack
):
    with BotApi(TOKEN) as bot, hostile(lambda _: iter([raw("200 OK")])) as sink:
        itb = deployment(
            tmp_path,
            postgres_url,
            **telegram(bot.url),
            ITB_SLACK_URL=bot.slack_url,
            ITB_APPRISE_URLS=f"json://127.0.0.1:{sink.port}/{APPRISE_KEY}",
            ITB_LANG=lang,
            ITB_DOCS_URL=docs,
        )
        assert itb("alerts", "test", "look here").code == 0
        done = itb("alerter", "--once")
        assert done.code == 0, done
        sent = {each.service: each.html for each in bot.sent if "ook here" in each.text}
        assert len(sink.asked) == 1
    assert in_html in sent["telegram"]
    assert in_slack in sent["slack"]


def test_a_test_leads_to_a_section_that_is_there():
    page = Path(__file__).parents[2] / "docs" / "operations.md"
    assert "\n## Alerts: what to do\n" in page.read_text("utf-8")


def test_no_command_says_a_secret_that_a_messenger_repeats(tmp_path, postgres_url):
    """At the finest level of the log, with the words of a refusal in the tables."""
    with hostile(ANSWERS["401 in its own words"]) as server:
        url = f"http://127.0.0.1:{server.port}"
        itb = deployment(tmp_path, postgres_url, **telegram(url), ITB_LOG_LEVEL="TRACE")
        asked = (
            ("alerts", "test"),
            ("alerter", "--once", "--json"),
            ("alerts", "replay", "--json"),
            ("alerts", "list", "--all", "--json"),
            ("alerts", "rules", "--json"),
            ("doctor", "--json"),
        )
        answers = {words: itb(*words) for words in asked}
        assert server.asked
    everything = "\n".join(answer.out + answer.err for answer in answers.values())
    assert "refuses everything: Telegram answered 401" in everything
    for form in (KEY, quote(quote(KEY)), base64.b64encode(KEY.encode()).decode()[:-4]):
        assert form not in everything
