"""The rule by which positions are opened and ended, with every value known; its fingerprint.

Filling in what a strategy leaves open belongs to `resolve`; applying the rule to prices belongs to `paper`.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

from itb_assets.errors import ConfigError

ORIGIN = "paper_trading"
Direction = Literal["long", "short", "both"]

EXECUTION = "next open; stop before target; target beyond its price"
"""Names the way positions are filled, so that results made in another way are never taken for these."""

_WHOLE_PCT = 100.0


@dataclass(frozen=True)
class TradingRule:
    """How signals become positions, and how each ends.

    `buy` and `sell` name boolean columns of the signals, `score` a float one or None; a side that is not
    traded needs its column only for `exit_on_opposite`. `take_profit_pct` and `stop_loss_pct` are distances
    from the entry price, `time_limit_rows` counts rows of the grid. `fee_pct` and `slippage_pct` are charged
    on each side, `notional` is a position's size in quote currency at its entry.

    Raises ConfigError listing every value that makes no rule.
    """

    direction: Direction
    buy: str | None
    sell: str | None
    score: str | None
    take_profit_pct: float
    stop_loss_pct: float
    time_limit_rows: int
    fee_pct: float = 0.0
    slippage_pct: float = 0.0
    notional: float = 1000.0
    max_positions: int = 1
    exit_on_opposite: bool = False

    def __post_init__(self) -> None:
        """Refuse values that make no rule."""
        if problems := [*self._column_problems(), *self._value_problems()]:
            raise ConfigError(problems, origin=ORIGIN)

    @property
    def trades_long(self) -> bool:
        """Whether buy signals open positions."""
        return self.direction != "short"

    @property
    def trades_short(self) -> bool:
        """Whether sell signals open positions."""
        return self.direction != "long"

    @property
    def capital(self) -> float:
        """What all positions that may be held at a time take together, in quote currency."""
        return self.notional * self.max_positions

    @property
    def lookback_rows(self) -> int:
        """Rows before a kline that decide what is held there, where no gap lengthens a position."""
        return self.time_limit_rows + 1

    @property
    def definition(self) -> dict[str, Any]:
        """Give all that decides the trades, as JSON values; equal definitions, equal trades."""
        return {"execution": EXECUTION, **asdict(self)}

    @property
    def digest(self) -> str:
        """Fingerprint of the definition, as sha256 in hex."""
        text = json.dumps(self.definition, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()

    def _column_problems(self) -> Iterable[str]:
        if self.direction not in get_args(Direction):
            yield f"direction must be one of {', '.join(get_args(Direction))}, found {self.direction!r}"
        for key, needed in (("buy", self.trades_long), ("sell", self.trades_short)):
            if getattr(self, key) is None and (needed or self.exit_on_opposite):
                yield f"{key} names no column of the signals: set {key}"
        if self.buy is not None and self.buy == self.sell:
            yield f"buy and sell both name {self.buy!r}: name two columns"

    def _value_problems(self) -> Iterable[str]:
        for key in ("take_profit_pct", "stop_loss_pct", "notional"):
            value = getattr(self, key)
            if not (math.isfinite(value) and value > 0):
                yield f"{key} must be a number above 0, found {value}"
        if self.trades_short and self.take_profit_pct >= _WHOLE_PCT:
            yield f"take_profit_pct must be below 100 for short positions, found {self.take_profit_pct}"
        if self.trades_long and self.stop_loss_pct > _WHOLE_PCT:
            yield f"stop_loss_pct must be at most 100 for long positions, found {self.stop_loss_pct}"
        for key in ("fee_pct", "slippage_pct"):
            value = getattr(self, key)
            if not 0 <= value < _WHOLE_PCT:
                yield f"{key} must be a percentage from 0 to below 100, found {value}"
        for key in ("time_limit_rows", "max_positions"):
            value = getattr(self, key)
            if type(value) is not int or value < 1:
                yield f"{key} must be a whole number from 1 on, found {value!r}"
