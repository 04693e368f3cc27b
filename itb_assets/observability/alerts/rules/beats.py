"""Rules over heartbeats: what should be alive, and what those that are alive say of themselves.

Writing them belongs to whoever lives. A heartbeat is a row of `heartbeats`: name, time, and a JSON object:

`trading`, `trading:ACCOUNT`   `halted`: why it stands still, while it does; `symbol`: if it trades only one
`orderbook:SYMBOL`             nothing; written every second by a collector that stores what it gets
`api:NAME`                     `latency_p95_s`, `calls` it is of; `auth_error`: of the last call, if any
`dagster_events`               nothing; written by the sensor that reads Dagster's events at every look
`alert_rules`                  `events_wait`: why the alerter does not read Dagster's events, if so
`log_delivery`                 `oldest_s`: age of the oldest line that was not delivered
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from itb_assets.domain.alerts.evaluation import Evaluation
from itb_assets.domain.alerts.thresholds import age_s
from itb_assets.observability.alerts.config_rules import Absence
from itb_assets.observability.alerts.rules.look import Look
from itb_assets.observability.logs import redact

MAX_REASON = 200
_BEATS = """
SELECT name, at, detail FROM heartbeats WHERE name = :name OR starts_with(name, :name || ':') ORDER BY name
"""
_SERVER_GONE = """
SELECT FROM alert_incidents WHERE resolved_at IS NULL AND opened_at >= :since
    AND rule = 'automation_failed' AND labels = '{"server": "code"}'
"""
SETTLES_S = 15.0
"""How long after an outage of the database those that live have to say so."""

SERVER_SAYS_ENOUGH = timedelta(minutes=10)
"""While a code server is gone its sensors are silent as well: so long that is one incident, and not two."""


@dataclass(frozen=True)
class Beat:
    """A heartbeat: `of` is what stands after the colon of its name."""

    name: str
    at: datetime
    detail: Mapping[str, Any]

    @property
    def of(self) -> str:
        """Whose it is; empty where there is only one."""
        return self.name.partition(":")[2]

    def number(self, key: str) -> float | None:
        """Return a number that it says, from zero on; None for anything else."""
        value = self.detail.get(key)
        wanted = isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < float("inf")
        return float(value) if wanted else None  # type: ignore[arg-type]

    def text(self, key: str) -> str:
        """Return words that it says, on one line and without secrets; empty where it says none."""
        value = self.detail.get(key)
        return "" if value is None or value is False else " ".join(redact(str(value)).split())[:MAX_REASON]


def beats(look: Look, name: str) -> list[Beat]:
    """Return the heartbeats of one kind."""
    return [
        Beat(row["name"], row["at"], row["detail"] if isinstance(row["detail"], dict) else {})
        for row in look.rows(_BEATS, name=name)
    ]


def trading_halted(look: Look) -> Iterator[Evaluation]:
    """Yield one evaluation a trading process: it is silent, or says that it halted."""
    rule, settings = "trading_halted", look.config.rules.trading_halted
    found = beats(look, "trading")
    yield from _missing(look, rule, settings, found, label="process", kind="trading")
    if not found and not settings.expected:
        yield look.lacks(rule, "no trading")
    for beat in found:
        market = {"symbol": beat.text("symbol")} if beat.text("symbol") else {}
        labels, age = {"process": beat.name} | market, age_s(beat.at, look.now)
        reason = beat.text("halted")
        if _waited_for(look, beat, settings.threshold):
            yield _waits(look, rule, labels)
        elif reason:
            detail = look.say("beat halted", reason=reason, age=timedelta(seconds=age))
            yield look.found(rule, "firing", labels=labels, value=age, detail=detail)
        else:
            yield _alive(look, rule, settings, beat, labels)


def dagster_silent(look: Look) -> Iterator[Evaluation]:
    """Yield the evaluation of the reader of Dagster's events: without it nothing that fails is told."""
    rule, settings, name = "dagster_silent", look.config.rules.dagster_silent, "dagster_events"
    found = beats(look, name)
    yield from _missing(look, rule, settings, found, label="process", kind=name)
    if not found and not settings.expected:
        yield look.lacks(rule, "no dagster")
    for beat in found:
        silent = _alive(look, rule, settings, beat, {"process": beat.name})
        opens = silent.state == "firing" and silent.fingerprint not in look.open
        yield _told_already(look, silent) if opens and _server_is_gone(look) else _with_reason(look, silent)


def orderbook_stopped(look: Look) -> Iterator[Evaluation]:
    """Yield one evaluation a collector of an order book."""
    rule, settings = "orderbook_stopped", look.config.rules.orderbook_stopped
    found = beats(look, "orderbook")
    yield from _missing(look, rule, settings, found, label="symbol", kind="orderbook")
    if not found and not settings.expected:
        yield look.lacks(rule, "no orderbook")
    for beat in found:
        yield _alive(look, rule, settings, beat, {"symbol": beat.of or "all"})


def api_authentication(look: Look) -> Iterator[Evaluation]:
    """Yield one evaluation an API: whether its last call was let in, however long ago that was."""
    rule = "api_authentication_failed"
    found = beats(look, "api")
    if not found:
        yield look.lacks(rule, "no api")
    for beat in found:
        labels, reason = {"api": beat.of or "api"}, beat.text("auth_error")
        if _waited_for(look, beat, None):
            yield _waits(look, rule, labels)
        elif reason:
            detail = look.say("api refused", reason=reason, at=look.moment(beat.at))
            yield look.found(rule, "firing", labels=labels, detail=detail)
        else:
            detail = look.say("api fine", age=timedelta(seconds=age_s(beat.at, look.now)))
            yield look.found(rule, "ok", labels=labels, detail=detail)


def api_latency(look: Look) -> Iterator[Evaluation]:
    """Yield one evaluation an API."""
    found = beats(look, "api")
    if not found:
        yield look.lacks("api_latency", "no api")
    for beat in found:
        yield _latency(look, beat, {"api": beat.of or "api"})


def log_delivery(look: Look) -> Iterator[Evaluation]:
    """Yield the evaluation of the log delivery; one that is silent counts as late as it is silent."""
    rule, settings = "log_delivery_lagging", look.config.rules.log_delivery_lagging
    found = beats(look, "log_delivery")
    if not found:
        yield look.lacks(rule, "no log")
    for beat in found:
        labels, age = {"process": beat.name}, age_s(beat.at, look.now)
        lag = beat.number("oldest_s")
        if _waited_for(look, beat, settings.max_age.total_seconds()):
            yield _waits(look, rule, labels)
        elif _ahead_s(look, beat) > settings.max_age.total_seconds():
            yield _clock(look, rule, labels, beat)
        elif age > settings.max_age.total_seconds():
            yield look.measured(
                rule, age, labels=labels, detail=look.say("log silent", age=timedelta(seconds=age))
            )
        elif lag is None:
            yield _wrong(look, rule, labels, beat, "oldest_s")
        else:
            yield look.measured(
                rule, lag, labels=labels, detail=look.say("log lag", age=timedelta(seconds=lag))
            )


def _alive(look: Look, rule: str, settings: Absence, beat: Beat, labels: dict[str, str]) -> Evaluation:
    if _waited_for(look, beat, settings.threshold):
        return _waits(look, rule, labels)
    if _settles(look, beat):
        return look.found(rule, "insufficient", labels=labels, detail=look.say("beat settles"))
    if _ahead_s(look, beat) > settings.threshold:
        return _clock(look, rule, labels, beat)
    age = age_s(beat.at, look.now)
    return look.measured(rule, age, labels=labels, detail=look.say("beat age", age=timedelta(seconds=age)))


def _settles(look: Look, beat: Beat) -> bool:
    """Tell whether nobody could write until a moment ago, so that an old heartbeat says nothing yet."""
    since = look.watched_since
    return since is not None and beat.at < since and age_s(since, look.now) <= SETTLES_S


def _server_is_gone(look: Look) -> bool:
    """Tell whether that the code server does not answer was told, and so short ago that it says enough."""
    return bool(look.rows(_SERVER_GONE, since=look.now - SERVER_SAYS_ENOUGH))


def _with_reason(look: Look, silent: Evaluation) -> Evaluation:
    """Say why the alerter cannot read Dagster's events either, such as that their database is away."""
    why = next(filter(None, (beat.text("events_wait") for beat in beats(look, "alert_rules"))), "")
    return replace(silent, detail=f"{silent.detail}; {why}") if why and silent.state == "firing" else silent


def _told_already(look: Look, silent: Evaluation) -> Evaluation:
    return replace(silent, state="insufficient", detail=look.say("beat server"))


def _waited_for(look: Look, beat: Beat | None, threshold_s: float | None) -> bool:
    """Tell whether a backup was put back since, and its silence means nothing yet.

    The threshold counts from when rules are computed again; without one it is waited for until it is there.
    """
    restored = look.restored
    if restored is None or (beat is not None and beat.at >= restored.at):
        return False
    return threshold_s is None or age_s(restored.watched_since, look.now) <= threshold_s


def _ahead_s(look: Look, beat: Beat) -> float:
    """Return by how many seconds a heartbeat is later than now: of one far ahead no silence can be seen."""
    return age_s(look.now, beat.at)


def _clock(look: Look, rule: str, labels: Mapping[str, str], beat: Beat) -> Evaluation:
    detail = look.say("beat ahead", ahead=timedelta(seconds=_ahead_s(look, beat)))
    return look.found(rule, "insufficient", labels=labels, detail=detail)


def _waits(look: Look, rule: str, labels: Mapping[str, str]) -> Evaluation:
    return look.found(rule, "insufficient", labels=labels, detail=look.say("beat restored"))


def _latency(look: Look, beat: Beat, labels: dict[str, str]) -> Evaluation:
    rule, settings = "api_latency", look.config.rules.api_latency
    age, value, calls = age_s(beat.at, look.now), beat.number("latency_p95_s"), beat.number("calls")
    if _ahead_s(look, beat) > settings.window.total_seconds():
        return _clock(look, rule, labels, beat)
    if age > settings.window.total_seconds():
        detail = look.say("latency old", age=timedelta(seconds=age), window=settings.window)
        return look.found(rule, "insufficient", labels=labels, detail=detail)
    if value is None or calls is None:
        return _wrong(look, rule, labels, beat, "latency_p95_s, calls")
    if calls < settings.min_sample:
        detail = look.say("latency thin", calls=int(calls), needed=settings.min_sample)
        return look.found(rule, "insufficient", labels=labels, value=value, detail=detail)
    detail = look.say("latency", value=value, calls=int(calls))
    return look.measured(rule, value, labels=labels, detail=detail)


def _wrong(look: Look, rule: str, labels: Mapping[str, str], beat: Beat, lacks: str) -> Evaluation:
    said = ", ".join(sorted(map(str, beat.detail))) or "{}"
    detail = look.say("beat wrong", name=beat.name, lacks=lacks, found=said[:MAX_REASON])
    return look.found(rule, "no_data", labels=labels, detail=detail)


def _missing(
    look: Look, rule: str, settings: Absence, found: list[Beat], *, label: str, kind: str
) -> Iterator[Evaluation]:
    """Yield what is expected and was never there; it may be named with or without its kind."""
    there = {beat.name for beat in found}
    for expected in settings.expected:
        name = expected if expected == kind or expected.startswith(f"{kind}:") else f"{kind}:{expected}"
        if name not in there:
            labels = {label: name if label == "process" else name.partition(":")[2] or "all"}
            if _waited_for(look, None, settings.threshold):
                yield _waits(look, rule, labels)
            else:
                yield look.found(rule, "firing", labels=labels, detail=look.say("beat missing"))
