"""Our way: each stage as the assets do it, by the same calls into `domain` and `storage`, without Dagster.

The whole chain, and its update by new klines, is `chain`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import facts
import inputs
import pandas as pd
from measure import Case, Job

from itb_assets.domain.gaps import find_gaps
from itb_assets.domain.klines import check_klines, empty_klines, merge_klines, to_grid
from itb_assets.storage.files.frames import FrameManifest, FrameStore, Record

FRAMES = FrameStore()
WARM_UP_ROWS = 100


def _record(asset: str) -> Record:
    return Record(
        asset=asset,
        symbol=inputs.MARKET.symbol,
        freq=inputs.MARKET.freq,
        run_id="benchmark",
        written_at=inputs.written_at(),
        digest="benchmark",
    )


def _write(job: Job, asset: str, frame: pd.DataFrame, suffix: str = ".csv") -> FrameManifest:
    return FRAMES.write(job.output / f"ours_{asset}{suffix}", frame, record=_record(asset))


def _forget(job: Job, asset: str, suffix: str = ".csv") -> None:
    """Remove what a repeat wrote, with its manifest: equal content would not be written again."""
    for path in job.output.glob(f"*ours_{asset}{suffix}*"):
        path.unlink()
    for path in job.output.glob(f".*ours_{asset}{suffix}*"):
        path.unlink()


def klines(job: Job) -> Case:
    """Check the contract, merge into what is stored (nothing yet), look for gaps, write parquet."""
    fresh = inputs.load(job, "klines")

    def run() -> FrameManifest:
        check_klines(fresh, inputs.MARKET)
        merged = merge_klines(empty_klines(), fresh).frame
        find_gaps(merged, inputs.MARKET)
        return _write(job, "klines", merged, ".parquet")

    return Case(run, lambda: _forget(job, "klines", ".parquet"), _rows)


def _rows(manifest: FrameManifest) -> Mapping[str, float]:
    return {"rows": manifest.rows}


def data(job: Job) -> Case:
    """Put the klines on their grid and write it."""
    frame = inputs.load(job, "klines")
    return Case(
        lambda: _write(job, "data", to_grid(frame, inputs.MARKET)), lambda: _forget(job, "data"), _rows
    )


def features(job: Job) -> Case:
    """Compute the 17 features of the strategy."""
    frame, plan = inputs.load(job, "data"), inputs.feature_plan()
    return Case(lambda: plan.compute(frame), facts=facts.of_features)


def features_write(job: Job) -> Case:
    """Write the features."""
    frame = inputs.load(job, "features")
    return Case(lambda: _write(job, "features", frame), lambda: _forget(job, "features"), _rows)


def labels(job: Job) -> Case:
    """Compute the 6 labels of the strategy, their ties and what is unknown of them."""
    frame, plan = inputs.load(job, "data"), inputs.label_plan()
    return Case(lambda: plan.compute(frame), facts=facts.of_labels)


def matrix_write(job: Job) -> Case:
    """Put klines, features and labels side by side and write them."""
    matrix = inputs.load(job, "matrix")
    width = 12 + len(inputs.feature_plan().names)
    parts = [matrix.iloc[:, :12], matrix.iloc[:, 12:width], matrix.iloc[:, width:]]
    return Case(
        lambda: _write(job, "matrix", pd.concat(parts, axis=1)), lambda: _forget(job, "matrix"), _rows
    )


def matrix_read(job: Job) -> Case:
    """Read the matrix with its dtypes."""
    _forget(job, "matrix_to_read")
    _write(job, "matrix_to_read", inputs.load(job, "matrix"))
    stored = FRAMES.open(job.output / "ours_matrix_to_read.csv")
    return Case(stored.read, facts=lambda frame: {"rows": len(frame)})


def database(job: Job) -> Case:
    """Write the klines to the table `ohlcv` of an empty database."""
    return _loading(job, "raw/klines", "ohlcv", inputs.load(job, "klines"))


def features_database(job: Job) -> Case:
    """Write the features to the table `features` of an empty database."""
    return _loading(job, "processed/features", "features", inputs.load(job, "features"))


def labels_database(job: Job) -> Case:
    """Write the matrix's labels, with their ties, to the table `labels` of an empty database."""
    return _loading(job, "labeled/matrix", "labels", inputs.load(job, "matrix"))


def _loading(job: Job, asset: str, table: str, frame: pd.DataFrame) -> Case:
    import sqlalchemy as sa  # noqa: PLC0415 - slow to import, and in no other case's memory
    import tables  # noqa: PLC0415 - same

    from itb_assets.storage.tables.database import SqlStore  # noqa: PLC0415 - same

    url, definitions = (
        job.database("ours"),
        {
            "features": inputs.feature_plan().definitions,
            "labels": inputs.label_plan().definitions,
        },
    )
    manifest = _write(job, f"{table}_to_load", frame, ".parquet")
    store, engine = SqlStore(url, definitions=definitions), sa.create_engine(url)
    few = frame.head(WARM_UP_ROWS)
    early = _write(job, f"{table}_before", few, ".parquet")
    store.replace(asset, inputs.MARKET, few, manifest=early)  # makes the tables and their columns

    def run() -> None:
        store.replace(asset, inputs.MARKET, frame, manifest=manifest)

    return Case(
        run,
        before=lambda: tables.empty(engine, table, "manifests"),
        facts=lambda _: tables.row_count(engine, table),
    )


def scores(job: Job) -> Case:
    """Score every row with both models, from their stored payloads."""
    from itb_assets.domain.training import score_rows  # noqa: PLC0415 - slow to import, and in no other case's memory

    frame, loaded = inputs.load(job, "features"), inputs.models(job)
    names = inputs.strategy().train_features
    return Case(lambda: {name: score_rows(payload, names, frame) for name, payload in loaded.items()})


def signals(job: Job) -> Case:
    """Read scores and closes, apply the strategy's rules on every kline and write the signals."""
    from itb_assets.orchestration.assets.signals import (  # noqa: PLC0415 - brings Dagster along
        _signals_since as signals_since,
    )

    specs = inputs.strategy().signal_sets
    for name in ("scores", "data"):
        _forget(job, name)
        _write(job, name, inputs.load(job, name))

    def run() -> pd.DataFrame:
        scores, grid = (FRAMES.open(job.output / f"ours_{name}.csv") for name in ("scores", "data"))
        if scores.first is None:
            raise ValueError("there are no scores: expected one a kline")
        frame = signals_since(scores, grid, specs, scores.first, scores.first)
        _write(job, "signals", frame)
        return frame

    return Case(run, lambda: _forget(job, "signals"), facts.of_signals)


def fits(job: Job) -> Case:
    """Train both models: walk-forward folds with their metrics, and the final fit."""
    import fits as training  # noqa: PLC0415 - slow to import, and in no other case's memory

    from itb_assets.domain.training import train_model  # noqa: PLC0415 - same

    chosen, matrix = inputs.strategy(), training.training_matrix(job)

    def run() -> int:
        count = 0
        for label in chosen.labels:
            trained: Any = train_model(
                matrix,
                features=chosen.train_features,
                label=label,
                algorithm=chosen.algorithms[0],
                walk_forward=chosen.walk_forward,
                label_horizon=chosen.label_horizon,
                label_horizon_rows=inputs.label_plan().horizon_rows,
                train_length=chosen.train_length,
                seed=training.SEED,
                threads=1,
            )
            count += len(trained.folds) + 1
        return count

    return Case(run, facts=lambda count: {"fits": count})
