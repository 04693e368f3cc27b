"""The kinds of trouble: how each is brought about in a deployment that works, and what its message says.

What the times come to belongs to `alert_latency_judge`.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import sqlalchemy as sa
from alert_latency_deployment import HERE, LOCATION, Deployment, Undone
from alert_latency_judge import Trial, names
from alert_latency_prepare import FREQ
from alert_latency_runs import Refused, Runs
from alert_latency_strategy import VARIANT

from itb_assets.domain.markets import Market
from itb_assets.observability.alerts.catalogue import heading
from itb_assets.observability.alerts.messages import headline, where
from itb_assets.observability.alerts.rules.words import said

PHASE_S = 5.0
"""A cause comes a random part of so many seconds after all is ready: loops look in every phase."""

READY_S = 300.0
MESSAGE_S = 60.0
"""A message that takes longer is missing."""

FEATURES = "processed/features"
OF_SERVER = ("automation_failed", "dagster_silent")

# A look is recorded right before its alarms are, so a latency is too long by that and never too short.
_COMMITTED = (
    "SELECT extract(epoch FROM committed_at) FROM manifests WHERE symbol = :symbol AND asset = :asset"
)
_OPEN = "SELECT count(*) FROM alert_incidents WHERE rule = ANY(:rules) AND resolved_at IS NULL"
_WAITING = "SELECT count(*) FROM alert_outbox WHERE sent_at IS NULL AND dead_at IS NULL"
_LOOKED = "SELECT 1 FROM heartbeats WHERE name = 'dagster_events' AND at > to_timestamp(:since)"
# Twenty kills of one server within minutes are flapping, and rightly told once: what is over is made older.
_AGE = (
    "UPDATE alert_incidents SET opened_at = opened_at - INTERVAL '1 day', flapping_at = NULL, "
    "flapping_level = NULL WHERE rule = ANY(:rules) AND resolved_at IS NOT NULL"
)


@dataclass(frozen=True)
class Cause:
    """When something went wrong, and what its message has to name."""

    at: float
    rule: str
    labels: Mapping[str, str]
    other: str = ""
    """Another rule whose message says it as well, of no place."""

    @property
    def place(self) -> str:
        """What it is about, as messages write it."""
        return where(self.labels)

    def told_by(self, text: str) -> str | None:
        """Return the rule by which a message says this, None where it does not."""
        if names(text, _heading(self.rule, self.labels), self.place.split(" · ")):
            return self.rule
        return self.other if self.other and names(text, _heading(self.other, {}), ()) else None


@dataclass
class Room:
    """A deployment in which trials are made."""

    made: Deployment
    runs: Runs
    seed: int = 7
    again: dict[str, str] = field(default_factory=dict)

    def trial(self, kind: str, number: int) -> Trial:
        """Bring a trouble about and wait for its message."""
        try:
            cause = CAUSES[kind](self, number)
        except (Undone, Refused, OSError, sa.exc.SQLAlchemyError) as error:
            self.made.gates.open(symbol_of(kind, number), "pass")  # whoever comes late does not wait
            return Trial(kind, number, trouble=str(error))
        try:
            at, rule = self.made.until(lambda: self._told(cause), MESSAGE_S, "the message")
        except Undone as error:
            return Trial(kind, number, cause.place, cause.at, trouble=str(error))
        return Trial(kind, number, cause.place, cause.at, at, rule)

    def pause(self, kind: str, number: int) -> None:
        """Wait for the moment of a cause."""
        moment = random.Random(f"{self.seed} {kind} {number}").uniform(0, PHASE_S)  # noqa: S311 - not secret
        if self.made.ending.wait(moment):
            raise Undone("ended")

    def launch(self, kind: str, number: int, *assets: str, checks: tuple[str, ...] = ()) -> tuple[str, str]:
        """Launch a run of a trial's own market; return the symbol and the run."""
        symbol = symbol_of(kind, number)
        market, wanted = Market(symbol, FREQ), [(FEATURES, check) for check in checks]

        def launched() -> str | None:
            try:
                return self.runs.launch(market, assets, wanted)
            except Refused:  # a web server sees some seconds late that the code server is another
                return None

        return symbol, self.made.until(launched, READY_S, "a run to be launched")

    def at_gate(self, symbol: str, run_id: str) -> int:
        """Return the process of a run that waits at the gate."""

        def here() -> int | None:
            if (ended := self.runs.ended(run_id)) is not None:
                raise Undone(f"run {run_id} ended before its time: {ended}")
            return self.made.gates.arrived(symbol)

        return self.made.until(here, READY_S, f"the step of {symbol}")

    def _told(self, cause: Cause) -> tuple[float, str] | None:
        for message in list(self.made.inbox.messages):
            rule = cause.told_by(message.text) if message.at >= cause.at else None
            if rule is not None:
                return message.at, rule
        return None


def _heading(rule: str, labels: Mapping[str, str]) -> str:
    """Return what messages call what a rule found; those that are computed have a title of their own."""
    title = "" if heading(rule, "en") else said("en", f"title {rule}", {})
    return headline({"rule": rule, "labels": labels, "title": title}, "en")[0]


def symbol_of(kind: str, number: int) -> str:
    """Return the market of a trial, which no other has.

    >>> symbol_of("step", 3)
    'STEP03USDT'
    """
    return f"{kind.upper()}{number:02d}USDT"


def _step(room: Room, number: int) -> Cause:
    symbol = _gated(room, "step", number)
    room.made.gates.open(symbol, "raise")
    at = room.made.until(lambda: room.made.gates.raised_at(symbol), READY_S, "the error")
    return Cause(at, "pipeline_error", {"symbol": symbol})


def _gated(room: Room, kind: str, number: int, checks: tuple[str, ...] = ()) -> str:
    """Have a run wait in the midst of its features, up to the moment of the cause."""
    room.made.gates.shut(symbol_of(kind, number))
    symbol, run_id = room.launch(kind, number, "processed/data", FEATURES, checks=checks)
    room.again[symbol] = run_id
    room.at_gate(symbol, run_id)
    room.pause(kind, number)
    return symbol


def _worker(room: Room, number: int) -> Cause:
    symbol = _gated(room, "worker", number)
    pid = room.made.gates.arrived(symbol)
    at = time.time()
    os.kill(int(pid or 0), signal.SIGKILL)
    room.made.gates.open(symbol, "pass")  # for the run that Dagster starts in its place
    return Cause(at, "run_failed", {"symbol": symbol})


def _check(room: Room, number: int) -> Cause:
    symbol = _gated(room, "check", number, checks=("look_ahead",))
    room.made.gates.open(symbol, "cheat")
    run_id = room.again[symbol]
    at = room.made.until(lambda: room.runs.evaluated_at(run_id), READY_S, "the check")
    return Cause(at, "check_failed", {"symbol": symbol, "check": "look_ahead"})


def _drift(room: Room, number: int) -> Cause:
    room.pause("drift", number)
    asset = f"drift/{VARIANT}"
    symbol, run_id = room.launch("drift", number, asset)

    def recorded() -> float | None:
        rows = room.made.ask(_COMMITTED, symbol=symbol, asset=asset)
        if rows:
            return float(rows[0][0])
        if room.runs.ended(run_id) not in (None, "SUCCESS"):
            raise Undone(f"run {run_id} of the drift asset failed")
        return None

    at = room.made.until(recorded, READY_S, "the look for drift")
    return Cause(at, "model_drift", {"symbol": symbol})


def _collector(room: Room, number: int) -> Cause:
    symbol = symbol_of("collector", number)[:20]
    command = [sys.executable, HERE / "alert_latency_collector.py", room.made.url, symbol]
    part = room.made.start(symbol, command, stdout=subprocess.PIPE)
    if part.stdout is None or not part.stdout.readline():
        raise Undone("the collector did not begin")
    seen = "SELECT 1 FROM alert_states WHERE rule = 'orderbook_stopped' AND labels ->> 'symbol' = :symbol"
    room.made.until(lambda: room.made.ask(seen, symbol=symbol) or None, READY_S, "a look at the collector")
    room.pause("collector", number)
    at = room.made.kill(symbol)
    del room.made.parts[symbol]
    return Cause(at, "orderbook_stopped", {"symbol": symbol})


def _server(room: Room, number: int) -> Cause:
    settled(room)
    room.made.ask(_AGE, rules=list(OF_SERVER))
    room.pause("server", number)
    at = room.made.kill("code")
    return Cause(at, OF_SERVER[0], {"server": "code"}, other=OF_SERVER[1])


def settled(room: Room) -> None:
    """Wait until no run is under way, and nothing of the code server's last end is open or unsent."""
    room.made.until(lambda: room.runs.under_way() == 0, READY_S, "the end of all runs")

    def over() -> bool:
        (opened,), (waiting,) = room.made.ask(_OPEN, rules=list(OF_SERVER))[0], room.made.ask(_WAITING)[0]
        return not opened and not waiting

    room.made.until(over, READY_S, "the end of the last incident")


def restarted(room: Room) -> None:
    """Start the code server again, and wait until its sensors look as before and the web server knows it."""
    since = time.time()
    room.made.start_code_server()
    room.made.until(
        lambda: room.made.ask(_LOOKED, since=since) or None, READY_S, "a look of the code server's sensor"
    )
    room.made.until(room.runs.served, READY_S, "the web server")


CAUSES: Mapping[str, Callable[[Room, int], Cause]] = {
    "step": _step,
    "worker": _worker,
    "check": _check,
    "drift": _drift,
    "collector": _collector,
    "server": _server,
}
"""Each kind: what brings it about. Those but the last need nothing of one another."""

__all__ = ["CAUSES", "LOCATION", "Cause", "Room", "restarted", "settled", "symbol_of"]
