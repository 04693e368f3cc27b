"""The same message in plain text and in Slack's form says the same, and nothing in it becomes a format."""

# ruff: noqa: RUF001 - the signs are those that people see

from __future__ import annotations

import html as html_library
import re

import pytest
from bot_html import shown_text
from hypothesis import given
from hypothesis import strategies as st

from itb_assets.observability.alerts.markup import (
    bold,
    clean,
    code,
    cut,
    escape,
    italic,
    link,
    plain,
    to_mrkdwn,
    utf16_length,
)

words = st.text(st.sampled_from("ab_*~`<>&|\"'é🚨 \n"), max_size=60)


@pytest.mark.parametrize(
    ("html", "mrkdwn"),
    [
        ("<b>bold</b> <i>slanted</i>", "*bold* _slanted_"),
        ("<code>raw/klines_5m *</code>", "`raw/klines_5m *`"),
        ("training_failed of high_20", "training_failed of high_20"),
        ("*not bold* ~not struck~", "∗not bold∗ ∼not struck∼"),
        ("_not slanted_ `no code`", "ˍnot slantedˍ ˋno codeˋ"),
        ("5 &lt; 6 &amp; 7 &gt; 2 &quot;", '5 &lt; 6 &amp; 7 &gt; 2 "'),
        ('<a href="https://h/?a=1&amp;b=|">a|b</a>', "<https://h/?a=1&amp;b=%7C|a|b>"),
        ("&lt;!here&gt; &lt;@U1&gt;", "&lt;!here&gt; &lt;@U1&gt;"),
    ],
)
def test_slacks_form(html, mrkdwn):
    assert to_mrkdwn(html) == mrkdwn


@given(first=words, second=words)
def test_nothing_but_our_own_tags_makes_a_format_in_slack(first, second):
    outside = to_mrkdwn(escape(second))
    inside = to_mrkdwn(bold(first))[1:-1] if clean(first) else ""
    assert to_mrkdwn(f"{bold(first)}{escape(second)}").endswith(outside)
    for part in (inside, outside):
        assert not re.search(r"(?<![^\W_])[*_~`]|[*_~`](?![^\W_])", html_library.unescape(part))
        assert "<" not in part


@given(words)
def test_escaped_text_is_seen_as_it_is(text):
    for made in (bold(text), italic(text), code(text), escape(text), link("https://host", text)):
        assert shown_text(made) == clean(text).strip()
        assert plain(made) == clean(text).strip()


@given(text=st.text(st.sampled_from("ab🚨é"), max_size=40), length=st.integers(0, 50))
def test_what_is_cut_fits_and_says_so(text, length):
    made = cut(text, length)
    assert utf16_length(made) <= length or not length
    assert made == text or made.endswith("…") or not length
    assert utf16_length(text) == len(text.encode("utf-16-le")) // 2


def test_a_link_shows_its_address_to_nobody_but_the_browser():
    assert link('https://host/"><b>', "run") == '<a href="https://host/&quot;&gt;&lt;b&gt;">run</a>'
    assert link("", "run") == "run"
