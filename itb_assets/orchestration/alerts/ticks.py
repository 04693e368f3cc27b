"""What the ticks of sensors and schedules and the heartbeats of Dagster's daemons say of what is wrong.

Pure, as `events` is. Daemons that are gone altogether write nothing: that is the alerter's to see.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from itb_assets.domain.alerts import Level, Occurrence
from itb_assets.observability.alerts.catalogue import Language
from itb_assets.observability.logs import redact
from itb_assets.orchestration.alerts.causes import Cause, cause_of_info, classes_of, line_of_class
from itb_assets.orchestration.alerts.phrases import phrase
from itb_assets.orchestration.alerts.words import AUTOMATION_FAILED, DAEMON_ERROR, action_of

if TYPE_CHECKING:
    from dagster._core.scheduler.instigation import TickData  # no public name
    from dagster._daemon.types import DaemonHeartbeat

UNREACHABLE = "DagsterUserCodeUnreachableError"
SILENT_AFTER_S = 180.0
"""Age of a heartbeat at which a daemon is called stopped while another still works; they beat each 30 s."""

_CARRIED_S = 300
_DIGITS = 12


@dataclass(frozen=True)
class DaemonLook:
    """The newest heartbeats, the daemons that this instance needs, and what ticks have told already."""

    heartbeats: Mapping[str, DaemonHeartbeat]
    required: Collection[str]
    now: datetime
    told: Collection[str] = ()
    language: Language = "en"


def tick_occurrences(
    tick_id: int, tick: TickData, *, carried: str = "", language: Language = "en"
) -> Iterator[Occurrence]:
    """Yield that a sensor or schedule failed at a tick, or that it works.

    Where no code server answered, that is said once for all of them, with the runs that it carried; every
    tick that goes well ends it.
    """
    failed = tick.status.value == "FAILURE"
    name = redact(tick.instigator_name)
    kind = "sensor" if "SENSOR" in tick.instigator_type.value else "schedule"
    gone = failed and UNREACHABLE in classes_of(tick.error)
    if gone or not failed:
        title = phrase("no server" if gone else "server", language)
        why = "; ".join(filter(None, [line_of_class(tick.error, UNREACHABLE), carried])) if gone else ""
        yield _of_tick(tick_id, tick, {"server": "code"}, title, "server" if gone else "server:ok", why)
    if not gone:
        title = phrase(f"{kind} failed" if failed else f"{kind} works", language, name)
        yield _of_tick(tick_id, tick, {kind: name}, title, "failed" if failed else "ok")


def _of_tick(
    tick_id: int, tick: TickData, labels: dict[str, str], title: str, key: str, why: str = ""
) -> Occurrence:
    failed = tick.status.value == "FAILURE"
    return Occurrence(
        event_id=f"dagster:tick:{tick_id}:{tick.timestamp:.0f}:{key}",  # a backup put back counts anew
        rule=AUTOMATION_FAILED,
        level=Level.ERROR,
        labels=labels,
        title=title,
        detail=(why or cause_of_info(tick.error).words) if failed else "",
        action=action_of(AUTOMATION_FAILED),
        at=datetime.fromtimestamp(tick.end_timestamp or tick.timestamp, UTC),
        resolves=not failed,
    )


def daemon_occurrences(look: DaemonLook) -> Iterator[Occurrence]:
    """Say of every daemon whether its last heartbeat had errors or is too old.

    Only those of the process that beat last: what another left when it was stopped is no silence. The same
    errors within five minutes are told once: that long a heartbeat carries them along.
    """
    newest = max(look.heartbeats.values(), key=lambda beat: beat.timestamp, default=None)
    for name, beat in sorted(look.heartbeats.items()):
        if newest is None or name not in look.required or beat.daemon_id != newest.daemon_id:
            continue
        at = datetime.fromtimestamp(beat.timestamp, UTC)
        age = (look.now - at).total_seconds()
        causes = [cause_of_info(error) for error in beat.errors or ()]
        new = [cause for cause in causes if cause.words not in look.told]
        if age > SILENT_AFTER_S:
            silent = phrase("no beat", look.language, age)
            yield _daemon(look, name, silent, look.now, f"silent:{beat.timestamp:.0f}")
        elif new:
            key = f"{_digest(new)}:{beat.timestamp // _CARRIED_S:.0f}"
            yield _daemon(look, name, new[0].words, at, key)
        elif not causes:
            yield _daemon(look, name, "", at, f"{beat.timestamp:.0f}", resolves=True)


def _daemon(
    look: DaemonLook, name: str, detail: str, at: datetime, key: str, *, resolves: bool = False
) -> Occurrence:
    what = "daemon works" if resolves else "daemon trouble"
    return Occurrence(
        event_id=f"dagster:daemon:{name}:{key}",
        rule=DAEMON_ERROR,
        level=Level.ERROR,
        labels={"daemon": name.lower()},
        title=phrase(what, look.language, name.lower().replace("_", " ")),
        detail=detail,
        action=action_of(DAEMON_ERROR),
        at=at,
        resolves=resolves,
    )


def _digest(causes: Iterable[Cause]) -> str:
    words = "\n".join(sorted({cause.words for cause in causes}))
    return hashlib.sha256(words.encode()).hexdigest()[:_DIGITS]
