"""Paper trading once more, slow and plain: one kline after the other, one position after the other.

It shares no code with the package but the columns of its result; the package must give the same to the bit.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import pandas as pd

from itb_assets.domain.trading.rule import TradingRule
from itb_assets.domain.trading.trades import TRADE_DTYPES


@dataclass
class Position:
    entry_row: int
    signal: object
    sign: float
    price: float
    target: float
    stop: float
    leave_at: int | None = None
    exit_row: int | None = None
    exit_price: float = math.nan
    reason: str | None = None


def reference_trades(signals: pd.DataFrame, data: pd.DataFrame, rule: TradingRule) -> pd.DataFrame:
    """Return the trades frame."""
    by_time = {signal.timestamp: signal for signal in signals.itertuples()}
    slippage = rule.slippage_pct / 100.0
    positions: list[Position] = []
    pending = None
    for row, kline in enumerate(data.itertuples()):
        held = [position for position in positions if position.exit_row is None]
        if math.isnan(kline.open):
            pending = None
            continue
        for position in held:
            leave(position, row, kline, rule, slippage)
        held = [position for position in held if position.exit_row is None]
        if pending is not None and len(held) < rule.max_positions:
            side, signal = pending
            price = kline.open * (1.0 + side * slippage)
            target = price * (1.0 + side * (rule.take_profit_pct / 100.0))
            stop = price * (1.0 - side * (rule.stop_loss_pct / 100.0))
            opened = Position(row, signal, side, price, target, stop)
            positions.append(opened)
            held.append(opened)
        for position in held:
            watch(position, row, kline, slippage)
        pending = None
        signal = by_time.get(kline.timestamp)
        if signal is not None and signal.buy != signal.sell:
            pending = hear(signal, held, row, rule)
    return frame_of(positions, data, rule)


def hear(signal, held: list[Position], row: int, rule: TradingRule) -> tuple[float, object] | None:
    """Mark the positions that leave at the next open; return what may be entered there."""
    side = 1.0 if signal.buy else -1.0
    for position in held if rule.exit_on_opposite else ():
        if position.exit_row is None and position.sign != side and position.leave_at is None:
            position.leave_at = row + 1
    traded = rule.direction == "both" or (rule.direction == "long") == signal.buy
    return (side, signal) if traded else None


def leave(position: Position, row: int, kline, rule: TradingRule, slippage: float) -> None:
    """Close at this open what is due by time or by an opposite signal; what was due first is the reason."""
    by_time = position.entry_row + rule.time_limit_rows
    if position.leave_at is not None and position.leave_at < by_time:
        due, reason = position.leave_at, "opposite_signal"
    else:
        due, reason = by_time, "time_limit"
    if row >= due:
        close(position, row, kline.open * (1.0 - position.sign * slippage), reason)


def watch(position: Position, row: int, kline, slippage: float) -> None:
    """Close within this kline what touches its stop, or else goes beyond its target."""
    if position.sign > 0:
        stopped, reached = kline.low <= position.stop, kline.high > position.target
        at_stop = min(kline.open, position.stop)
    else:
        stopped, reached = kline.high >= position.stop, kline.low < position.target
        at_stop = max(kline.open, position.stop)
    if stopped:
        close(position, row, at_stop * (1.0 - position.sign * slippage), "stop_loss")
    elif reached:
        close(position, row, position.target, "take_profit")


def close(position: Position, row: int, price: float, reason: str) -> None:
    position.exit_row, position.exit_price, position.reason = row, price, reason


def frame_of(positions: list[Position], data: pd.DataFrame, rule: TradingRule) -> pd.DataFrame:
    fee = rule.fee_pct / 100.0
    rows = []
    for position in positions:
        time = data["timestamp"].iloc[position.entry_row]
        quantity = rule.notional / position.price
        closed = position.exit_row is not None
        gross = position.sign * quantity * (position.exit_price - position.price)
        fees = fee * rule.notional + (fee * (quantity * position.exit_price) if closed else 0.0)
        exit_ms = math.nan
        if closed:
            exit_ms = data["timestamp"].iloc[position.exit_row].timestamp() * 1000
        rows.append(
            {
                "timestamp": time,
                "trade_id": time.strftime("%Y%m%dT%H%M%SZ"),
                "side": "BUY" if position.sign > 0 else "SELL",
                "status": "CLOSED" if closed else "OPEN",
                "entry_price": position.price,
                "quantity": quantity,
                "take_profit": position.target,
                "stop_loss": position.stop,
                "signal_strength": position.signal.score,
                "exit_time_ms": exit_ms,
                "exit_price": position.exit_price,
                "exit_reason": position.reason,
                "fees": fees,
                "gross_pnl": gross,
                "pnl": gross - fees,
                "return_pct": (gross - fees) / rule.notional * 100.0,
                "sample": position.signal.sample,
            }
        )
    return pd.DataFrame(rows, columns=list(TRADE_DTYPES)).astype(dict(TRADE_DTYPES))
