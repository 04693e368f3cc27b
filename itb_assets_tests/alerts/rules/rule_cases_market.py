"""Cases of rules over klines and over looks for drift.

What a case is belongs to `rule_cases`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from typing import Any

import sqlalchemy as sa
from rule_cases import SECOND, TINY, Case, Outcome, nothing
from rule_making import DAY, HOUR, MINUTE, NOW, drift, insert, kline, market

FIVE = 5 * MINUTE
LAST = NOW - FIVE
"""Open time of the newest kline that can be there."""

MARKET = {"symbol": "BTCUSDT", "freq": "5m"}
MODEL = MARKET | {"variant": "aggressive"}


def klines(rows: Sequence[dict[str, Any]], freq: str = "5m") -> Callable[[sa.Connection], object]:
    """Return what writes the klines of a market."""

    def arrange(connection: sa.Connection) -> None:
        market(connection, freq=freq)
        if rows:
            insert(connection, "ohlcv", rows)

    return arrange


def run_of(count: int, *, last: Any = LAST, **changes: Any) -> list[dict[str, Any]]:
    """Return klines up to one, without a gap."""
    return [kline(last - back * FIVE, **changes) for back in range(count)]


def late() -> Iterator[Case]:
    """Yield those of late klines: two klines of five minutes, and two minutes of grace."""
    rule = "data_stale"
    for outcome, name, after, was in (
        ("quiet", "as new as can be", timedelta(0), False),
        ("quiet", "at two klines and the grace", 12 * MINUTE, False),
        ("fires", "just above", 12 * MINUTE + SECOND, False),
        ("fires", "above one kline, late before", 7 * MINUTE + SECOND, True),
        ("quiet", "at one kline, late before", 7 * MINUTE, True),
    ):
        rows = run_of(3, last=LAST - after)
        yield Case(rule, outcome, name, klines(rows), was=was, labels=MARKET)  # type: ignore[arg-type]
    old = run_of(3, last=NOW - HOUR)
    yield Case(rule, "fires", "old, and one from the future", klines([*old, kline(NOW + DAY)]))
    yield Case(rule, "lacks", "none but one from the future", klines([kline(NOW + DAY)]))
    yield Case(rule, "lacks", "no kline", klines([]))
    yield Case(rule, "lacks", "no market", nothing)
    day = NOW.replace(hour=0, minute=0)
    yield Case(rule, "quiet", "of a day, yesterday's", klines([kline(day - DAY, freq="1d")], "1d"))
    yield Case(rule, "fires", "of a day, a week old", klines([kline(day - 7 * DAY, freq="1d")], "1d"))


def gaps() -> Iterator[Case]:
    """Yield those of missing klines."""
    rule, whole = "gap_found", run_of(24)
    yield Case(rule, "quiet", "whole", klines(whole))
    yield Case(rule, "fires", "one is missing", klines([row for row in whole if row["time"] != LAST - FIVE]))
    yield Case(rule, "quiet", "filled, missing before", klines(whole), was=True, labels=MARKET)
    yield Case(rule, "quiet", "the newest is missing, which is late", klines(whole[1:]))
    yield Case(rule, "quiet", "before the market began", klines(run_of(5)))
    older = run_of(3, last=NOW - 3 * DAY)
    yield Case(rule, "fires", "since before the window", klines([*whole, *older]))
    yield Case(rule, "quiet", "older than the window", klines([*run_of(577), *older]))
    yield Case(rule, "quiet", "one from the future", klines([*whole, kline(NOW + DAY)]))
    yield Case(rule, "lacks", "one kline", klines(whole[:1]))
    yield Case(rule, "lacks", "none in the window", klines(older))
    yield Case(rule, "lacks", "no market", nothing)


def hours(days: int, **now: Any) -> list[dict[str, Any]]:
    """Return the same hour of as many days, each a little busier than the one before, and of today."""
    rows = run_of(12, **now)
    for day in range(1, days + 1):
        rows += run_of(12, last=LAST - day * DAY, volume=10 + 0.1 * day, width=1.001 + 0.00001 * day)
    return rows


def unusual() -> Iterator[Case]:
    """Yield those of volume and volatility."""
    nan = float("nan")
    for figure, usual, high, low, tremble in (
        ("volume", 11.05, 60.0, 1.0, 16.5),
        ("volatility", 1.0011, 1.006, 1.0, 1.00165),
    ):
        rule, name = f"unusual_{figure}", "volume" if figure == "volume" else "width"
        yield Case(rule, "fires", "much more", klines(hours(20, **{name: high})))
        yield Case(rule, "fires", "much less", klines(hours(20, **{name: low})))
        yield Case(rule, "quiet", "as usual", klines(hours(20, **{name: usual})))
        some = klines(hours(20, **{name: tremble}))
        yield Case(rule, "quiet", "between clear and threshold", some)
        yield Case(rule, "fires", "the same, unusual before", some, was=True, labels=MARKET)
        yield Case(rule, "lacks", "thirteen days", klines(hours(13, **{name: high})))
        yield Case(rule, "fires", "fourteen", klines(hours(14, **{name: high})))
        yield Case(rule, "lacks", "an hour with a gap", klines(hours(20, **{name: high})[1:-1][1:]))
        yield Case(rule, "lacks", "no number", klines(hours(20, volume=nan, high=nan, low=nan)))
        yield Case(
            rule, "lacks", "seven hours ago", klines([row for row in hours(20) if row["time"] < NOW - DAY])
        )
        yield Case(rule, "lacks", "no market", nothing)
    zero = [row | {"high": 0.0} if row["time"] == LAST - DAY else row for row in hours(20)]
    yield Case("unusual_volatility", "quiet", "a price of zero on one day", klines(zero))


def drifts() -> Iterator[Case]:
    """Yield those of the newest looks for drift."""

    def looks(*rows: dict[str, Any]) -> Callable[[sa.Connection], object]:
        return lambda connection: insert(connection, "model_drift", rows)

    for rule, metric, least in (("model_drift", "win_rate", 30), ("feature_drift", "psi:x", 500)):
        other = "psi:x" if metric == "win_rate" else "win_rate"
        table: tuple[tuple[Outcome, str, tuple[dict[str, Any], ...]], ...] = (
            ("fires", "warns", (drift(metric, "warning"),)),
            ("fires", "fails", (drift(metric, "error"),)),
            ("quiet", "does not", (drift(metric, "ok"),)),
            ("quiet", "the other one warns", (drift(metric, "ok"), drift(other, "warning"))),
            (
                "quiet",
                "warned at the look before",
                (drift(metric, "ok"), drift(metric, "warning", at=NOW - DAY)),
            ),
            ("fires", "at the least sample", (drift(metric, "warning", n=least),)),
            ("lacks", "below it", (drift(metric, "warning", n=least - 1),)),
            ("lacks", "could not judge", (drift(metric, "insufficient data", n=3, value=None),)),
            ("fires", "three days old", (drift(metric, "warning", at=NOW - 3 * DAY),)),
            ("lacks", "older", (drift(metric, "warning", at=NOW - 3 * DAY - TINY),)),
            ("lacks", "older than the window", (drift(metric, "warning", at=NOW - 15 * DAY),)),
            ("fires", "of a kline that closes later today", (drift(metric, "warning", at=NOW + HOUR),)),
            ("lacks", "measured nothing of it", (drift(other, "warning"),)),
        )
        for outcome, name, rows in table:
            yield Case(rule, outcome, name, looks(*rows), labels=MODEL if "window" not in name else {})
        yield Case(rule, "lacks", "no look", nothing)


def cases() -> Iterator[Case]:
    """Yield all of this module."""
    for each in (late, gaps, unusual, drifts):
        yield from each()
