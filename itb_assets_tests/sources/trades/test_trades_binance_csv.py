"""Binance's export is read in both of its layouts, and names a trade the same in every export."""

from __future__ import annotations

import json
import random
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from trade_files import GLUED_HEADER, GLUED_ROWS, PLAIN_HEADER, PLAIN_ROWS, write_lines

from itb_assets.domain.executed import FillSource, Side
from itb_assets.errors import InputError
from itb_assets.sources.trades import read_fills
from itb_assets.sources.trades.binance_csv import ExportRows, parse_header


def fills_of(header, rows, account="main"):
    reader = ExportRows(parse_header(header), account)
    return [reader.parse(row) for row in rows]


def said(fill):
    return (fill.time, fill.symbol, fill.side, fill.price, fill.quantity, fill.fee, fill.fee_asset)


def test_units_are_told_from_numbers(tmp_path):
    """Thousands are set off by commas, and 1INCH begins with a digit: the pair tells where."""
    found = read_fills(write_lines(tmp_path / "a.csv", [GLUED_HEADER, *GLUED_ROWS]), account="mine")
    assert found.format == "binance_csv"
    first, _, sold, inch, litecoin = found.fills
    time = datetime(2024, 9, 1, 22, 5, 3, tzinfo=UTC)
    assert said(first) == (
        *(time, "BTCUSDT", Side.BUY, Decimal("58123.45")),
        *(Decimal("0.001"), Decimal("0.000001"), "BTC"),
    )
    assert (first.source, first.account) == (FillSource.BINANCE_SPOT, "mine")
    assert said(sold)[4:] == (Decimal("0.0019"), Decimal("0.00075"), "BNB")
    assert said(inch)[4:] == (Decimal(100), Decimal("0.1"), "1INCH")
    assert said(litecoin)[4:] == (Decimal("3.40135"), Decimal("0.00042653"), "BNB")
    assert json.loads(inch.raw_data)["Executed"] == "100.0001INCH"


def test_both_layouts_name_a_trade_alike():
    glued, plain = fills_of(GLUED_HEADER, GLUED_ROWS), fills_of(PLAIN_HEADER, PLAIN_ROWS)
    assert [(fill.key, said(fill)) for fill in glued] == [(fill.key, said(fill)) for fill in plain]
    assert len({fill.key for fill in glued}) == 5


@given(st.randoms(use_true_random=False), st.integers(0, 5), st.integers(0, 5))
def test_exports_that_overlap_name_trades_alike(shuffle: random.Random, one: int, other: int):
    """Whole seconds are exported or not; then order and cut make no difference."""
    seconds = [GLUED_ROWS[:2], *([row] for row in GLUED_ROWS[2:])]
    first, second = seconds[: max(one, 1)], seconds[-max(other, 1) :]
    keys = set()
    for part in (first, second):
        rows = [row for second in part for row in second]
        shuffle.shuffle(rows)
        keys |= {fill.key for fill in fills_of(GLUED_HEADER, rows)}
    wanted = {fill.key for fill in fills_of(GLUED_HEADER, GLUED_ROWS)}
    assert keys <= wanted
    covered = min(4, max(one, 1)) + min(4, max(other, 1)) >= 4
    assert (keys == wanted) is covered


def test_what_differs_in_anything_is_another_trade():
    row = PLAIN_ROWS[2]
    changed = [
        row.replace("08:00:00", "08:00:01"),
        row.replace("SELL", "BUY"),
        row.replace("59000.01", "59000.02"),
        row.replace("0.0019,112.100019", "0.0018,106.200018"),
        row.replace("0.00075", "0.00076"),
        row.replace("BNB", "USDT"),
        row.replace("BTCUSDT", "BTCUSDC"),
    ]
    ids = {fills_of(PLAIN_HEADER, [text])[0].trade_id for text in [row, *changed]}
    assert len(ids) == 8
    assert fills_of(PLAIN_HEADER, [row], account="other")[0].trade_id in ids


@pytest.mark.parametrize(
    ("column", "text", "hour"),
    [
        ("Date(UTC)", "2024-09-02 08:00:00", 8),
        ("Date(UTC)", "24-09-02 08:00:00", 8),
        ("Date(UTC+2)", "2024-09-02 08:00:00", 6),
        ("Date(UTC-05:30)", "2024-09-02 02:30:00", 8),
        ("Time(UTC)", "2024-09-02 08:00:00", 8),
    ],
)
def test_times_are_in_the_zone_of_the_header(column, text, hour):
    [fill] = fills_of(
        PLAIN_HEADER.replace("Date(UTC)", column), [PLAIN_ROWS[2].replace(PLAIN_ROWS[2][:19], text)]
    )
    assert fill.time == datetime(2024, 9, 2, hour, tzinfo=UTC)
    assert fill.trade_id == fills_of(PLAIN_HEADER, [PLAIN_ROWS[2]])[0].trade_id or hour == 6


@pytest.mark.parametrize(
    "header",
    [
        '"Date(UTC)","Pair","Side","Price","Executed","Amount","Fee"',
        "date(utc),pair,side,price,executed,amount,fee",
        "Fee,Amount,Executed,Price,Side,Pair,Date(UTC)",
        "Date(UTC),Pair,Side,Price,Executed,Amount,Fee,Remark",
    ],
)
def test_columns_are_found_by_name(header):
    names = [name.strip('"').lower() for name in header.split(",")]
    values = dict(zip(GLUED_HEADER.lower().split(","), GLUED_ROWS[2].split(","), strict=True))
    row = ",".join(values.get(name, "x") for name in names)
    [fill] = fills_of(header, [row])
    assert fill.trade_id == fills_of(GLUED_HEADER, [GLUED_ROWS[2]])[0].trade_id


@pytest.mark.parametrize(
    "header",
    [
        "name,age",
        "Time,OrderNo,Pair,Type,Side,Order Price,Order Amount,Executed,Average Price,Status",
        "User_ID,UTC_Time,Account,Operation,Coin,Change,Remark",
        GLUED_HEADER.replace(",", ";"),
        "Time,Pair,Side,Price,Executed,Amount,Fee",
        "Date(UTC),Date(UTC+2),Pair,Side,Price,Executed,Amount,Fee",
        "Date(UTC),Pair,Side,Price,Executed,Amount,Fee,Fee",
    ],
)
def test_other_columns_are_named_with_what_was_expected(tmp_path, header):
    with pytest.raises(InputError) as caught:
        read_fills(write_lines(tmp_path / "a.csv", [header, "1,2"]))
    assert repr(header.split(",")[0])[:20] in str(caught.value)
    assert GLUED_HEADER in str(caught.value)
    assert PLAIN_HEADER in str(caught.value)


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ("2024-09-02 08:00:00", "02/09/2024 08:00", "is no time such as .* a spreadsheet may have rewritten"),
        ("2024-09-02", "2024-02-31", "is no time: day is out of range"),
        ("SELL", "TRANSFER", "Side 'TRANSFER' is not one of buy, sell"),
        ("0.0019000000BTC", "0.0019000000ETH", "Executed '0.0019000000ETH' is no amount in BTC"),
        ("0.0019000000BTC", "BTC", "Executed 'BTC' is no amount"),
        ("112.10001900USDT", "112.10001900EUR", "Amount '112.10001900EUR' is no amount in USDT"),
        (
            "112.10001900USDT",
            "1112.10001900USDT",
            "Amount is 1112.100019, but price times quantity is 112.100019",
        ),
        ("0.0007500000BNB", "much", "Fee 'much' is no amount"),
        ("0.0007500000BNB", "0.0007500000", "fee has no fee_asset"),
        ("59000.0100000000", "0", "price is 0"),
        ("59000.0100000000", "59.000,01", "it has 8 fields: expected 7"),
        ("59000.0100000000", '"0,059"', "Price '0,059' is no number"),
        ("BTCUSDT", "BTC USDT", "symbol 'BTC USDT' is not valid"),
        ("BTCUSDT", '"BTCUSDT', "it is no line of CSV"),
    ],
)
def test_a_bad_row_is_refused_by_line_and_field(tmp_path, old, new, problem):
    rows = [GLUED_ROWS[0], GLUED_ROWS[2].replace(old, new)]
    with pytest.raises(InputError, match=f"line 3: .*{problem}"):
        read_fills(write_lines(tmp_path / "a.csv", [GLUED_HEADER, *rows]))


def test_a_fee_of_nothing_needs_no_asset():
    [fill] = fills_of(GLUED_HEADER, [GLUED_ROWS[2].replace("0.0007500000BNB", "0.00000000")])
    assert (fill.fee, fill.fee_asset) == (0, "")


def test_amounts_without_units_are_of_the_pair():
    row = GLUED_ROWS[2].replace("0.0019000000BTC", "0.0019").replace("112.10001900USDT", "112.100019")
    assert fills_of(GLUED_HEADER, [row])[0].key == fills_of(PLAIN_HEADER, [PLAIN_ROWS[2]])[0].key
