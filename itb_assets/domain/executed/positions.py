"""One executed position: what an order opened, its closed part and its open rest.

Which fill closes which belongs to `matching`, the share of a fill in it to `lots`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import Decimal
from typing import Literal

from itb_assets.domain.executed.fills import Fill, Side
from itb_assets.domain.executed.lots import Lot, Part, Sum, plain, ratio


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecutedTrade:
    """A position that executed fills opened, and what its closed part earned.

    An order that is closed in part gives two: the CLOSED part and the OPEN rest. Prices are averages over
    its fills; `fees`, `gross_pnl` and `pnl` are in quote currency and leave out `other_fees`, the fees in
    assets that no rate was known for. Of an OPEN one, fees are those of the entry.
    """

    source: str
    account: str
    symbol: str
    trade_id: str
    side: Literal["BUY", "SELL"]
    status: Literal["OPEN", "CLOSED"]
    time: datetime
    price: Decimal
    quantity: Decimal
    fees: Decimal
    other_fees: tuple[tuple[str, Decimal], ...] = ()
    exit_time: datetime | None = None
    exit_price: Decimal | None = None
    gross_pnl: Decimal | None = None
    pnl: Decimal | None = None
    return_pct: Decimal | None = None
    take_profit: Decimal | None = None
    stop_loss: Decimal | None = None
    model_name: str | None = None


@dataclass(slots=True)
class Position:
    """What one order opened: the entries and exits of its closed part, and the entries of the rest."""

    first: Fill
    lots: list[Lot] = field(default_factory=list)
    entered: Sum = field(default_factory=Sum)
    left: Sum = field(default_factory=Sum)
    closed_at: datetime | None = None

    def close(self, entry: Part, leaving: Part, time: datetime) -> None:
        """Close a part of it."""
        self.entered.add(entry)
        self.left.add(leaving)
        self.closed_at = time

    def trades(self) -> Iterable[ExecutedTrade]:
        """Yield the closed part and the open rest, where there is one; the fills are then used up."""
        trade_id = self.first.trade_id
        if self.entered.quantity:
            yield self._closed(trade_id)
            trade_id += "/rest"
        rest = Sum()
        for lot in self.lots:
            if lot.left:
                rest.add(lot.split(lot.left))
        if rest.quantity:
            yield self._open(trade_id, rest)

    def _open(self, trade_id: str, entry: Sum) -> ExecutedTrade:
        first = self.first
        return ExecutedTrade(
            source=first.source.value,
            account=first.account,
            symbol=first.symbol,
            trade_id=trade_id,
            side="BUY" if first.side is Side.BUY else "SELL",
            status="OPEN",
            time=first.time,
            price=ratio(entry.value, entry.quantity),
            quantity=plain(entry.quantity),
            fees=plain(entry.fee),
            other_fees=entry.other_fees,
            take_profit=first.take_profit,
            stop_loss=first.stop_loss,
            model_name=first.strategy_id or first.model_version,
        )

    def _closed(self, trade_id: str) -> ExecutedTrade:
        entered, left = self.entered, self.left
        gross = left.value - entered.value if self.first.side is Side.BUY else entered.value - left.value
        fees = Sum(fee=entered.fee + left.fee, other=dict(entered.other))
        fees.add(Part(Decimal(0), Decimal(0), Decimal(0), tuple(left.other.items())))
        return replace(
            self._open(trade_id, entered),
            status="CLOSED",
            fees=plain(fees.fee),
            other_fees=fees.other_fees,
            exit_time=self.closed_at,
            exit_price=ratio(left.value, left.quantity),
            gross_pnl=plain(gross),
            pnl=plain(gross - fees.fee),
            return_pct=ratio(100 * (gross - fees.fee), entered.value),
        )
