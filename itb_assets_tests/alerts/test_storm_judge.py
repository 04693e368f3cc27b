"""The judge of a storm sees what is missing, late, too fast, or repeated for nothing."""

from __future__ import annotations

import sys
from datetime import UTC, datetime, timedelta

import pytest
from bot_api import Sent

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.fixture
def judge(repository, monkeypatch):
    monkeypatch.syspath_prepend(str(repository / "benchmarks"))
    yield __import__("alert_storm_judge")
    sys.modules.pop("alert_storm_judge")


def sent(number: int, text: str, *, answered: bool = True, after_s: float = 0.0) -> Sent:
    at = NOON + timedelta(seconds=after_s)
    return Sent(at, "telegram", "42", text, text, number, answered=answered)


def row(number: int, receipt: str, **other) -> dict:
    title = f"case-{number} went wrong"
    plain = {"id": number, "channel": "telegram", "title": title, "receipt": receipt, "level": 40}
    return plain | {"kind": "opened", "created_at": NOON} | other


def test_a_row_that_no_message_names_or_counts_is_missing(judge):
    rows = [row(1, "42/1"), row(2, "42/2"), row(3, "42/2"), row(4, "42/9"), row(5, "42/3")]
    messages = [sent(1, "Case-1 went wrong"), sent(2, "2 alerts: 2 ERROR"), sent(3, "Case-7 went wrong")]
    assert judge.missing(rows, messages) == [4, 5]
    assert judge.missing(rows[:3], [messages[0], sent(2, "1 alerts: 1 ERROR")]) == [2, 3]


def test_a_critical_message_is_as_late_as_the_first_that_names_it(judge):
    messages = [sent(1, "case-1", after_s=3), sent(2, "case-1 [possible repeat]", after_s=9)]
    assert judge.critical_delays([row(1, "42/1"), row(2, "42/2")], messages) == [3, float("inf")]
    assert judge.critical_delays([row(1, "42/1", level=30)], messages) == []


def test_the_95th_percentile_is_one_that_was_measured(judge):
    delays = [float(number) for number in range(1, 21)]
    assert judge.percentiles(delays) == {"p50": 11, "p95": 20, "max": 20}
    assert judge.percentiles([])["p95"] == float("inf")


def test_the_fullest_minute_counts_wherever_it_begins(judge):
    times = [0, 50, 55, 59.9, 60, 109, 110, 200]
    assert judge.most_within([sent(1, "", after_s=time) for time in times], 60) == 5


def test_a_repeat_needs_a_mark_and_a_reason(judge):
    lost = sent(1, "case-1", answered=False)
    marked, bare = sent(2, "case-1 [possible repeat]", after_s=9), sent(2, "case-1", after_s=9)
    killed = [NOON + timedelta(seconds=0.2)]
    assert judge.repeats([lost, marked], []) == {"lines": 1, "unmarked": 0, "unexplained": 0}
    assert judge.repeats([lost, bare], []) == {"lines": 1, "unmarked": 1, "unexplained": 0}
    assert judge.repeats([sent(1, "case-1"), marked], []) == {"lines": 1, "unmarked": 0, "unexplained": 1}
    assert judge.repeats([sent(1, "case-1"), marked], killed)["unexplained"] == 0


def test_in_a_digest_each_line_needs_its_own_mark(judge):
    digest = sent(2, "2 alerts: 2 ERROR\n\ncase-1 [possible repeat]\ncase-2", after_s=9)
    before = [sent(1, "2 alerts\ncase-1\ncase-2", answered=False)]
    assert judge.repeats([*before, digest], []) == {"lines": 2, "unmarked": 1, "unexplained": 0}
