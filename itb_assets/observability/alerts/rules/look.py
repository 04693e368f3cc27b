"""One look at the rules: the connection, the configuration, the time, and what was wrong before.

What each rule reads belongs to the modules beside this one; when a rule is due to `evaluate`.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa

from itb_assets.domain.alerts import Level
from itb_assets.domain.alerts.evaluation import Evaluation, State
from itb_assets.domain.alerts.occurrence import fingerprint_of, kept_labels
from itb_assets.domain.markets import FREQ_MS, Market
from itb_assets.errors import InvalidMarket
from itb_assets.observability.alerts.config import AlertConfig
from itb_assets.observability.alerts.config_rules import Measure, ReportRule
from itb_assets.observability.alerts.restored import Restored
from itb_assets.observability.alerts.rules.words import said

_MARKETS = "SELECT symbol, freq FROM manifests WHERE asset = 'raw/klines' ORDER BY symbol, freq"


@dataclass(frozen=True, kw_only=True)
class Look:
    """What a rule is given. `open` are the fingerprints of what was wrong at the look before.

    `followed` narrows rules over markets to those that a deployment follows; None: every stored one.
    `restored` is when a backup was put back: a heartbeat before it says nothing of who lives. `watched_since`
    is when rules were computed again after a time in which they could not be, nor heartbeats be written.
    """

    connection: sa.Connection
    config: AlertConfig
    now: datetime
    open: Collection[str] = field(default_factory=frozenset)
    followed: Collection[Market] | None = None
    restored: Restored | None = None
    watched_since: datetime | None = None

    def rows(self, statement: str, **values: Any) -> list[Mapping[str, Any]]:  # noqa: ANN401 - of any column
        """Return the rows of one statement, which only reads."""
        return [*self.connection.execute(sa.text(statement), values).mappings()]

    def say(self, key: str, **figures: object) -> str:
        """Return a line in the language of the messages."""
        return said(self.config.language, key, figures)

    def moment(self, at: datetime | None) -> str:
        """Write a time to the minute, in UTC whatever the zone of the database's session is."""
        return "?" if at is None else f"{at.astimezone(UTC):%Y-%m-%d %H:%M} UTC"

    def markets(self) -> Iterator[Market]:
        """Yield every market that has klines in the database and is followed."""
        for row in self.rows(_MARKETS):
            if row["freq"] in FREQ_MS:
                market = _market(row["symbol"], row["freq"])
                if market is not None and (self.followed is None or market in self.followed):
                    yield market

    def found(
        self,
        rule: str,
        state: State,
        *,
        labels: Mapping[str, str] | None = None,
        value: float | None = None,
        threshold: float | None = None,
        level: Level | None = None,
        detail: str = "",
        chart: bytes | None = None,
    ) -> Evaluation:
        """Return an evaluation with the level and the title of its rule; labels say of what it is."""
        labels, settings = labels or {}, self.config.rule(rule)
        return Evaluation(
            rule=rule,
            level=settings.level if level is None else level,
            state=state,
            labels=labels,
            value=value,
            threshold=threshold,
            title="" if isinstance(settings, ReportRule) else self.say(f"title {rule}"),
            detail=detail,
            chart=chart,
        )

    def lacks(self, rule: str, key: str, **figures: object) -> Evaluation:
        """Return the evaluation of a rule that nothing feeds, saying what would."""
        return self.found(rule, "no_data", detail=self.say(key, **figures))

    def measured(
        self,
        rule: str,
        value: float,
        *,
        labels: Mapping[str, str] | None = None,
        compared: float | None = None,
        detail: str = "",
    ) -> Evaluation:
        """Return the evaluation of a value, which stays wrong until it has come back far enough.

        `compared` is what is held against the threshold where that is not the value shown. What is no number
        is "insufficient", never "ok".
        """
        settings = self.config.rule(rule)
        assert isinstance(settings, Measure)  # noqa: S101 - the configuration's own type
        if math.isnan(value if compared is None else compared):
            return self.found(rule, "insufficient", labels=labels, detail=self.say("no figure"))
        was_open = fingerprint_of(rule, kept_labels(labels or {})) in self.open
        fires = settings.bound.fires(value if compared is None else compared, firing=was_open)
        return self.found(
            rule,
            "firing" if fires else "ok",
            labels=labels,
            value=value,
            threshold=settings.threshold,
            detail=detail,
        )


def _market(symbol: str, freq: str) -> Market | None:
    try:
        return Market(symbol, freq)
    except InvalidMarket:
        return None
