"""All rules at one look: which are due, what they found, what of it is news, and the record of it.

What a rule reads belongs to its own module; telling what is news to `telling`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

import sqlalchemy as sa

from itb_assets.domain.alerts import Occurrence
from itb_assets.domain.alerts.evaluation import Evaluation, Standing, news, reminder
from itb_assets.domain.alerts.occurrence import fingerprint_of
from itb_assets.domain.markets import Market
from itb_assets.observability.alerts.config import AlertConfig
from itb_assets.observability.alerts.config_rules import ReportRule, Watch
from itb_assets.observability.alerts.restored import since_restored
from itb_assets.observability.alerts.rules.beats import (
    api_authentication,
    api_latency,
    dagster_silent,
    log_delivery,
    orderbook_stopped,
    trading_halted,
)
from itb_assets.observability.alerts.rules.cloud import near_budget, over_budget
from itb_assets.observability.alerts.rules.delivery import alert_delivery
from itb_assets.observability.alerts.rules.drift import feature_drift, model_drift
from itb_assets.observability.alerts.rules.klines import data_stale, gap_found
from itb_assets.observability.alerts.rules.look import Look
from itb_assets.observability.alerts.rules.losses import executed_loss, paper_loss
from itb_assets.observability.alerts.rules.pictures import picture
from itb_assets.observability.alerts.rules.reports import Report, reported
from itb_assets.observability.alerts.rules.unusual import unusual_volatility, unusual_volume
from itb_assets.observability.alerts.rules.wins import pooled_win_rate, win_rate_by_day
from itb_assets.observability.alerts.state import note_state
from itb_assets.observability.logs import redact

RULES: Mapping[str, Callable[[Look], Iterator[Evaluation]]] = {
    "daily_loss": executed_loss,
    "trading_halted": trading_halted,
    "cloud_cost_over_budget": over_budget,
    "api_authentication_failed": api_authentication,
    "dagster_silent": dagster_silent,
    "orderbook_stopped": orderbook_stopped,
    "win_rate_low": pooled_win_rate,
    "win_rate_low_days": win_rate_by_day,
    "daily_loss_paper": paper_loss,
    "api_latency": api_latency,
    "model_drift": model_drift,
    "feature_drift": feature_drift,
    "unusual_volume": unusual_volume,
    "unusual_volatility": unusual_volatility,
    "cloud_cost_near_budget": near_budget,
    "data_stale": data_stale,
    "gap_found": gap_found,
    "alert_delivery_lagging": alert_delivery,
    "log_delivery_lagging": log_delivery,
}
"""Every rule that is computed, with the function that computes it."""

BROKEN = "rule_broken"
TIMEOUT_S = 5.0
"""How long one statement of a rule may take: a slow one must not keep the others waiting."""

EARLY = 0.9
"""A rule is due a little before its time: a round that begins early does not skip it."""

REPORT_EVERY = BROKEN_EVERY = timedelta(minutes=1)

# What a rule opened, as its own events tell: an incident that something else reported is not its to end.
_STANDINGS = """
SELECT s.rule, s.fingerprint, s.labels, s.state, s.value, s.at, i.opened_at, i.last_at
FROM alert_states AS s
LEFT JOIN alert_incidents AS i ON i.fingerprint = s.fingerprint AND i.resolved_at IS NULL AND EXISTS (
    SELECT FROM alert_events AS e WHERE e.incident_id = i.id AND starts_with(e.event_id, 'rule:')
)
"""
_FORGET = "DELETE FROM alert_states WHERE rule = :rule AND fingerprint = :fingerprint"

Standings = dict[str, dict[str, Standing]]


@dataclass(frozen=True)
class Round:
    """What one look found: every evaluation made, what of it is news, and the summaries that are due."""

    evaluations: tuple[Evaluation, ...]
    occurrences: tuple[Occurrence, ...]
    reports: tuple[Report, ...]


@dataclass
class _Found:
    """What is gathered during a look; `forgotten` are the standings of what is not watched any more."""

    evaluations: list[Evaluation] = field(default_factory=list)
    occurrences: list[Occurrence] = field(default_factory=list)
    reports: list[Report] = field(default_factory=list)
    forgotten: list[tuple[str, str]] = field(default_factory=list)


def evaluate_all(
    connection: sa.Connection,
    config: AlertConfig,
    now: datetime,
    *,
    followed: Collection[Market] | None = None,
    watched_since: datetime | None = None,
    due_only: bool = True,
) -> Round:
    """Compute every rule that is due, note what each says in `alert_states`, and return what is news.

    Works in the caller's transaction, and so does telling: what is noted and not told would be lost. A rule
    that fails is itself an alert and keeps no other from being computed. With `due_only` False all rules are
    computed, however short ago they were.
    """
    standings = _standings(connection)
    look = Look(
        connection=connection,
        config=config,
        now=now,
        open=frozenset(_open(standings)),
        followed=followed,
        watched_since=watched_since,
        restored=since_restored(connection, now),
    )
    found = _Found()
    limit = connection.execute(sa.text("SELECT current_setting('statement_timeout')")).scalar_one()
    _limit_statements(connection, f"{TIMEOUT_S * 1000:.0f}")
    for rule, settings in config.rules.named().items():
        before, broken = standings.get(rule, {}), standings.get(BROKEN, {})
        own = fingerprint_of(BROKEN, {"watched": rule})
        if not settings.enabled:
            _gone(look, found, rule, before, why="off")
            _gone(look, found, BROKEN, {key: each for key, each in broken.items() if key == own}, why="off")
            continue
        if isinstance(settings, Watch) and (not due_only or _due(rule, before, broken, now, settings.every)):
            _watched(look, found, rule, before, broken)
        if isinstance(settings, ReportRule) and (
            not due_only or _due(rule, before, broken, now, REPORT_EVERY)
        ):
            _summed_up(look, found, rule, before, broken)
    _limit_statements(connection, limit)
    _note(connection, found, now)
    return Round(tuple(found.evaluations), tuple(found.occurrences), tuple(found.reports))


def _watched(
    look: Look, found: _Found, rule: str, before: Mapping[str, Standing], broken: Mapping[str, Standing]
) -> None:
    """Compute one rule inside a savepoint; what it said of something that is gone is over."""
    try:
        with look.connection.begin_nested():
            evaluations = list(RULES[rule](look))
    except Exception as error:  # noqa: BLE001 - whatever it is, it stops no other rule
        _broken(look, found, rule, broken, error)
        return
    _mended(look, found, rule, broken)
    for evaluation in evaluations:
        _add(look, found, evaluation, before)
    seen = {evaluation.fingerprint for evaluation in evaluations}
    _gone(look, found, rule, {key: each for key, each in before.items() if key not in seen})


def _broken(look: Look, found: _Found, rule: str, broken: Mapping[str, Standing], error: Exception) -> None:
    if isinstance(error, sa.exc.DBAPIError) and error.connection_invalidated:
        raise error
    labels = {"watched": rule}
    if not look.config.rules.rule_broken.enabled:
        return
    _add(look, found, look.found(BROKEN, "firing", labels=labels, detail=_first_line(error)), broken)


def _mended(look: Look, found: _Found, rule: str, broken: Mapping[str, Standing]) -> None:
    labels = {"watched": rule}
    if fingerprint_of(BROKEN, labels) in broken:
        _add(look, found, look.found(BROKEN, "ok", labels=labels), broken)


def _summed_up(
    look: Look, found: _Found, rule: str, before: Mapping[str, Standing], broken: Mapping[str, Standing]
) -> None:
    last = next(iter(before.values()), None)
    told = None if last is None or last.value is None else int(last.value)
    try:
        with look.connection.begin_nested():
            evaluation, report = reported(look, rule, told)
    except Exception as error:  # noqa: BLE001 - whatever it is, it stops no other rule
        _broken(look, found, rule, broken, error)
        return
    _mended(look, found, rule, broken)
    found.evaluations.append(evaluation)
    if report is not None:
        found.reports.append(report)


def _add(look: Look, found: _Found, evaluation: Evaluation, before: Mapping[str, Standing]) -> None:
    found.evaluations.append(evaluation)
    remind = reminder(look.config.routing.repeat.after(evaluation.level))
    told = news(before.get(evaluation.fingerprint), evaluation, now=look.now, remind=remind)
    if told is not None:
        found.occurrences.append(replace(told, chart=_picture(look, told)))


def _picture(look: Look, told: Occurrence) -> bytes | None:
    """Return the chart of what is news; whatever fails at it keeps nothing from being told."""
    try:
        with look.connection.begin_nested():
            return picture(look, told)
    except Exception:  # noqa: BLE001 - a lost connection is raised again by the next statement
        return None


def _gone(look: Look, found: _Found, rule: str, before: Mapping[str, Standing], *, why: str = "gone") -> None:
    """End what is not watched any more, saying that, and forget how it stood."""
    for fingerprint, standing in before.items():
        found.forgotten.append((rule, fingerprint))
        if standing.opened_at is not None:
            over = look.found(rule, "ok", labels=standing.labels, detail=look.say(why))
            told = news(standing, over, now=look.now, remind=reminder(None))
            found.occurrences += [] if told is None else [replace(told, gone=True)]


def _due(
    rule: str,
    before: Mapping[str, Standing],
    broken: Mapping[str, Standing],
    now: datetime,
    every: timedelta,
) -> bool:
    """Tell whether the oldest of what a rule said is old enough; after a clock was put back it always is.

    A broken one is tried less often: it may have taken all the time it was given.
    """
    failed = broken.get(fingerprint_of(BROKEN, {"watched": rule}))
    if failed is not None and failed.state == "firing":
        before, every = {"": failed}, max(every, BROKEN_EVERY)
    ages = [now - standing.at for standing in before.values()]
    return not ages or max(ages) >= every * EARLY or min(ages) < timedelta(0)


def _standings(connection: sa.Connection) -> Standings:
    standings: Standings = {}
    for row in connection.execute(sa.text(_STANDINGS)).mappings():
        standings.setdefault(row["rule"], {})[row["fingerprint"]] = Standing(
            state=row["state"],
            labels=row["labels"],
            value=row["value"],
            at=row["at"],
            opened_at=row["opened_at"],
            last_at=row["last_at"],
        )
    return standings


def _open(standings: Standings) -> Iterable[str]:
    for of_rule in standings.values():
        for fingerprint, standing in of_rule.items():
            if standing.opened_at is not None:
                yield fingerprint


def _note(connection: sa.Connection, found: _Found, now: datetime) -> None:
    for rule, fingerprint in found.forgotten:
        connection.execute(sa.text(_FORGET), {"rule": rule, "fingerprint": fingerprint})
    for each in found.evaluations:
        note_state(
            connection,
            rule=each.rule,
            labels=each.labels,
            state=each.state,
            value=each.value,
            detail=each.detail,
            now=now,
        )


def _limit_statements(connection: sa.Connection, limit: str) -> None:
    connection.execute(sa.text("SELECT set_config('statement_timeout', :limit, TRUE)"), {"limit": limit})


def _first_line(error: Exception) -> str:
    """Return what a failed rule says of itself, without secrets; a driver's own words, not the statement."""
    cause = error.orig if isinstance(error, sa.exc.DBAPIError) and error.orig is not None else error
    line = next((line.strip() for line in redact(str(cause)).splitlines() if line.strip()), "")
    return f"{type(cause).__name__}: {line}"
