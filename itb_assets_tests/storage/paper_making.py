"""Paper trades of any variant, written to file and table as the pipeline does.

What is asserted of them belongs to the tests.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from frames_of import START, record

from itb_assets.domain.markets import Market
from itb_assets.domain.trading.trades import TRADE_COLUMNS, check_trades, empty_trades
from itb_assets.storage.files.frames import FrameStore
from itb_assets.storage.layout import Layout

BTC, ETH, BTC_1H = Market("BTCUSDT", "5m"), Market("ETHUSDT", "5m"), Market("BTCUSDT", "1h")
FRAMES = FrameStore()


def trades(rows: int, *, seed: int = 0, opened: int = 1, sample: str = "live") -> pd.DataFrame:
    """Return paper trades that lasted 20 minutes each, the last `opened` of them still open."""
    if not rows:
        return empty_trades()
    draw = np.random.default_rng(seed)
    times = pd.date_range(START, periods=rows, freq="25min").as_unit("ns")
    entry = draw.normal(60_000, 500, rows)
    done = np.arange(rows) < rows - opened
    gross = draw.normal(0, 3, rows)
    known = {name: np.where(done, values, np.nan) for name, values in (("gross", gross), ("exit", entry + 1))}
    frame = pd.DataFrame(
        {
            "timestamp": times,
            "trade_id": times.strftime("%Y%m%dT%H%M%SZ").astype(object),
            "side": np.where(draw.random(rows) < 0.5, "BUY", "SELL").astype(object),
            "status": np.where(done, "CLOSED", "OPEN").astype(object),
            "entry_price": entry,
            "quantity": 1000 / entry,
            "take_profit": entry * 1.004,
            "stop_loss": entry * 0.996,
            "signal_strength": np.where(draw.random(rows) < 0.2, np.nan, draw.random(rows)),
            "exit_time_ms": np.where(done, times.as_unit("ms").astype("int64") + 1_200_000, np.nan),
            "exit_price": known["exit"],
            "exit_reason": np.where(done, "time_limit", None).astype(object),
            "fees": 0.8,
            "gross_pnl": known["gross"],
            "pnl": known["gross"] - 0.8,
            "return_pct": (known["gross"] - 0.8) / 10,
            "sample": np.full(rows, sample, dtype=object),
        }
    )
    long = frame["side"] == "BUY"
    frame["take_profit"] = entry * np.where(long, 1.004, 0.996)
    frame["stop_loss"] = entry * np.where(long, 0.996, 1.004)
    check_trades(frame)
    return frame


class Paper:
    """Paper trades of a variant, written to file and table as the pipeline does."""

    def __init__(self, folder, database, *, variant="aggressive", market=BTC):
        """Lie where the layout says."""
        self.path = Layout(folder).trades(market, variant)
        self.asset, self.market, self.database = f"trades/{variant}", market, database

    def write(self, frame):
        """Write all rows."""
        return FRAMES.write(self.path, frame, record=record(), before_commit=self._rows(frame, None))

    def splice(self, tail, start):
        """Replace the rows from a time on."""
        rows = self._rows(tail, start)
        return FRAMES.splice(self.path, tail, record=record(), from_time=start, before_commit=rows)

    def _rows(self, frame, start):
        return lambda manifest: self.database.replace(
            self.asset, self.market, frame, manifest=manifest, from_time=start
        )

    def read(self):
        """Return the table's rows as the frame they were."""
        rows = self.database.read("trades", self.market)
        rows = rows[rows["variant"] == self.asset.partition("/")[2]].rename(columns={"price": "entry_price"})
        return rows[list(TRADE_COLUMNS)].reset_index(drop=True)
