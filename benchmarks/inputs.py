"""What the cases work on: deterministic synthetic klines, and every later frame made from them beforehand.

Nothing here is measured.
"""

from __future__ import annotations

import json
import pickle
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
from measure import Job

from itb_assets.domain.features import FeaturePlan, compile_features
from itb_assets.domain.klines import KLINE_COLUMNS, KLINE_DTYPES, to_grid
from itb_assets.domain.labels import LabelPlan, compile_labels
from itb_assets.domain.markets import Market
from itb_assets.domain.strategy import Strategy, load_strategy
from itb_assets.storage.files.dtypes import dtypes_of, to_pandas, to_polars

MARKET = Market("BENCHUSDT", "5m")
START_MS = 1_451_606_400_000  # 2016-01-01 UTC: a million 5-minute klines end in 2025
OUTAGE_ROWS = 12
NEW_ROWS = 12
"""Klines that one incremental update brings."""

UPDATES = 3
"""Updates that are measured; their klines are made along with the others and held back."""

SEED = 20_160_101
STRATEGY_FILE = Path(__file__).parents[1] / "itb_assets" / "strategies" / "aggressive.jsonc"


def strategy() -> Strategy:
    """Return the shipped aggressive strategy: 17 features, 6 labels, 2 models, 2 signal columns."""
    return load_strategy(STRATEGY_FILE.read_text("utf-8"), origin=STRATEGY_FILE.name, variant="aggressive")


def feature_plan() -> FeaturePlan:
    """Return the strategy's features."""
    chosen = strategy()
    return compile_features(chosen.feature_sets, dialect=chosen.dialect)


def label_plan() -> LabelPlan:
    """Return the strategy's labels."""
    chosen = strategy()
    return compile_labels(chosen.label_sets, dialect=chosen.dialect)


def make_klines(rows: int) -> pd.DataFrame:
    """Return lawful klines with clustered volatility, an exchange's decimals and one outage at 60 %."""
    rng = np.random.default_rng(SEED)
    total = rows + OUTAGE_ROWS
    volatility = 8e-4 * np.exp(0.6 * np.sin(np.arange(total) / 1700) + 0.3 * np.sin(np.arange(total) / 240))
    steps = rng.standard_t(4, total) * volatility * 0.7
    close = np.round(20_000 * np.exp(_around_zero(np.cumsum(steps))), 2)
    opened = np.concatenate([[20_000.0], close[:-1]])
    wick = np.abs(rng.normal(0, 0.5, (2, total))) * volatility * close
    volume = np.round(rng.gamma(2, 40, total), 5)
    taken = np.round(volume * rng.uniform(0.3, 0.7, total), 5)
    times = START_MS + np.arange(total, dtype=np.int64) * MARKET.freq_ms
    columns: dict[str, Any] = {
        "timestamp": pd.to_datetime(times, unit="ms", utc=True),
        "open": opened,
        "high": np.round(np.maximum(opened, close) + wick[0], 2),
        "low": np.round(np.minimum(opened, close) - wick[1], 2),
        "close": close,
        "volume": volume,
        "close_time": times + MARKET.freq_ms - 1,
        "quote_av": np.round(volume * close, 8),
        "trades": rng.integers(50, 4000, total),
        "tb_base_av": taken,
        "tb_quote_av": np.round(taken * close, 8),
        "ignore": np.zeros(total),
    }
    frame = pd.DataFrame({name: columns[name] for name in KLINE_COLUMNS}).astype(dict(KLINE_DTYPES))
    gone = int(total * 0.6)
    return frame.drop(index=range(gone, gone + OUTAGE_ROWS)).reset_index(drop=True)


def _around_zero(walk: np.ndarray[Any, np.dtype[np.float64]]) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Fold a random walk into (-1, 1), so that ten years of prices stay prices."""
    return np.asarray(np.sin(walk))


def prepare(job: Job) -> None:
    """Write every input of every case into the job's folder."""
    klines = make_klines(job.rows + UPDATES * NEW_ROWS)
    data = to_grid(klines.iloc[: job.rows], MARKET)
    features, labels = feature_plan().compute(data), label_plan().compute(data)
    matrix = pd.concat([data, features.drop(columns="timestamp"), labels.drop(columns="timestamp")], axis=1)
    for name, frame in {"klines": klines, "data": data, "features": features, "matrix": matrix}.items():
        save(frame, job, name)
    save(_scores(data), job, "scores")
    (job.folder / "models.pkl").write_bytes(pickle.dumps(_models(matrix)))


def _scores(data: pd.DataFrame) -> pd.DataFrame:
    """Return made-up scores of the size that real ones have."""
    rng = np.random.default_rng(SEED)
    names = [
        f"{label}_{algorithm.name}" for algorithm in strategy().algorithms for label in strategy().labels
    ]
    columns = {name: rng.beta(1, 18, len(data)) for name in names}
    return pd.DataFrame({"timestamp": data["timestamp"], "sample": "out_of_sample", **columns})


def _models(matrix: pd.DataFrame) -> Mapping[str, Mapping[str, Any]]:
    """Fit one model a label on the first rows, as large as the strategy's own; keyed by score name."""
    from itb_assets.domain.training.estimators import make_estimator  # noqa: PLC0415 - LightGBM is slow to import

    chosen = strategy()
    known = matrix.dropna(subset=[*chosen.train_features, *chosen.labels]).head(20_000)
    x = known[list(chosen.train_features)].to_numpy(dtype=np.float64)
    models = {}
    for algorithm in chosen.algorithms:
        for label in chosen.labels:
            fitted = make_estimator(algorithm).fit(x, known[label].to_numpy(dtype=np.bool_), seed=7)
            payload = {**fitted.to_payload(), "features": list(chosen.train_features)}
            models[f"{label}_{algorithm.name}"] = payload
    return models


def models(job: Job) -> Mapping[str, Mapping[str, Any]]:
    """Return the prepared models' payloads by score name."""
    loaded: Mapping[str, Mapping[str, Any]] = pickle.loads((job.folder / "models.pkl").read_bytes())  # noqa: S301 - written by this run
    return loaded


def save(frame: pd.DataFrame, job: Job, name: str) -> None:
    """Keep a frame in the job's folder, for `load`."""
    to_polars(frame).write_parquet(job.folder / f"{name}.parquet", compression="lz4")
    (job.folder / f"{name}.json").write_text(json.dumps(dtypes_of(frame)), "utf-8")


def load(job: Job, name: str) -> pd.DataFrame:
    """Return a prepared frame's first `job.rows` rows (of the grid, for all but `klines`)."""
    dtypes = json.loads((job.folder / f"{name}.json").read_text("utf-8"))
    return to_pandas(table(job, name), dtypes)


def table(job: Job, name: str) -> pl.DataFrame:
    """Return the same as a polars table."""
    rows = job.rows if name == "klines" else job.rows + OUTAGE_ROWS
    return pl.read_parquet(job.folder / f"{name}.parquet", n_rows=rows).rechunk()


def new_klines(job: Job, overlap: int) -> pd.DataFrame:
    """Return the held-back klines after the last `overlap` known ones."""
    dtypes = json.loads((job.folder / "klines.json").read_text("utf-8"))
    held = pl.read_parquet(job.folder / "klines.parquet").slice(job.rows - overlap)
    return to_pandas(held, dtypes)


def written_at() -> datetime:
    """Return the time that written frames are stamped with."""
    return datetime(2026, 1, 1, tzinfo=UTC)
