"""The old bot's trade records, one JSON object a line, as canonical fills.

Its schema is `UnifiedTrade` with its composite key; times without a zone are UTC. Lines of its position
monitor are refused: they hold no trade ids.
"""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

from itb_assets.domain.executed import Fill, FillSource, PositionSide, Side
from itb_assets.domain.executed.fills import plain_text
from itb_assets.sources.trades.values import Fields, decimal, iso_time, one_of, show, whole_number, word

LEGACY_FIELDS = (
    *("source", "account_id", "trade_id", "event_ts_utc", "symbol", "side", "position_side", "qty", "price"),
    *("fee", "fee_asset", "order_id", "position_id", "strategy_id", "signal_version", "model_version"),
    *("config_hash", "git_sha", "leverage", "stop_loss", "take_profit", "realized_pnl", "unrealized_pnl"),
    *("raw_data", "composite_key"),
)
"""All keys of a record; others are kept in the raw data."""

_EXTRA = "_extra"
_NO_TIME = iso_time("2000-01-01T00:00:00")
_SOURCE = one_of(FillSource, tuple(FillSource))
_SIDE = one_of(Side, tuple(Side))
_POSITION_SIDE = one_of(PositionSide, tuple(PositionSide))
_OPTIONAL_WORDS = (
    *("order_id", "position_id", "strategy_id", "signal_version"),
    *("model_version", "config_hash", "git_sha"),
)
_OPTIONAL_NUMBERS = ("stop_loss", "take_profit", "realized_pnl", "unrealized_pnl")


def parse_record(text: str) -> Fill:
    """Return the fill of one line; raise ValueError or DataContractError naming all that is wrong."""
    record = _decoded(text)
    if "event_type" in record and "trade_id" not in record:
        raise ValueError(
            "it is an event of the position monitor, not a trade: import the trades' own records or the "
            "exchange's export"
        )
    fields = Fields(record)
    values: dict[str, Any] = {
        "source": fields.take("source", _SOURCE, FillSource.SIMULATION),
        "account": fields.take("account_id", word, "?"),
        "trade_id": fields.take("trade_id", word, "?"),
        "time": fields.take("event_ts_utc", iso_time, _NO_TIME),
        "symbol": fields.take("symbol", word, "?"),
        "side": fields.take("side", _SIDE, Side.BUY),
        "quantity": fields.take("qty", decimal, Decimal(1)),
        "price": fields.take("price", decimal, Decimal(1)),
        "position_side": fields.take_optional("position_side", _POSITION_SIDE, None),
        "fee": fields.take_optional("fee", decimal, Decimal(0)),
        "fee_asset": fields.take_optional("fee_asset", word, ""),
        "leverage": fields.take_optional("leverage", whole_number, None),
    }
    values |= {name: fields.take_optional(name, word, None) for name in _OPTIONAL_WORDS}
    values |= {name: fields.take_optional(name, decimal, None) for name in _OPTIONAL_NUMBERS}
    values["raw_data"] = _raw_data(record, fields)
    if fields.problems:
        raise ValueError("; ".join(fields.problems))
    fill = Fill(**values)
    if record.get("composite_key") not in (None, fill.composite_key):
        raise ValueError(
            f"composite_key {show(record['composite_key'])} is not {fill.composite_key!r}, "
            "which its source, account and trade id make"
        )
    return fill


def _decoded(text: str) -> dict[str, Any]:
    try:
        record = json.loads(
            text, parse_float=Decimal, parse_constant=_no_constant, object_pairs_hook=_distinct
        )
    except ArithmeticError:
        raise ValueError("it holds a number beyond all bounds") from None
    except json.JSONDecodeError as error:
        raise ValueError(f"it is no JSON object: {error.msg} at column {error.colno}") from None
    if not isinstance(record, dict):
        raise ValueError(f"it is {show(record)}: expected one JSON object a line")  # noqa: TRY004 - a bad line
    return record


def _no_constant(name: str) -> None:
    raise ValueError(f"it holds {name}, which is no number")


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = sorted({name for name in names if names.count(name) > 1})
        raise ValueError(f"it says {', '.join(map(show, twice))} more than once")
    return found


def _raw_data(record: dict[str, Any], fields: Fields) -> str:
    """Return the raw data with whatever the schema does not know, as one JSON object."""
    raw = record.get("raw_data")
    if raw is not None and not isinstance(raw, dict):
        fields.problems.append(f"raw_data {show(raw)} is no object")
    kept = dict(raw) if isinstance(raw, dict) else {}
    extra = {name: value for name, value in record.items() if name not in LEGACY_FIELDS}
    if extra:
        name = _EXTRA
        while name in kept:
            name = f"_{name}"
        kept[name] = extra
    return _json(kept)


def _json(value: object) -> str:
    """Write JSON with sorted keys and every number as it was."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(name)}: {_json(value[name])}" for name in sorted(value)) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_json, value)) + "]"
    if isinstance(value, Decimal):
        return plain_text(value) if abs(value.adjusted()) < _PLAIN_DIGITS else str(value)
    return json.dumps(value)


_PLAIN_DIGITS = 40
