"""Summaries of the UTC day before, told once a day: profit and loss, models, cloud cost.

They open no incident: what is told is a `Report`, whose key names its day.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import sqlalchemy as sa

from itb_assets.domain.alerts import Level
from itb_assets.domain.alerts.evaluation import Evaluation
from itb_assets.domain.executed.fills import split_symbol
from itb_assets.observability.alerts.catalogue import day_of as day_of_calendar
from itb_assets.observability.alerts.config_rules import ReportRule
from itb_assets.observability.alerts.rules.cloud import cost_words, spending
from itb_assets.observability.alerts.rules.drift import newest_looks
from itb_assets.observability.alerts.rules.look import Look
from itb_assets.observability.alerts.rules.losses import day_of
from itb_assets.observability.alerts.rules.pictures import pnl_picture
from itb_assets.observability.alerts.rules.wins import LONGEST_HELD

_TRADES = """
SELECT source, account, symbol, freq,
    coalesce(sum(pnl) FILTER (WHERE ended), 0)::double precision AS pnl,
    count(*) FILTER (WHERE ended) AS trades, count(*) FILTER (WHERE ended AND pnl > 0) AS wins
FROM (
    SELECT *, status = 'CLOSED' AND pnl IS NOT NULL AND exit_time >= :day AND exit_time < :until AS ended
    FROM trades
    WHERE time >= :since AND time < :until AND (source <> 'paper' OR sample = 'live')
) AS t
GROUP BY source, account, symbol, freq ORDER BY source = 'paper', source, account, symbol, freq
"""
MODELS_WINDOW = timedelta(days=14)


@dataclass(frozen=True, kw_only=True)
class Report:
    """A summary to be told once: `key` is the same however often it is made."""

    key: str
    rule: str
    level: Level
    title: str
    detail: str
    at: datetime
    chart: bytes | None = field(default=None, repr=False)


Lines = Callable[[Look], "list[str] | None"]


def reported(look: Look, rule: str, told: int | None) -> tuple[Evaluation, Report | None]:
    """Return how a summary stands, and the summary when it is due; `told` is the day told last, 20240901.

    The day before is summed up, never one further back: after a week off nobody reads seven. A later day was
    told by a clock that was ahead.
    """
    settings = look.config.rule(rule)
    assert isinstance(settings, ReportRule)  # noqa: S101 - the configuration's own type
    day = (day_of(look.now) - timedelta(days=1)).date()
    number = day.year * 10_000 + day.month * 100 + day.day
    if told == number:
        return _stands(look, rule, told, look.say("report done", day=_day(told))), None
    if look.now.time() < settings.at:
        return _stands(look, rule, told, look.say("report waits", at=f"{settings.at:%H:%M}")), None
    lines = REPORTS[rule](look)
    if lines is None:
        return look.lacks(rule, _LACKS[rule], window=MODELS_WINDOW), None
    title = look.say(f"title {rule}", day=day_of_calendar(day, look.config.language))
    report = Report(
        key=f"{rule}:{day.isoformat()}",
        rule=rule,
        level=settings.level,
        title=title,
        detail="\n".join(lines),
        at=look.now,
        chart=_chart(look) if rule == "daily_pnl" else None,
    )
    return _stands(look, rule, number, look.say("report done", day=day.isoformat())), report


def _stands(look: Look, rule: str, told: int | None, detail: str) -> Evaluation:
    return look.found(rule, "ok", value=None if told is None else float(told), detail=detail)


def _chart(look: Look) -> bytes | None:
    """Draw executed trades where there are any, else those on paper; without a chart when that fails."""
    until = day_of(look.now)
    try:
        executed = pnl_picture(look, until=until, paper=False, labels={})
        return executed or pnl_picture(look, until=until, paper=True, labels={})
    except sa.exc.DBAPIError:
        raise
    except Exception:  # noqa: BLE001 - whatever drawing fails of
        return None


def _day(number: int) -> str:
    return f"{number // 10_000}-{number // 100 % 100:02d}-{number % 100:02d}"


def _daily_pnl(look: Look) -> list[str] | None:
    start = day_of(look.now) - timedelta(days=1)
    until = start + timedelta(days=1)
    rows = look.rows(_TRADES, since=start - LONGEST_HELD, day=start, until=until)
    if not rows:
        return None
    lines = []
    for row in rows:
        if not row["trades"]:
            continue
        pair = split_symbol(row["symbol"])
        who = (
            f"{row['symbol']} {row['freq']} {row['account']} ({look.say('paper')})"
            if row["source"] == "paper"
            else f"{row['source']} {row['account']} {row['symbol']} ({look.say('executed')})"
        )
        figures = {"pnl": row["pnl"], "wins": row["wins"], "trades": row["trades"]}
        lines.append(look.say("report pnl", who=who, currency=pair[1] if pair else "", **figures))
    return lines or [look.say("report quiet")]


def _model_summary(look: Look) -> list[str] | None:
    lines = []
    for labels, rows in newest_looks(look, MODELS_WINDOW):
        rates = [row for row in rows if row["metric"] == "win_rate"]
        alarms = [row["metric"] for row in rows if row["verdict"] in ("warning", "error")]
        judged = any(row["verdict"] == "ok" for row in rows)
        verdict = look.say("report steady" if judged else "report unjudged")
        if alarms:
            verdict = look.say("report drift", metrics=", ".join(alarms[:3]))
        told = {"who": " ".join(labels.values()), "verdict": verdict}
        rate = rates[0] if rates else None
        if rate is None or rate["value"] is None:
            lines.append(look.say("report model new", **told))
        else:
            lines.append(look.say("report model", rate=rate["value"], n=rate["n"], **told))
    return lines or None


def _cost_summary(look: Look) -> list[str] | None:
    found, _ = spending(look)
    lines = []
    for spent in found:
        budget = look.config.budget.get(spent.currency)
        of_budget = "" if budget is None else look.say("report budget", amount=budget)
        lines.append(
            look.say(
                "report cost",
                billed=spent.billed,
                currency=spent.currency,
                month=spent.month,
                budget=of_budget,
                forecast=cost_words(look, spent),
            )
        )
    return lines or None


REPORTS: Mapping[str, Lines] = {
    "daily_pnl": _daily_pnl,
    "model_summary": _model_summary,
    "cost_summary": _cost_summary,
}
_LACKS = {"daily_pnl": "no trades", "model_summary": "drift none", "cost_summary": "no cost"}
