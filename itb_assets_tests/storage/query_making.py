"""A small world in the tables, made by hand, and the same rows as frames to compute answers from."""

from __future__ import annotations

import json
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import psycopg2
import sqlalchemy as sa
from psycopg2.extras import execute_values

from itb_assets.storage.database.migrations import migrate

START = pd.Timestamp("2024-05-30", tz="UTC")
STEP = pd.Timedelta(minutes=5)
ROWS = 600
"""Two days and two hours of 5m klines: they end in the next month."""

MISSING = (100, 101, 102, 300)
ODD_LABEL, ODD_COLUMN = "High 0.4", "high_0_4_1a2b3c4d"
MODELS = ("lgbm_aggressive", "logreg_aggressive")
BOOK = ["symbol", "freq", "source", "account", "model_name", "sample"]


@dataclass(frozen=True)
class World:
    """What is stored, one frame a table."""

    klines: pd.DataFrame
    features: pd.DataFrame
    labels: pd.DataFrame
    predictions: pd.DataFrame
    signals: pd.DataFrame
    trades: pd.DataFrame
    drift: pd.DataFrame
    manifests: pd.DataFrame


def make_world() -> World:
    """Return the same rows every time."""
    random = np.random.default_rng(11)
    minutes = _klines(random, "BTCUSDT", "5m", STEP, ROWS, MISSING)
    hours = _klines(random, "ETHUSDT", "1h", pd.Timedelta(hours=1), 20, ())
    grid = pd.DataFrame({"symbol": "BTCUSDT", "freq": "5m", "time": [START + i * STEP for i in range(ROWS)]})
    rsi = pd.Series(random.uniform(10, 90, ROWS)).where(np.arange(ROWS) >= 14)
    features = grid.assign(close_rsi_14=rsi, vol_regime=(np.arange(ROWS) % 3).astype(float))
    truth = pd.Series(random.random(ROWS) < 0.3, dtype=object).where(np.arange(ROWS) < ROWS - 4, None)
    labels = grid.assign(
        high_040_4=truth, **{ODD_COLUMN: truth.map(lambda value: None if value is None else not value)}
    )
    return World(
        klines=pd.concat([minutes, hours], ignore_index=True),
        features=features,
        labels=labels,
        predictions=_predictions(random, grid, truth),
        signals=_signals(random, grid),
        trades=_trades(random),
        drift=_drift(),
        manifests=_manifests(),
    )


def store_world(url: str, world: World) -> None:
    """Write it into an empty database, which is migrated first."""
    engine = sa.create_engine(url, poolclass=sa.NullPool)
    migrate(engine)
    engine.dispose()
    address = sa.make_url(url)
    words = address.translate_connect_args(username="user", database="dbname") | dict(address.query)
    catalogue = [
        ("features", "close_rsi_14", "close_RSI_14", "RSI of close over 14", "float64"),
        ("features", "vol_regime", "vol_regime", "regime", "float64"),
        ("labels", "high_040_4", "high_040_4", "high", "boolean"),
        ("labels", ODD_COLUMN, ODD_LABEL, "high, oddly named", "boolean"),
    ]
    with closing(psycopg2.connect(**words)) as connection, connection, connection.cursor() as cursor:
        cursor.execute(
            "ALTER TABLE features ADD COLUMN close_rsi_14 double precision, "
            "ADD COLUMN vol_regime double precision"
        )
        cursor.execute(f"ALTER TABLE labels ADD COLUMN high_040_4 boolean, ADD COLUMN {ODD_COLUMN} boolean")
        names = "table_name, column_name, name, definition, dtype"
        execute_values(cursor, f"INSERT INTO columns ({names}) VALUES %s", catalogue)  # noqa: S608 - our names
        for table, frame in {
            "ohlcv": world.klines,
            "features": world.features,
            "labels": world.labels,
            "predictions": world.predictions,
            "signals": world.signals.assign(outputs=world.signals["outputs"].map(json.dumps)),
            "trades": world.trades,
            "model_drift": world.drift,
            "manifests": world.manifests,
        }.items():
            rows = frame.astype(object).where(frame.notna(), None)
            values = list(rows.itertuples(index=False, name=None))
            insert = f"INSERT INTO {table} ({', '.join(rows.columns)}) VALUES %s"  # noqa: S608 - our names
            execute_values(cursor, insert, values, page_size=1000)


def _klines(
    random: np.random.Generator,
    symbol: str,
    freq: str,
    step: pd.Timedelta,
    rows: int,
    missing: tuple[int, ...],
) -> pd.DataFrame:
    close = 60_000 * np.exp(np.cumsum(random.normal(0, 0.002, rows)))
    opened = np.concatenate([[60_000.0], close[:-1]]) * (1 + random.normal(0, 0.0002, rows))
    times = [START + i * step for i in range(rows)]
    frame = pd.DataFrame(
        {
            "symbol": symbol,
            "freq": freq,
            "time": times,
            "open": opened,
            "high": np.maximum(opened, close) * 1.001,
            "low": np.minimum(opened, close) * 0.999,
            "close": close,
            "volume": random.uniform(1, 9, rows),
            "close_time": [int((time + step).timestamp() * 1000) - 1 for time in times],
            "quote_av": random.uniform(1e5, 9e5, rows),
            "trades": random.integers(1, 999, rows),
            "tb_base_av": 1.0,
            "tb_quote_av": 1.0,
            "ignore": 0.0,
        }
    )
    return frame.drop(index=list(missing)).reset_index(drop=True)


def _sample(row: int) -> str:
    return "in_sample" if row < 100 else "out_of_sample" if row < 500 else "live"


def _predictions(random: np.random.Generator, grid: pd.DataFrame, truth: pd.Series) -> pd.DataFrame:
    parts = []
    for model, label in [(MODELS[0], "high_040_4"), (MODELS[1], "high_040_4"), ("lgbm_calm", ODD_LABEL)]:
        hint = truth.map({True: 0.2, False: 0.0}).fillna(0).astype(float)
        probability = (random.random(ROWS) * 0.8 + hint).where(np.arange(ROWS) != 120)
        probability.iloc[200:220] = 0.7
        part = grid.assign(
            model_name=model,
            label=label,
            probability=probability,
            prediction=(probability > 0.5).astype(object).where(probability.notna(), None),
            sample=[_sample(row + 20 * (model == "lgbm_calm")) for row in range(ROWS)],
        )
        parts.append(part.iloc[50:])
    return pd.concat(parts, ignore_index=True)


def _signals(random: np.random.Generator, grid: pd.DataFrame) -> pd.DataFrame:
    buys, sells = random.random(ROWS) < 0.1, random.random(ROWS) < 0.05
    outputs: list[dict[str, Any]] = [
        {"trade_score": 0.25, "buy": bool(buy), "sell": bool(sell)}
        for buy, sell in zip(buys, sells, strict=True)
    ]
    frame = grid.assign(
        variant="aggressive", sample=[_sample(row) for row in range(ROWS)], close=1.5, outputs=outputs
    )
    return frame.iloc[60:].reset_index(drop=True)


def _trades(random: np.random.Generator) -> pd.DataFrame:
    """Paper trades of two samples, executed ones of two accounts, open and cancelled ones among them."""
    rows = []
    for number in range(90):
        paper = number % 3 > 0
        symbol = "ETHUSDT" if number % 7 == 0 else "BTCUSDT"
        status = "OPEN" if number in (84, 85, 87) else "CANCELLED" if number == 50 else "CLOSED"
        entry = START + pd.Timedelta(minutes=97) * number
        ended = status == "CLOSED"
        gross = round(float(random.normal(0.5, 10)), 4) if number != 33 else 0.12
        fees = 0.12
        rows.append(
            {
                "symbol": symbol,
                "freq": ("1h" if symbol == "ETHUSDT" else "5m") if paper else "",
                "time": entry,
                "source": "paper" if paper else "binance_spot",
                "account": "aggressive" if paper else ("main", "second")[number // 3 % 2],
                "trade_id": f"t{number}",
                "side": "BUY" if number % 4 else "SELL",
                "status": status,
                "price": 60_000.0 + number,
                "quantity": 0.001 * (1 + number % 5),
                "model_name": "aggressive"
                if paper
                else (None, "lgbm_azure_1", "lgbm_gcp_1")[number // 3 % 3],
                "variant": "aggressive" if paper else None,
                "signal_strength": 0.5 + number / 1000 if paper else None,
                "exit_time": entry + pd.Timedelta(minutes=5 * (1 + number * 7 % 40)) if ended else None,
                "exit_price": 60_010.0 + number if ended else None,
                "exit_reason": ("take_profit", "stop_loss", "time_limit")[number * 5 % 3]
                if ended and paper
                else None,
                "fees": fees,
                "other_fees": json.dumps({"BNB": "0.01"}) if number % 9 == 0 and not paper else None,
                "gross_pnl": gross if ended else None,
                "pnl": round(gross - fees, 4) if ended else None,
                "return_pct": round(gross / 60, 4) if ended else None,
                "take_profit": 60_500.0 if paper else None,
                "stop_loss": 59_500.0 if paper else None,
                "sample": ("out_of_sample" if number < 60 else "live") if paper else None,
            }
        )
    return pd.DataFrame(rows)


def _drift() -> pd.DataFrame:
    rows = []
    for day in range(20):
        for metric, limit in (("win_rate", 17), ("psi:close_RSI_14", 12), ("brier", 99)):
            verdict = "ok" if day < limit else "error" if day == 18 else "warning"
            rows.append(
                {
                    "symbol": "BTCUSDT",
                    "freq": "5m",
                    "time": START - pd.Timedelta(days=15 - day),
                    "model_name": "aggressive",
                    "metric": metric,
                    "value": day / 10,
                    "n": 100 + day,
                    "threshold": 1.5,
                    "verdict": "ok" if (metric, day) == ("psi:close_RSI_14", 19) else verdict,
                    "detail": f"{metric} on day {day}",
                }
            )
    return pd.DataFrame(rows)


def _manifests() -> pd.DataFrame:
    assets = [
        ("BTCUSDT", "5m", "raw/klines", ROWS - len(MISSING)),
        ("ETHUSDT", "1h", "raw/klines", 20),
        ("SOLUSDT", "5m", "raw/klines", 0),
        ("BTCUSDT", "5m", "predictions/aggressive", 1100),
        ("BTCUSDT", "5m", "predictions/calm", 550),
        ("", "", "executed_trades", 30),
    ]
    return pd.DataFrame(
        [
            {
                "symbol": symbol,
                "freq": freq,
                "asset": asset,
                "rows": rows,
                "sha256": "0" * 64,
                "version": 7 + place,
                "run_id": f"run {place}",
                "committed_at": START + pd.Timedelta(hours=place),
            }
            for place, (symbol, freq, asset, rows) in enumerate(assets)
        ]
    )
