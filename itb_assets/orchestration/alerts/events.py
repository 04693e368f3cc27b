"""What Dagster's events of runs say of what is wrong, or no longer wrong: one `Occurrence` for each.

Pure: events in, occurrences out. Reading them in order belongs to `reading`, ticks and daemons to
`ticks`. An event's id is made of its run and step, so that whoever tells it first tells it alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import dagster as dg

from itb_assets.domain.alerts import Level, Occurrence
from itb_assets.observability.alerts.catalogue import Language
from itb_assets.observability.logs import redact
from itb_assets.orchestration.alerts.causes import cause_of_info, classes_of, first_line
from itb_assets.orchestration.alerts.phrases import phrase
from itb_assets.orchestration.alerts.subjects import (
    ASSET_JOB,
    RunFacts,
    Subject,
    Subjects,
    market_labels,
    words_of,
)
from itb_assets.orchestration.alerts.words import (
    ASSET_STALE,
    CHECK_FAILED,
    MODEL_DRIFT,
    PIPELINE_ERROR,
    RUN_FAILED,
    TRAINING_FAILED,
    action_of,
)

if TYPE_CHECKING:
    from dagster._core.definitions.freshness import FreshnessStateChange

STEP_FAILED = "STEP_FAILURE"
"""Reason of a failed run whose step has told what was wrong already."""

INTERRUPTED = "DagsterExecutionInterruptedError"
"""What a step fails with whose run is cancelled; one that nobody cancelled fails as a run."""

_FRESHNESS = {"FAIL": Level.ERROR, "WARN": Level.WARNING, "PASS": Level.WARNING}
_MOST_FIGURES = 4


@dataclass(frozen=True)
class Told:
    """An event with what it takes to say it: when it was, its run, and what its steps compute."""

    event: dg.DagsterEvent
    at: datetime
    run: RunFacts
    subjects: Subjects
    storage_id: int | None = None
    language: Language = "en"

    @property
    def cause(self) -> str:
        """Name of the run, or of the event where it has none."""
        return self.run.run_id or f"event {self.storage_id}"

    def title(self, name: str, who: str, labels: Mapping[str, str], *values: object) -> str:
        """Return what happened to whom, in the language of the messages."""
        return phrase(name, self.language, f"{who}{words_of(labels, self.language)}", *values)


def occurrences_of(told: Told) -> Iterator[Occurrence]:
    """Return what an event says; most say nothing. A word that is not understood raises what it raises."""
    tells = _TELLERS.get(dg.DagsterEventType(told.event.event_type_value))
    return iter(()) if tells is None else tells(told)


def _step_failed(told: Told) -> Iterator[Occurrence]:
    """Say what failed and why; the step of a check that was evaluated has the id of the evaluation."""
    failure = told.event.step_failure_data
    if INTERRUPTED in classes_of(failure.error):
        return
    subject = told.subjects.of_step(_step(told.event))
    labels = subject.labels | market_labels(told.run.partition)
    described = failure.user_failure_data.description if failure.user_failure_data else None
    cause = cause_of_info(failure.error, described or "")
    if subject.check:
        yield _of_check(told, subject, Level.ERROR, detail=cause.words)
        return
    rule = _rule(subject)
    what = "training failed" if rule == TRAINING_FAILED else "failed"
    yield _occurrence(
        told,
        f"{subject.step}:{told.run.partition}",
        rule=rule,
        level=Level.ERROR,
        labels=labels if subject.asset else labels | {"job": told.run.job},
        title=told.title(what, subject.name, labels),
        detail=cause.words,
    )


def _step_succeeded(told: Told) -> Iterator[Occurrence]:
    """Say that an asset, or an op, works again; a check says so itself when it is evaluated."""
    subject = told.subjects.of_step(_step(told.event))
    if subject.check:
        return
    labels = subject.labels | market_labels(told.run.partition)
    yield _occurrence(
        told,
        f"{subject.step}:{told.run.partition}:ok",
        rule=_rule(subject),
        level=Level.ERROR,
        labels=labels if subject.asset else labels | {"job": told.run.job},
        title=told.title("works", subject.name, labels),
        resolves=True,
    )


def _run_failed(told: Told) -> Iterator[Occurrence]:
    """Say that a run ended before its steps could say why; one that starts again by itself is a warning."""
    data = told.event.event_specific_data and told.event.job_failure_data  # none of a run that was killed
    reason = data.failure_reason if data else None
    if reason is not None and reason.value == STEP_FAILED:
        return
    error = cause_of_info(data.error).words if data and data.error else ""
    message = (told.event.message or "").strip()
    generic = not message or "outside the execution context" in message or "Execution of run" in message
    detail = error or (phrase("killed", told.language) if generic else message)
    labels = _run_labels(told, told.run.job)
    again = told.run.will_retry
    yield _occurrence(
        told,
        "run",
        rule=RUN_FAILED,
        level=Level.WARNING if again else Level.ERROR,
        labels=labels,
        title=phrase("run starts again" if again else "run failed", told.language, _run(told, labels)),
        detail=first_line(detail),
    )


def _run_succeeded(told: Told) -> Iterator[Occurrence]:
    """Say that a job's runs work again, and for its market those of assets picked by hand."""
    for job in dict.fromkeys((told.run.job, ASSET_JOB)):
        labels = _run_labels(told, job)
        if job == told.run.job or "symbol" in labels:
            yield _occurrence(
                told,
                f"run:{job}:ok",
                rule=RUN_FAILED,
                level=Level.ERROR,
                labels=labels,
                title=phrase("works", told.language, _run(told, labels)),
                resolves=True,
            )


def _run(told: Told, labels: Mapping[str, str]) -> str:
    """Return how a run of a job, or of assets picked by hand, is called."""
    job = labels.get("job") or phrase("some job", told.language)
    name = phrase("picked", told.language) if job == ASSET_JOB else job
    return phrase("run", told.language, name, words_of(labels, told.language))


def _run_labels(told: Told, job: str) -> dict[str, str]:
    return ({"job": job} if job else {}) | market_labels(told.run.partition)


def _checked(told: Told) -> Iterator[Occurrence]:
    """Say what a check found: a failure by its severity, or that it passes."""
    found = told.event.asset_check_evaluation_data
    subject = Subject(told.event.step_key or "", found.asset_key.to_user_string(), found.check_name)
    if (subject.asset, subject.check) in told.subjects.left_to_rules:
        return
    level = Level.WARNING if found.severity is dg.AssetCheckSeverity.WARN else Level.ERROR
    detail = first_line(found.description or "") or _figures(found.metadata)
    yield _of_check(
        told,
        subject,
        level,
        partition=found.partition,
        detail="" if found.passed else detail,
        resolves=found.passed,
    )


def _of_check(
    told: Told,
    subject: Subject,
    level: Level,
    *,
    partition: str | None = None,
    detail: str = "",
    resolves: bool = False,
) -> Occurrence:
    partition = partition or told.run.partition
    drift = subject.asset.startswith("drift/") and subject.check == "drift"
    labels = subject.labels | market_labels(partition)
    if drift:
        labels = {name: value for name, value in labels.items() if name not in ("asset", "check")}
        title = told.title("no drift" if resolves else "drift", labels.get("variant", ""), labels)
    else:
        what = "check passes" if resolves else "check failed"
        title = told.title(what, subject.asset, labels, subject.check)
    return _occurrence(
        told,
        f"{subject.asset}:{subject.check}:{partition}" + (":ok" if resolves else ""),
        rule=MODEL_DRIFT if drift else CHECK_FAILED,
        level=level,
        labels=labels,
        title=title,
        detail=detail,
        resolves=resolves,
    )


def _freshness(told: Told) -> Iterator[Occurrence]:
    """Say that an asset became stale, or fresh; of an unknown state nothing."""
    change: FreshnessStateChange = told.event.event_specific_data  # type: ignore[assignment]
    state = change.new_state.value
    if state not in _FRESHNESS:
        return
    fresh = state == "PASS"
    asset = change.key.to_user_string()
    at = datetime.fromtimestamp(change.state_change_timestamp, UTC)
    yield Occurrence(
        event_id=f"dagster:freshness:{asset}:{state}:{change.state_change_timestamp:.3f}",
        rule=ASSET_STALE,
        level=_FRESHNESS[state],
        labels={"asset": asset},
        title=told.title("fresh" if fresh else "stale", asset, {}),
        detail=phrase("freshness", told.language, change.previous_state.value, state),
        action=action_of(ASSET_STALE),
        at=at,
        resolves=fresh,
    )


def _occurrence(
    told: Told,
    name: str,
    *,
    rule: str,
    level: Level,
    labels: dict[str, str],
    title: str,
    detail: str = "",
    resolves: bool = False,
) -> Occurrence:
    return Occurrence(
        event_id=f"dagster:{told.cause}:{name}",
        rule=rule,
        level=level,
        labels={name: redact(value) for name, value in labels.items()},
        title=redact(title),
        detail=redact(detail),
        action=action_of(rule),
        url=told.run.url,
        at=told.at,
        resolves=resolves,
    )


def _rule(subject: Subject) -> str:
    if subject.asset:
        return TRAINING_FAILED if subject.asset.startswith("models/") else PIPELINE_ERROR
    return RUN_FAILED


def _figures(metadata: Any) -> str:  # noqa: ANN401 - Dagster's values of metadata have no common type
    """Return the short figures of a check as one line."""
    shown = []
    for name, value in metadata.items():
        text = str(value.value)
        if isinstance(value.value, bool | int | float | str) and "\n" not in text:
            shown.append(f"{name}: {text}")
    return first_line(", ".join(shown[:_MOST_FIGURES]))


def _step(event: dg.DagsterEvent) -> str:
    return event.step_key or "unknown"


_TELLERS: Mapping[dg.DagsterEventType, Callable[[Told], Iterator[Occurrence]]] = {
    dg.DagsterEventType.STEP_FAILURE: _step_failed,
    dg.DagsterEventType.STEP_SUCCESS: _step_succeeded,
    dg.DagsterEventType.PIPELINE_FAILURE: _run_failed,
    dg.DagsterEventType.PIPELINE_SUCCESS: _run_succeeded,
    dg.DagsterEventType.ASSET_CHECK_EVALUATION: _checked,
    dg.DagsterEventType.FRESHNESS_STATE_CHANGE: _freshness,
}

EVENTS = tuple(_TELLERS)
"""Kinds of events that say something; all others are passed over unread."""
