"""Loss of the UTC day: of executed trades by account and currency, and apart of live trades on paper.

What a loss is in per cent belongs to `domain.alerts.thresholds`. Only trades that ended are counted.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from itb_assets.domain.alerts.evaluation import Evaluation
from itb_assets.domain.alerts.thresholds import loss_pct
from itb_assets.domain.executed.fills import split_symbol
from itb_assets.observability.alerts.rules.look import Look

EXECUTED, PAPER = "daily_loss", "daily_loss_paper"

KNOWN = "coalesce(abs(pnl) < 1e100, FALSE)"
"""Whether a trade has a result: NaN is above everything to PostgreSQL, and NULL is none."""

# Entries are bounded by an index; a position that was entered before the window is not seen.
_SUMS = f"""
    coalesce(sum(pnl) FILTER (WHERE ended AND {KNOWN}), 0)::double precision AS pnl,
    count(*) FILTER (WHERE ended) AS trades, count(*) FILTER (WHERE ended AND NOT {KNOWN}) AS unknown
"""
_EXECUTED = f"""
SELECT source, account, symbol, {_SUMS},
    max(greatest(time, CASE WHEN exit_time <= :now THEN exit_time END)) AS newest
FROM (
    SELECT *, coalesce(status = 'CLOSED' AND exit_time >= :day AND exit_time <= :now, FALSE) AS ended
    FROM trades WHERE time >= :since AND time <= :now AND source <> 'paper' AND status <> 'CANCELLED'
) AS t
GROUP BY source, account, symbol ORDER BY source, account, symbol
"""  # noqa: S608 - constants
_PAPER = f"""
SELECT symbol, freq, account AS variant, {_SUMS},
    max(CASE WHEN price * quantity < 1e100 THEN price * quantity END)::double precision AS largest
FROM (
    SELECT *, coalesce(status = 'CLOSED' AND exit_time >= :day AND exit_time <= :now, FALSE) AS ended
    FROM trades WHERE time >= :since AND time <= :now AND source = 'paper' AND sample = 'live'
) AS t
GROUP BY symbol, freq, account ORDER BY symbol, freq, account
"""  # noqa: S608 - constants


@dataclass
class _Day:
    pnl: float = 0.0
    trades: int = 0
    unknown: int = 0
    newest: datetime | None = None

    def add(self, row: Mapping[str, Any]) -> None:
        self.pnl += row["pnl"]
        self.trades += row["trades"]
        self.unknown += row["unknown"]
        self.newest = max(filter(None, (self.newest, row["newest"])))


def executed_loss(look: Look) -> Iterator[Evaluation]:
    """Yield one evaluation an account and quote currency; currencies are never added up together."""
    settings = look.config.rules.daily_loss
    rows = look.rows(_EXECUTED, since=look.now - settings.window, day=day_of(look.now), now=look.now)
    if not rows:
        yield look.lacks(EXECUTED, "no executed", window=settings.window)
    days: dict[tuple[str, str], _Day] = {}
    for row in rows:
        pair = split_symbol(row["symbol"])
        account = f"{row['source']} {row['account']}"
        days.setdefault((account, pair[1] if pair else "?"), _Day()).add(row)
    for (account, currency), day in days.items():
        yield _executed(look, {"account": account, "currency": currency}, day)


def paper_loss(look: Look) -> Iterator[Evaluation]:
    """Yield one evaluation a variant of a market."""
    settings = look.config.rules.daily_loss_paper
    rows = look.rows(_PAPER, since=look.now - settings.window, day=day_of(look.now), now=look.now)
    if not rows:
        yield look.lacks(PAPER, "no paper", window=settings.window)
    for row in rows:
        labels = {name: row[name] for name in ("symbol", "freq", "variant")}
        pair = split_symbol(row["symbol"])
        capital = look.config.capital.paper.get(pair[1] if pair else "") or row["largest"]
        if 0 < row["trades"] < settings.min_sample:
            yield _thin(look, PAPER, labels, row["trades"], settings.min_sample)
        elif not capital or capital <= 0:
            yield look.found(PAPER, "no_data", labels=labels, detail=look.say("loss size"))
        else:
            loss = loss_pct(row["pnl"], capital)
            told = {"loss": loss, "pnl": row["pnl"], "capital": capital, "trades": row["trades"]}
            told["limit"] = settings.threshold
            detail = look.say("loss paper", currency=pair[1] if pair else "", **told)
            yield _held(look, look.measured(PAPER, loss, labels=labels, detail=detail), row["unknown"])


def day_of(now: datetime) -> datetime:
    """Return when the UTC day of a time began."""
    return now.replace(hour=0, minute=0, second=0, microsecond=0)


def _executed(look: Look, labels: dict[str, str], day: _Day) -> Evaluation:
    settings, currency = look.config.rules.daily_loss, labels["currency"]
    capital = look.config.capital.executed.get(currency)
    if currency == "?":
        return look.found(EXECUTED, "no_data", labels=labels, detail=look.say("loss currency"))
    if capital is None:
        detail = look.say("loss capital", currency=currency)
        return look.found(EXECUTED, "no_data", labels=labels, detail=detail)
    if 0 < day.trades < settings.min_sample:
        return _thin(look, EXECUTED, labels, day.trades, settings.min_sample)
    if not day.trades and _old(day.newest, look.now, settings.max_age):
        detail = look.say("loss old", newest=look.moment(day.newest))
        return look.found(EXECUTED, "insufficient", labels=labels, detail=detail)
    loss = loss_pct(day.pnl, capital)
    told = {"loss": loss, "pnl": day.pnl, "capital": capital, "trades": day.trades}
    detail = look.say("loss", currency=currency, limit=settings.threshold, **told)
    return _held(look, look.measured(EXECUTED, loss, labels=labels, detail=detail), day.unknown)


def _held(look: Look, found: Evaluation, unknown: int) -> Evaluation:
    """Return an evaluation as it is, unless it is good of trades of which some have no result."""
    if not unknown or found.state != "ok":
        return found
    return replace(found, state="insufficient", detail=look.say("loss unknown", unknown=unknown))


def _thin(look: Look, rule: str, labels: Mapping[str, str], trades: int, needed: int) -> Evaluation:
    detail = look.say("loss thin", trades=trades, needed=needed)
    return look.found(rule, "insufficient", labels=labels, value=None, detail=detail)


def _old(newest: datetime | None, now: datetime, max_age: timedelta) -> bool:
    return newest is None or now - newest > max_age
