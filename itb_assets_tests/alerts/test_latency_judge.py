"""The judge of latencies sees what is late, missing or never was, and knows what a message names."""

from __future__ import annotations

import math
from types import SimpleNamespace

import pytest

from itb_assets.observability.alerts.catalogue import heading
from itb_assets.observability.alerts.digest import digest
from itb_assets.observability.alerts.markup import plain
from itb_assets.observability.alerts.messages import render
from itb_assets.observability.alerts.rules.words import said

RUN_FAILED = heading("run_failed", "en")


@pytest.fixture
def judge(modules):
    return modules("alert_latency_judge")


def message(symbol: str, rule: str = "run_failed") -> dict:
    labels = {"symbol": symbol, "freq": "1h", "job": "build_market"}
    at = "2026-03-01T12:00:00+00:00"
    return {"rule": rule, "level": "error", "labels": labels, "title": "run failed", "at": at}


def row(symbol: str, kind: str = "opened", rule: str = "run_failed") -> SimpleNamespace:
    return SimpleNamespace(kind=kind, message=message(symbol, rule), chart=None, leased_before=False)


def of(judge, kind: str, *latencies: float | None, **other) -> list:
    """Return trials whose causes came at 100 s; None is a message that never came."""
    return [
        judge.Trial(kind, number, "", 100.0, None if latency is None else 100.0 + latency, **other)
        for number, latency in enumerate(latencies)
    ]


def broken(judge, trials: list, wanted: int) -> list[str]:
    return [line for kept, line in judge.verdicts(judge.table(trials), wanted) if not kept]


def test_figures_are_ones_that_were_measured(judge):
    (found,) = judge.table(of(judge, "step", *map(float, range(20, 0, -1))))
    wanted = {"kind": "step", "trials": 20, "min": 1, "median": 11, "p95": 20, "max": 20}
    assert found == wanted | {"missing": 0, "undone": 0}


def test_a_kind_has_a_row_where_it_was_tried_in_the_order_of_the_table(judge):
    trials = [*of(judge, "server", 3.0), *of(judge, "step", 1.0), *of(judge, "check", 2.0)]
    assert [found["kind"] for found in judge.table(trials)] == ["step", "check", "server"]


def test_what_is_early_enough_breaks_nothing(judge):
    assert broken(judge, of(judge, "worker", 9.9, 9.9, 29.9), wanted=3) == []


def test_one_that_is_late_breaks_the_maximum_alone(judge):
    assert broken(judge, of(judge, "worker", 1.0, 2.0, 30.0), wanted=3) == [
        "worker: at most 30.0 s, under 30 s"
    ]


def test_half_of_them_late_break_the_median_alone(judge):
    assert broken(judge, of(judge, "drift", 1.0, 10.0, 11.0), wanted=3) == [
        "drift: median 10.0 s, under 10 s"
    ]


def test_a_message_that_never_came_is_missing_and_infinitely_late(judge):
    trials = of(judge, "check", 1.0, None, 1.0)
    (found,) = judge.table(trials)
    assert (found["missing"], found["max"], found["median"]) == (1, math.inf, 1.0)
    assert broken(judge, trials, wanted=3) == [
        "check: at most inf s, under 30 s",
        "check: 1 missing of 3: none of 3",
    ]


def test_a_cause_that_could_not_be_brought_about_is_no_trial_and_no_excuse(judge):
    trials = [*of(judge, "step", 1.0, 2.0), judge.Trial("step", 2, trouble="the run never began")]
    (found,) = judge.table(trials)
    assert (found["trials"], found["undone"], found["missing"], found["max"]) == (2, 1, 0, 2.0)
    assert broken(judge, trials, wanted=3) == ["step: 0 missing of 2: none of 3"]
    assert len(broken(judge, [judge.Trial("step", 0, trouble="nothing began")], wanted=1)) == 3


def test_the_table_as_text_has_a_line_a_kind(judge):
    head, rule, line = judge.as_text(judge.table(of(judge, "server", 5.25))).split("\n")
    assert head == "| kind | trials | min | median | p95 | max | missing |"
    assert rule.count("|") == head.count("|")
    assert line == f"| {judge.KINDS['server']} | 1 | 5.2 | 5.2 | 5.2 | 5.2 | 0 |"


def test_a_message_is_of_a_trouble_that_it_names_with_its_place(judge):
    text = plain(render("opened", message("STEP01USDT")))
    assert judge.names(text, RUN_FAILED, ["STEP01USDT"])
    assert not judge.names(text, RUN_FAILED, ["STEP02USDT"])
    assert not judge.names(text, heading("check_failed", "en"), ["STEP01USDT"])


def test_what_is_over_does_not_count_alone_or_in_a_digest(judge):
    assert not judge.names(plain(render("resolved", message("STEP01USDT"))), RUN_FAILED, ["STEP01USDT"])
    text = plain(digest([row("STEP01USDT", "resolved"), row("STEP02USDT")]))
    assert not judge.names(text, RUN_FAILED, ["STEP01USDT"])
    assert judge.names(text, RUN_FAILED, ["STEP02USDT"])


def test_in_a_digest_trouble_and_place_share_a_line(judge):
    text = plain(digest([row("STEP01USDT"), row("STEP02USDT", rule="check_failed")]))
    assert judge.names(text, RUN_FAILED, ["STEP01USDT"])
    assert not judge.names(text, RUN_FAILED, ["STEP02USDT"])


@pytest.mark.parametrize(
    ("rule", "watched", "others"),
    [
        ("pipeline_error", {"symbol": "STEP01USDT"}, {"freq": "1h", "asset": "processed/features"}),
        ("run_failed", {"symbol": "WORKER01USDT"}, {"freq": "1h", "job": "build_market"}),
        ("check_failed", {"symbol": "CHECK01USDT", "check": "look_ahead"}, {"asset": "processed/features"}),
        ("model_drift", {"symbol": "DRIFT01USDT"}, {"freq": "1h", "variant": "latency"}),
        ("orderbook_stopped", {"symbol": "COLLECTOR01USDT"}, {}),
        ("automation_failed", {"server": "code"}, {}),
    ],
)
def test_each_cause_knows_its_own_message(modules, rule, watched, others):
    cause = modules("alert_latency_causes").Cause(0.0, rule, watched)
    title = said("en", f"title {rule}", {}) if rule == "orderbook_stopped" else "something is wrong"
    own = message("", rule) | {"labels": watched | others, "title": title}
    other = own | {"labels": {"symbol": "OTHERUSDT"}}
    rows = [
        SimpleNamespace(kind="opened", message=one, chart=None, leased_before=False) for one in (own, other)
    ]
    assert cause.told_by(plain(render("opened", own))) == rule
    assert cause.told_by(plain(digest(rows))) == rule
    assert cause.told_by(plain(render("resolved", own))) is None
    assert cause.told_by(plain(render("opened", other))) is None
