"""Files of executed trades, made up, as the old bot and Binance write them."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

GLUED_HEADER = "Date(UTC),Pair,Side,Price,Executed,Amount,Fee"
PLAIN_HEADER = "Date(UTC),Market,Type,Price,Amount,Total,Fee,Fee Coin"

GLUED_ROWS = (
    '2024-09-01 22:05:03,BTCUSDT,BUY,"58,123.4500000000",0.0010000000BTC,58.12345000USDT,0.0000010000BTC',
    "2024-09-01 22:05:03,BTCUSDT,BUY,58123.4500000000,0.0010000000BTC,58.12345000USDT,0.0000010000BTC",
    "2024-09-02 08:00:00,BTCUSDT,SELL,59000.0100000000,0.0019000000BTC,112.10001900USDT,0.0007500000BNB",
    "2024-09-02 09:00:00,1INCHUSDT,BUY,0.2510000000,100.0001INCH,25.10000000USDT,0.1001INCH",
    "2024-09-02 09:30:00,LTCBNB,SELL,0.1254000000,3.4013500000LTC,0.42652929BNB,0.0004265300BNB",
)
PLAIN_ROWS = (
    "2024-09-01 22:05:03,BTCUSDT,BUY,58123.45,0.001,58.12345,0.000001,BTC",
    "2024-09-01 22:05:03,BTCUSDT,BUY,58123.45,0.001,58.12345,0.000001,BTC",
    "2024-09-02 08:00:00,BTCUSDT,SELL,59000.01,0.0019,112.100019,0.00075,BNB",
    "2024-09-02 09:00:00,1INCHUSDT,BUY,0.251,100,25.1,0.1,1INCH",
    "2024-09-02 09:30:00,LTCBNB,SELL,0.1254,3.40135,0.42652929,0.00042653,BNB",
)
"""The same five trades in both layouts; the first two say the same."""


def write_lines(path: Path, lines: Iterable[str]) -> Path:
    """Write lines as a text file."""
    path.write_text("".join(f"{line}\n" for line in lines), "utf-8")
    return path


def record(**changes: Any) -> dict[str, Any]:
    """Return a record with every field of the old bot's schema."""
    values: dict[str, Any] = {
        "source": "binance_futures",
        "account_id": "acc-1",
        "trade_id": "771",
        "event_ts_utc": "2024-09-01T22:05:00.123000",
        "symbol": "BTCUSDT",
        "side": "buy",
        "position_side": "long",
        "qty": 0.01,
        "price": 58123.4,
        "fee": 0.2324936,
        "fee_asset": "USDT",
        "order_id": "9001",
        "position_id": None,
        "strategy_id": "aggressive",
        "signal_version": "v2",
        "model_version": "lgbm-3",
        "config_hash": "abcdef12",
        "git_sha": "20c482f0",
        "leverage": 5,
        "stop_loss": 57900.0,
        "take_profit": 58355.9,
        "realized_pnl": 0.0,
        "unrealized_pnl": -1.25,
        "raw_data": {"id": 771, "commission": "0.23249360", "maker": False},
    }
    values |= changes
    key = f"{values['source']}:{values['account_id']}:{values['trade_id']}"
    return {**values, "composite_key": changes.get("composite_key", key)}


def line(**changes: Any) -> str:
    """Return a record as one line of JSON."""
    return json.dumps(record(**changes))
