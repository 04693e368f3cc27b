"""Executed fills: one part of an order that an exchange filled, in exact decimals, valid by construction.

How files spell them belongs to `sources.trades`, which positions they make to `fill_matching`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Context, Decimal
from enum import StrEnum

from itb_assets.domain.markets import parse_symbol
from itb_assets.errors import DataContractError, InvalidMarket

MAX_DECIMALS = 30
"""Digits after the point that are kept: more than any asset divides into, enough for a double of 1e-13."""

MAX_INTEGER_DIGITS = 18
MAX_TEXT = 200
EXACT = Context(prec=200)
"""Wide enough for every product and sum of fills to be exact."""

_FIRST, _LAST = datetime(2000, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC)
_ASSET = re.compile(r"[A-Za-z0-9_.-]{0,20}")

# Assets that others are priced in, on Binance and on forex accounts. A symbol is one word, so what it is
# priced in is known by its longest ending among these.
_QUOTES = tuple(
    sorted(
        (
            *("USDT", "USDC", "FDUSD", "TUSD", "BUSD", "USDP", "USDS", "USD1", "DAI", "PAX", "VAI", "USD"),
            *("BTC", "ETH", "BNB", "TRX", "XRP", "DOGE", "DOT", "SOL"),
            *("EUR", "AEUR", "EURI", "GBP", "JPY", "CHF", "AUD", "CAD", "NZD", "TRY", "BRL", "RUB", "UAH"),
            *("ZAR", "PLN", "RON", "ARS", "MXN", "CZK", "COP", "NGN", "IDRT", "BIDR", "BVND", "SEK", "NOK"),
        ),
        key=len,
        reverse=True,
    )
)


class FillSource(StrEnum):
    """Where a fill was executed."""

    BINANCE_SPOT = "binance_spot"
    BINANCE_FUTURES = "binance_futures"
    BINANCE_TESTNET = "binance_testnet"
    MT5 = "mt5"
    SIMULATION = "simulation"


class Side(StrEnum):
    """What the order did."""

    BUY = "buy"
    SELL = "sell"


class PositionSide(StrEnum):
    """Which position of a futures account it belongs to; `both` is the one net position."""

    LONG = "long"
    SHORT = "short"
    BOTH = "both"


@dataclass(frozen=True, order=True, slots=True)
class FillKey:
    """What tells a fill from all others. Binance numbers the trades of each symbol on their own."""

    source: str
    account: str
    symbol: str
    trade_id: str

    def __str__(self) -> str:
        """Name the fill as people read it."""
        return f"{self.source} {self.account} {self.symbol} trade {self.trade_id}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Fill:
    """One executed fill; quantity in base currency, price in quote currency, fee in `fee_asset`.

    A negative fee is a rebate. `raw_data` is a JSON object: what the source said beyond these fields. Raises
    DataContractError naming everything that is wrong.
    """

    source: FillSource
    account: str
    trade_id: str
    time: datetime
    symbol: str
    side: Side
    quantity: Decimal
    price: Decimal
    position_side: PositionSide | None = None
    fee: Decimal = Decimal(0)
    fee_asset: str = ""
    order_id: str | None = None
    position_id: str | None = None
    strategy_id: str | None = None
    signal_version: str | None = None
    model_version: str | None = None
    config_hash: str | None = None
    git_sha: str | None = None
    leverage: int | None = None
    stop_loss: Decimal | None = None
    take_profit: Decimal | None = None
    realized_pnl: Decimal | None = None
    unrealized_pnl: Decimal | None = None
    raw_data: str = "{}"

    def __post_init__(self) -> None:
        """Refuse what is no fill."""
        problems = [*_name_problems(self), *_number_problems(self)]
        if problems:
            raise DataContractError("; ".join(problems))

    @property
    def key(self) -> FillKey:
        """What makes importing it twice the same as once."""
        return FillKey(self.source.value, self.account, self.symbol, self.trade_id)

    @property
    def composite_key(self) -> str:
        """The old bot's text of (source, account, trade id)."""
        return f"{self.source.value}:{self.account}:{self.trade_id}"

    @property
    def pays_fee_in_base(self) -> bool:
        """Whether the fee was taken out of the asset that is traded."""
        pair = split_symbol(self.symbol)
        return bool(self.fee) and pair is not None and pair[0] == self.fee_asset

    @property
    def pays_fee_in_quote(self) -> bool:
        """Whether the fee was taken in what prices are in."""
        pair = split_symbol(self.symbol)
        return bool(self.fee) and pair is not None and pair[1] == self.fee_asset


def split_symbol(symbol: str) -> tuple[str, str] | None:
    """Return (base, quote), or None where the symbol ends in no known quote currency.

    >>> split_symbol("BTCUSDT")
    ('BTC', 'USDT')
    """
    for quote in _QUOTES:
        if symbol.endswith(quote) and len(symbol) > len(quote):
            return symbol.removesuffix(quote), quote
    return None


def plain_text(value: Decimal) -> str:
    """Return a number as plain digits, equal numbers as equal text.

    >>> plain_text(Decimal("1.500E+3")), plain_text(Decimal("-0.0"))
    ('1500', '0')
    """
    return format(value.normalize(EXACT), "f") if value else "0"


def number_problem(value: Decimal) -> str | None:
    """Return why a number cannot be kept exactly, or None."""
    if not value.is_finite():
        return "is no finite number"
    if value and value.adjusted() >= MAX_INTEGER_DIGITS:
        return f"has more than {MAX_INTEGER_DIGITS} digits before the point"
    exponent = value.normalize(EXACT).as_tuple().exponent
    if isinstance(exponent, int) and exponent < -MAX_DECIMALS:
        return f"has more than {MAX_DECIMALS} digits after the point"
    return None


def _name_problems(fill: Fill) -> list[str]:
    problems = [f"{name} is empty" for name in ("account", "trade_id") if not getattr(fill, name)]
    for name in _TEXTS:
        text = getattr(fill, name)
        if text is not None and not _is_plain(text):
            problems.append(
                f"{name} {text[:40]!r} is not one printable word of at most {MAX_TEXT} characters"
            )
    if not _ASSET.fullmatch(fill.fee_asset):
        problems.append(f"fee_asset {fill.fee_asset[:40]!r} is no asset")
    if fill.fee and not fill.fee_asset:
        problems.append("fee has no fee_asset")
    try:
        parse_symbol(fill.symbol)
    except InvalidMarket as error:
        problems.append(str(error))
    if fill.time.utcoffset() is None or not _FIRST <= fill.time < _LAST:
        problems.append(f"time {fill.time} is not between 2000 and 2100 with a time zone")
    return problems


def _number_problems(fill: Fill) -> list[str]:
    problems = []
    for name in _NUMBERS:
        value = getattr(fill, name)
        wrong = None if value is None else number_problem(value)
        if wrong:
            problems.append(f"{name} {wrong}")
        elif name in {"quantity", "price"} and value <= 0:
            problems.append(f"{name} is {value}: expected more than 0")
    if fill.leverage is not None and not 0 < fill.leverage <= _MAX_LEVERAGE:
        problems.append(f"leverage is {fill.leverage}: expected 1 to {_MAX_LEVERAGE}")
    spot = fill.source is FillSource.BINANCE_SPOT
    if not problems and spot and fill.pays_fee_in_base and fill.fee >= fill.quantity:
        problems.append(f"fee {fill.fee} {fill.fee_asset} is not below the quantity {fill.quantity}")
    return problems


def _is_plain(text: str) -> bool:
    return len(text) <= MAX_TEXT and text.isprintable() and text == text.strip()


_MAX_LEVERAGE = 5000
_TEXTS = (
    *("account", "trade_id", "order_id", "position_id", "strategy_id", "signal_version"),
    *("model_version", "config_hash", "git_sha"),
)
_NUMBERS = (
    *("quantity", "price", "fee", "stop_loss", "take_profit"),
    *("realized_pnl", "unrealized_pnl"),
)
