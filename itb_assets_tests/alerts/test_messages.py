"""A message says how bad, what, where, since when and what to do, in few lines and never in broken HTML."""

# ruff: noqa: RUF001 - the signs are those that people see

from __future__ import annotations

import doctest
import re
from datetime import timedelta

import pytest
from bot_html import shown_text, utf16_length
from hypothesis import given
from hypothesis import strategies as st
from message_making import DOCS, RUN, alive, daily_loss, data_stale, profit_report, training_failed

from itb_assets.observability.alerts import catalogue, markup, messages, post
from itb_assets.observability.alerts.catalogue import LANGUAGES, heading, length, moment, word
from itb_assets.observability.alerts.config import load_config
from itb_assets.observability.alerts.config_rules import EventRule
from itb_assets.observability.alerts.messages import render
from itb_assets.observability.alerts.places import where

KINDS = ("opened", "repeated", "resolved", "report", "test", "alive")


def lines(kind, message, language="en", **how):
    return shown_text(render(kind, message, language, **how)).replace("\xa0", " ").splitlines()


def test_an_alert_says_everything_in_few_lines():
    html = render("opened", training_failed(), docs_url=DOCS)
    assert shown_text(html).splitlines() == [
        "❌ ERROR: Training failed",
        "BTCUSDT 5m · models/brisk/gb/high_20",
        "DataContractError: 812 rows with a label, expected at least 1000 (terminal)",
        "22 Nov 14:02 UTC",
        "What to do · Open the run · incident 17",
    ]
    assert f'<a href="{DOCS}#alert-training-failed">What to do</a>' in html
    assert f'<a href="{RUN}">Open the run</a>' in html


def test_the_same_in_portuguese():
    assert lines("opened", training_failed(), "pt", docs_url=DOCS) == [
        "❌ ERRO: Treinamento do modelo falhou",
        "BTCUSDT 5m · models/brisk/gb/high_20",
        "DataContractError: 812 rows with a label, expected at least 1000 (terminal)",
        "22/11 14:02 UTC",
        "O que fazer · Abrir a execução · incidente 17",
    ]


@pytest.mark.parametrize(
    ("level", "first"),
    [("critical", "🚨 CRITICAL"), ("error", "❌ ERROR"), ("warning", "⚠️ WARNING"), ("info", "ℹ️ INFO")],
)
def test_the_first_line_tells_how_bad_it_is(level, first):
    assert lines("opened", daily_loss(level=level))[0] == f"{first}: Daily loss above the limit"


def test_a_repeat_says_since_when_and_how_often():
    again = training_failed(at="2026-11-22T18:05:10+00:00", occurrences=48)
    assert "ongoing since 22 Nov 14:02 UTC (4 h 3 min) · 48 times" in lines("repeated", again)
    assert "continua desde 22/11 14:02 UTC (4 h 3 min) · 48 vezes" in lines("repeated", again, "pt")


def test_an_alert_that_took_long_to_be_told_says_since_when():
    late = training_failed(at="2026-11-22T14:32:10+00:00", occurrences=3)
    assert "since 22 Nov 14:02 UTC (30 min) · 3 times" in lines("opened", late)


def test_what_is_over_says_how_long_it_lasted_and_asks_for_nothing():
    over = training_failed(at="2026-11-23T15:03:00+00:00", occurrences=5, why="over", detail="")
    assert lines("resolved", over, docs_url=DOCS) == [
        "✅ RESOLVED: Training failed",
        "BTCUSDT 5m · models/brisk/gb/high_20",
        "lasted 1 day 1 h: 22 Nov 14:02 UTC to 23 Nov 15:03 UTC · 5 times",
        "Open the run · incident 17",
    ]
    assert "durou 1 dia 1 h: de 22/11 14:02 UTC a 23/11 15:03 UTC · 5 vezes" in lines("resolved", over, "pt")


def test_a_possible_repeat_is_marked_in_every_kind():
    for kind in KINDS:
        for language, mark in (("en", "[possible repeat]"), ("pt", "[possível repetição]")):
            assert mark in lines(kind, training_failed(), language, possible_repeat=True)
            assert mark not in lines(kind, training_failed(), language)


@pytest.mark.parametrize(("why", "said"), [("flapping", "comes and goes"), ("worse", "worse than before")])
def test_why_it_is_told_is_said_where_that_is_news(why, said):
    assert said in "\n".join(lines("opened", training_failed(why=why)))
    assert said not in "\n".join(lines("opened", training_failed()))


def test_a_title_that_says_more_than_its_rule_is_shown():
    told = training_failed(rule="run_failed", title="run of nightly BTCUSDT 5m: its worker is gone")
    assert lines("opened", told)[0] == "❌ ERROR: Run failed"
    assert "run of nightly BTCUSDT 5m: its worker is gone" in lines("opened", told)


def test_of_an_error_only_its_first_line_is_shown():
    assert "second" not in "\n".join(lines("opened", training_failed(detail="first\nsecond")))


def test_without_an_address_of_the_pages_the_file_is_named():
    assert "docs/operations.md#alert-training-failed" in "\n".join(lines("opened", training_failed()))


@pytest.mark.parametrize(
    "url", ["javascript:alert(1)", "file:///etc/passwd", "host/run", "http://[", "tg://x"]
)
def test_a_run_address_that_is_none_of_the_web_is_no_link(url):
    assert "<a " not in render("opened", training_failed(url=url))


def test_what_comes_from_outside_stands_for_itself():
    rude = "<b>&amp; <script> </code> \"'"
    html = render("opened", data_stale(title=rude, detail=rude, labels={"asset": rude}), docs_url=DOCS)
    assert shown_text(html).count(rude) == 3


def test_letters_that_turn_a_line_round_or_cannot_be_sent_are_left_out():
    text = render("opened", data_stale(detail="a\u202eb\x00c\ud800d\x1b[31m"))
    assert "abcd[31m" in text
    text.encode()


def test_a_report_keeps_its_lines():
    assert lines("report", profit_report()) == [
        "📊 Profit and loss of 21 Nov 2026",
        "binance_spot main BTCUSDT (executed): +31.50 USDT, 3 of 4 won",
        "BTCUSDT 5m brisk (on paper): +12.40 USDT, 9 of 14 won",
        "ETHUSDT 5m brisk (on paper): −3.10 USDT, 5 of 11 won",
    ]


def test_a_report_that_is_too_long_says_how_many_lines_are_missing():
    long = profit_report(detail="\n".join(f"line {number} <&> {'x' * 80}" for number in range(400)))
    shown = lines("report", long)
    missing = int(re.findall(r"… and (\d+) more lines", shown[-1])[0])
    assert len(shown) - 2 + missing == 400
    assert len(shown) > 20


def test_the_sign_of_life_keeps_its_lines():
    assert lines("alive", alive()) == [
        "💚 Alerts are alive",
        "Open incidents: 2",
        "Sent in 24 h: 14",
        "Refused in 24 h: 0",
        "Waiting: 0",
        "Oldest heartbeat: dagster_events, 4 s ago",
    ]
    assert lines("alive", {}, "pt") == ["💚 Os alertas estão sendo entregues"]


def test_a_test_message_says_that_it_is_one():
    assert lines("test", {}) == ["🔔 TEST: alerts arrive here"]
    assert lines("test", {"title": "sent by itb alerts test"}, "pt") == ["🔔 TESTE: Sent by itb alerts test"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("language", LANGUAGES)
def test_a_message_with_nothing_in_it_is_still_one(kind, language):
    """A row that somebody else wrote may lack any part, or hold what it should not."""
    for odd in ({}, {"labels": None, "at": "yesterday", "occurrences": "many", "level": 7, "title": None}):
        assert lines(kind, odd, language)[0].split()[0]


text = st.text(max_size=400) | st.text(st.sampled_from("<&>\"'🚨a\n\u202e"), max_size=2500)
message = st.fixed_dictionaries(
    {},
    optional={
        "rule": st.sampled_from(["training_failed", "daily_loss", "own_rule", "<b>"]) | text,
        "level": st.sampled_from(["critical", "error", "warning", "info"]),
        "labels": st.dictionaries(st.sampled_from(["symbol", "freq", "asset", "x", "y"]), text),
        "title": text,
        "detail": text,
        "action": text,
        "url": text.map(lambda value: f"https://host/{value}"),
        "at": st.datetimes().map(lambda time: f"{time.isoformat()}+00:00"),
        "first_at": st.datetimes().map(lambda time: f"{time.isoformat()}+00:00"),
        "occurrences": st.integers(0, 10**9),
        "incident_id": st.integers(),
        "why": text,
    },
)


@given(
    kind=st.sampled_from(KINDS),
    message=message,
    language=st.sampled_from(LANGUAGES),
    docs=st.sampled_from(["", DOCS]) | text,
    chart=st.booleans(),
)
def test_every_message_is_taken_as_it_is(kind, message, language, docs, chart):
    """Never more than 4,096 characters with all escapes, never a cut tag; a caption shows 1,024 at most."""
    html = render(kind, message, language, docs_url=docs, possible_repeat=True, with_chart=chart)
    assert utf16_length(html) <= 4096
    shown = shown_text(html)
    assert shown
    if chart:
        assert utf16_length(shown) <= 1024
    assert markup.plain(html) == shown
    html.encode()


def test_the_longest_message_keeps_its_links():
    """What does not fit is words: where to look and what to do stay."""
    html = render("opened", training_failed(title="<" * 300, detail="&" * 2000, rule="own"), docs_url=DOCS)
    assert "What to do</a>" in html
    assert "Open the run</a>" in html
    assert utf16_length(html) <= 4096


def test_every_rule_told_by_events_has_a_name_in_every_language():
    rules = load_config().rules.named()
    told = [name for name, rule in rules.items() if isinstance(rule, EventRule)]
    assert len(told) > 5
    for name in told:
        assert heading(name, "en") != heading(name, "pt") != ""


def test_a_label_that_is_not_known_is_named():
    assert where({"sensor": "clock", "symbol": "BTCUSDT"}) == "BTCUSDT · sensor clock"
    assert len(where({f"label_{number}": "x" * 100 for number in range(50)})) == 300


@pytest.mark.parametrize("module", [catalogue, markup, messages, post])
def test_the_examples_in_the_docstrings_hold(module):
    result = doctest.testmod(module)
    assert result.attempted
    assert result.failed == 0


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0, "0 s"),
        (59, "59 s"),
        (60, "1 min"),
        (3600, "1 h"),
        (3900, "1 h 5 min"),
        (86_400, "1 day"),
        (-5, "0 s"),
    ],
)
def test_a_length_of_time_has_two_units_at_most(seconds, said):
    assert length(timedelta(seconds=seconds), "en").replace("\xa0", " ") == said


def test_times_of_other_zones_are_shown_in_utc():
    message = training_failed(at="2026-11-22T22:02:10-03:00", first_at="2026-11-22T22:02:10-03:00")
    assert "23 Nov 01:02 UTC" in lines("opened", message)
    assert moment(messages.time_of(message, "at"), "pt") == "23/11 01:02 UTC"


def test_phrases_have_as_many_places_in_each_language():
    for name, phrases in catalogue._WORDS.items():
        places = {frozenset(re.findall(r"\{\d\}", phrase)) for phrase in phrases}
        assert len(places) == 1, name
        assert all(phrases), name
    assert word("times", "pt", 3) == "3 vezes"
