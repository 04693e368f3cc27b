"""One channel's lane: takes what is due for it, at the pace it bears, and writes down what became of it.

It runs in a thread of its own, so that a channel that hangs never keeps another back. What concerns all
channels belongs to `dispatcher`.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from itb_assets.domain.alerts.occurrence import Level
from itb_assets.domain.alerts.pace import Limits, wait_after_failure_s
from itb_assets.observability.alerts import outbox
from itb_assets.observability.alerts.channels import Channel
from itb_assets.observability.alerts.delivery import Movable, Outcome, attempt
from itb_assets.observability.alerts.escalation import take_over
from itb_assets.observability.alerts.lane_state import (
    LaneState,
    chat_now,
    load_state,
    remember_move,
    save_state,
)
from itb_assets.observability.alerts.outbox import DUE, OutboxRow
from itb_assets.observability.alerts.sessions import Connect, hold, in_short, session
from itb_assets.observability.alerts.spoken import Spoken
from itb_assets.observability.logs import get_logger

Clock = Callable[[], datetime]
"""Tells the time in UTC."""

_REPLAYED = timedelta(minutes=10)
_CHART_TRIES = 3
"""So often a message is tried with its chart, which may be what does not get through."""
_ALONE = 3
"""After so many refusals in a row it is the channel that refuses, not a message."""
_AWAY = 3
"""After so many failures in a row it is the channel that was away, not a message that never arrives."""
_CHART_TOKENS = 2
"""A chart may cost a second message: its text, where the service does not take it."""
_CRITICAL_WAITS = sa.text(
    f"SELECT EXISTS (SELECT FROM alert_outbox WHERE channel = :channel AND level >= :critical AND {DUE})"  # noqa: S608 - ours
)
_RELEASE = sa.text(
    "UPDATE alert_outbox SET lease_until = NULL, leased_before = TRUE "
    "WHERE channel = :channel AND lease_until IS NOT NULL"
)


@dataclass(frozen=True, kw_only=True)
class LaneRules:
    """How a lane works: seconds of a lease and between two looks, rows of a digest, limits of the channel."""

    lease_s: float = 20.0
    poll_s: float = 1.0
    digest_rows: int = 500
    limits: Limits = field(default_factory=Limits)


class Lane:
    """The deliveries of one channel. `run` is for one thread; `wake` and `report` for any."""

    def __init__(
        self,
        channel: Channel,
        *,
        connect: Connect,
        clock: Clock,
        spoken: Spoken,
        other: str | None,
        rules: LaneRules,
    ) -> None:
        """Prepare a lane; `other` is the channel that takes over what this one refuses."""
        self.name = channel.name
        self._channel, self._connect, self._clock = channel, connect, clock
        self._spoken, self._other, self._rules = spoken, other, rules
        self._state: LaneState | None = None
        self._unrecorded: Outcome | None = None
        self._most = rules.digest_rows
        self._refused_alone = 0
        self._trouble = ""
        self._woken = threading.Event()
        self._report: dict[str, Any] = {"sent": 0, "last_sent_at": None, "last_error": None}
        self._log = get_logger(channel=self.name)

    def wake(self) -> None:
        """Look now, not at the next turn."""
        self._woken.set()

    def report(self) -> dict[str, Any]:
        """Return what a heartbeat says of this lane, as plain JSON."""
        state = self._state
        told = self._report | {"trouble": self._trouble}
        if state is not None:
            told |= {"failures": state.failures, "paused_until": state.pause.until.isoformat()}
        return told

    def run(self, stop: threading.Event) -> None:
        """Deliver until told to stop, the send under way included; a database that is away is waited for."""
        while not stop.is_set():
            try:
                with session(self._connect) as connection:
                    if hold(connection, f"itb alerts: {self.name}", stop, every_s=self._rules.poll_s):
                        self._serve(connection, stop)
            except Exception as error:  # noqa: BLE001 - nothing may end a lane but the end of its process
                self._note_trouble(in_short(error))
                stop.wait(self._rules.poll_s)

    def _serve(self, connection: sa.Connection, stop: threading.Event) -> None:
        self._restore(connection)
        while not stop.is_set():
            wait = self.step(connection)
            if wait > 0:
                self._woken.wait(min(wait, self._rules.poll_s))
                self._woken.clear()

    def _restore(self, connection: sa.Connection) -> None:
        """Go on where the last process, or the last session of this one, was."""
        now = self._clock()
        with connection.begin():
            sent = outbox.sent_times(connection, self.name, now - _REPLAYED)
            limits = self._rules.limits
            found = load_state(connection, self.name, limits=limits, sent=sent, now=now)
            self._state = found if self._state is None else found.careful(self._state.seen(now))
            if isinstance(self._channel, Movable):
                chat = chat_now(connection, self.name, self._channel.chat)
                if chat != self._channel.chat:
                    self._channel = self._channel.moved_to(int(chat))
        if self._unrecorded is not None:
            self._record(connection, self._unrecorded)
        with connection.begin():  # nobody else is sending these: this session holds the lock of the lane
            connection.execute(_RELEASE, {"channel": self.name})
        self._trouble = ""

    def step(self, connection: sa.Connection) -> float:
        """Send at most one message; return after how many seconds there may be another."""
        now = self._clock()
        state = self._state = self._known().seen(now)  # kept: after a clock was put back a pause begins once
        if (wait := state.wait_s(now)) > 0:
            return wait
        with connection.begin():
            rows = self._claimed(connection, state, now)
            if not rows:
                return self._rules.poll_s
            self._state = state.taken(now)
            save_state(connection, self.name, self._state, now)  # before it is sent: dying must not refill
        one = len(rows) == 1 and rows[0].attempts <= _CHART_TRIES
        chart = rows[0].chart if one and state.pace.tokens >= _CHART_TOKENS else None
        text = self._spoken.text(rows, with_chart=chart is not None)
        self._unrecorded = attempt(
            self._channel, rows, text, chart, splits=not self._refuses_all, alone=self._other is None
        )
        self._record(connection, self._unrecorded)
        return 0.0

    def _claimed(self, connection: sa.Connection, state: LaneState, now: datetime) -> list[OutboxRow]:
        limits, tokens = self._rules.limits, state.pace.tokens
        scarce = tokens < 1 + limits.reserve
        if scarce and not connection.scalar(
            _CRITICAL_WAITS, {"channel": self.name, "critical": int(Level.CRITICAL), "now": now}
        ):
            return []
        one_by_one = tokens >= limits.digest_below and not self._refuses_all
        most = 1 if one_by_one else self._most
        return outbox.claim(connection, now=now, limit=most, lease_s=self._rules.lease_s, channel=self.name)

    @property
    def _refuses_all(self) -> bool:
        return self._refused_alone >= _ALONE

    def _known(self) -> LaneState:
        if self._state is None:
            raise RuntimeError("a lane has no state before its session began")
        return self._state

    def _record(self, connection: sa.Connection, outcome: Outcome) -> None:
        """Write down what became of an attempt. If that fails, the outcome is kept for the next session."""
        now = self._clock()
        state = self._after(outcome, now)
        with connection.begin():
            self._write(connection, outcome, now)
            save_state(connection, self.name, state, now)
        self._state, self._unrecorded = state, None
        self._tell(outcome, now)

    def _after(self, outcome: Outcome, now: datetime) -> LaneState:
        state = self._known().seen(now)
        if outcome.said != "later":
            for _ in range(outcome.posts - 1):
                state = state.taken(now)
            state = state.reached(now)
        if outcome.after_s:
            return state.paused(outcome.after_s, now)
        if outcome.said != "later":
            return state
        return state.failed(now, reached=outcome.maybe_sent)

    def _write(self, connection: sa.Connection, outcome: Outcome, now: datetime) -> None:
        ids, word = outcome.ids, outcome.word
        if outcome.said == "sent":
            outbox.sent(connection, ids, word, now)
            if self._known().failures >= _AWAY:  # else the critical would wait for their turn, not go first
                outbox.hurry(connection, self.name, now)
        elif outcome.said == "refused":
            outbox.dead(connection, ids, word, now)
            if self._other is not None:
                told = self._spoken.refusal(self.name, word, now)
                take_over(connection, ids, refused_by=self.name, to=self._other, told=told, now=now)
        else:
            waits = 0.0
            if outcome.said == "later":
                waits = outcome.after_s or wait_after_failure_s(min(row.attempts for row in outcome.rows))
            if outcome.said == "moved" and isinstance(self._channel, Movable):
                remember_move(connection, self.name, self._channel.chat, str(outcome.chat), now)
            next_at = now + timedelta(seconds=waits)
            outbox.retry(connection, ids, next_at, word, maybe_sent=outcome.maybe_sent)

    def _tell(self, outcome: Outcome, now: datetime) -> None:
        """Say in the log and in the heartbeat what happened, and change what follows from it."""
        if outcome.said == "sent":
            self._most, self._refused_alone = self._rules.digest_rows, 0
            sent = self._report["sent"] + 1
            self._report |= {"sent": sent, "last_sent_at": now.isoformat(), "last_error": None}
            return
        self._report["last_error"] = outcome.word
        if outcome.said == "later" and outcome.refuses_all:
            self._log.bind(rows=len(outcome.rows)).critical(
                f"refuses everything: {outcome.word}; there is no other channel, so it is asked every minute"
            )
        elif outcome.said == "later":
            self._log.bind(rows=len(outcome.rows)).warning(f"not sent, comes again: {outcome.word}")
        elif outcome.said == "moved":
            self._follow(outcome)
        elif outcome.said == "split":
            self._most = max(1, len(outcome.rows) // 2)
            self._log.bind(rows=len(outcome.rows)).warning(f"a digest goes in parts: {outcome.word}")
        else:
            self._lost(outcome)

    def _follow(self, outcome: Outcome) -> None:
        if isinstance(self._channel, Movable):
            old = self._channel.chat
            self._channel = self._channel.moved_to(outcome.chat)
            self._log.warning(f"chat {old} is {outcome.chat} now: change it in the settings")

    def _lost(self, outcome: Outcome) -> None:
        """Shout: this is the one place where a message stays away from its reader."""
        self._refused_alone += 1
        if self._refuses_all:
            self._most = self._rules.digest_rows
        where = f"sent over {self._other} instead" if self._other else "there is no other channel"
        self._log.bind(outbox=outcome.ids).critical(
            f"refused for good: {outcome.word}; {where}; `itb alerts replay` sends again"
        )

    def _note_trouble(self, words: str) -> None:
        if self._trouble != words:
            self._log.warning(f"goes on as soon as it can: {words}")
        self._trouble = words
