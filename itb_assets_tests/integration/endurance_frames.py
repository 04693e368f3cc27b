"""Frames of every asset of a market, each generation of them known to whoever asks: the same bits anywhere.

A generation adds rows and alters the newest before them; so a state tells which writes it has seen.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd

from itb_assets.domain.klines import KLINE_DTYPES, to_grid
from itb_assets.domain.markets import Market
from itb_assets.domain.trading.trades import TRADE_DTYPES, trade_ids
from itb_assets.storage.disk.locks import market_lock
from itb_assets.storage.files.frames import FrameStore, Record
from itb_assets.storage.files.manifest import FrameManifest
from itb_assets.storage.keeper import FrameKeeper
from itb_assets.storage.layout import Layout
from itb_assets.storage.phases import Phase
from itb_assets.storage.tables.database import SqlStore

VARIANT = "aggressive"
LABEL = "high_040_4"
DEFINITIONS: Mapping[str, Mapping[str, str]] = {
    "features": {},
    "labels": {LABEL: ""},
}
START = pd.Timestamp("2024-09-01", tz="UTC")
NOW = datetime(2025, 3, 1, tzinfo=UTC)
ROWS, ADDED, ALTERED = 1_500, 12, 30
NO_KLINE = 97
EVERY_TRADE = 10
FEATURES = tuple(f"close_SMA_{number}" for number in range(30))

PRELOADED = ["itb_assets.storage.keeper", "pandas.testing", "psutil"]
"""What writers import, for seconds; a fork server finds only what is installed."""

SOURCES = {
    "raw/klines": (),
    "processed/data": ("raw/klines",),
    "processed/features": ("processed/data",),
    "labeled/matrix": ("processed/data", "processed/features"),
    f"predictions/{VARIANT}": ("processed/features",),
    f"signals/{VARIANT}": (f"predictions/{VARIANT}",),
    f"trades/{VARIANT}": (f"signals/{VARIANT}", "processed/data"),
    f"performance/{VARIANT}": (f"trades/{VARIANT}",),
    f"drift/{VARIANT}": ("processed/features",),
}
"""Every asset, upstream first, and what it is made from."""


def chain(
    market: Market, generation: int, *, features: tuple[str, ...] = FEATURES
) -> dict[str, pd.DataFrame]:
    """Return every frame of a market as a generation leaves it."""
    rows = ROWS + generation * ADDED
    times = pd.date_range(START, periods=rows, freq=market.freq_delta).as_unit("ns")
    place = np.arange(rows)
    written = np.clip(1 + (place + ALTERED - ROWS) // ADDED, 0, generation)

    def draw(what: str, *, unknown: bool = False) -> np.ndarray:
        return noise(f"{market} {what}", place, written, unknown=unknown)

    raw = _klines(times, market, draw)
    raw = raw[~((place % NO_KLINE == 13) & (place < ROWS // 2))].reset_index(drop=True)
    data = to_grid(raw, market)
    known = pd.DataFrame({"timestamp": times} | {name: draw(name, unknown=True) for name in features})
    labels = pd.DataFrame({LABEL: _flags(draw(LABEL)), f"{LABEL}_tie": _flags(draw(f"{LABEL}_tie"))})
    sample = np.where(place < ROWS, "out_of_sample", "live").astype(object)
    scores = {f"{LABEL}_{algo}": draw(algo, unknown=True) for algo in ("lgbm", "logreg")}
    trades = _trades(times, sample, draw)
    days = pd.DataFrame({"timestamp": times[::288], "total_pnl": draw("pnl")[::288], "trades": place[::288]})
    looks = pd.DataFrame({"timestamp": times[::144], "verdict": sample[::144], "psi": draw("psi")[::144]})
    frames = (
        raw,
        data,
        known,
        pd.concat([data, known.drop(columns="timestamp"), labels], axis=1),
        pd.DataFrame({"timestamp": times, "sample": sample} | scores),
        pd.DataFrame(
            {"timestamp": times, "close": draw("close"), "sample": sample}
            | {"buy": draw("buy") < 0.1, "sell": draw("sell") < 0.1, "strength": draw("strength")}
        ),
        trades,
        days,
        looks,
    )
    return dict(zip(SOURCES, frames, strict=True))


def noise(what: str, place: np.ndarray, written: np.ndarray, *, unknown: bool = False) -> np.ndarray:
    """Return numbers of [0, 1) that depend on name, row and generation alone, to the last bit."""
    mixed = place.astype("uint64") * np.uint64(0x9E3779B97F4A7C15) + written.astype("uint64") * np.uint64(
        0xBF58476D1CE4E5B9
    )
    mixed += np.uint64(zlib.crc32(what.encode()))
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        mixed = (mixed ^ (mixed >> np.uint64(shift))) * np.uint64(factor)
    numbers = (mixed >> np.uint64(11)).astype("float64") * 2.0**-53
    return np.where(numbers < 0.02, np.nan, numbers) if unknown else numbers


def start_of(market: Market, generation: int) -> pd.Timestamp:
    """Return from when on the state before a generation and that generation differ."""
    return START + (ROWS + (generation - 1) * ADDED - ALTERED) * market.freq_delta


def _klines(times: pd.DatetimeIndex, market: Market, draw: Callable[[str], np.ndarray]) -> pd.DataFrame:
    close_times = times.asi8 // 1_000_000 + market.freq_ms - 1
    columns: dict[str, object] = {"timestamp": times}
    for name, dtype in KLINE_DTYPES.items():
        if name == "close_time":
            columns[name] = close_times
        elif name != "timestamp":
            columns[name] = (draw(name) * 100_000).astype(dtype)
    return pd.DataFrame(columns)


def _trades(times: pd.DatetimeIndex, sample: np.ndarray, draw: Callable[[str], np.ndarray]) -> pd.DataFrame:
    entered = times[::EVERY_TRADE]
    words = {"side": "BUY", "status": "CLOSED", "exit_reason": "time_limit"}
    columns: dict[str, object] = {"timestamp": entered}
    for name, dtype in TRADE_DTYPES.items():
        if name == "trade_id":
            columns[name] = trade_ids(entered.asi8)
        elif name == "exit_time_ms":
            columns[name] = (entered.asi8 // 1_000_000 + 3_600_000).astype("float64")
        elif name == "sample":
            columns[name] = sample[::EVERY_TRADE]
        elif dtype == "object":
            columns[name] = np.full(len(entered), words[name], dtype=object)
        elif name != "timestamp":
            columns[name] = draw(name)[::EVERY_TRADE] + 1.0
    return pd.DataFrame(columns)


def _flags(numbers: np.ndarray) -> pd.arrays.BooleanArray:
    return pd.arrays.BooleanArray(numbers < 0.3, mask=numbers > 0.95)


@dataclass
class Chain:
    """A market that is written generation after generation, as the pipeline does."""

    keeper: FrameKeeper
    market: Market
    features: tuple[str, ...] = FEATURES
    versions: dict[str, int] = field(default_factory=dict)

    def write(self, generation: int) -> Iterator[tuple[str, FrameManifest]]:
        """Write a generation, upstream first; yield each asset once it is stored as the phase says."""
        for asset, frame in chain(self.market, generation, features=self.features).items():
            manifest = self.write_frame(asset, frame, generation)
            self.versions[asset] = manifest.version
            yield asset, manifest

    def write_frame(self, asset: str, frame: pd.DataFrame, generation: int) -> FrameManifest:
        """Write the rows of one asset that are not there yet, as its IO manager does."""
        with market_lock(self.keeper.layout.market_lock(self.market), wait_s=60):
            stored = self.keeper.find(self.market, asset, locked=True)
            start = None
            if stored is not None and list(stored.manifest.columns) == list(frame):
                start = start_of(self.market, min(generation_of(stored.manifest) + 1, generation))
                frame = frame[frame["timestamp"] >= start].reset_index(drop=True)
            record = Record(
                asset,
                self.market.symbol,
                self.market.freq,
                run_id=f"generation {generation}",
                written_at=NOW + timedelta(seconds=generation),
                digest="d1",
                sources={source: self.versions[source] for source in SOURCES[asset]},
            )
            manifest = self.keeper.write(self.market, asset, frame, record=record, from_time=start)
            self.keeper.level_table(self.market, asset)
        return manifest


def generation_of(manifest: FrameManifest) -> int:
    """Return which generation a frame was written as."""
    return int(manifest.run_id.removeprefix("generation "))


def keeper_of(
    root: Path, phase: Phase, url: str, definitions: Mapping[str, Mapping[str, str]] = DEFINITIONS
) -> FrameKeeper:
    """Return what keeps frames below a data root and in a database."""
    return FrameKeeper(Layout(root), FrameStore(), phase, SqlStore(url, definitions=definitions))


def assert_same(found: pd.DataFrame, expected: pd.DataFrame, what: str) -> None:
    """Compare columns, dtypes and the bits of every value."""
    pd.testing.assert_frame_equal(found, expected, check_exact=True, obj=what)
    for name in expected.select_dtypes("float64"):
        left, right = (frame[name].to_numpy().view("int64") for frame in (found, expected))
        assert ((left == right) | expected[name].isna()).all(), (what, name)
