"""What is left to match of a fill, its fees in quote currency, and sums of what was taken out of it.

Which fill closes which belongs to `matching`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from decimal import ROUND_HALF_EVEN, Decimal

from itb_assets.domain.executed.fills import MAX_DECIMALS, Fill, FillSource, Side, plain_text, split_symbol

Rate = Callable[[str, str, datetime], Decimal | None]
"""What one unit of an asset was worth in another at a time, or None where that is not known."""

_ROUNDED = Decimal("1E-18")


@dataclass(slots=True)
class Lot:
    """What is left to match of a fill, in base currency."""

    fill: Fill
    sign: int
    whole: Decimal
    left: Decimal
    fee: Decimal
    other: tuple[tuple[str, Decimal], ...]

    @classmethod
    def of(cls, fill: Fill, size: Decimal, rate: Rate | None) -> Lot:
        """Value a fill's fee and take a spot fee in base currency from its quantity."""
        change = fill.quantity * size if fill.side is Side.BUY else -fill.quantity * size
        # MT5 books a commission as the change of the balance: what was paid is negative
        fee = -fill.fee if fill.source is FillSource.MT5 else fill.fee
        if fill.source is FillSource.BINANCE_SPOT and fill.pays_fee_in_base:
            change -= fee
        value = _in_quote(fill, fee, rate)
        other = ((fill.fee_asset, fee),) if value is None else ()
        sign = 1 if fill.side is Side.BUY else -1
        return cls(fill, sign, abs(change), abs(change), value or Decimal(0), other)

    def split(self, quantity: Decimal) -> Part:
        """Take a quantity out, with its share of the fees; all shares together are the whole fee."""
        before, after = self.whole - self.left, self.whole - self.left + quantity
        self.left -= quantity
        fee = _up_to(self.fee, after, self.whole) - _up_to(self.fee, before, self.whole)
        other = tuple(
            (asset, _up_to(amount, after, self.whole) - _up_to(amount, before, self.whole))
            for asset, amount in self.other
        )
        return Part(quantity, quantity * self.fill.price, fee, other)


@dataclass(frozen=True, slots=True)
class Part:
    """A quantity out of a fill, its value and its fees."""

    quantity: Decimal
    value: Decimal
    fee: Decimal
    other: tuple[tuple[str, Decimal], ...]


@dataclass(slots=True)
class Sum:
    """Parts added up."""

    quantity: Decimal = Decimal(0)
    value: Decimal = Decimal(0)
    fee: Decimal = Decimal(0)
    other: dict[str, Decimal] = field(default_factory=dict)

    def add(self, part: Part) -> None:
        """Add one part."""
        self.quantity += part.quantity
        self.value += part.value
        self.fee += part.fee
        for asset, amount in part.other:
            self.other[asset] = self.other.get(asset, Decimal(0)) + amount

    @property
    def other_fees(self) -> tuple[tuple[str, Decimal], ...]:
        """Fees that were not converted, by asset."""
        return tuple((asset, plain(amount)) for asset, amount in sorted(self.other.items()) if amount)


def _in_quote(fill: Fill, fee: Decimal, rate: Rate | None) -> Decimal | None:
    """Return the fee in quote currency, or None where nobody knows what it was worth."""
    if not fee or fill.pays_fee_in_quote:
        return fee
    if fill.pays_fee_in_base:
        return fee * fill.price
    pair = split_symbol(fill.symbol)
    worth = rate(fill.fee_asset, pair[1], fill.time) if rate and pair else None
    return None if worth is None else fee * worth


def _up_to(total: Decimal, part: Decimal, whole: Decimal) -> Decimal:
    """Return the share of a fee that falls on the first `part` of a quantity; all of it on the whole."""
    if not total or not part:
        return Decimal(0)
    return total if part == whole else (total * part / whole).quantize(_ROUNDED, ROUND_HALF_EVEN)


def ratio(value: Decimal, quantity: Decimal) -> Decimal:
    """Divide: exactly where the result is short, else to 18 decimals."""
    exact = (value / quantity).normalize()
    exponent = exact.as_tuple().exponent
    is_short = isinstance(exponent, int) and exponent >= -MAX_DECIMALS
    return plain(exact if is_short else exact.quantize(_ROUNDED, ROUND_HALF_EVEN))


def plain(value: Decimal) -> Decimal:
    """Return the same number without trailing zeros or exponent."""
    return Decimal(plain_text(value))
