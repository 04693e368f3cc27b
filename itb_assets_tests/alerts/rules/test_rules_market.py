"""Rules over klines: late ones, missing ones, unusual ones; and over looks for drift."""

from __future__ import annotations

from datetime import timedelta

import pytest
from rule_making import (
    DAY,
    HOUR,
    MINUTE,
    NOW,
    config_of,
    drift,
    insert,
    kline,
    looked,
    market,
    only,
)

from itb_assets.domain.alerts import Level
from itb_assets.domain.alerts.occurrence import fingerprint_of
from itb_assets.domain.markets import Market

FIVE = 5 * MINUTE
MARKET = {"symbol": "BTCUSDT", "freq": "5m"}
LAST = NOW - FIVE
"""Open time of the newest kline that can be there."""


def run_of(count: int, *, last=LAST, step: timedelta = FIVE, **changes) -> list[dict]:
    """Return klines up to one, without a gap."""
    return [kline(last - back * step, **changes) for back in range(count)]


@pytest.mark.parametrize("rule", ["data_stale", "gap_found", "unusual_volume", "unusual_volatility"])
def test_without_klines_in_the_database_it_says_so(connection, rule):
    found = only(looked(connection, rule))
    assert found.state == "no_data"
    assert "itb run" in found.detail


@pytest.mark.parametrize(("late", "state"), [(12 * MINUTE, "ok"), (12 * MINUTE + MINUTE, "firing")])
def test_data_are_stale_two_klines_and_the_grace_after_the_last_one(connection, late, state):
    market(connection)
    insert(connection, "ohlcv", run_of(3, last=NOW - FIVE - late))
    found = only(looked(connection, "data_stale"))
    assert (found.state, found.level, found.labels) == (state, Level.WARNING, MARKET)


def test_klines_of_a_day_may_be_a_day_old(connection):
    market(connection, freq="1d")
    insert(connection, "ohlcv", [kline(NOW.replace(hour=0, minute=0) - DAY, freq="1d")])
    assert only(looked(connection, "data_stale")).state == "ok"


def test_stale_data_are_stale_until_they_are_nearly_fresh(connection):
    market(connection)
    insert(connection, "ohlcv", run_of(3, last=NOW - FIVE - 11 * MINUTE))
    assert only(looked(connection, "data_stale")).state == "ok"
    before = {fingerprint_of("data_stale", MARKET)}
    assert only(looked(connection, "data_stale", open=before)).state == "firing"


def test_a_market_without_any_kline_is_insufficient(connection):
    market(connection)
    assert only(looked(connection, "data_stale")).state == "insufficient"


def test_markets_that_nobody_follows_are_not_missed(connection):
    market(connection)
    market(connection, symbol="ETHUSDT")
    followed = [Market("ETHUSDT", "5m")]
    found = only(looked(connection, "data_stale", followed=followed))
    assert found.labels["symbol"] == "ETHUSDT"


def test_a_gap_is_found_with_its_first_kline(connection):
    market(connection)
    insert(connection, "ohlcv", [row for n, row in enumerate(run_of(30)) if n not in (4, 5)])
    found = only(looked(connection, "gap_found"))
    assert (found.state, found.level, found.value) == ("firing", Level.WARNING, 2.0)
    assert "2 of 30 klines missing in the last 2 days, the first at 2026-03-11 14:00" in found.detail


def test_a_gap_that_began_before_the_window_counts_from_the_window_on(connection):
    market(connection)
    old = run_of(3, last=NOW - 3 * DAY)
    insert(connection, "ohlcv", [*old, *run_of(12)])
    found = only(looked(connection, "gap_found"))
    assert found.state == "firing"
    assert found.value == 2 * 288 - 12


def test_where_klines_begin_is_no_gap(connection):
    market(connection)
    insert(connection, "ohlcv", run_of(12))
    found = only(looked(connection, "gap_found"))
    assert (found.state, found.value) == ("ok", 0.0)


def test_a_gap_older_than_the_window_is_over(connection):
    market(connection)
    insert(connection, "ohlcv", [*run_of(577), *run_of(3, last=NOW - 4 * DAY)])
    assert only(looked(connection, "gap_found")).state == "ok"


def test_one_kline_shows_no_gap(connection):
    market(connection)
    insert(connection, "ohlcv", run_of(1))
    assert only(looked(connection, "gap_found")).state == "insufficient"


def days_of(days: int, *, now: dict | None = None) -> list[dict]:
    """Return the same hour of as many days, each a little busier than the one before, and of today."""
    rows = run_of(12, **(now or {}))
    for day in range(1, days + 1):
        rows += run_of(12, last=LAST - day * DAY, volume=10 + 0.1 * day, width=1.001 + 0.00001 * day)
    return rows


@pytest.mark.parametrize(
    ("rule", "now", "way"),
    [
        ("unusual_volume", {"volume": 60.0}, 1),
        ("unusual_volume", {"volume": 1.0}, -1),
        ("unusual_volume", {"volume": 0.0}, -1),
        ("unusual_volatility", {"width": 1.006}, 1),
        ("unusual_volatility", {"width": 1.0}, -1),
    ],
)
def test_an_hour_far_off_the_same_hour_of_earlier_days_is_unusual(connection, rule, now, way):
    market(connection)
    insert(connection, "ohlcv", days_of(20, now=now))
    found = only(looked(connection, rule))
    assert (found.state, found.level, found.labels) == ("firing", Level.WARNING, MARKET)
    assert found.value is not None
    assert found.value * way > 6


@pytest.mark.parametrize("rule", ["unusual_volume", "unusual_volatility"])
def test_an_hour_like_those_before_is_not(connection, rule):
    market(connection)
    insert(connection, "ohlcv", days_of(20))
    assert only(looked(connection, rule)).state == "ok"


@pytest.mark.parametrize("rule", ["unusual_volume", "unusual_volatility"])
def test_a_short_history_cannot_tell(connection, rule):
    market(connection)
    insert(connection, "ohlcv", days_of(13, now={"volume": 1000.0, "width": 1.5}))
    found = only(looked(connection, rule))
    assert found.state == "insufficient"
    assert "13 whole earlier windows, needs 14" in found.detail


def test_days_with_missing_klines_are_not_compared_with(connection):
    market(connection)
    rows = [row for row in days_of(14, now={"volume": 1000.0}) if row["time"] != LAST - 3 * DAY]
    insert(connection, "ohlcv", rows)
    assert only(looked(connection, "unusual_volume")).state == "insufficient"


def test_an_hour_that_is_not_whole_cannot_be_compared(connection):
    market(connection)
    insert(connection, "ohlcv", [row for row in days_of(20) if row["time"] != LAST - 2 * FIVE])
    found = only(looked(connection, "unusual_volume"))
    assert found.state == "insufficient"
    assert "11 of 12" in found.detail


def test_what_happened_yesterday_is_not_now(connection):
    market(connection)
    insert(connection, "ohlcv", [row for row in days_of(20) if row["time"] < NOW - 12 * HOUR])
    assert only(looked(connection, "unusual_volume")).state == "insufficient"


def test_a_long_kline_is_a_window_of_its_own(connection):
    market(connection, freq="4h")
    last = NOW.replace(hour=8, minute=0)
    rows = [kline(last - day * DAY, freq="4h", volume=10 + 0.1 * day) for day in range(21)]
    rows[0]["volume"] = 90.0
    insert(connection, "ohlcv", rows)
    assert only(looked(connection, "unusual_volume")).state == "firing"


def test_the_window_is_chosen(connection, tmp_path):
    market(connection)
    rows = days_of(20)
    rows[0]["volume"] = 600.0
    insert(connection, "ohlcv", rows)
    config = config_of(tmp_path, '[rules.unusual_volume]\nwindow = "5m"\n')
    assert (
        only(looked(connection, "unusual_volume", config)).value
        > only(looked(connection, "unusual_volume")).value
    )


IDENTITY = MARKET | {"variant": "aggressive"}
JUDGED = [
    drift("win_rate", "ok", value=0.57, n=200),
    drift("brier:high_lgbm", "ok"),
    drift("psi:close_SMA_5", "ok"),
    drift("unknown:close_SMA_5", "ok"),
    drift("drifted_features", "ok", n=3),
]


@pytest.mark.parametrize("rule", ["model_drift", "feature_drift"])
def test_a_look_without_alarms_is_fine(connection, rule):
    insert(connection, "model_drift", JUDGED)
    found = only(looked(connection, rule))
    assert (found.state, found.labels) == ("ok", IDENTITY)


@pytest.mark.parametrize(
    ("rule", "metric", "verdict", "level"),
    [
        ("model_drift", "win_rate", "warning", Level.WARNING),
        ("model_drift", "brier:high_lgbm", "warning", Level.WARNING),
        ("feature_drift", "psi:close_SMA_5", "warning", Level.WARNING),
        ("feature_drift", "psi:close_SMA_5", "error", Level.ERROR),
        ("feature_drift", "drifted_features", "error", Level.ERROR),
        ("feature_drift", "unknown:close_SMA_5", "warning", Level.WARNING),
    ],
)
def test_the_verdict_of_a_look_alarms_its_own_rule_alone(connection, rule, metric, verdict, level):
    rows = [row | {"verdict": verdict} if row["metric"] == metric else row for row in JUDGED]
    insert(connection, "model_drift", rows)
    found = only(looked(connection, rule))
    assert (found.state, found.level, found.labels) == ("firing", level, IDENTITY)
    assert f"what {metric} rests on" in found.detail
    other = "feature_drift" if rule == "model_drift" else "model_drift"
    assert only(looked(connection, other)).state == "ok"


def test_only_the_newest_look_counts(connection):
    insert(connection, "model_drift", [drift("win_rate", "warning", at=NOW - DAY), *JUDGED])
    assert only(looked(connection, "model_drift")).state == "ok"


@pytest.mark.parametrize("rule", ["model_drift", "feature_drift"])
def test_a_look_that_could_not_judge_is_insufficient(connection, rule):
    rows = [row | {"verdict": "insufficient data", "n": 3} for row in JUDGED]
    insert(connection, "model_drift", rows)
    assert only(looked(connection, rule)).state == "insufficient"


def test_a_verdict_on_fewer_rows_than_asked_for_is_none(connection, tmp_path):
    insert(connection, "model_drift", [drift("win_rate", "warning", n=200)])
    config = config_of(tmp_path, "[rules.model_drift]\nmin_sample = 201\n")
    assert only(looked(connection, "model_drift", config)).state == "insufficient"


def test_an_old_look_says_nothing_of_today(connection):
    insert(connection, "model_drift", [drift("win_rate", "ok", at=NOW - 4 * DAY, n=200)])
    assert only(looked(connection, "model_drift")).state == "insufficient"


@pytest.mark.parametrize("rule", ["model_drift", "feature_drift"])
def test_without_a_look_it_says_what_takes_them(connection, rule):
    assert only(looked(connection, rule)).state == "no_data"
