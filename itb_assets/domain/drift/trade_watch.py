"""The watch over a variant's trades: what was counted, what is not settled yet, and how it goes on.

When the win rate alarms belongs to `win_rate`; reading and storing belong to the callers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from itb_assets.domain.drift.rows import Outcomes
from itb_assets.domain.drift.win_rate import WinRateReference, WinRateState, watch
from itb_assets.errors import DataContractError


@dataclass(frozen=True)
class TradeWatch:
    """The evidence of all trades counted, and which those are as far as it may still matter.

    Every trade entered before `unsettled_from` has ended and is counted. `counted` tells of the others that
    are: by id, whether each won. `last_exit_ms` is when the newest one counted ended.
    """

    state: WinRateState
    unsettled_from: pd.Timestamp | None = None
    counted: Mapping[str, bool] = field(default_factory=dict)
    last_exit_ms: float | None = None

    def as_dict(self) -> dict[str, Any]:
        """Return plain data that `from_dict` reads back."""
        return {
            "state": self.state.as_dict(),
            "unsettled_from": None if self.unsettled_from is None else self.unsettled_from.isoformat(),
            "counted": dict(self.counted),
            "last_exit_ms": self.last_exit_ms,
        }

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> TradeWatch:
        """Read what `as_dict` gave; raise DataContractError for anything else."""
        try:
            since, last = stored["unsettled_from"], stored["last_exit_ms"]
            return cls(
                state=WinRateState.from_dict(stored["state"]),
                unsettled_from=None if since is None else pd.Timestamp(since),
                counted={str(trade): bool(won) for trade, won in stored["counted"].items()},
                last_exit_ms=None if last is None else float(last),
            )
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise DataContractError(
                f"not a stored watch over trades ({error!r}): start a new one from all trades"
            ) from error


def begin_watch(trades: pd.DataFrame) -> TradeWatch:
    """Hold all live trades of a trades frame against its out-of-sample ones."""
    reference = WinRateReference.of(_outcomes(trades, "out_of_sample"))
    return _moved_on(watch(WinRateState(reference), _outcomes(trades, "live")), trades, last_exit_ms=None)


def go_on(before: TradeWatch, trades: pd.DataFrame) -> TradeWatch | None:
    """Count what has ended since; `trades` are those entered from `unsettled_from` on.

    None where it has to begin again with all trades: one that was counted is not what it was, one ended
    before those counted, or the reference itself has got another trade.
    """
    closed = trades[trades["status"] == "CLOSED"]
    won = dict(zip(closed["trade_id"], closed["pnl"] > 0, strict=True))
    fresh = closed[~closed["trade_id"].isin(list(before.counted))]
    same = all(won.get(trade) == outcome for trade, outcome in before.counted.items())
    early = before.last_exit_ms is not None and bool((fresh["exit_time_ms"] <= before.last_exit_ms).any())
    if before.unsettled_from is None or not same or early or (fresh["sample"] != "live").any():
        return None
    state = watch(before.state, Outcomes.of(fresh))
    return _moved_on(state, trades, last_exit_ms=before.last_exit_ms)


def _outcomes(trades: pd.DataFrame, sample: str) -> Outcomes:
    return Outcomes.of(trades[trades["sample"] == sample])


def _moved_on(state: WinRateState, trades: pd.DataFrame, *, last_exit_ms: float | None) -> TradeWatch:
    """Note up to where everything is settled: the oldest open trade, or else the newest one."""
    if trades.empty:
        return TradeWatch(state, last_exit_ms=last_exit_ms)
    closed = trades["status"] == "CLOSED"
    still_open = trades.loc[~closed, "timestamp"]
    since = trades["timestamp"].iloc[-1] if still_open.empty else still_open.iloc[0]
    kept = trades[closed & (trades["timestamp"] >= since)]
    ends = [*trades.loc[closed, "exit_time_ms"], *([] if last_exit_ms is None else [last_exit_ms])]
    return TradeWatch(
        state,
        unsettled_from=since,
        counted={str(trade): bool(pnl > 0) for trade, pnl in zip(kept["trade_id"], kept["pnl"], strict=True)},
        last_exit_ms=float(max(ends)) if ends else None,
    )
