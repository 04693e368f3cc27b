"""Volume and volatility of the newest window of each market, against the same time of earlier days.

How unusual a figure is belongs to `domain.alerts.unusual`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from statistics import median
from typing import Any, Literal

from itb_assets.domain.alerts.evaluation import Evaluation
from itb_assets.domain.alerts.unusual import parkinson, robust_z
from itb_assets.domain.markets import Market
from itb_assets.observability.alerts.config_rules import Unusual
from itb_assets.observability.alerts.rules.klines import labels_of
from itb_assets.observability.alerts.rules.look import Look

Figure = Literal["volume", "volatility"]
OLDEST_NOW = timedelta(hours=6)
"""How old the newest kline may be for it to be called `now`; longer freqs have one kline more."""

_NEWEST = """
SELECT time FROM ohlcv WHERE symbol = :symbol AND freq = :freq AND time >= :since AND time <= :now
ORDER BY time DESC LIMIT 1
"""
_WINDOWS = """
SELECT d.day, count(k.time) AS klines, sum(k.volume) AS volume,
    sum(CASE WHEN k.low > 0 AND k.high >= k.low THEN power(ln(k.high / k.low), 2) ELSE 0 END) AS ranges
FROM generate_series(0, CAST(:days AS integer)) AS d (day)
CROSS JOIN LATERAL (
    SELECT time, volume, high, low FROM ohlcv
    WHERE symbol = :symbol AND freq = :freq
        AND time >= CAST(:start AS timestamptz) - d.day * INTERVAL '24 hours'
        AND time < CAST(:until AS timestamptz) - d.day * INTERVAL '24 hours'
) AS k
GROUP BY d.day ORDER BY d.day
"""


def unusual_volume(look: Look) -> Iterator[Evaluation]:
    """Yield one evaluation a market."""
    yield from _unusual(look, "volume", look.config.rules.unusual_volume)


def unusual_volatility(look: Look) -> Iterator[Evaluation]:
    """Yield one evaluation a market."""
    yield from _unusual(look, "volatility", look.config.rules.unusual_volatility)


def _unusual(look: Look, figure: Figure, settings: Unusual) -> Iterator[Evaluation]:
    rule = f"unusual_{figure}"
    markets = list(look.markets())
    if not markets:
        yield look.lacks(rule, "no klines")
    for market in markets:
        yield _of_market(look, rule, figure, settings, market)


def _of_market(look: Look, rule: str, figure: Figure, settings: Unusual, market: Market) -> Evaluation:
    labels, wanted = labels_of(market), max(settings.window // market.freq_delta, 1)
    newest = _newest(look, market)
    rows = {} if newest is None else _windows(look, market, newest + market.freq_delta, wanted, settings)
    now = rows.get(0)
    if now is None or now["klines"] < wanted:
        klines = 0 if now is None else now["klines"]
        detail = look.say("unusual gap", klines=klines, needed=wanted)
        return look.found(rule, "insufficient", labels=labels, detail=detail)
    days = [_figure(row, figure) for day, row in rows.items() if day and row["klines"] == wanted]
    earlier = [value for value in days if value > 0]
    if len(earlier) < settings.min_sample:
        detail = look.say("unusual thin", days=len(earlier), needed=settings.min_sample)
        return look.found(rule, "insufficient", labels=labels, detail=detail)
    value = _figure(now, figure)
    z, factor = robust_z(value, earlier), value / median(earlier)
    detail = look.say(
        "unusual", factor=factor, digits=_digits(factor), z=z, days=len(earlier), limit=settings.threshold
    )
    return look.measured(rule, z, compared=abs(z), labels=labels, detail=detail)


def _newest(look: Look, market: Market) -> datetime | None:
    since = look.now - max(OLDEST_NOW, 2 * market.freq_delta)
    rows = look.rows(_NEWEST, symbol=market.symbol, freq=market.freq, since=since, now=look.now)
    found: datetime | None = rows[0]["time"] if rows else None
    return found


def _windows(
    look: Look, market: Market, until: datetime, klines: int, settings: Unusual
) -> dict[int, Mapping[str, Any]]:
    rows = look.rows(
        _WINDOWS,
        symbol=market.symbol,
        freq=market.freq,
        start=until - klines * market.freq_delta,
        until=until,
        days=settings.earlier_days,
    )
    return {row["day"]: row for row in rows}


def _digits(factor: float) -> int:
    """Return how many digits after the point a factor deserves."""
    return 0 if factor >= 10 else 1 if factor >= 1 else 2  # noqa: PLR2004


def _figure(row: Mapping[str, Any], figure: Figure) -> float:
    if figure == "volume":
        return float(row["volume"])
    return parkinson(row["ranges"], row["klines"])
