"""Which asset is kept in which table, and how its frame becomes rows.

Connections and statements belong to `database`, the tables themselves to the migrations.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import pandas as pd
import polars as pl

from itb_assets.domain.markets import Market
from itb_assets.domain.trading.trades import TRADE_COLUMNS
from itb_assets.errors import DataContractError, StorageError
from itb_assets.storage.dtypes import TIME, to_polars
from itb_assets.storage.layout import VARIANT

LIKELY = 0.5
"""A `prediction` is true where the model holds its label likelier than not."""


@dataclass(frozen=True)
class Table:
    """A table: its key after (symbol, freq, time), its values, and the rows that belong to one asset.

    `needs` are the columns that a frame must have. A column in `casts` has a binary form that Arrow lacks: it
    travels as text and is cast on the way from the staging table. `reads` says how such a one comes back.
    """

    name: str
    key: tuple[str, ...]
    fields: tuple[str, ...]
    needs: tuple[str, ...]
    scope: str
    rows: Callable[[pl.DataFrame, str], pl.DataFrame]
    casts: Mapping[str, str] = field(default_factory=dict)
    reads: Mapping[str, str] = field(default_factory=dict)

    @property
    def keys(self) -> tuple[str, ...]:
        """The whole primary key."""
        return ("symbol", "freq", "time", *self.key)

    @property
    def columns(self) -> tuple[str, ...]:
        """All columns."""
        return (*self.keys, *self.fields)


def _klines(frame: pl.DataFrame, variant: str) -> pl.DataFrame:
    del variant
    return frame.rename({TIME: "time"})


def _predictions(frame: pl.DataFrame, variant: str) -> pl.DataFrame:
    scores = [name for name in frame.columns if name not in {TIME, "sample"}]
    long = frame.unpivot(scores, index=[TIME, "sample"], variable_name="column", value_name="probability")
    algo = pl.col("column").str.extract(r"_([^_]+)$")
    return long.drop_nulls("probability").select(
        pl.col(TIME).alias("time"),
        (algo + f"_{variant}").alias("model_name"),
        pl.col("column").str.replace(r"_[^_]+$", "").alias("label"),
        "probability",
        (pl.col("probability") > LIKELY).alias("prediction"),
        "sample",
    )


def _signals(frame: pl.DataFrame, variant: str) -> pl.DataFrame:
    outputs = [name for name in frame.columns if name not in {TIME, "sample", "close"}]
    packed = pl.struct(outputs).struct.json_encode() if outputs else pl.lit("{}")
    return frame.select(
        pl.col(TIME).alias("time"),
        pl.lit(variant).alias("variant"),
        "sample",
        "close",
        packed.alias("outputs"),
    )


def _trades(frame: pl.DataFrame, variant: str) -> pl.DataFrame:
    exit_time = pl.from_epoch(pl.col("exit_time_ms").cast(pl.Int64), time_unit="ms")
    return frame.with_columns(
        pl.col(TIME).alias("time"),
        pl.lit(PAPER).alias("source"),
        pl.lit(variant).alias("account"),
        pl.lit(variant).alias("model_name"),
        pl.lit(variant).alias("variant"),
        pl.col("entry_price").alias("price"),
        exit_time.dt.cast_time_unit("us").dt.replace_time_zone("UTC").alias("exit_time"),
        pl.lit(None, pl.String).alias("other_fees"),
    ).with_columns(pl.col(name).cast(pl.String) for name in MONEY)  # the shortest text that is this double


_KLINE_FIELDS = (
    *("open", "high", "low", "close", "volume", "close_time"),
    *("quote_av", "trades", "tb_base_av", "tb_quote_av", "ignore"),
)
PAPER = "paper"
"""The source of trades that only took place here; executed ones name the exchange."""

MONEY = (
    *("price", "quantity", "signal_strength", "exit_price", "fees", "gross_pnl", "pnl", "return_pct"),
    *("take_profit", "stop_loss"),
)
"""Columns of trades that are NUMERIC."""

_OHLCV = Table(
    name="ohlcv",
    key=(),
    fields=_KLINE_FIELDS,
    needs=_KLINE_FIELDS,
    scope="TRUE",
    rows=_klines,
)
_PREDICTIONS = Table(
    name="predictions",
    key=("model_name", "label"),
    fields=("probability", "prediction", "sample"),
    needs=("sample",),
    scope="substr({0}model_name, strpos({0}model_name, '_') + 1) = '{1}'",
    rows=_predictions,
)
_SIGNALS = Table(
    name="signals",
    key=("variant",),
    fields=("sample", "close", "outputs"),
    needs=("sample", "close"),
    scope="{0}variant = '{1}'",
    rows=_signals,
    casts={"outputs": "jsonb"},
    reads={"outputs": "outputs::text"},
)
TRADES = Table(
    name="trades",
    key=("source", "account", "trade_id"),
    fields=(
        *("side", "status", "price", "quantity", "model_name", "variant", "signal_strength", "exit_time"),
        *("exit_price", "exit_reason", "fees", "other_fees", "gross_pnl", "pnl", "return_pct"),
        *("take_profit", "stop_loss", "sample"),
    ),
    needs=TRADE_COLUMNS[1:],
    scope=f"{{0}}source = '{PAPER}' AND {{0}}account = '{{1}}'",
    rows=_trades,
    casts=dict.fromkeys(MONEY, "numeric") | {"other_fees": "jsonb"},
    reads={name: f"{name}::double precision AS {name}" for name in MONEY}
    | {
        "exit_time": "(extract(epoch FROM exit_time) * 1000)::double precision AS exit_time_ms",
        "other_fees": "other_fees::text",
    },
)
TABLES = {table.name: table for table in (_OHLCV, _PREDICTIONS, _SIGNALS, TRADES)}


def table_of(asset: str) -> tuple[Table, str] | None:
    """Return the table that keeps an asset such as `predictions/aggressive`, and its variant, or None."""
    stage, _, name = asset.partition("/")
    if asset == "raw/klines":
        return _OHLCV, ""
    if stage in {"predictions", "signals", "trades"} and VARIANT.fullmatch(name):
        return TABLES[stage], name
    return None


def kept_in(asset: str) -> tuple[Table, str]:
    """Return as `table_of` does; raise StorageError for an asset that no table keeps."""
    found = table_of(asset)
    if found is None:
        raise StorageError(
            f"no table keeps {asset}: expected raw/klines, predictions/..., signals/... or trades/..."
        )
    return found


def rows_of(asset: str, market: Market, frame: pd.DataFrame) -> pl.DataFrame:
    """Return a frame as rows of its table; raise DataContractError when columns are missing."""
    table, variant = kept_in(asset)
    source = to_polars(frame)
    named = set(table.needs) - set(source.columns)
    if named:
        raise DataContractError(
            f"{asset} of {market} lacks {', '.join(sorted(named))}: expected them as columns"
        )
    rows = table.rows(source, variant)
    return rows.select(
        pl.lit(market.symbol).alias("symbol"),
        pl.lit(market.freq).alias("freq"),
        pl.col("time").dt.cast_time_unit("us"),
        *table.columns[3:],
    )
