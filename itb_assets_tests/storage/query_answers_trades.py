"""What the queries about trades must answer about the small world, computed with pandas instead of SQL."""

from __future__ import annotations

import numpy as np
import pandas as pd
from query_answers import AT, HOUR, MARKET, NOW, answers, month, of_market
from query_making import BOOK, World

from itb_assets.domain.evaluation.intervals import wilson


def closed(world: World) -> pd.DataFrame:
    """Return the trades that have ended."""
    return world.trades[world.trades["status"] == "CLOSED"].copy()


def by_book(trades: pd.DataFrame, *more: str) -> list[tuple[dict[str, object], pd.DataFrame]]:
    """Return the groups in the order in which SQL sorts them, what is unknown last."""
    keys = [*BOOK, *more]
    groups = trades.groupby(keys, dropna=False, sort=True)
    return [(dict(zip(keys, key, strict=True)), group) for key, group in groups]


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


@answers("biggest_losses", rows=50)
def _(world: World) -> pd.DataFrame:
    lost = closed(world)
    lost = lost[lost["pnl"] < 0].sort_values(["symbol", "pnl"]).groupby("symbol").head(50)
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
