"""What a deployment chooses of its alerts, read from one TOML file laid over the shipped one.

What the keys of a rule are belongs to `config_rules`. Nothing here knows a secret or opens a connection.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from difflib import get_close_matches
from functools import lru_cache
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, ValidationError, model_validator

from itb_assets.domain.alerts import Inhibition, Level, Occurrence, Repeat, Routing
from itb_assets.errors import ConfigError, InputError
from itb_assets.observability.alerts.config_problems import problems_of
from itb_assets.observability.alerts.config_rules import EventRule, Rule, Rules
from itb_assets.observability.alerts.config_values import (
    Amount,
    Currency,
    Length,
    LengthOrNever,
    LevelName,
    Names,
    Strict,
)

Language = Literal["en", "pt"]
Channel = Literal["telegram", "slack", "apprise"]
CHANNELS: tuple[Channel, ...] = ("telegram", "slack", "apprise")
SHIPPED = "alerts.toml"
MAX_BYTES = 1_000_000

Channels = Annotated[
    tuple[Channel, ...], BeforeValidator(lambda value: tuple(value) if isinstance(value, list) else value)
]


class ByLevel(Strict):
    """Channels of each level."""

    critical: Channels
    error: Channels
    warning: Channels
    info: Channels

    @property
    def named(self) -> dict[Level, tuple[str, ...]]:
        """Return them by level."""
        return {level: getattr(self, level.label) for level in Level}


class Escalation(Strict):
    """Where a CRITICAL goes as well when its channel has not taken it."""

    channel: Channel | Literal["none"]
    after: Length


class RepeatByLevel(Strict):
    """Intervals of each level."""

    critical: LengthOrNever
    error: LengthOrNever
    warning: LengthOrNever
    info: LengthOrNever

    @property
    def value(self) -> Repeat:
        """The same as the domain takes it."""
        return Repeat(critical=self.critical, error=self.error, warning=self.warning, info=self.info)


class InhibitionEntry(Strict):
    """One entry of `inhibitions`."""

    source_level: LevelName
    target_level: LevelName
    equal: Names
    source_rule: str | None = None

    @model_validator(mode="after")
    def _is_one(self) -> Self:
        try:
            _ = self.value
        except InputError as error:
            raise ValueError(str(error)) from None
        return self

    @property
    def value(self) -> Inhibition:
        """The same as the domain takes it."""
        return Inhibition(
            source_level=self.source_level,
            target_level=self.target_level,
            equal=self.equal,
            source_rule=self.source_rule,
        )


class Capital(Strict):
    """Amounts by quote currency."""

    executed: dict[Currency, Amount] = Field(default_factory=dict)
    paper: dict[Currency, Amount] = Field(default_factory=dict)


class AlertConfig(Strict):
    """Everything that can be chosen; `load_config` reads it."""

    language: Language
    stale_after: Length
    channels: ByLevel
    escalation: Escalation
    repeat: RepeatByLevel
    inhibitions: Annotated[
        tuple[InhibitionEntry, ...],
        BeforeValidator(lambda value: tuple(value) if isinstance(value, list) else value),
    ]
    capital: Capital
    budget: dict[Currency, Amount]
    rules: Rules

    @model_validator(mode="after")
    def _rules_exist(self) -> Self:
        wrong = {entry.source_rule for entry in self.inhibitions} - {None, *self.rules.named()}
        if wrong:
            raise ValueError(
                f"inhibitions name rules that do not exist: {', '.join(sorted(map(str, wrong)))}; "
                f"expected of {', '.join(self.rules.named())}"
            )
        return self

    @property
    def routing(self) -> Routing:
        """What the store of incidents decides by."""
        return Routing(
            channels=self.channels.named,
            repeat=self.repeat.value,
            inhibitions=tuple(entry.value for entry in self.inhibitions),
            stale_after=self.stale_after,
        )

    @property
    def escalation_channel(self) -> str | None:
        """Where a CRITICAL goes as well; None: nowhere."""
        return None if self.escalation.channel == "none" else self.escalation.channel

    @property
    def escalation_after(self) -> timedelta:
        """How long its own channel may take before that."""
        return self.escalation.after

    def rule(self, name: str) -> Rule:
        """Return a rule; raise InputError for a name that is none."""
        found = self.rules.named().get(name)
        if found is None:
            close = get_close_matches(name, self.rules.named(), n=1)
            meant = f"did you mean {close[0]}? " if close else ""
            raise InputError(f"rule {name!r} does not exist: {meant}known: {', '.join(self.rules.named())}")
        return found

    def applied(self, occurrence: Occurrence) -> Occurrence | None:
        """Return what was told by an event with the level that this deployment gave its rule.

        None where the rule is switched off, unless it says that something is over. A warning stays one; a
        rule without an entry is left as it was told.
        """
        rule = self.rules.named().get(occurrence.rule)
        if rule is None:
            return occurrence
        if not rule.enabled and not occurrence.resolves:
            return None
        if not isinstance(rule, EventRule) or occurrence.level < Level.ERROR:
            return occurrence
        return replace(occurrence, level=rule.level)


def load_config(path: Path | None = None, *, language: Language | None = None) -> AlertConfig:
    """Read a deployment's file over the shipped one; `language` wins over both.

    Raises ConfigError listing every mistake by name with what is allowed, and for a file that is not there,
    cannot be read or is no TOML.
    """
    values: dict[str, Any] = _shipped()
    if path is not None:
        values = _laid_over(values, _read(path))
    if language is not None:
        values = values | {"language": language}
    try:
        return AlertConfig.model_validate(values)
    except ValidationError as error:
        raise ConfigError(problems_of(error, AlertConfig), origin=str(path or SHIPPED)) from None


def shipped_text() -> str:
    """Return the shipped file, whose comments explain every key."""
    return resources.files("itb_assets").joinpath(SHIPPED).read_text("utf-8")


@lru_cache(maxsize=1)
def _shipped() -> dict[str, Any]:
    return tomllib.loads(shipped_text())


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(_text(path))
    except FileNotFoundError:
        problem = "there is no such file: make it, or unset ITB_ALERTS_FILE"
    except OSError as error:
        problem = f"cannot be read ({error.strerror})"
    except UnicodeDecodeError as error:
        problem = f"is not UTF-8 (byte {error.start}): save it as UTF-8"
    except RecursionError:
        problem = "is no TOML: brackets in brackets without end"
    except ValueError as error:  # also a number of more digits than Python reads
        problem = f"is no TOML: {error}"
    raise ConfigError([problem], origin=str(path))


def _text(path: Path) -> str:
    """Return what a file says, without the mark that some editors put in front."""
    with path.open("rb") as file:
        content = file.read(MAX_BYTES + 1)
    if len(content) > MAX_BYTES:
        wanted = "expected a file that says only what is different from the shipped one"
        raise ConfigError([f"is larger than {MAX_BYTES:,} bytes: {wanted}"], origin=str(path))
    return content.decode("utf-8-sig")


def _laid_over(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Return tables joined key by key; everything else of `above` takes the place of what was there."""
    joined = dict(below)
    for name, value in above.items():
        held = joined.get(name)
        both = isinstance(held, dict) and isinstance(value, dict)
        joined[name] = _laid_over(held, value) if both else value  # type: ignore[arg-type]
    return joined
