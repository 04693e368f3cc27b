"""What rules say: both languages say the same things with the same figures."""

from __future__ import annotations

import ast
import doctest
import string
from pathlib import Path

import pytest

from itb_assets.observability.alerts import rules
from itb_assets.observability.alerts.rules import RULES, words
from itb_assets.observability.alerts.rules.words import CATALOGUES

ROOM = Path(rules.__file__).parent


def figures(template: str) -> set[str]:
    """Return the figures a template takes."""
    return {name for _, name, _, _ in string.Formatter().parse(template) if name}


def test_both_catalogues_have_the_same_lines():
    assert CATALOGUES["en"].keys() == CATALOGUES["pt"].keys()


@pytest.mark.parametrize("key", sorted(CATALOGUES["en"]))
def test_a_line_takes_the_same_figures_in_both_languages(key):
    english, portuguese = (CATALOGUES[language][key] for language in ("en", "pt"))
    assert figures(english) == figures(portuguese)
    assert "  " not in english + portuguese


def test_the_examples_of_the_docstring_are_true():
    found = doctest.testmod(words)
    assert found.attempted > 0
    assert found.failed == 0


def test_every_rule_has_a_title():
    assert {f"title {rule}" for rule in RULES} <= CATALOGUES["en"].keys()


def test_every_line_that_is_said_is_there_and_none_is_left_over():
    texts = {
        node.value
        for file in ROOM.glob("*.py")
        if file.name != "words.py"
        for node in ast.walk(ast.parse(file.read_text("utf-8")))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }
    said = {key for key in CATALOGUES["en"] if key in texts or key.startswith("title ")}
    assert said == CATALOGUES["en"].keys()
