"""Binance's export of the spot trade history, in both layouts it has had, as canonical fills.

The export names no trades. An id is made from what a row says and a count among rows that say the same, so
that exports that overlap, in either layout, name a trade alike.
"""

from __future__ import annotations

import csv
import hashlib
import json
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

from itb_assets.domain.executed import Fill, FillSource, Side
from itb_assets.domain.executed.fills import plain_text, split_symbol
from itb_assets.domain.markets import parse_symbol
from itb_assets.errors import InputError, InvalidMarket
from itb_assets.sources.trades.values import Fields, grouped_decimal, one_of, show, word

GLUED = ("Pair", "Side", "Price", "Executed", "Amount", "Fee")
PLAIN = ("Market", "Type", "Price", "Amount", "Total", "Fee", "Fee Coin")
"""The layouts' columns after the time; in the first, units are glued to numbers: `0.0010000000BTC`."""

_TIME_COLUMN = re.compile(r"(?:date|time)\s?\(utc(?:([+-])([0-9]{1,2})(?::?([0-9]{2}))?)?\)", re.IGNORECASE)
_TIME = re.compile(r"(?:[0-9]{2}|[0-9]{4})-[0-9]{2}-[0-9]{2} [0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]{1,6})?")
_AMOUNT = re.compile(r"([+-]?[0-9.,]+(?:[eE][+-]?[0-9]{1,3}(?![0-9]))?)\s?([A-Za-z][A-Za-z0-9]*)?")
_SIDE = one_of(Side, tuple(Side))
_NO_TIME = datetime(2000, 1, 1, tzinfo=timezone.utc)  # noqa: UP017 - beside other zones
_CENTURY = "20"
_LONG_YEAR = len("2024-09-01 22:00:00")
_OFF = Decimal("0.01")
_DUST = Decimal("1E-7")
_ID_HEX = 24


@dataclass(frozen=True)
class Header:
    """What the first line says: the columns' canonical names in order, and the zone of the times."""

    columns: tuple[str, ...]
    time: str
    zone: timezone
    glued: bool


def parse_header(text: str) -> Header:
    """Return the layout of an export; raise InputError naming found and expected columns."""
    found = _split(text)
    known = {name.lower(): name for name in (*GLUED, *PLAIN)}
    columns = tuple(known.get(name.strip().lower(), name.strip()) for name in found)
    zoned = [(name, match) for name in columns if (match := _TIME_COLUMN.fullmatch(name))]
    for wanted in (GLUED, PLAIN):
        if len(zoned) == 1 and set(wanted) <= set(columns) and len(set(columns)) == len(columns):
            name, match = zoned[0]
            return Header(columns, name, _zone(match), glued=wanted is GLUED)
    raise InputError(
        f"its columns are {', '.join(map(show, found))}: expected those of Binance's spot trade history, "
        f"Date(UTC),{','.join(GLUED)} or Date(UTC),{','.join(PLAIN)}; export it again and do not save it "
        "from a spreadsheet"
    )


class ExportRows:
    """Rows of one export as fills; it counts the rows that say the same."""

    def __init__(self, header: Header, account: str) -> None:
        """Take the layout and the account whose trades they are."""
        self._header, self._account = header, account
        self._seen: Counter[str] = Counter()

    def parse(self, text: str) -> Fill:
        """Return the fill of one line; raise ValueError or DataContractError naming all that is wrong."""
        row = _split(text)
        if len(row) != len(self._header.columns):
            raise ValueError(f"it has {len(row)} fields: expected {len(self._header.columns)}")
        values = dict(zip(self._header.columns, (field.strip() for field in row), strict=True))
        fields = Fields(values)
        time = fields.take(self._header.time, self._time, _NO_TIME)
        price = fields.take("Price", grouped_decimal, Decimal(1))
        taken = _glued_values(fields, price) if self._header.glued else _plain_values(fields, price)
        if fields.problems:
            raise ValueError("; ".join(fields.problems))
        content = _content_id(time, price, taken)
        fill = Fill(
            source=FillSource.BINANCE_SPOT,
            account=self._account,
            trade_id=f"{content}-{self._seen[content] + 1}",
            time=time,
            price=price,
            raw_data=json.dumps(values),
            **taken,
        )
        self._seen[content] += 1
        return fill

    def _time(self, value: str) -> datetime:
        if not _TIME.fullmatch(value):
            raise ValueError(
                f"{show(value)} is no time such as 2024-09-01 22:05:00: export again, a spreadsheet may have "
                "rewritten it"
            )
        long = value if value.partition("-")[0] != value[:2] else f"{_CENTURY}{value}"
        try:
            local = datetime.fromisoformat(long)
        except ValueError as error:
            raise ValueError(f"{show(value)} is no time: {error}") from None
        return local.replace(tzinfo=self._header.zone).astimezone(timezone.utc)  # noqa: UP017 - see above


def _zone(match: re.Match[str]) -> timezone:
    sign, hours, minutes = match.groups()
    offset = timedelta(hours=int(hours or 0), minutes=int(minutes or 0))
    return timezone(-offset if sign == "-" else offset)


def _split(text: str) -> list[str]:
    try:
        [row] = csv.reader([text], strict=True)
    except csv.Error as error:
        raise ValueError(f"it is no line of CSV: {error}") from None
    return row


def _glued_values(fields: Fields, price: Decimal) -> dict[str, Any]:
    """Take a row whose amounts carry their unit; the pair tells where a number ends and `1INCH` begins."""
    pair = fields.take("Pair", _symbol, "?")
    executed = fields.take("Executed", word, "1")
    base, quote = _assets(pair, executed)
    quantity = _number(fields, "Executed", executed, base)
    amount = fields.take_optional("Amount", word, "")
    if amount:
        _check_amount(fields, "Amount", _number(fields, "Amount", amount, quote), quantity * price)
    fee, fee_asset = _fee(fields, (base, quote))
    return {
        "symbol": pair,
        "side": fields.take("Side", _SIDE, Side.BUY),
        "quantity": quantity,
        "fee": fee,
        "fee_asset": fee_asset,
    }


def _plain_values(fields: Fields, price: Decimal) -> dict[str, Any]:
    """Take a row whose amounts are plain numbers, the fee's asset beside it."""
    quantity = fields.take("Amount", grouped_decimal, Decimal(1))
    total = fields.take_optional("Total", grouped_decimal, None)
    if total is not None:
        _check_amount(fields, "Total", total, quantity * price)
    return {
        "symbol": fields.take("Market", _symbol, "?"),
        "side": fields.take("Type", _SIDE, Side.BUY),
        "quantity": quantity,
        "fee": fields.take_optional("Fee", grouped_decimal, Decimal(0)),
        "fee_asset": fields.take_optional("Fee Coin", word, "").upper(),
    }


def _symbol(value: str) -> str:
    try:
        return parse_symbol(value.replace("/", "").upper())
    except InvalidMarket as error:
        raise ValueError(f"has a bad {error}") from None


def _assets(pair: str, executed: str) -> tuple[str, str]:
    """Return what is traded and in what; the unit of the amount, such as 1INCH of `100.0001INCH`, tells."""
    for length in range(len(pair) - 1, 0, -1):
        base = pair[:length]
        if executed.upper().endswith(base) and not base.isdigit():
            return base, pair[length:]
    return split_symbol(pair) or ("", "")


def _number(fields: Fields, name: str, text: str, unit: str) -> Decimal:
    """Return an amount without its unit, or 1 with the problem noted."""
    number = _amount_or_none(text[: -len(unit)] if unit and text.upper().endswith(unit) else text)
    if number is None:
        fields.problems.append(f"{name} {show(text)} is no amount in {unit or 'an asset of the pair'}")
    return Decimal(1) if number is None else number


def _fee(fields: Fields, units: tuple[str, ...]) -> tuple[Decimal, str]:
    text = fields.take_optional("Fee", word, "")
    beside = fields.take_optional("Fee Coin", word, "").upper()
    for unit in filter(None, (beside, *units)):
        if text.upper().endswith(unit) and (number := _amount_or_none(text[: -len(unit)])) is not None:
            return number, unit
    match = _AMOUNT.fullmatch(text)
    number = _amount_or_none(match[1]) if match else None
    if match is None or number is None:
        if text:
            fields.problems.append(f"Fee {show(text)} is no amount with its asset, such as 0.00075BNB")
        return Decimal(0), ""
    return number, (match[2] or beside).upper()


def _amount_or_none(text: str) -> Decimal | None:
    try:
        return grouped_decimal(text.strip())
    except ValueError:
        return None


def _check_amount(fields: Fields, name: str, found: Decimal, expected: Decimal) -> None:
    """Tell numbers that were read wrongly, or edited: price times quantity is what was paid."""
    if not fields.problems and expected > 0 and abs(found - expected) > max(_OFF * expected, _DUST):
        fields.problems.append(
            f"{name} is {plain_text(found)}, but price times quantity is {plain_text(expected)}"
        )


def _content_id(time: datetime, price: Decimal, taken: Mapping[str, Any]) -> str:
    said = (
        time.isoformat(),
        taken["symbol"],
        taken["side"].value,
        *(plain_text(value) for value in (price, taken["quantity"], taken["fee"])),
        taken["fee_asset"] if taken["fee"] else "",
    )
    return "row-" + hashlib.sha256("|".join(said).encode()).hexdigest()[:_ID_HEX]
