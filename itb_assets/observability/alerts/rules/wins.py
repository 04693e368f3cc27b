"""Win rates that are too low: of the pooled trades of a window, beyond chance, and of whole days one by one.

The statistics belong to `domain.alerts.win_rates`. Executed trades are taken by account, live paper trades by
market and variant; back-tested ones are never looked at.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any

from itb_assets.domain.alerts.evaluation import Evaluation, State
from itb_assets.domain.alerts.win_rates import Won, highest_likely_rate, low_days
from itb_assets.observability.alerts.rules.look import Look
from itb_assets.observability.alerts.rules.losses import KNOWN, day_of

POOLED, BY_DAY = "win_rate_low", "win_rate_low_days"
LONGEST_HELD = timedelta(days=90)
"""Trades that were entered longer ago are not seen: what bounds every look by an index."""

_TRADES = """
SELECT source, account, CASE source WHEN 'paper' THEN symbol ELSE '' END AS symbol, freq, {counts}
FROM trades
WHERE time >= :entered AND time <= :now AND status = 'CLOSED' AND {known}
    AND (source <> 'paper' OR sample = 'live')
GROUP BY 1, 2, 3, 4 ORDER BY 1, 2, 3, 4
"""
_COUNT = (
    "count(*) FILTER (WHERE exit_time >= :from_{0} AND exit_time < :to_{0}) AS trades_{0}, "
    "count(*) FILTER (WHERE exit_time >= :from_{0} AND exit_time < :to_{0} AND pnl > 0) AS wins_{0}"
)
Span = tuple[datetime, datetime]


def pooled_win_rate(look: Look) -> Iterator[Evaluation]:
    """Yield one evaluation a group of trades, of all that ended within the window."""
    settings = look.config.rules.win_rate_low
    window = settings.window
    groups = _groups(look, [(look.now - settings.window, look.now)])
    if not groups:
        yield look.lacks(POOLED, "no trades")
    for labels, (won,) in groups:
        if won.trades < settings.min_sample:
            detail = look.say(
                "win rate thin", wins=won.wins, trades=won.trades, window=window, needed=settings.min_sample
            )
            yield look.found(POOLED, "insufficient", labels=labels, detail=detail)
            continue
        upper = highest_likely_rate(won, settings.confidence)
        detail = look.say(
            "win rate",
            rate=won.rate,
            trades=won.trades,
            window=window,
            upper=upper,
            confidence=settings.confidence,
            threshold=settings.threshold,
        )
        yield look.measured(POOLED, won.rate, compared=upper, labels=labels, detail=detail)


def win_rate_by_day(look: Look) -> Iterator[Evaluation]:
    """Yield one evaluation a group of trades, of its whole days before today."""
    settings = look.config.rules.win_rate_low_days
    today = day_of(look.now)
    starts = [today - timedelta(days=back) for back in range(settings.days, 0, -1)]
    groups = _groups(look, [(start, start + timedelta(days=1)) for start in starts])
    if not groups:
        yield look.lacks(BY_DAY, "no trades")
    for labels, days in groups:
        low = low_days(days, below=settings.threshold, min_trades=settings.min_sample)
        if low is None:
            counts = ", ".join(str(day.trades) for day in days)
            detail = look.say("win days thin", days=settings.days, needed=settings.min_sample, counts=counts)
            yield look.found(BY_DAY, "insufficient", labels=labels, detail=detail)
            continue
        rates = ", ".join(f"{day.rate:.0%}" for day in days)
        detail = look.say("win days", threshold=settings.threshold, low=low, rates=rates, days=settings.days)
        state: State = "firing" if low >= settings.days else "ok"
        yield look.found(
            BY_DAY, state, labels=labels, value=float(low), threshold=float(settings.days), detail=detail
        )


def _groups(look: Look, spans: list[Span]) -> list[tuple[dict[str, str], list[Won]]]:
    """Return every group of trades, with how many ended in each span and how many of these won."""
    values: dict[str, datetime] = {}
    for number, (start, end) in enumerate(spans):
        values |= {f"from_{number}": start, f"to_{number}": end}
    counts = ", ".join(_COUNT.format(number) for number in range(len(spans)))
    statement = _TRADES.format(counts=counts, known=KNOWN)
    rows = look.rows(statement, entered=look.now - LONGEST_HELD, now=look.now, **values)
    return [
        (_labels(row), [Won(row[f"wins_{each}"], row[f"trades_{each}"]) for each in range(len(spans))])
        for row in rows
    ]


def _labels(row: Mapping[str, Any]) -> dict[str, str]:
    if row["source"] == "paper":
        return {"symbol": row["symbol"], "freq": row["freq"], "variant": row["account"]}
    return {"account": f"{row['source']} {row['account']}"}
