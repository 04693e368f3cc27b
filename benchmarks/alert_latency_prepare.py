"""Data that runs of a benchmark begin with, written as the assets write it: klines, and trades that went bad.

Runs in a process of its own, with the settings of the deployment; its argument is JSON. What is done to these
markets belongs to `alert_latency_causes`.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd

from itb_assets.demo.market import DEMO_SYMBOLS, demo_klines
from itb_assets.domain.klines import to_grid
from itb_assets.domain.markets import Market
from itb_assets.domain.trading.trades import TRADE_DTYPES, check_trades, trade_ids
from itb_assets.orchestration.build import build_platform
from itb_assets.orchestration.platform import Platform
from itb_assets.settings import load_settings
from itb_assets.storage.files.frames import Record

FREQ = "1h"
KLINES = 240
WON_BEFORE, WON_LIVE = 0.6, 0.2
"""Share of trades that won out of sample and, later, live: drift beyond any doubt."""

TRADES_BEFORE, TRADES_LIVE = 200, 60
QUIET = timedelta(days=4)
"""The newest trade ended so long ago: rules of the last days have nothing to say of it."""


def main(argument: str) -> None:
    """Write klines of all symbols, and what the drift asset looks at for some of them."""
    given: Mapping[str, Any] = json.loads(argument)
    platform = build_platform(load_settings())
    now = datetime.now(UTC)
    klines = _klines(now)
    for symbol in [*given["plain"], *given["drifting"]]:
        _write(platform, Market(symbol, FREQ), "raw/klines", klines, now)
    for symbol in given["drifting"]:
        market = Market(symbol, FREQ)
        data = to_grid(klines, market)
        _write(platform, market, "processed/data", data, now)
        _write(platform, market, "processed/features", platform.features.compute(data), now)
        variant = given["variant"]
        _write(platform, market, f"predictions/{variant}", _predictions(platform, variant, data), now)
        _write(platform, market, f"trades/{variant}", _trades(now), now)
    platform.close()


def _write(platform: Platform, market: Market, asset: str, frame: pd.DataFrame, now: datetime) -> None:
    record = Record(
        asset=asset,
        symbol=market.symbol,
        freq=market.freq,
        run_id="prepared",
        written_at=now,
        digest="prepared",
    )
    platform.keeper.write(market, asset, frame, record=record)


def _klines(now: datetime) -> pd.DataFrame:
    """Return closed klines up to now, of an invented market."""
    end = pd.Timestamp(now).floor(FREQ)
    start = end - pd.Timedelta(hours=KLINES)
    market = Market(DEMO_SYMBOLS[0], FREQ)
    return demo_klines(market, *(int(time.timestamp() * 1000) for time in (start, end)))


def _predictions(platform: Platform, variant: str, data: pd.DataFrame) -> pd.DataFrame:
    rng = np.random.default_rng(7)
    scores = {
        name.score: rng.uniform(0, 1, len(data)) for name in platform.model_names() if name.variant == variant
    }
    sample = np.where(np.arange(len(data)) < len(data) // 2, "out_of_sample", "live")
    return pd.DataFrame({"timestamp": data["timestamp"], "sample": sample.astype(object), **scores})


def _trades(now: datetime) -> pd.DataFrame:
    """Return trades that won as often as they should out of sample, and then live no more."""
    count = TRADES_BEFORE + TRADES_LIVE
    last = pd.Timestamp(now).floor(FREQ) - QUIET
    times = pd.date_range(end=last, periods=count, freq=FREQ).as_unit("ns")
    live = np.arange(count) >= TRADES_BEFORE
    place = np.where(live, np.arange(count) - TRADES_BEFORE, np.arange(count)) % 10
    gain = np.where(place < 10 * np.where(live, WON_LIVE, WON_BEFORE), 1.0, -1.0)
    frame = pd.DataFrame(
        {
            "timestamp": times,
            "trade_id": trade_ids(times.to_numpy().astype("datetime64[ns]").astype(np.int64)),
            "side": "BUY",
            "status": "CLOSED",
            "entry_price": 100.0,
            "quantity": 1.0,
            "take_profit": 101.0,
            "stop_loss": 99.0,
            "signal_strength": np.nan,
            "exit_time_ms": (times.to_numpy().astype("datetime64[ms]").astype(np.int64)).astype(np.float64),
            "exit_price": 100.0 + gain,
            "exit_reason": np.where(gain > 0, "take_profit", "stop_loss"),
            "fees": 0.0,
            "gross_pnl": gain,
            "pnl": gain,
            "return_pct": gain,
            "sample": np.where(live, "live", "out_of_sample"),
        }
    ).astype(dict(TRADE_DTYPES))
    check_trades(frame)
    return frame


if __name__ == "__main__":
    main(sys.argv[1])
