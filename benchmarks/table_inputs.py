"""The frames that `database.py` stores and reads: klines, and 35 features of them; and how they change.

Nothing here is measured.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import inputs
import numpy as np
import pandas as pd
import polars as pl
from measure import Job

from itb_assets.domain.features import FeaturePlan, compile_features
from itb_assets.domain.klines import to_grid
from itb_assets.domain.specs import GeneratorSpec
from itb_assets.storage.tables.columns_catalogue import sql_name

KLINES, FEATURES = "raw/klines", "processed/features"
TABLES = {KLINES: "ohlcv", FEATURES: "features"}
INPUTS = {KLINES: "klines", FEATURES: "features"}
BLOCK_ROWS = 288
"""A day of klines: where half of the rows are new, every second day is."""

CHANGED_SHARE = 0.01
_SLIGHTLY = 1.0 + 2.0**-20


@dataclass(frozen=True)
class TableJob(Job):
    """A job on one asset; `path` is how ours writes: `replace` beside a file, `write` without one."""

    asset: str = KLINES
    path: str = "replace"

    @property
    def table(self) -> str:
        """The table that keeps the asset."""
        return TABLES[self.asset]


def plan() -> FeaturePlan:
    """Return 35 features of the kinds that the shipped strategies have."""
    close, ranges = ["close"], ["high", "low", "close"]
    wanted = [
        ("SMA", close, [3, 6, 12, 24, 48, 96, 144, 288]),
        ("LINEARREG_SLOPE", close, [3, 6, 12, 24, 48, 96, 144, 288]),
        ("STDDEV", close, [6, 12, 24, 48, 96, 144]),
        ("RSI", close, [7, 14, 28, 56]),
        ("ATR", ranges, [7, 14, 28]),
    ]
    talib = [
        GeneratorSpec("talib", {"columns": columns, "functions": [function], "windows": windows})
        for function, columns, windows in wanted
    ]
    regime = GeneratorSpec("regime", {"atr_column": "high_low_close_ATR_14"})
    spread = GeneratorSpec("spread", {"windows": [3, 6, 12, 24, 48]})
    return compile_features([*talib, spread, regime], dialect="causal")


def prepare(job: Job) -> None:
    """Write klines and features into the job's folder, as many rows of each as the job has."""
    klines = inputs.make_klines(job.rows)
    inputs.save(klines, job, "klines")
    inputs.save(plan().compute(to_grid(klines, inputs.MARKET)).head(job.rows), job, "features")


def load(job: TableJob) -> pd.DataFrame:
    """Return the asset's frame, `job.rows` long."""
    return inputs.load(job, INPUTS[job.asset]).head(job.rows)


def names(columns: Iterable[object]) -> dict[str, str]:
    """Return what the columns of a frame are called in a table of ours."""
    return {str(name): "time" if name == "timestamp" else sql_name(str(name)) for name in columns}


def rows(job: TableJob) -> pl.DataFrame:
    """Return it as rows of a table: columns as `names` says, open times in microseconds."""
    table = inputs.table(job, INPUTS[job.asset]).head(job.rows)
    return table.rename(names(table.columns)).with_columns(
        pl.col("time").dt.cast_time_unit("us"),
        symbol=pl.lit(inputs.MARKET.symbol),
        freq=pl.lit(inputs.MARKET.freq),
    )


def every_second_day(frame: pd.DataFrame) -> pd.DataFrame:
    """Return half of the rows, spread over all of the time."""
    kept = np.arange(len(frame)) // BLOCK_ROWS % 2 == 0
    return frame[kept].reset_index(drop=True)


def changed(frame: pd.DataFrame, share: float) -> pd.DataFrame:
    """Return the frame with every double altered slightly in a share of its rows, drawn at random."""
    drawn = np.random.default_rng(inputs.SEED).random(len(frame)) < share
    doubles = frame.select_dtypes("float64").columns
    factors = np.where(drawn, _SLIGHTLY, 1.0)
    return frame.assign(**{name: frame[name].to_numpy() * factors for name in doubles})
