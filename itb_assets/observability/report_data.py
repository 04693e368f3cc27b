"""What a performance report is made of: plain values, filled in by whoever computed them.

Sentences about them belong to `report_words`, charts to `report_charts`, the page to `report`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import pandas as pd

from itb_assets.domain.markets import Market
from itb_assets.domain.samples import MeasurableSample
from itb_assets.domain.trading.rule import TradingRule
from itb_assets.errors import DataContractError

SAMPLES = ("out_of_sample", "live")


@dataclass(frozen=True)
class LuckTest:
    """A test of how likely chance alone brings a result as good; None where too little is there to test.

    `name` and `meaning` are for people, such as `signals shifted against prices`.
    """

    name: str
    p_value: float | None
    meaning: str = ""


@dataclass(frozen=True)
class ModelResult:
    """What one model's scores were worth out of sample; None where unknown.

    `precision` and `recall` are at `threshold`, the score from which a row is a signal. `trades`, `win_rate`
    (a share) and `total_pnl` (quote currency) are of the rule traded on this model's scores alone.
    """

    name: str
    auc: float | None = None
    auc_low: float | None = None
    auc_high: float | None = None
    positive_share: float | None = None
    threshold: float | None = None
    precision: float | None = None
    recall: float | None = None
    trades: int | None = None
    win_rate: float | None = None
    total_pnl: float | None = None
    p_value: float | None = None


@dataclass(frozen=True)
class ScoredWindow:
    """A walk-forward window: fitted on [train_start, train_end), scored on [score_start, score_end)."""

    train_start: pd.Timestamp
    train_end: pd.Timestamp
    train_rows: int
    score_start: pd.Timestamp
    score_end: pd.Timestamp


@dataclass(frozen=True)
class Measurement:
    """How scores were made that no model had seen the outcome of.

    `scheme` is `expanding` or `rolling`. `thresholds` maps what a threshold decides to how it was chosen, in
    words. `notes` are sentences of their own.
    """

    scheme: str
    purge_rows: int
    windows: tuple[ScoredWindow, ...] = ()
    thresholds: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class PerformanceReport:
    """What a strategy's closed positions earned in [start, end), on rows of one sample.

    Money is in `quote`, the quote currency; `return_pct` and `max_drawdown_pct` (a depth, 0 or more) are per
    cent of `capital` and of the highest worth; rates and `exposure` are shares of 1. None is unknown. The
    ratios are annualised, `turnover` counts both sides. `total_pnl` is after `fees`; `gross_pnl` before them,
    slippage already in its prices; `slippage` is what that is thought to have cost. `account` is `paper`, or
    names where the trades were executed.

    Frames: `equity` holds `timestamp`, `equity` and, where known, `drawdown` (a share, 0 or less) and
    `buy_and_hold`; `daily` holds `day`, `total_trades`, `win_rate`, `total_pnl`, `avg_pnl`, `max_win`,
    `max_loss`; `by_hour` holds `hour`, `trades`, `win_rate`. Each may be empty.

    Raises DataContractError for a sample that may not be measured, an empty period, no capital, or more wins
    than trades.
    """

    market: Market
    variant: str
    sample: MeasurableSample
    start: pd.Timestamp
    end: pd.Timestamp
    made_at: pd.Timestamp
    capital: float
    trades: int
    wins: int
    total_pnl: float
    quote: str = ""
    account: str = "paper"
    open_trades: int = 0
    return_pct: float | None = None
    win_rate_low: float | None = None
    win_rate_high: float | None = None
    average_win: float | None = None
    average_loss: float | None = None
    profit_factor: float | None = None
    expectancy: float | None = None
    sharpe: float | None = None
    sortino: float | None = None
    max_drawdown_pct: float | None = None
    turnover: float | None = None
    exposure: float | None = None
    gross_pnl: float | None = None
    fees: float | None = None
    slippage: float | None = None
    luck: tuple[LuckTest, ...] = ()
    rule: TradingRule | None = None
    models: tuple[ModelResult, ...] = ()
    measurement: Measurement | None = None
    fingerprint: Mapping[str, str] = field(default_factory=dict)
    equity: pd.DataFrame = field(default_factory=lambda: pd.DataFrame(columns=["timestamp", "equity"]))
    daily: pd.DataFrame = field(default_factory=lambda: pd.DataFrame(columns=["day", "total_pnl"]))
    by_hour: pd.DataFrame = field(
        default_factory=lambda: pd.DataFrame(columns=["hour", "trades", "win_rate"])
    )

    def __post_init__(self) -> None:
        """Refuse what no honest report can be made of."""
        problems = []
        if self.sample not in SAMPLES:
            problems.append(f"sample {self.sample!r}: expected one of {', '.join(SAMPLES)}")
        if not self.start < self.end:
            problems.append(f"period {self.start} to {self.end}: expected an end after the start")
        if not 0 <= self.wins <= self.trades:
            problems.append(f"{self.wins} wins of {self.trades} trades: expected no more wins than trades")
        if not self.capital > 0:
            problems.append(f"capital {self.capital}: expected an amount above 0")
        if problems:
            raise DataContractError("no report of this: " + "; ".join(problems))

    @property
    def win_rate(self) -> float | None:
        """Share of the closed trades that was won."""
        return self.wins / self.trades if self.trades else None

    @property
    def break_even_win_rate(self) -> float | None:
        """Share of trades that has to be won for wins and losses of their average size to cancel."""
        if self.average_win is None or self.average_loss is None:
            return None
        spread = self.average_win - self.average_loss
        return -self.average_loss / spread if spread > 0 else None

    @property
    def held_pct(self) -> float | None:
        """What holding would have brought instead, in per cent."""
        if "buy_and_hold" not in self.equity:
            return None
        held = self.equity["buy_and_hold"].dropna().to_numpy(dtype="float64")
        return float(held[-1] / held[0] - 1) * 100 if len(held) > 1 and held[0] > 0 else None

    @property
    def p_value(self) -> float | None:
        """The least flattering of the luck tests' results."""
        known = [test.p_value for test in self.luck if test.p_value is not None]
        return max(known, default=None)
