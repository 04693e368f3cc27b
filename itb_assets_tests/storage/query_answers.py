"""What every query must answer about the small world, computed with pandas instead of SQL."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd
from query_making import MODELS, ODD_COLUMN, ODD_LABEL, START, STEP, World

MARKET = {"symbol": "BTCUSDT", "freq": "5m"}
AT = "2024-06-03"
NOW = pd.Timestamp(AT, tz="UTC")
HOUR = pd.Timedelta(hours=1)


@dataclass(frozen=True)
class Case:
    """One question: the query, what it is given, and how its answer comes about."""

    query: str
    given: dict[str, object]
    expected: Callable[[World], pd.DataFrame]


CASES: list[Case] = []


def answers(query: str, **given: object) -> Callable[[Callable[[World], pd.DataFrame]], None]:
    """Take the function below as the answer to a query."""

    def add(expected: Callable[[World], pd.DataFrame]) -> None:
        CASES.append(Case(query, given, expected))

    return add


def of_market(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of BTCUSDT 5m."""
    return frame[(frame["symbol"] == "BTCUSDT") & (frame["freq"] == "5m")].reset_index(drop=True)


def month(times: pd.Series) -> pd.Series:
    """Return the first instant of each time's month."""
    return pd.to_datetime(times.dt.strftime("%Y-%m-01"), utc=True)


@answers("recent_features", **MARKET, at="2024-05-30T12:00", hours=1, rows=100)
def _(world: World) -> pd.DataFrame:
    times = [pd.Timestamp("2024-05-30T12:00", tz="UTC") - i * STEP for i in range(13)]
    return world.features.set_index("time").loc[times].reset_index()[list(world.features.columns)]


@answers("kline_staleness", at="2024-05-31T00:00")
def _(world: World) -> pd.DataFrame:
    at = pd.Timestamp("2024-05-31", tz="UTC")
    rows = [{"symbol": "SOLUSDT", "freq": "5m"}]
    for symbol, freq, length in (("ETHUSDT", "1h", HOUR), ("BTCUSDT", "5m", STEP)):
        own = world.klines[world.klines["symbol"] == symbol].iloc[-1]
        age = at - own["time"] - length
        rows.append(
            {
                "symbol": symbol,
                "freq": freq,
                "newest": own["time"],
                "close": own["close"],
                "age_minutes": age / pd.Timedelta(minutes=1),
                "klines_behind": age // length,
            }
        )
    return pd.DataFrame(rows)[["symbol", "freq", "newest", "close", "age_minutes", "klines_behind"]]


@answers("kline_gaps", **MARKET, until="2024-06-02")
def _(world: World) -> pd.DataFrame:
    del world
    gaps = [(100, 102), (300, 300)]
    return pd.DataFrame(
        {
            "first_missing": [START + first * STEP for first, _ in gaps],
            "last_missing": [START + last * STEP for _, last in gaps],
            "missing": [3, 1],
            "hours": [0.25, 1 / 12],
        }
    )


@answers("resampled_klines", **MARKET, to="4h")
def _(world: World) -> pd.DataFrame:
    rows = []
    for time, group in of_market(world.klines).groupby(pd.Grouper(key="time", freq="4h")):
        rows.append(
            {
                "time": time,
                "open": group["open"].iloc[0],
                "high": group["high"].max(),
                "low": group["low"].min(),
                "close": group["close"].iloc[-1],
                "volume": group["volume"].sum(),
                "quote_av": group["quote_av"].sum(),
                "trades": group["trades"].sum(),
                "klines": len(group),
                "complete": len(group) == 48,
            }
        )
    return pd.DataFrame(rows[::-1])


@answers("label_base_rates", **MARKET, label=ODD_LABEL)
def _(world: World) -> pd.DataFrame:
    rows = []
    for first, group in world.labels.groupby(month(world.labels["time"])):
        known = group[ODD_COLUMN].dropna().astype(bool)
        rate = known.mean()
        rows.append((first, len(group), len(known), int(known.sum()), rate))
    return pd.DataFrame(rows, columns=["month", "rows", "known", "positives", "base_rate"])


def judged(world: World, label: str, column: str) -> pd.DataFrame:
    """Return scores beside what came true, rows trained on left out."""
    scores = world.predictions[world.predictions["label"] == label]
    joined = scores.merge(world.labels[["time", column]], on="time").rename(columns={column: "truth"})
    joined = joined[joined["sample"] != "in_sample"].dropna(subset=["probability", "truth"])
    return joined.assign(truth=joined["truth"].astype(bool), month=month(joined["time"]))


@answers("calibration", **MARKET, label="high_040_4")
def _(world: World) -> pd.DataFrame:
    rows = []
    for (model, sample), group in judged(world, "high_040_4", "high_040_4").groupby(["model_name", "sample"]):
        ordered = group.sort_values(["probability", "time"])
        for place, rows_of_tenth in enumerate(np.array_split(np.arange(len(ordered)), 10), start=1):
            tenth = ordered.iloc[rows_of_tenth]
            said, seen = tenth["probability"].mean(), tenth["truth"].mean()
            low, high = tenth["probability"].min(), tenth["probability"].max()
            rows.append((model, sample, place, len(tenth), low, high, said, seen, seen - said))
    names = ["lowest", "highest", "mean_probability", "observed_rate", "difference"]
    return pd.DataFrame(rows, columns=["model_name", "sample", "decile", "rows", *names])


@answers("precision_by_month", **MARKET, label=ODD_COLUMN, threshold=0.7)
def _(world: World) -> pd.DataFrame:
    rows = []
    for key, group in judged(world, ODD_LABEL, ODD_COLUMN).groupby(["model_name", "sample", "month"]):
        calls = group["probability"] >= 0.7
        hits = int((calls & group["truth"]).sum())
        true = int(group["truth"].sum())
        rates = (hits / calls.sum(), hits / true, true / len(group))
        rows.append((*key, len(group), int(calls.sum()), hits, *rates))
    names = ["rows", "calls", "hits", "precision", "recall", "base_rate"]
    return pd.DataFrame(rows, columns=["model_name", "sample", "month", *names])


@answers("latest_predictions", at="2024-06-01T03:00")
def _(world: World) -> pd.DataFrame:
    newest = world.predictions[world.predictions["time"] == world.predictions["time"].max()]
    columns = ["symbol", "freq", "model_name", "label", "time", "probability", "prediction", "sample"]
    return newest[columns].sort_values(["model_name", "label"]).assign(age_minutes=60.0)


def yes(signals: pd.DataFrame, output: str) -> pd.Series:
    """Return where an output is true."""
    return signals["outputs"].map(lambda outputs: outputs[output])


@answers("signal_counts", **MARKET)
def _(world: World) -> pd.DataFrame:
    rows = []
    for output in ("buy", "sell"):
        own = world.signals.assign(yes=yes(world.signals, output), month=month(world.signals["time"]))
        for (sample, first), group in own.groupby(["sample", "month"]):
            counts = (len(group), int(group["yes"].sum()), group["yes"].mean())
            rows.append(("aggressive", output, sample, first, *counts))
    return pd.DataFrame(rows, columns=["variant", "output", "sample", "month", "rows", "signals", "share"])


def followed(world: World, bars: int) -> pd.DataFrame:
    """Return signals of rows that no model was trained on, with the prices after them."""
    signals = world.signals[world.signals["sample"] != "in_sample"]
    klines = of_market(world.klines).set_index("time")
    times = signals["time"]
    return signals.assign(
        buy=yes(signals, "buy"),
        entry_price=klines["open"].reindex(times + STEP).to_numpy(),
        exit_price=klines["close"].reindex(times + bars * STEP).to_numpy(),
    ).assign(return_pct=lambda frame: 100 * (frame["exit_price"] / frame["entry_price"] - 1))


@answers("signals_followed", **MARKET, variant="aggressive", output="buy", bars=3, rows=40)
def _(world: World) -> pd.DataFrame:
    rows = followed(world, 3)
    rows = rows[rows["buy"]].sort_values("time", ascending=False).head(40)
    return rows[["time", "sample", "close", "entry_price", "exit_price", "return_pct"]]


@answers("signal_returns", **MARKET, variant="aggressive", output="buy", bars=5)
def _(world: World) -> pd.DataFrame:
    known = followed(world, 5).dropna(subset=["return_pct"])
    rows = []
    for sample, own in known.groupby("sample"):
        for word, wanted in (("yes", True), ("no", False)):
            pct = own.loc[own["buy"] == wanted, "return_pct"]
            rows.append((sample, word, len(pct), pct.mean(), pct.median(), pct.std(), (pct > 0).mean()))
    names = ["rows", "mean_pct", "median_pct", "stddev_pct", "rising"]
    return pd.DataFrame(rows, columns=["sample", "signal", *names])


@answers("drift_alarms", days=12, at="2024-06-03")
def _(world: World) -> pd.DataFrame:
    looks = world.drift[(world.drift["time"] > NOW - pd.Timedelta(days=12)) & (world.drift["time"] <= NOW)]
    rows = []
    for metric, group in looks.groupby("metric"):
        alarms = group[group["verdict"].isin(["warning", "error"])]
        if len(alarms):
            newest = alarms.iloc[-1]
            rows.append(
                {
                    **{name: newest[name] for name in ("symbol", "freq", "model_name")},
                    "metric": metric,
                    "verdict": newest["verdict"],
                    "alarms": len(alarms),
                    "looks": len(group),
                    "first_alarm": alarms["time"].min(),
                    "last_alarm": newest["time"],
                    **{name: newest[name] for name in ("value", "threshold", "detail")},
                }
            )
    return pd.DataFrame(rows).sort_values("last_alarm", ascending=False)


@answers("feature_ranges", **MARKET, feature="close_RSI_14")
def _(world: World) -> pd.DataFrame:
    rows = []
    for first, group in world.features.groupby(month(world.features["time"])):
        values = group["close_rsi_14"]
        quantiles = [values.quantile(share) for share in (0.01, 0.5, 0.99)]
        unknown = int(values.isna().sum())
        ends = (values.nunique(), values.min(), *quantiles, values.max(), values.mean(), values.std())
        rows.append((first, len(values), unknown, unknown / len(values), *ends))
    names = ["distinct_values", "lowest", "p01", "median", "p99", "highest", "mean", "stddev"]
    return pd.DataFrame(rows, columns=["month", "rows", "unknown", "unknown_share", *names])


@answers(
    "score_correlation",
    **MARKET,
    model=MODELS[0],
    other="lgbm_calm",
    label="high_040_4",
    other_label=ODD_LABEL,
)
def _(world: World) -> pd.DataFrame:
    scores = world.predictions[world.predictions["sample"] != "in_sample"].dropna(subset=["probability"])
    one, two = (scores[scores["model_name"] == name] for name in (MODELS[0], "lgbm_calm"))
    both = one.merge(two, on=["time", "sample"])
    rows = []
    for (sample, first), group in both.groupby(["sample", month(both["time"])]):
        a, b = group["probability_x"], group["probability_y"]
        agree = ((a > 0.5) == (b > 0.5)).mean()
        rows.append((sample, first, len(group), np.corrcoef(a, b)[0, 1], agree, a.mean(), b.mean()))
    names = ["rows", "correlation", "agreement", "mean_score", "mean_other"]
    return pd.DataFrame(rows, columns=["sample", "month", *names])


@answers("stored_rows", at=AT)
def _(world: World) -> pd.DataFrame:
    rows = world.manifests.assign(age_hours=(NOW - world.manifests["committed_at"]) / HOUR)
    names = ["symbol", "freq", "asset", "rows", "committed_at", "age_hours", "version", "run_id"]
    return rows[names].sort_values(["symbol", "freq", "asset"])
