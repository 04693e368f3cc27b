"""The small chart that an alert of drift or of a loss carries: how it came to be, over the days before.

How it is drawn belongs to `charts`. Nothing is drawn while nothing is news, and an alert goes out without one
when drawing fails.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import sqlalchemy as sa

from itb_assets.domain.alerts import Occurrence
from itb_assets.domain.executed.fills import split_symbol
from itb_assets.observability.alerts.charts import measure_chart, pnl_chart
from itb_assets.observability.alerts.rules.look import Look

DAYS = 30
LOOKS = 60
_MEASURES: Mapping[str, str] = {"model_drift": "win_rate", "feature_drift": "drifted_features"}
_LOSSES = ("daily_loss", "daily_loss_paper")

_LOOKS = """
SELECT time, value, threshold FROM model_drift
WHERE symbol = :symbol AND freq = :freq AND model_name = :variant AND metric = :metric AND time >= :since
ORDER BY time DESC LIMIT :most
"""
_PNL = """
SELECT source, account, symbol, freq,
    date_bin('1 day', exit_time, TIMESTAMPTZ '2000-01-01 00:00:00+00') AS day,
    sum(pnl)::double precision AS pnl
FROM trades
WHERE time >= :entered AND time <= :until AND status = 'CLOSED' AND exit_time >= :since AND exit_time < :until
    AND (source = 'paper') = :paper AND (source <> 'paper' OR sample = 'live')
GROUP BY 1, 2, 3, 4, 5 ORDER BY day
"""


def picture(look: Look, told: Occurrence) -> bytes | None:
    """Return a chart for what is told as wrong; None where it has none, or cannot be drawn."""
    if told.resolves:
        return None
    try:
        if told.rule in _MEASURES:
            return _measure(look, told)
        if told.rule in _LOSSES:
            until = look.now + timedelta(microseconds=1)  # with what ended at this very moment
            return pnl_picture(look, until=until, paper=told.rule != _LOSSES[0], labels=told.labels)
    except sa.exc.DBAPIError:
        raise
    except Exception:  # noqa: BLE001 - whatever drawing fails of
        return None
    return None


def pnl_picture(look: Look, *, until: datetime, paper: bool, labels: Mapping[str, str]) -> bytes | None:
    """Return profit and loss by day of the trades that labels name, of one currency; None without any."""
    since = until - timedelta(days=DAYS)
    rows = look.rows(_PNL, entered=since - timedelta(days=90), since=since, until=until, paper=paper)
    wanted = [row for row in rows if _is_of(row, labels)]
    if not wanted:
        return None
    currency = labels.get("currency") or _currency(wanted[-1])
    last = (until - timedelta(microseconds=1)).date()
    days = {last - timedelta(days=back): 0.0 for back in reversed(range(DAYS))}
    for row in wanted:
        day = row["day"].astimezone(UTC).date()
        if _currency(row) == currency and day in days:
            days[day] += row["pnl"]
    named = [labels[name] for name in ("account", "symbol", "freq", "variant") if name in labels]
    return pnl_chart(
        list(days),
        list(days.values()),
        title=" ".join(named) or look.say("paper" if paper else "executed"),
        currency=currency,
        limit=None if paper or not labels else _limit(look, currency),
        language=look.config.language,
    )


def _limit(look: Look, currency: str) -> float | None:
    """Return the loss of a day that alarms, as a number below zero."""
    capital = look.config.capital.executed.get(currency)
    return None if capital is None else -capital * look.config.rules.daily_loss.threshold / 100


def _measure(look: Look, told: Occurrence) -> bytes | None:
    labels, metric = told.labels, _MEASURES[told.rule]
    rows = look.rows(
        _LOOKS,
        **{name: labels[name] for name in ("symbol", "freq", "variant")},
        metric=metric,
        since=look.now - timedelta(days=2 * LOOKS),
        most=LOOKS,
    )[::-1]
    if not any(row["value"] is not None for row in rows):
        return None
    limit = next((row["threshold"] for row in reversed(rows) if row["threshold"] is not None), None)
    return measure_chart(
        [row["time"] for row in rows],
        [row["value"] for row in rows],
        limit=limit,
        title=f"{' '.join(labels[name] for name in ('symbol', 'freq', 'variant'))}: {metric}",
        language=look.config.language,
    )


def _is_of(row: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    found = {
        "account": f"{row['source']} {row['account']}",
        "currency": _currency(row),
        "symbol": row["symbol"],
        "freq": row["freq"],
        "variant": row["account"],
    }
    return all(found.get(name) == value for name, value in labels.items())


def _currency(row: Mapping[str, Any]) -> str:
    pair = split_symbol(row["symbol"])
    return pair[1] if pair else "?"
