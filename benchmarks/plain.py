"""The plain pandas way: what a competent trader writes who knows pandas and no more.

Rolling windows, a function applied a row at a time where rolling has no word for it, `to_csv`, `read_csv`,
`to_sql`. Nothing of `itb_assets` is called here.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import facts
import inputs
import numpy as np
import pandas as pd
import polars.selectors as cs
from measure import Case, Job
from plain_tables import loading

SMA_WINDOWS = (3, 6, 12, 24, 48)
SLOPE_WINDOWS = (3, 6, 12, 24)
STDDEV_WINDOWS = (12, 24)
SPREAD_WINDOWS = (3, 6, 12)
PERIOD = 14
THRESHOLDS = (0.3, 0.4, 0.5)
TOLERANCE = 0.05
HORIZON = 4
TESTED_ROWS = 16_128
"""Rows that walk-forward scores: 4 windows of 4,032."""

LIVE_ROWS = 9
"""Rows after the end of training: those whose labels are unknown."""

TIME_FORMAT = "%Y-%m-%d %H:%M:%S%:z"


def klines(job: Job) -> Case:
    """Drop duplicates, sort, look for holes in the values, write parquet."""
    frame = inputs.load(job, "klines")

    def run() -> pd.DataFrame:
        clean = frame.drop_duplicates("timestamp").sort_values("timestamp").reset_index(drop=True)
        if clean.isna().any().any() or (clean[["open", "high", "low", "close"]] <= 0).any().any():
            raise ValueError("klines hold NaN or prices that are not above zero")
        clean.to_parquet(job.output / "plain_klines.parquet", index=False)
        return clean

    return Case(run, facts=lambda clean: {"rows": len(clean)})


def data(job: Job) -> Case:
    """Fill up the time grid and write it as CSV."""
    frame = inputs.load(job, "klines")

    def run() -> pd.DataFrame:
        grid = frame.set_index("timestamp").asfreq("5min").reset_index()
        grid.to_csv(job.output / "plain_data.csv", index=False)
        return grid

    return Case(run, facts=lambda grid: {"rows": len(grid)})


def features(job: Job) -> Case:
    """Compute the 17 features by rolling, ewm and apply."""
    frame = inputs.load(job, "data")
    return Case(lambda: _features(frame), facts=facts.of_features)


def _features(df: pd.DataFrame) -> pd.DataFrame:
    out = pd.DataFrame({"timestamp": df["timestamp"]})
    close = df["close"]
    for window in SMA_WINDOWS:
        out[f"close_SMA_{window}"] = close.rolling(window).mean()
    for window in SLOPE_WINDOWS:
        out[f"close_LINEARREG_SLOPE_{window}"] = close.rolling(window).apply(_slope_over(window), raw=True)
    change = close.diff()
    gain = change.clip(lower=0).ewm(alpha=1 / PERIOD, adjust=False, min_periods=PERIOD).mean()
    loss = (-change.clip(upper=0)).ewm(alpha=1 / PERIOD, adjust=False, min_periods=PERIOD).mean()
    out["close_RSI_14"] = 100 - 100 / (1 + gain / loss)
    previous = close.shift()
    ranges = [df["high"] - df["low"], (df["high"] - previous).abs(), (df["low"] - previous).abs()]
    true_range = pd.concat(ranges, axis=1).max(axis=1)
    out["high_low_close_ATR_14"] = true_range.ewm(alpha=1 / PERIOD, adjust=False, min_periods=PERIOD).mean()
    for window in STDDEV_WINDOWS:
        out[f"close_STDDEV_{window}"] = close.rolling(window).std(ddof=0)
    spread = (df["high"] - df["low"]) / close * 100
    for window in SPREAD_WINDOWS:
        out[f"spread_pct_{window}"] = spread.rolling(window).mean()
    out["vol_regime"] = _regime(out["high_low_close_ATR_14"] / close)
    return out


def _slope_over(window: int) -> Callable[[np.ndarray[Any, np.dtype[np.float64]]], float]:
    """Return the least-squares slope as a function of a window's values."""
    x = np.arange(window) - (window - 1) / 2
    weights = x / (x @ x)
    return lambda values: float(values @ weights)


def _regime(ratio: pd.Series) -> pd.Series:
    low, high = ratio.quantile(0.35), ratio.quantile(0.70)

    def classify(value: float) -> float:
        if value < low:
            return 0.0
        return 1.0 if value < high else 2.0

    return ratio.apply(classify)


def features_write(job: Job) -> Case:
    """Write the features as CSV."""
    frame = inputs.load(job, "features")
    return Case(lambda: frame.to_csv(job.output / "plain_features.csv", index=False))


def labels(job: Job) -> Case:
    """Compute the 6 labels by a function applied to every row and the four rows after it."""
    frame = inputs.load(job, "data")
    return Case(lambda: _labels(frame), facts=facts.of_labels)


def _labels(df: pd.DataFrame) -> pd.DataFrame:
    highs = [df["high"].shift(-step) for step in range(1, HORIZON + 1)]
    lows = [df["low"].shift(-step) for step in range(1, HORIZON + 1)]
    up = pd.concat([df["close"], *highs, *lows], axis=1)
    down = -pd.concat([df["close"], *lows, *highs], axis=1)  # mirrored, a fall is a rise
    out = pd.DataFrame({"timestamp": df["timestamp"]})
    for side, window in (("high", up), ("low", down)):
        sign = 1 if side == "high" else -1
        for threshold in THRESHOLDS:
            target = 1 + sign * threshold / 100
            stop = 1 - sign * threshold * TOLERANCE / 100
            name = f"{side}_{round(threshold * 100):03d}_{HORIZON}"
            out[name] = window.apply(_crosses_first, axis=1, raw=True, args=(target, stop))
    return out


def _crosses_first(row: np.ndarray[Any, np.dtype[np.float64]], target: float, stop: float) -> bool:
    close, *later = row.tolist()
    above, below = close * target, close * stop
    for ahead, behind in zip(later[:HORIZON], later[HORIZON:], strict=True):
        if behind < below:
            return False
        if ahead > above:
            return True
    return False


def _plain_matrix(job: Job) -> pd.DataFrame:
    """Return klines, features and six plain boolean labels: no column for ties, no unknown."""
    matrix = inputs.load(job, "matrix")
    ties = [name for name in matrix.columns if str(name).endswith("_tie")]
    booleans = {name: bool for name, dtype in matrix.dtypes.items() if str(dtype) == "boolean"}
    return matrix.fillna(dict.fromkeys(booleans, False)).astype(booleans).drop(columns=ties)


def matrix_write(job: Job) -> Case:
    """Put klines, features and labels side by side and write them as CSV."""
    matrix = _plain_matrix(job)
    parts = [matrix.iloc[:, :12], matrix.iloc[:, 12:29], matrix.iloc[:, 29:]]

    def run() -> None:
        pd.concat(parts, axis=1).to_csv(job.output / "plain_matrix.csv", index=False)

    return Case(run)


def matrix_read(job: Job) -> Case:
    """Read that CSV."""
    path = job.output / "plain_matrix_to_read.csv"
    table = inputs.table(job, "matrix").select(~cs.ends_with("_tie"))
    table.with_columns(cs.boolean().fill_null(value=False)).write_csv(path, datetime_format=TIME_FORMAT)
    return Case(
        lambda: pd.read_csv(path, parse_dates=["timestamp"]), facts=lambda frame: {"rows": len(frame)}
    )


def database(job: Job) -> Case:
    """Load the klines by `to_sql`."""
    return loading(job, "klines", inputs.load(job, "klines"))


def features_database(job: Job) -> Case:
    """Load the features by `to_sql`."""
    return loading(job, "features", inputs.load(job, "features"))


def labels_database(job: Job) -> Case:
    """Load the labels by `to_sql`: six plain booleans, no ties."""
    matrix = _plain_matrix(job)
    return loading(job, "labels", matrix[["timestamp", *matrix.select_dtypes("bool").columns]])


def outcome(job: Job) -> Case:
    """Score the newest rows, put them after the out-of-sample scores, derive signals, store both twice."""
    import lightgbm  # noqa: PLC0415 - slow to import, and in no other case's memory
    import sqlalchemy as sa  # noqa: PLC0415 - same

    engine = sa.create_engine(job.database("plain"))
    tested = inputs.load(job, "scores").iloc[-min(TESTED_ROWS, job.rows // 2) : -LIVE_ROWS]
    texts = {name: payload["model"] for name, payload in inputs.models(job).items()}
    for name in ("data", "features"):
        inputs.table(job, name).write_csv(job.output / f"plain_{name}.csv", datetime_format=TIME_FORMAT)

    def run() -> pd.DataFrame:
        features = pd.read_csv(job.output / "plain_features.csv", parse_dates=["timestamp"])
        live = features.tail(LIVE_ROWS)
        new = pd.DataFrame({"timestamp": live["timestamp"], "sample": "live"})
        for score, text in texts.items():
            new[score] = lightgbm.Booster(model_str=text).predict(live.iloc[:, 1:], num_threads=1)
        predictions = pd.concat([tested, new], ignore_index=True)
        predictions.to_csv(job.output / "plain_predictions.csv", index=False)
        rows = predictions.melt(["timestamp", "sample"], var_name="label", value_name="probability")
        rows.to_sql("plain_predictions", engine, if_exists="replace", index=False, chunksize=10_000)
        closes = _closes(job)
        signals = _signals(predictions, closes)
        signals.to_csv(job.output / "plain_signals.csv", index=False)
        signals.to_sql("plain_signals", engine, if_exists="replace", index=False, chunksize=10_000)
        return signals

    return Case(run)


def scores(job: Job) -> Case:
    """Score every row with both models."""
    import lightgbm  # noqa: PLC0415 - slow to import, and in no other case's memory

    frame = inputs.load(job, "features")
    loaded = {name: payload["model"] for name, payload in inputs.models(job).items()}
    names = list(inputs.strategy().train_features)

    def run() -> pd.DataFrame:
        out = pd.DataFrame({"timestamp": frame["timestamp"]})
        for score, text in loaded.items():
            booster = lightgbm.Booster(model_str=text)
            out[score] = booster.predict(frame[names], num_threads=1)
        return out

    return Case(run)


def signals(job: Job) -> Case:
    """Read scores and closes, combine the scores, apply the rule to every row, write CSV."""
    for name in ("scores", "data"):
        inputs.table(job, name).write_csv(job.output / f"plain_{name}.csv", datetime_format=TIME_FORMAT)

    def run() -> pd.DataFrame:
        scores = pd.read_csv(job.output / "plain_scores.csv", parse_dates=["timestamp"])
        closes = _closes(job)
        out = _signals(scores, closes)
        out.to_csv(job.output / "plain_signals.csv", index=False)
        return out

    return Case(run, facts=facts.of_signals)


def _closes(job: Job) -> pd.DataFrame:
    columns = ["timestamp", "close"]
    return pd.read_csv(job.output / "plain_data.csv", usecols=columns, parse_dates=["timestamp"])


def _signals(scores: pd.DataFrame, closes: pd.DataFrame) -> pd.DataFrame:
    up, down = (name for name in scores.columns if name not in ("timestamp", "sample"))
    out = scores[["timestamp", "sample"]].merge(closes, on="timestamp", how="left")
    out["trade_score_aggressive"] = scores[up] - scores[down]
    out["buy_signal_aggressive"] = out["trade_score_aggressive"].apply(lambda score: score >= 0.01)
    out["sell_signal_aggressive"] = out["trade_score_aggressive"].apply(lambda score: score <= -0.01)
    return out


def fits(job: Job) -> Case:
    """Fit LightGBM's scikit-learn classifier for each window and label, on data frames."""
    import fits as training  # noqa: PLC0415 - slow to import, and in no other case's memory
    import lightgbm  # noqa: PLC0415 - same

    plan, chosen = training.fit_plan(job), inputs.strategy()
    frame = pd.DataFrame(plan.x, columns=list(chosen.train_features))
    outcomes = {label: pd.Series(y.astype(bool)) for label, y in plan.outcomes.items()}
    parameters = dict(chosen.algorithms[0].train)

    def run() -> int:
        for y in outcomes.values():
            for fit in plan.fits:
                model = lightgbm.LGBMClassifier(**parameters, n_jobs=1, verbosity=-1)
                model.fit(frame.iloc[fit.train], y.iloc[fit.train])
                if fit.score.start < fit.score.stop:
                    model.predict_proba(frame.iloc[fit.score])
        return len(plan.fits) * len(outcomes)

    return Case(run, facts=lambda count: {"fits": count})
