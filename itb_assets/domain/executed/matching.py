"""Executed fills matched first in, first out into positions, with what each earned after fees.

One position is what one order opened: its fills in one, closed by whatever came later. What a fill is
belongs to `fills`, what a position reports to `positions`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal, localcontext

from itb_assets.domain.executed.fills import EXACT, Fill, FillSource, PositionSide, Side
from itb_assets.domain.executed.lots import Lot, Rate, plain
from itb_assets.domain.executed.positions import ExecutedTrade, Position

MATCHING_VERSION = 1
"""Rises whenever the same fills would give other positions."""

_NOTHING: Mapping[str, Decimal] = {}


@dataclass(frozen=True, slots=True)
class UnmatchedFill:
    """The part of a fill that belongs to no position, and why."""

    fill: Fill
    quantity: Decimal
    reason: str


@dataclass(frozen=True, slots=True)
class MatchedFills:
    """Positions in the order they were opened, and what is left over."""

    trades: tuple[ExecutedTrade, ...]
    unmatched: tuple[UnmatchedFill, ...]

    @property
    def other_fees(self) -> dict[str, Decimal]:
        """Fees that were not converted, in total by asset."""
        total: dict[str, Decimal] = {}
        with localcontext(EXACT):
            for trade in self.trades:
                for asset, amount in trade.other_fees:
                    total[asset] = total.get(asset, Decimal(0)) + amount
        return total


def match_fills(
    fills: Iterable[Fill], *, rate: Rate | None = None, contract_sizes: Mapping[str, Decimal] = _NOTHING
) -> MatchedFills:
    """Match fills per (source, account, symbol, position side), the oldest lot first; exact in the sums.

    On the spot market and on a long or short position, what closes more than is known to be open is
    unmatched: it was bought or brought in before the history begins. On a net position it opens the other
    side. A spot fee in base currency makes the lot smaller by as much; a fee in a third asset counts where
    `rate` knows its value in quote currency. MT5 counts in lots, so its symbols need their `contract_sizes`.

    >>> from datetime import UTC, datetime
    >>> def fill(trade_id, side, price):
    ...     return Fill(source=FillSource.BINANCE_SPOT, account="main", trade_id=trade_id, symbol="BTCUSDT",
    ...         time=datetime(2024, 9, int(trade_id), tzinfo=UTC), side=side, quantity=Decimal("0.5"),
    ...         price=Decimal(price), fee=Decimal(1), fee_asset="USDT")
    >>> [trade] = match_fills([fill("1", Side.BUY, 60_000), fill("2", Side.SELL, 60_100)]).trades
    >>> trade.status, trade.gross_pnl, trade.fees, trade.pnl
    ('CLOSED', Decimal('50'), Decimal('2'), Decimal('48'))
    """
    lanes: dict[tuple[object, ...], _Lane] = {}
    with localcontext(EXACT):
        for fill in sorted(fills, key=_when):
            size = contract_sizes.get(fill.symbol) if fill.source is FillSource.MT5 else Decimal(1)
            lane = lanes.setdefault(_lane_of(fill), _Lane(_opening_side(fill)))
            if size is None:
                reason = "its quantity is in lots: give the contract size of the symbol"
                lane.unmatched.append(UnmatchedFill(fill, fill.quantity, reason))
            else:
                lane.take(Lot.of(fill, size, rate))
        trades = [trade for lane in lanes.values() for trade in lane.trades()]
    trades.sort(key=lambda trade: (trade.time, trade.source, trade.account, trade.symbol, trade.trade_id))
    return MatchedFills(tuple(trades), tuple(left for lane in lanes.values() for left in lane.unmatched))


def _when(fill: Fill) -> tuple[object, ...]:
    """Order by time, then by the exchange's number; an export without numbers opens before it closes."""
    number = int(fill.trade_id) if fill.trade_id.isascii() and fill.trade_id.isdigit() else 0
    closes = fill.side is (Side.BUY if fill.position_side is PositionSide.SHORT else Side.SELL)
    return fill.time, number, closes, fill.trade_id


def _lane_of(fill: Fill) -> tuple[object, ...]:
    """Name what is matched with each other; MT5 says itself which position a deal belongs to."""
    position = fill.position_id if fill.source is FillSource.MT5 else None
    side = fill.position_side if fill.position_side is not PositionSide.BOTH else None
    return fill.source, fill.account, fill.symbol, side, position


def _opening_side(fill: Fill) -> Side | None:
    """Return the only side that opens, or None where either does."""
    if fill.position_side is PositionSide.SHORT:
        return Side.SELL
    if fill.position_side is PositionSide.LONG or fill.source is FillSource.BINANCE_SPOT:
        return Side.BUY
    return None


class _Lane:
    """Fills that are matched with each other: the open lots, the oldest first, and all positions."""

    def __init__(self, opens: Side | None) -> None:
        self._opens = opens
        self._lots: deque[tuple[Lot, Position]] = deque()
        self._positions: dict[object, Position] = {}
        self.unmatched: list[UnmatchedFill] = []

    def take(self, piece: Lot) -> None:
        """Close what the fill closes and open what is left of it."""
        while piece.left and self._lots and self._lots[0][0].sign != piece.sign:
            lot, position = self._lots[0]
            quantity = min(lot.left, piece.left)
            position.close(lot.split(quantity), piece.split(quantity), piece.fill.time)
            if not lot.left:
                self._lots.popleft()
        if not piece.left:
            return
        if self._opens is not None and piece.fill.side is not self._opens:
            reason = "it closes more than is known to be open: the history begins later than the position"
            self.unmatched.append(UnmatchedFill(piece.fill, plain(piece.left), reason))
            return
        order = piece.fill.order_id
        name = ("fill", piece.fill.trade_id) if order is None else ("order", order, piece.sign)
        position = self._positions.setdefault(name, Position(piece.fill))
        position.lots.append(piece)
        self._lots.append((piece, position))

    def trades(self) -> Iterable[ExecutedTrade]:
        """Yield every position's trades."""
        for position in self._positions.values():
            yield from position.trades()
