"""What every query must answer about the small world, computed with pandas instead of SQL."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd
from query_making import BOOK, MODELS, ODD_COLUMN, ODD_LABEL, START, STEP, World

from itb_assets.domain.evaluation.intervals import wilson

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


def closed(world: World) -> pd.DataFrame:
    """Return the trades that have ended."""
    return world.trades[world.trades["status"] == "CLOSED"].copy()


def by_book(trades: pd.DataFrame, *more: str) -> list[tuple[dict[str, object], pd.DataFrame]]:
    """Return the groups in the order in which SQL sorts them, what is unknown last."""
    keys = [*BOOK, *more]
    groups = trades.groupby(keys, dropna=False, sort=True)
    return [(dict(zip(keys, key, strict=True)), group) for key, group in groups]


@answers("recent_features", **MARKET, at="2024-05-30T12:02", hours=2, rows=10)
def _(world: World) -> pd.DataFrame:
    times = [pd.Timestamp("2024-05-30T12:00", tz="UTC") - i * STEP for i in range(10)]
    return world.features.set_index("time").loc[times].reset_index()[list(world.features.columns)]


def days(world: World, since: pd.Timestamp) -> pd.DataFrame:
    """Return closed trades entered on days from a time on."""
    trades = closed(world)
    trades["day"] = trades["time"].dt.floor("D")
    return trades[(trades["day"] >= since) & (trades["day"] <= NOW)]


@answers("model_performance", days=3, at=AT)
def _(world: World) -> pd.DataFrame:
    keys = ["symbol", "freq", "source", "model_name", "sample"]
    rows = [
        dict(zip(keys, key, strict=True))
        | {
            "days_traded": group["day"].nunique(),
            "total_trades": len(group),
            "win_rate": (group["pnl"] > 0).mean(),
            "total_pnl": group["pnl"].sum(),
            "avg_pnl": group["pnl"].mean(),
            "max_win": group["pnl"].max(),
            "max_loss": group["pnl"].min(),
        }
        for key, group in days(world, NOW - pd.Timedelta(days=3)).groupby(keys, dropna=False)
    ]
    return pd.DataFrame(rows).sort_values("total_pnl", ascending=False)


@answers("cloud_comparison", days=5, at=AT, symbol="BTCUSDT")
def _(world: World) -> pd.DataFrame:
    trades = days(world, NOW - pd.Timedelta(days=5))
    trades = trades[trades["symbol"] == "BTCUSDT"]
    words = {"azure": "Azure", "gcp": "GCP"}
    trades["cloud"] = [
        next((cloud for word, cloud in words.items() if word in str(name)), "other")
        for name in trades["model_name"]
    ]
    rows = []
    for (cloud, source, sample), group in trades.groupby(["cloud", "source", "sample"], dropna=False):
        daily = group.groupby(["day", "model_name", "freq"], dropna=False)["pnl"]
        rows.append(
            {
                "cloud": cloud,
                "quote": "USDT",
                "source": source,
                "sample": sample,
                "models": group["model_name"].nunique(),
                "total_trades": len(group),
                "win_rate": (group["pnl"] > 0).mean(),
                "avg_win_rate": daily.apply(lambda pnl: (pnl > 0).mean()).mean(),
                "total_profit": group["pnl"].sum(),
            }
        )
    return pd.DataFrame(rows)


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
    """Return signals with the prices after them."""
    klines = of_market(world.klines).set_index("time")
    times = world.signals["time"]
    return world.signals.assign(
        buy=yes(world.signals, "buy"),
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


@answers("open_positions", at=AT)
def _(world: World) -> pd.DataFrame:
    last = world.klines.groupby("symbol").last()
    rows = world.trades[world.trades["status"] == "OPEN"].sort_values("time", ascending=False)
    price = rows["symbol"].map(last["close"])
    sign = np.where(rows["side"] == "BUY", 1, -1)
    rows = rows.assign(
        age_hours=(NOW - rows["time"]) / HOUR,
        last_price=price,
        last_time=rows["symbol"].map(last["time"]),
        unrealised=sign * rows["quantity"] * (price - rows["price"]),
    )
    names = ["trade_id", "time", "age_hours", "side", "price", "quantity", "take_profit", "stop_loss"]
    return rows[[*BOOK, *names, "last_price", "last_time", "unrealised"]]


def earned(group: pd.DataFrame) -> dict[str, object]:
    """Return what the queries by hour and weekday say of some trades."""
    pnl = group["pnl"]
    rates = {"trades": len(pnl), "win_rate": (pnl > 0).mean()}
    return rates | {"total_pnl": pnl.sum(), "avg_pnl": pnl.mean()}


@answers("pnl_by_hour", symbol="BTCUSDT", since="2024-05-31T01:00", until="2024-06-03T05:00")
def _(world: World) -> pd.DataFrame:
    trades = closed(world)
    first, last = pd.Timestamp("2024-05-31T01:00", tz="UTC"), pd.Timestamp("2024-06-03T05:00", tz="UTC")
    trades = trades[(trades["symbol"] == "BTCUSDT") & (trades["time"] >= first) & (trades["time"] < last)]
    groups = by_book(trades.assign(hour=trades["time"].dt.hour), "hour")
    return pd.DataFrame([key | earned(group) for key, group in groups])


@answers("pnl_by_weekday", model="aggressive", freq="5m")
def _(world: World) -> pd.DataFrame:
    trades = closed(world)
    trades = trades[(trades["model_name"] == "aggressive") & (trades["freq"] == "5m")]
    groups = by_book(trades.assign(weekday=trades["time"].dt.weekday + 1), "weekday")
    return pd.DataFrame([key | earned(group) for key, group in groups])


@answers("drawdown")
def _(world: World) -> pd.DataFrame:
    rows = []
    for key, group in by_book(closed(world)):
        equity = peak = deepest = 0.0
        peak_time = best_time = trough = None
        for _, trade in group.sort_values(["exit_time", "time", "trade_id"]).iterrows():
            equity += trade["pnl"]
            if equity >= peak and equity > 0:
                peak, best_time = equity, trade["exit_time"]
            if peak - equity > deepest + 1e-9:
                deepest, peak_time, trough = peak - equity, best_time, trade["exit_time"]
        totals = {"trades": len(group), "total_pnl": equity, "max_drawdown": deepest}
        times = {"peak_time": peak_time, "trough_time": trough}
        rows.append(key | totals | times | {"current_drawdown": peak - equity})
    return pd.DataFrame(rows).sort_values("max_drawdown", ascending=False, kind="stable")


@answers("win_rates")
def _(world: World) -> pd.DataFrame:
    rows = []
    for key, group in by_book(closed(world)):
        pnl = group["pnl"]
        wins = int((pnl > 0).sum())
        low, high = wilson(wins, len(pnl))
        won, lost = pnl[pnl > 0].mean(), -pnl[pnl <= 0].mean()
        counts = {"trades": len(pnl), "wins": wins, "win_rate": wins / len(pnl)}
        bounds = {"wilson_low": low, "wilson_high": high, "break_even": lost / (won + lost)}
        rows.append(key | counts | bounds)
    return pd.DataFrame(rows).sort_values("wilson_low", ascending=False, kind="stable")


@answers("fee_share")
def _(world: World) -> pd.DataFrame:
    trades = closed(world)
    rows = []
    for key, group in by_book(trades.assign(month=month(trades["time"])), "month"):
        gross, fees = group["gross_pnl"].sum(), group["fees"].sum()
        traded = (group["quantity"] * (group["price"] + group["exit_price"])).sum()
        money = {"trades": len(group), "gross_pnl": gross, "fees": fees, "pnl": group["pnl"].sum()}
        share = {"fee_share": fees / gross if gross > 0 else None, "fees_bps": 10_000 * fees / traded}
        rows.append(key | money | share | {"uncounted": int(group["other_fees"].notna().sum())})
    return pd.DataFrame(rows)


@answers("exit_reasons", symbol="BTCUSDT")
def _(world: World) -> pd.DataFrame:
    trades = closed(world)
    trades = trades[trades["symbol"] == "BTCUSDT"]
    whole = {tuple(map(str, key.values())): len(group) for key, group in by_book(trades)}
    rows = []
    for key, group in by_book(trades, "exit_reason"):
        book = tuple(str(key[name]) for name in BOOK)
        held = (group["exit_time"] - group["time"]).mean() / HOUR
        counts = {"trades": len(group), "share": len(group) / whole[book]}
        results = {"win_rate": (group["pnl"] > 0).mean(), "total_pnl": group["pnl"].sum()}
        rows.append(
            key | counts | results | {"avg_return_pct": group["return_pct"].mean(), "mean_hours": held}
        )
    return pd.DataFrame(rows)


@answers("biggest_losses", rows=5)
def _(world: World) -> pd.DataFrame:
    lost = closed(world)
    lost = lost[lost["pnl"] < 0].sort_values(["symbol", "pnl"]).groupby("symbol").head(5)
    names = ["trade_id", "time", "exit_time", "side", "price", "exit_price", "exit_reason", "signal_strength"]
    return lost[[*BOOK, *names, "pnl", "return_pct"]]


@answers("execution_prices", **MARKET, rows=12, until="2024-06-01T06:00")
def _(world: World) -> pd.DataFrame:
    trades = world.trades[(world.trades["source"] != "paper") & (world.trades["symbol"] == "BTCUSDT")]
    trades = trades[trades["time"] < pd.Timestamp("2024-06-01T06:00", tz="UTC")]
    trades = trades.sort_values("time", ascending=False).head(12)
    trades = trades.assign(kline=trades["time"].dt.floor("5min"))
    klines = of_market(world.klines)[["time", "open", "low", "high"]].rename(columns={"time": "kline"})
    rows = trades.merge(klines, on="kline", how="left")
    sign = np.where(rows["side"] == "BUY", 1, -1)
    inside = (rows["price"] >= rows["low"]) & (rows["price"] <= rows["high"])
    there = rows["open"].notna()
    rows = rows.assign(
        kline=rows["kline"].where(there),
        slippage_bps=sign * 10_000 * (rows["price"] / rows["open"] - 1),
        inside=inside.astype(object).where(there, None),
    )
    names = ["time", "source", "account", "trade_id", "side", "price", "kline", "open"]
    return rows[[*names, "slippage_bps", "inside"]]


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
