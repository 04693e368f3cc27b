"""Random histories of alerts against a plain model: what is counted, what is told, and as what."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, Protocol

import sqlalchemy as sa
from alert_making import IDENTITIES, MINUTE, ROUTING, START, PlainAlerts, occurrence
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from itb_assets.domain.alerts import (
    FLAPPING_WINDOW,
    Incident,
    Level,
    Occurrence,
    Silence,
    after,
    changes_of,
    decide,
    fingerprint_of,
)
from itb_assets.observability.alerts import outbox, store

HOURS = 6
WHO = [fingerprint_of(rule, labels) for rule, labels in IDENTITIES]
identities = st.integers(0, len(IDENTITIES) - 1)
levels = st.sampled_from(list(Level))
late = st.sampled_from([0, 0, 0, 0, 1, 30, 2000])
steps = st.one_of(
    st.tuples(st.just("fire"), identities, levels, late),
    st.tuples(st.just("fire"), st.just(0), st.just(Level.ERROR), st.just(0)),
    st.tuples(st.just("resolve"), identities, late),
    st.tuples(st.just("resolve"), st.just(0), st.just(0)),
    st.tuples(st.just("tell again"), st.integers(0, 40)),
    st.tuples(st.just("acknowledge"), identities),
    st.tuples(st.just("silence"), identities, st.sampled_from([1, 20, 400])),
    st.tuples(st.just("flap"), identities, levels, st.integers(1, 6)),
    st.tuples(st.just("wait"), st.sampled_from([1, 3, 10, 16, 31, 245, 1500])),
)
histories = st.lists(steps, min_size=1, max_size=30)


class Alerts(Protocol):
    """What is compared with the model."""

    def report(self, told: Occurrence, now: datetime) -> str | None:
        """Report one; return as what it is told, None where it is not."""

    def acknowledge(self, identity: int, now: datetime) -> None:
        """Let somebody look after what is open."""

    def silence(self, identity: int, until: datetime, now: datetime) -> None:
        """Ask for quiet."""

    def kept(self, identity: int) -> list[Incident]:
        """Return the incidents of an identity, oldest first."""


@dataclass
class InMemory:
    """The domain's functions alone."""

    incidents: list[Incident] = field(default_factory=list)
    silences: list[Silence] = field(default_factory=list)
    seen: set[str] = field(default_factory=set)

    def report(self, told: Occurrence, now: datetime) -> str | None:
        if told.event_id in self.seen:
            return None
        self.seen.add(told.event_id)
        of_it = [each for each in self.incidents if each.fingerprint == told.fingerprint]
        before = of_it[-1] if of_it and of_it[-1].open else None
        openings = sum(each.opened_at > now - FLAPPING_WINDOW for each in of_it)
        opens = before is None and not told.resolves
        changes = changes_of(of_it[-1] if of_it else None, openings + opens)
        target = before or after(None, told, decide(None, told, now=now), now=now, changes=changes)
        verdict = decide(
            before,
            told,
            now=now,
            silences=self.silences,
            inhibited_by=None if target is None or told.resolves else self.muting(target, told),
            repeat=ROUTING.repeat,
            recent_changes=changes,
        )
        now_is = after(before, told, verdict, now=now, changes=changes)
        if now_is is not None:
            self.incidents = [each for each in self.incidents if each is not before] + [now_is]
        return verdict.kind if verdict.notify else None

    def muting(self, target: Incident, told: Occurrence) -> Incident | None:
        target = replace(target, level=max(target.level, told.level))
        return next(
            (each for each in self.incidents for by in ROUTING.inhibitions if by.mutes(each, target)), None
        )

    def acknowledge(self, identity: int, now: datetime) -> None:
        self.incidents = [
            replace(each, acked_by="ana", acked_at=now, notified_level=each.level)
            if each.fingerprint == WHO[identity] and each.open
            else each
            for each in self.incidents
        ]

    def silence(self, identity: int, until: datetime, now: datetime) -> None:
        assert now < until
        self.silences.append(asked(identity, until))

    def kept(self, identity: int) -> list[Incident]:
        return [each for each in self.incidents if each.fingerprint == WHO[identity]]


@dataclass
class Stored:
    """The store, over a transaction that is rolled back in the end."""

    connection: sa.Connection
    told: Counter[str] = field(default_factory=Counter)

    def report(self, told: Occurrence, now: datetime) -> str | None:
        said = store.report(self.connection, told, now=now, routing=ROUTING)
        if not said.verdict.notify:
            assert said.rows == ()
            return None
        assert len(said.rows) == len(ROUTING.of(said.incident.level))
        self.told.update([said.verdict.kind] * len(said.rows))
        return said.verdict.kind

    def acknowledge(self, identity: int, now: datetime) -> None:
        for each in store.incidents(self.connection):
            if each.fingerprint == WHO[identity]:
                store.acknowledge(self.connection, each.id, "ana", now)

    def silence(self, identity: int, until: datetime, now: datetime) -> None:
        store.add_silence(self.connection, asked(identity, until), now)

    def kept(self, identity: int) -> list[Incident]:
        found = store.incidents(self.connection, open_only=False, limit=1000)
        return sorted((each for each in found if each.fingerprint == WHO[identity]), key=lambda each: each.id)


def asked(identity: int, until: datetime) -> Silence:
    rule, labels = IDENTITIES[identity]
    return Silence(matchers={"rule": rule, **labels}, until=until, who="ana", why="known")


def steps_of(history: list[tuple[Any, ...]]) -> Iterator[tuple[Any, ...]]:
    """Return the steps, coming and going as the several that it is."""
    for what, *rest in history:
        if what != "flap":
            yield what, *rest
            continue
        identity, level, times = rest
        for _ in range(times):
            yield from (("fire", identity, level, 0), ("resolve", identity, 0), ("wait", 3))


def play(history: list[tuple[Any, ...]], alerts: Alerts) -> PlainAlerts:
    """Play a history to both and compare what is told at each step."""
    model, now, causes = PlainAlerts(), START, []
    for turn, (what, *rest) in enumerate(steps_of(history)):
        before = len(model.told)
        if what == "wait":
            now += rest[0] * MINUTE
        elif what == "acknowledge":
            model.acknowledge(rest[0])
            alerts.acknowledge(rest[0], now)
        elif what == "silence":
            until = now + rest[1] * MINUTE
            model.silenced[rest[0]] = max(until, model.silenced.get(rest[0], until))
            alerts.silence(rest[0], until, now)
        else:
            if what == "tell again":
                if not causes:
                    continue
                cause = causes[rest[0] % len(causes)]
            else:
                level = rest[1] if what == "fire" else Level.ERROR
                at = now - rest[-1] * MINUTE
                resolves = what == "resolve"
                told = occurrence(f"e{turn}", rest[0], level=level, at=at, resolves=resolves)
                cause = (rest[0], told)
                causes.append(cause)
            identity, told = cause
            if told.resolves:
                model.resolve(told.event_id, identity, told.at, now)
            else:
                model.fire(told.event_id, identity, told.level, told.at, now)
            expected = model.told[before][1] if len(model.told) > before else None
            assert alerts.report(told, now) == expected, (turn, what, rest)
    return model


def compare(model: PlainAlerts, alerts: Alerts) -> None:
    """Compare what is kept in the end."""
    for identity in range(len(IDENTITIES)):
        expected = [
            (each.level, each.count, each.last_at, each.told_at, each.acked, each.resolved)
            for each in model.incidents.get(identity, [])
        ]
        kept = [
            (
                each.level,
                each.occurrences,
                each.last_at,
                each.last_notified_at,
                each.acked_at is not None,
                not each.open,
            )
            for each in alerts.kept(identity)
        ]
        assert kept == expected
        assert sum(each.open for each in alerts.kept(identity)) <= 1


@given(histories)
@settings(max_examples=600)
def test_deciding_is_what_the_plain_model_says(history):
    """Whatever happens in whatever order, the domain tells and counts what the model tells and counts."""
    alerts = InMemory()
    compare(play(history, alerts), alerts)


@given(histories)
@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_the_store_is_what_the_plain_model_says(alerts_engine, history):
    """So do the tables, with a row in the outbox for each channel of each message and no other."""
    with alerts_engine.connect() as connection, connection.begin() as transaction:
        alerts = Stored(connection)
        compare(play(history, alerts), alerts)
        rows = outbox.pending(connection)
        assert Counter(row.kind for row in rows) == alerts.told
        assert all(row.message["incident_id"] == row.incident_id for row in rows)
        transaction.rollback()


@given(st.integers(1, 5), st.sampled_from(list(Level)))
@settings(max_examples=10)
def test_what_comes_and_goes_is_told_a_few_times(every, level):
    """A check that fails and passes for six hours is told as that, again only when its level repeats."""
    alerts, told = InMemory(), []
    times = [START + turn * MINUTE for turn in range(0, HOURS * 60, every)]
    for turn, now in enumerate(times):
        told.append(alerts.report(occurrence(f"f{turn}", level=level, at=now), now))
        over = now + timedelta(seconds=20)
        ended = occurrence(f"r{turn}", level=level, at=over, resolves=True)
        told.append(alerts.report(ended, over))
    repeat = ROUTING.repeat.after(level)
    notices = 1 if repeat is None else 1 + HOURS * 60 * MINUTE // repeat
    assert 4 + 4 + 1 <= len([each for each in told if each]) <= 4 + 4 + notices
    assert len(alerts.kept(0)) == len(times)
