"""The bare floor of each stage: the one library call or kernel that the work cannot do without, alone.

No check, no manifest, no digest, no conversion between pandas and polars: inputs lie ready in the form
the call likes best. Nothing of `itb_assets` is called inside what is measured.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import facts
import inputs
import numpy as np
import plain
import polars as pl
import polars.selectors as cs
import talib
from measure import Case, Job

Floats = np.ndarray[Any, np.dtype[np.float64]]
Bools = np.ndarray[Any, np.dtype[np.bool_]]
BLOCK_ROWS = 65_536
"""Rows that the label kernel keeps in the processor's cache."""


def _arrays(job: Job, *names: str) -> list[Floats]:
    frame = inputs.load(job, "klines")
    return [np.ascontiguousarray(frame[name].to_numpy()) for name in names]


def klines(job: Job) -> Case:
    """One polars write of the klines as parquet, compressed as ours."""
    table = inputs.table(job, "klines")
    path = job.output / "floor_klines.parquet"
    return Case(
        lambda: table.write_parquet(path, compression="snappy"),
        facts=lambda _: {"rows": table.height},
    )


def data(job: Job) -> Case:
    """One polars write of the grid as CSV."""
    return _csv_write(job, "data")


def features(job: Job) -> Case:
    """TA-Lib's own calls for 16 features and the ratio under the 17th, which TA-Lib does not know.

    Each is called on either side of the outage, for no window may reach across it.
    """
    frame = inputs.load(job, "data")
    high, low, close = (np.ascontiguousarray(frame[name].to_numpy()) for name in ("high", "low", "close"))
    outage = np.flatnonzero(np.isnan(close))
    sides = (slice(0, outage[0]), slice(outage[-1] + 1, len(close)))

    def call(function: Callable[..., Floats], window: int, *columns: Floats) -> Floats:
        out = np.empty(len(close))
        for side in sides:
            out[side] = function(*(column[side] for column in columns), window)
        out[outage] = np.nan
        return out

    def run() -> dict[str, Floats]:
        out = {f"close_SMA_{window}": call(talib.SMA, window, close) for window in plain.SMA_WINDOWS}
        out |= {
            f"close_LINEARREG_SLOPE_{window}": call(talib.LINEARREG_SLOPE, window, close)
            for window in plain.SLOPE_WINDOWS
        }
        out["close_RSI_14"] = call(talib.RSI, plain.PERIOD, close)
        out["high_low_close_ATR_14"] = call(talib.ATR, plain.PERIOD, high, low, close)
        out |= {
            f"close_STDDEV_{window}": call(talib.STDDEV, window, close) for window in plain.STDDEV_WINDOWS
        }
        spread = (high - low) / close * 100
        out |= {f"spread_pct_{window}": call(talib.SMA, window, spread) for window in plain.SPREAD_WINDOWS}
        out["vol_regime"] = out["high_low_close_ATR_14"] / close
        return out

    return Case(run, facts=_feature_facts)


def _feature_facts(out: Mapping[str, Floats]) -> Mapping[str, float]:
    return {name: float(np.nanmean(np.abs(values))) for name, values in out.items() if name != "vol_regime"}


def features_write(job: Job) -> Case:
    """One polars write of the features as CSV."""
    return _csv_write(job, "features")


def labels(job: Job) -> Case:
    """Run a first-crossing kernel on numpy arrays: six labels and their ties."""
    high, low, close = _arrays(job, "high", "low", "close")

    def run() -> dict[str, tuple[Bools, Bools]]:
        out = {}
        for threshold in plain.THRESHOLDS:
            name = f"{round(threshold * 100):03d}_{plain.HORIZON}"
            target, stop = threshold / 100, threshold * plain.TOLERANCE / 100
            out[f"high_{name}"] = _first_crossing(
                close, (high, low), (1 + target, 1 - stop), (np.greater, np.less)
            )
            out[f"low_{name}"] = _first_crossing(
                close, (low, high), (1 - target, 1 + stop), (np.less, np.greater)
            )
        return out

    def facts(out: Mapping[str, tuple[Bools, Bools]]) -> Mapping[str, float]:
        return {name: float(np.sum(reached & ~tie)) for name, (reached, tie) in out.items()}

    return Case(run, facts=facts)


def _first_crossing(
    close: Floats,
    prices: tuple[Floats, Floats],
    lines: tuple[float, float],
    beyond: tuple[Callable[..., Bools], Callable[..., Bools]],
) -> tuple[Bools, Bools]:
    """Return whether the first price passes its line before the second does, and the ties."""
    reached, tie = np.zeros(len(close), dtype=bool), np.zeros(len(close), dtype=bool)
    rows = len(close) - plain.HORIZON
    for start in range(0, rows, BLOCK_ROWS):
        end = min(start + BLOCK_ROWS, rows)
        target, stop = close[start:end] * lines[0], close[start:end] * lines[1]
        open_ = np.ones(end - start, dtype=bool)
        for step in range(1, plain.HORIZON + 1):
            hit = beyond[0](prices[0][start + step : end + step], target) & open_
            stopped = beyond[1](prices[1][start + step : end + step], stop)
            reached[start:end] |= hit
            tie[start:end] |= hit & stopped
            open_ &= ~(hit | stopped)
    return reached, tie


def matrix_write(job: Job) -> Case:
    """One polars write of the matrix as CSV."""
    return _csv_write(job, "matrix")


def matrix_read(job: Job) -> Case:
    """One polars read of that CSV; the time stays text."""
    path = job.output / "floor_matrix_to_read.csv"
    inputs.table(job, "matrix").write_csv(path)
    return Case(lambda: pl.read_csv(path), facts=lambda frame: {"rows": frame.height})


def _csv_write(job: Job, name: str) -> Case:
    table = inputs.table(job, name)
    path = job.output / f"floor_{name}.csv"
    return Case(lambda: table.write_csv(path), facts=lambda _: {"rows": table.height})


def database(job: Job) -> Case:
    """One binary COPY (ADBC ingest) of the klines into an empty table with the same primary key."""
    return _copy(job, "klines", inputs.table(job, "klines"))


def features_database(job: Job) -> Case:
    """Do so with the features."""
    return _copy(job, "features", inputs.table(job, "features"))


def labels_database(job: Job) -> Case:
    """Do so with the labels and their ties."""
    return _copy(job, "labels", inputs.table(job, "matrix").select("timestamp", cs.boolean()))


def _copy(job: Job, name: str, frame: pl.DataFrame) -> Case:
    import sqlalchemy as sa  # noqa: PLC0415 - slow to import, and in no other case's memory
    import tables  # noqa: PLC0415 - same
    from adbc_driver_postgresql import dbapi  # noqa: PLC0415 - same

    url, table = job.database("floor"), f"floor_{name}"
    engine, columns = sa.create_engine(url), tables.columns_of(frame.head(0).to_pandas())
    rows = frame.rename({"timestamp": "time"}).with_columns(
        pl.col("time").dt.cast_time_unit("us"),
        symbol=pl.lit(inputs.MARKET.symbol),
        freq=pl.lit(inputs.MARKET.freq),
    )
    arrow = rows.to_arrow(compat_level=pl.CompatLevel.oldest())

    def run() -> None:
        with dbapi.connect(url.replace("+psycopg2", "")) as connection, connection.cursor() as cursor:
            cursor.adbc_ingest(table, arrow, mode="append")
            connection.commit()

    return Case(
        run,
        before=lambda: tables.create_table(engine, table, columns),
        facts=lambda _: tables.row_count(engine, table),
    )


def scores(job: Job) -> Case:
    """LightGBM's predict alone, on one array."""
    import lightgbm  # noqa: PLC0415 - slow to import, and in no other case's memory

    names = list(inputs.strategy().train_features)
    x = np.ascontiguousarray(inputs.load(job, "features")[names].to_numpy())
    boosters = [lightgbm.Booster(model_str=payload["model"]) for payload in inputs.models(job).values()]
    return Case(lambda: [booster.predict(x, num_threads=1) for booster in boosters])


def signals(job: Job) -> Case:
    """Read scores and closes by polars, subtract and compare numpy arrays, write the result by polars."""
    for name in ("scores", "data"):
        inputs.table(job, name).write_csv(job.output / f"floor_{name}.csv")
    up, down = (name for name in inputs.table(job, "scores").columns if name not in ("timestamp", "sample"))

    def run() -> pl.DataFrame:
        scores = pl.read_csv(job.output / "floor_scores.csv")
        closes = pl.read_csv(job.output / "floor_data.csv", columns=["timestamp", "close"])["close"]
        score = scores[up].to_numpy() - scores[down].to_numpy()
        out = scores.select("timestamp", closes, "sample").with_columns(
            trade_score_aggressive=score,
            buy_signal_aggressive=score >= 0.01,
            sell_signal_aggressive=score <= -0.01,
        )
        out.write_csv(job.output / "floor_signals.csv")
        return out

    return Case(run, facts=lambda out: facts.of_signals(out.to_pandas()))


def fits(job: Job) -> Case:
    """Make the same LightGBM fits alone: data set, training, prediction of the window; one thread."""
    import fits as training  # noqa: PLC0415 - slow to import, and in no other case's memory
    import lightgbm  # noqa: PLC0415 - same

    plan = training.fit_plan(job)
    parameters = training.native_parameters()
    rounds = parameters.pop("n_estimators")

    def run() -> int:
        for y in plan.outcomes.values():
            for fit in plan.fits:
                train = lightgbm.Dataset(plan.x[fit.train], label=y[fit.train], params=parameters)
                booster = lightgbm.train(parameters, train, num_boost_round=rounds)
                if fit.score.start < fit.score.stop:
                    booster.predict(plan.x[fit.score], num_threads=1)
        return len(plan.fits) * len(plan.outcomes)

    return Case(run, facts=lambda count: {"fits": count})
