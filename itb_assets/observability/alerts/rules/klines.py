"""Klines that are late, and klines that are missing, by market.

What a gap means belongs to `domain.gaps`; late klines come from the exchange or not at all.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from itb_assets.domain.alerts.evaluation import Evaluation
from itb_assets.domain.alerts.thresholds import lateness_s
from itb_assets.domain.markets import Market
from itb_assets.observability.alerts.rules.look import Look

STALE, GAP = "data_stale", "gap_found"
_WANTED = "SELECT * FROM unnest(CAST(:symbols AS text[]), CAST(:freqs AS text[])) AS m (symbol, freq)"
_NEWEST = f"""
SELECT m.symbol, m.freq, k.time FROM ({_WANTED}) AS m LEFT JOIN LATERAL (
    SELECT time FROM ohlcv AS o
    WHERE o.symbol = m.symbol AND o.freq = m.freq AND o.time <= :now ORDER BY o.time DESC LIMIT 1
) AS k ON TRUE
"""  # noqa: S608 - constants
_COUNTS = f"""
SELECT m.symbol, m.freq, k.klines, k.first, k.last, e.time IS NOT NULL AS earlier FROM ({_WANTED}) AS m
CROSS JOIN LATERAL (
    SELECT count(*) AS klines, min(time) AS first, max(time) AS last FROM ohlcv AS o
    WHERE o.symbol = m.symbol AND o.freq = m.freq AND o.time >= :since AND o.time <= :now
) AS k
LEFT JOIN LATERAL (
    SELECT time FROM ohlcv AS o
    WHERE o.symbol = m.symbol AND o.freq = m.freq AND o.time < :since ORDER BY o.time DESC LIMIT 1
) AS e ON TRUE
"""  # noqa: S608 - constants
_FIRST_MISSING = """
SELECT g.time FROM generate_series(
    CAST(:first AS timestamptz), CAST(:last AS timestamptz), CAST(:hours AS interval)
) AS g (time)
WHERE NOT EXISTS (
    SELECT FROM ohlcv AS o WHERE o.symbol = :symbol AND o.freq = :freq AND o.time = g.time
)
ORDER BY g.time LIMIT 1
"""


def labels_of(market: Market) -> dict[str, str]:
    """Return the identity of a market."""
    return {"symbol": market.symbol, "freq": market.freq}


def by_market(
    look: Look, statement: str, markets: list[Market], **values: object
) -> dict[Market, Mapping[str, Any]]:
    """Return the row of each market of a statement that takes `symbols` and `freqs`."""
    symbols, freqs = [market.symbol for market in markets], [market.freq for market in markets]
    rows = look.rows(statement, symbols=symbols, freqs=freqs, **values)
    return {Market(row["symbol"], row["freq"]): row for row in rows}


def data_stale(look: Look) -> Iterator[Evaluation]:
    """Yield one evaluation a market: how late its newest kline is, in klines, after the time of grace."""
    settings = look.config.rules.data_stale
    markets = list(look.markets())
    if not markets:
        yield look.lacks(STALE, "no klines")
    for market, row in by_market(look, _NEWEST, markets, now=look.now).items():
        labels, freq_s = labels_of(market), market.freq_ms / 1000
        if row["time"] is None:
            yield look.found(STALE, "insufficient", labels=labels, detail=look.say("stale never"))
            continue
        late = lateness_s(row["time"], freq_s, look.now)
        klines = max(late - settings.grace.total_seconds(), 0.0) / freq_s
        yield look.measured(
            STALE, klines, labels=labels, detail=look.say("stale", age=timedelta(seconds=late))
        )


def gap_found(look: Look) -> Iterator[Evaluation]:
    """Yield one evaluation a market: how many klines are missing within the window, up to the newest one."""
    settings = look.config.rules.gap_found
    markets = list(look.markets())
    if not markets:
        yield look.lacks(GAP, "no klines")
    since = look.now - settings.window
    window = settings.window
    for market, row in by_market(look, _COUNTS, markets, since=since, now=look.now).items():
        labels = labels_of(market)
        if row["klines"] < settings.min_sample:
            detail = look.say("gap thin", klines=row["klines"], window=window, needed=settings.min_sample)
            yield look.found(GAP, "insufficient", labels=labels, detail=detail)
            continue
        first = _on_grid(since, market) if row["earlier"] else row["first"]
        expected = (row["last"] - first) // market.freq_delta + 1
        missing = expected - row["klines"]
        detail = look.say("gap none", expected=expected, window=window)
        if missing > 0:
            at = _first_missing(look, market, first, row["last"])
            detail = look.say("gap", missing=missing, expected=expected, window=window, first=at)
        yield look.measured(GAP, float(missing), labels=labels, detail=detail)


def _on_grid(time: datetime, market: Market) -> datetime:
    """Return the first open time at or after a time."""
    start = datetime(1970, 1, 1, tzinfo=UTC)
    return start - (start - time) // market.freq_delta * market.freq_delta


def _first_missing(look: Look, market: Market, first: datetime, last: datetime) -> str:
    hours = f"{market.freq_ms} milliseconds"  # a day would be one of the session's time zone
    rows = look.rows(
        _FIRST_MISSING, symbol=market.symbol, freq=market.freq, first=first, last=last, hours=hours
    )
    return look.moment(rows[0]["time"]) if rows else "?"
