"""What a case of a rule is, and those of rules over heartbeats, bills and the outbox.

Cases over trades and over markets have modules of their own; `test_every_rule` runs them all.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import KW_ONLY, dataclass, field
from datetime import timedelta
from typing import Any, Literal

import sqlalchemy as sa
from rule_making import DAY, HOUR, MINUTE, NOW, beats

from itb_assets.domain.alerts import Level
from itb_assets.observability.alerts.config import load_config
from itb_assets.observability.alerts.outbox import Draft, dead, enqueue, sent

Outcome = Literal["fires", "quiet", "lacks"]
STATES: Mapping[Outcome, tuple[str, ...]] = {
    "fires": ("firing",),
    "quiet": ("ok",),
    "lacks": ("insufficient", "no_data"),
}
SECOND = timedelta(seconds=1)
TINY = timedelta(milliseconds=10)


@dataclass(frozen=True)
class Case:
    """What is in the database, and what a rule has to make of it; `was` says that it fired before."""

    rule: str
    outcome: Outcome
    name: str
    arrange: Callable[[sa.Connection], object]
    config: str = ""
    _: KW_ONLY
    was: bool = False
    labels: Mapping[str, str] = field(default_factory=dict)
    """Of which evaluation it is, where there are several, or of what was open before."""


def nothing(_: sa.Connection) -> None:
    """Leave the database empty."""


def beat(name: str, age: timedelta, **said: Any) -> Callable[[sa.Connection], object]:
    """Return what writes one heartbeat."""
    return lambda connection: beats(connection, name, age=age, **said)


def absences() -> Iterator[Case]:
    """Yield those of rules over the age of heartbeats, at the limits that are shipped."""
    rules = load_config().rules
    for rule, name, labels in (
        ("trading_halted", "trading:main", {"process": "trading:main"}),
        ("dagster_silent", "dagster_events", {"process": "dagster_events"}),
        ("orderbook_stopped", "orderbook:BTCUSDT", {"symbol": "BTCUSDT"}),
    ):
        settings = getattr(rules, rule)
        limit, clear = (timedelta(seconds=each) for each in (settings.threshold, settings.clear))
        own = f'[rules.{rule}]\nexpected = ["{name}"]\n'
        yield Case(rule, "quiet", "at the threshold", beat(name, limit))
        yield Case(rule, "fires", "just beyond it", beat(name, limit + TINY))
        yield Case(rule, "quiet", "below it, and good before", beat(name, clear + TINY))
        yield Case(
            rule, "fires", "above clear, and silent before", beat(name, clear + TINY), was=True, labels=labels
        )
        yield Case(rule, "quiet", "at clear, and silent before", beat(name, clear), was=True, labels=labels)
        yield Case(rule, "quiet", "a clock a little ahead", beat(name, -limit))
        yield Case(rule, "lacks", "a clock far ahead", beat(name, -limit - SECOND))
        yield Case(rule, "lacks", "nobody ever beat", nothing)
        yield Case(rule, "lacks", "another name", beat(f"{name.partition(':')[0]}x", DAY))
        yield Case(rule, "fires", "expected and never there", nothing, own)
        yield Case(rule, "quiet", "expected and there", beat(name, TINY), own)
    for said, outcome in (("no margin", "fires"), (0.5, "fires"), ("", "quiet"), (None, "quiet")):
        name = f"alive and halted = {said!r}"
        yield Case("trading_halted", outcome, name, beat("trading", TINY, halted=said))  # type: ignore[arg-type]


def apis() -> Iterator[Case]:
    """Yield those of rules over what APIs answer."""
    rule, api = "api_authentication_failed", "api:binance"
    yield Case(rule, "fires", "refused a moment ago", beat(api, TINY, auth_error="401"))
    yield Case(rule, "fires", "refused a day ago", beat(api, DAY, auth_error="401"))
    yield Case(rule, "quiet", "let in", beat(api, DAY, calls=1))
    yield Case(rule, "quiet", "no reason", beat(api, TINY, auth_error=None))
    yield Case(rule, "lacks", "no API", nothing)
    rule, labels = "api_latency", {"api": "binance"}
    slow = {"calls": 20, "latency_p95_s": 1.0}
    yield Case(rule, "quiet", "at one second", beat(api, TINY, **slow))
    yield Case(rule, "fires", "just above", beat(api, TINY, **slow | {"latency_p95_s": 1.001}))
    yield Case(rule, "fires", "above clear, slow before", beat(api, TINY, **slow), was=True, labels=labels)
    fast = slow | {"latency_p95_s": 0.8}
    yield Case(rule, "quiet", "at clear, slow before", beat(api, TINY, **fast), was=True, labels=labels)
    yield Case(
        rule, "fires", "at the end of the window", beat(api, 5 * MINUTE, **slow | {"latency_p95_s": 2})
    )
    for name, age, said in (
        ("older than the window", 5 * MINUTE + TINY, {"latency_p95_s": 9.0}),
        ("too few calls", TINY, {"latency_p95_s": 9.0, "calls": 19}),
        ("no calls", TINY, {"latency_p95_s": 9.0, "calls": 0}),
        ("NaN", TINY, {"latency_p95_s": float("nan")}),
        ("text", TINY, {"latency_p95_s": "2"}),
        ("from the future", -6 * MINUTE, {"latency_p95_s": 9.0}),
    ):
        known = {key: "NaN" if value != value else value for key, value in said.items()}  # noqa: PLR0124
        yield Case(rule, "lacks", name, beat(api, age, **slow | known))
    yield Case(rule, "lacks", "no API", nothing)


def logs() -> Iterator[Case]:
    """Yield those of log delivery."""
    rule, name, labels = "log_delivery_lagging", "log_delivery", {"process": "log_delivery"}
    yield Case(rule, "quiet", "at ten minutes", beat(name, TINY, oldest_s=600))
    yield Case(rule, "fires", "just above", beat(name, TINY, oldest_s=600.1))
    yield Case(
        rule, "fires", "above clear, late before", beat(name, TINY, oldest_s=301), was=True, labels=labels
    )
    yield Case(
        rule, "quiet", "at clear, late before", beat(name, TINY, oldest_s=300), was=True, labels=labels
    )
    yield Case(rule, "quiet", "silent for ten minutes", beat(name, 10 * MINUTE, oldest_s=0))
    yield Case(rule, "fires", "silent for longer", beat(name, 10 * MINUTE + SECOND, oldest_s=0))
    yield Case(rule, "lacks", "says no age", beat(name, TINY))
    yield Case(rule, "lacks", "a clock far ahead", beat(name, -11 * MINUTE, oldest_s=0))
    yield Case(rule, "lacks", "no delivery", nothing)


BUDGET = "[budget]\nUSD = 1000\n"


def bill(billed: Any, *, age: timedelta = HOUR, **changes: Any) -> Callable[[sa.Connection], object]:
    """Return what writes the bill of a provider for this month."""
    said = {"month": "2026-03", "currency": "USD", "billed": billed, "billed_until": (NOW - age).isoformat()}
    return beat("cloud_cost:azure", SECOND, **(said | changes))


def costs() -> Iterator[Case]:
    """Yield those of both rules over bills."""
    for rule, limit, clear in (("cloud_cost_over_budget", 1000, 990), ("cloud_cost_near_budget", 800, 790)):
        labels = {"currency": "USD"}
        yield Case(rule, "quiet", "at the limit", bill(limit), BUDGET)
        yield Case(rule, "fires", "just above", bill(limit + 0.1), BUDGET)
        yield Case(
            rule, "fires", "above clear, over before", bill(clear + 0.1), BUDGET, was=True, labels=labels
        )
        yield Case(rule, "quiet", "at clear, over before", bill(clear), BUDGET, was=True, labels=labels)
        yield Case(rule, "quiet", "a credit", bill(-5000), BUDGET)
        yield Case(rule, "fires", "a bill two days old", bill(5000, age=48 * HOUR), BUDGET)
        yield Case(rule, "lacks", "an older bill", bill(5000, age=48 * HOUR + SECOND), BUDGET)
        yield Case(rule, "lacks", "no budget", bill(5000))
        yield Case(rule, "lacks", "another currency", bill(5000, currency="BRL"), BUDGET)
        yield Case(rule, "lacks", "no number", bill("NaN"), BUDGET)
        yield Case(rule, "lacks", "no time zone", bill(5000, billed_until="2026-03-11T12:00:00"), BUDGET)
        yield Case(rule, "lacks", "no bill", nothing, BUDGET)


def waits(age: timedelta, end: Callable[..., object] | None = None) -> Callable[[sa.Connection], object]:
    """Return what lets a message wait for so long, or ends its wait."""

    def arrange(connection: sa.Connection) -> None:
        draft = Draft(
            dedup_key="t", channel="telegram", level=Level.ERROR, kind="test", message={"title": "t"}
        )
        made = enqueue(connection, draft, now=NOW - age)
        if end is not None:
            end(connection, [made], "1", NOW)

    return arrange


def delivery() -> Iterator[Case]:
    """Yield those of the outbox, which is never without data: nothing in it is nothing that waits."""
    rule, labels = "alert_delivery_lagging", {"channel": "telegram"}
    yield Case(rule, "quiet", "at a minute", waits(60 * SECOND))
    yield Case(rule, "fires", "just above", waits(60 * SECOND + TINY))
    yield Case(rule, "fires", "above clear, late before", waits(31 * SECOND), was=True, labels=labels)
    yield Case(rule, "quiet", "at clear, late before", waits(30 * SECOND), was=True, labels=labels)
    yield Case(rule, "quiet", "sent", waits(HOUR, sent))
    yield Case(rule, "quiet", "given up", waits(HOUR, dead))
    yield Case(rule, "quiet", "nothing waits", nothing)


def cases() -> Iterator[Case]:
    """Yield all of this module."""
    for each in (absences, apis, logs, costs, delivery):
        yield from each()
