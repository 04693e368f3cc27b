"""The old bot's trade records come over with every field, exactly, or not at all."""

from __future__ import annotations

import json
from dataclasses import fields
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from trade_files import line, record, write_lines

from itb_assets.domain.executed import Fill, FillSource, PositionSide, Side
from itb_assets.errors import InputError
from itb_assets.sources.trades import read_fills
from itb_assets.sources.trades.legacy import LEGACY_FIELDS, parse_record


def test_every_field_is_kept():
    """All keys of a record have a field of their own; amounts are the digits that the line shows."""
    assert set(record()) == set(LEGACY_FIELDS)
    assert len(fields(Fill)) == len(LEGACY_FIELDS) - 1  # the composite key is made of others
    fill = parse_record(line())
    assert fill == Fill(
        source=FillSource.BINANCE_FUTURES,
        account="acc-1",
        trade_id="771",
        time=datetime(2024, 9, 1, 22, 5, 0, 123_000, tzinfo=UTC),
        symbol="BTCUSDT",
        side=Side.BUY,
        quantity=Decimal("0.01"),
        price=Decimal("58123.4"),
        position_side=PositionSide.LONG,
        fee=Decimal("0.2324936"),
        fee_asset="USDT",
        order_id="9001",
        position_id=None,
        strategy_id="aggressive",
        signal_version="v2",
        model_version="lgbm-3",
        config_hash="abcdef12",
        git_sha="20c482f0",
        leverage=5,
        stop_loss=Decimal("57900.0"),
        take_profit=Decimal("58355.9"),
        realized_pnl=Decimal(0),
        unrealized_pnl=Decimal("-1.25"),
        raw_data='{"commission": "0.23249360", "id": 771, "maker": false}',
    )
    assert fill.composite_key == "binance_futures:acc-1:771"


def test_only_what_makes_a_trade_must_be_there():
    least = ("source", "account_id", "trade_id", "event_ts_utc", "symbol", "side", "qty", "price")
    fill = parse_record(json.dumps({name: record()[name] for name in least}))
    assert (fill.fee, fill.fee_asset, fill.position_side, fill.raw_data) == (0, "", None, "{}")
    for name in least:
        rest = {key: value for key, value in record(composite_key=None).items() if key != name}
        with pytest.raises(ValueError, match=f"{name} is missing"):
            parse_record(json.dumps(rest))


def test_keys_the_schema_does_not_know_are_kept():
    fill = parse_record(line(exchange_note="partial", slippage=0.1, raw_data={"_extra": 1.50}))
    assert json.loads(fill.raw_data) == {
        "_extra": 1.5,
        "__extra": {"exchange_note": "partial", "slippage": 0.1},
    }


@pytest.mark.parametrize(
    ("text", "hour"),
    [("22:05:00", 22), ("22:05:00Z", 22), ("22:05:00+02:00", 20), ("22:05", 22), ("22:05:00.5-03:00", 25)],
)
def test_times_without_a_zone_are_utc(text, hour):
    time = parse_record(line(event_ts_utc=f"2024-09-01T{text}")).time
    assert time.utcoffset() == timedelta(0)
    assert time.replace(second=0, microsecond=0) == datetime(2024, 9, 1, 0, 5, tzinfo=UTC) + timedelta(
        hours=hour
    )


@given(st.decimals(min_value="1e-12", max_value="1e12", allow_nan=False, allow_infinity=False, places=12))
def test_amounts_are_the_digits_of_the_file(amount):
    """A number, however many digits it has, is read as it stands, not as the double nearest to it."""
    text = line(qty=0.5).replace('"qty": 0.5', f'"qty": {amount:f}')
    assert parse_record(text).quantity == amount
    assert parse_record(line(qty=f"{amount:f}")).quantity == amount


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"source": "paper"}, "source 'paper' is not one of binance_spot, binance_futures"),
        ({"side": "hold"}, "side 'hold' is not one of buy, sell"),
        ({"position_side": "left"}, "position_side 'left' is not one of long, short, both"),
        ({"event_ts_utc": "yesterday"}, "event_ts_utc 'yesterday' is no time"),
        ({"event_ts_utc": "2024-13-01T00:00:00"}, "is no time"),
        ({"event_ts_utc": "0001-01-01T00:00:00+14:00"}, "is no time"),
        ({"event_ts_utc": "1970-01-01T00:00:00"}, "not between 2000 and 2100"),
        ({"event_ts_utc": 1725228300}, "event_ts_utc 1725228300 is no time"),
        ({"qty": 0}, "quantity is 0: expected more than 0"),
        ({"price": -1.5}, "price is -1.5: expected more than 0"),
        ({"qty": "1,5"}, "qty '1,5' is no number"),
        ({"qty": "\u0661"}, "is no number"),
        ({"qty": True}, "qty True is no number"),
        ({"qty": 1e30}, "more than 18 digits before the point"),
        ({"qty": 1e-40}, "more than 30 digits after the point"),
        ({"fee": [1]}, "is no number"),
        ({"leverage": 2.5}, "is no whole number"),
        ({"leverage": 0}, "leverage is 0"),
        ({"trade_id": ""}, "trade_id is empty"),
        ({"account_id": None}, "account_id is empty"),
        ({"trade_id": "a\nb"}, "trade_id 'a\\\\nb' is not one printable word"),
        ({"trade_id": "\ud800"}, "is not one printable word"),
        ({"order_id": "x" * 201}, "order_id .* is not one printable word"),
        ({"order_id": {"$ne": 1}}, "is no text"),
        ({"symbol": "../../x"}, "symbol '../../x' is not valid"),
        ({"symbol": "BTC'; DROP TABLE trades; --"}, "is not valid"),
        ({"fee_asset": ""}, "fee has no fee_asset"),
        ({"fee_asset": "U S D"}, "fee_asset 'U S D' is no asset"),
        ({"raw_data": "text"}, "raw_data 'text' is no object"),
        (
            {"composite_key": "binance_futures:acc-1:772"},
            "composite_key .* is not 'binance_futures:acc-1:771'",
        ),
        (
            {"source": "binance_spot", "fee": 1, "fee_asset": "BTC"},
            "fee 1 BTC is not below the quantity 0.01",
        ),
    ],
)
def test_what_is_no_trade_is_refused_by_name(tmp_path, changes, said):
    path = write_lines(tmp_path / "trades.jsonl", [line(**changes)])
    with pytest.raises(InputError, match=said):
        read_fills(path)


def test_everything_wrong_with_a_line_is_said():
    with pytest.raises(ValueError, match=r"side 'x' .*; qty 'y' .*; fee 'z' is no number"):
        parse_record(line(side="x", qty="y", fee="z"))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[1, 2]", r"it is \[1, 2\]: expected one JSON object a line"),
        ('{"a": 1', "it is no JSON object"),
        ('{"a": NaN}', "it holds NaN"),
        ('{"a": -Infinity}', "it holds -Infinity"),
        ('{"a": 1e99999999999999999999}', "a number beyond all bounds"),
        ('{"price": 1, "price": 2}', "it says 'price' more than once"),
        ('{"event_type": "OPEN", "symbol": "BTCUSDT"}', "an event of the position monitor"),
        ('{"a": ' + "[" * 5000 + "]" * 5000 + "}", "nested too deeply"),
        ('{"a": ' + "9" * 5000 + "}", "digits"),
    ],
)
def test_lines_that_are_no_record_are_told(tmp_path, text, said):
    path = write_lines(tmp_path / "trades.jsonl", [line(), text, line(trade_id="772")])
    found = read_fills(path, skip_bad=True)
    assert [fill.trade_id for fill in found.fills] == ["771", "772"]
    assert [bad.number for bad in found.bad_lines] == [2]
    with pytest.raises(InputError, match=f"line 2: .*{said}"):
        read_fills(path)


def test_raw_data_nested_as_deep_as_json_allows_is_kept_or_told(tmp_path):
    for depth in (50, 700, 950):
        nested = f'"raw_data": {"[" * 0}' + '{"a": ' * depth + "1" + "}" * depth
        text = line(raw_data="@").replace('"raw_data": "@"', nested)
        found = read_fills(write_lines(tmp_path / "trades.jsonl", [text]), skip_bad=True)
        assert len(found.fills) + len(found.bad_lines) == 1


def test_numbers_in_raw_data_keep_their_digits():
    text = line(raw_data="@").replace('"@"', '{"price": 58123.400000000000000001, "n": [1, 1e-7, 1e50]}')
    assert parse_record(text).raw_data == '{"n": [1, 0.0000001, 1E+50], "price": 58123.400000000000000001}'
