"""Which asset is kept in which table, and how its frame becomes rows.

Connections and statements belong to `database`, the tables themselves to the migrations.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pandas as pd
import polars as pl

from itb_assets.domain.markets import Market
from itb_assets.errors import DataContractError, StorageError
from itb_assets.storage.dtypes import TIME, to_polars
from itb_assets.storage.layout import VARIANT

LIKELY = 0.5
"""A `prediction` is true where the model holds its label likelier than not."""


@dataclass(frozen=True)
class Table:
    """A table: its key after (symbol, freq, time), its values, and the rows that belong to one asset."""

    name: str
    key: tuple[str, ...]
    fields: tuple[str, ...]
    scope: str
    rows: Callable[[pl.DataFrame, str], pl.DataFrame]
    direct: bool = True

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


_OHLCV = Table(
    name="ohlcv",
    key=(),
    fields=(
        *("open", "high", "low", "close", "volume", "close_time"),
        *("quote_av", "trades", "tb_base_av", "tb_quote_av", "ignore"),
    ),
    scope="TRUE",
    rows=_klines,
)
_PREDICTIONS = Table(
    name="predictions",
    key=("model_name", "label"),
    fields=("probability", "prediction", "sample"),
    scope="substr({0}model_name, strpos({0}model_name, '_') + 1) = '{1}'",
    rows=_predictions,
)
_SIGNALS = Table(
    name="signals",
    key=("variant",),
    fields=("sample", "close", "outputs"),
    scope="{0}variant = '{1}'",
    rows=_signals,
    direct=False,  # jsonb has a binary form of its own: its text is cast on the way from the staging table
)
TABLES = {table.name: table for table in (_OHLCV, _PREDICTIONS, _SIGNALS)}


def table_of(asset: str) -> tuple[Table, str] | None:
    """Return the table that keeps an asset such as `predictions/aggressive`, and its variant, or None."""
    stage, _, name = asset.partition("/")
    if asset == "raw/klines":
        return _OHLCV, ""
    if stage in {"predictions", "signals"} and VARIANT.fullmatch(name):
        return TABLES[stage], name
    return None


def kept_in(asset: str) -> tuple[Table, str]:
    """Return as `table_of` does; raise StorageError for an asset that no table keeps."""
    found = table_of(asset)
    if found is None:
        raise StorageError(f"no table keeps {asset}: expected raw/klines, predictions/... or signals/...")
    return found


def rows_of(asset: str, market: Market, frame: pd.DataFrame) -> pl.DataFrame:
    """Return a frame as rows of its table; raise DataContractError when columns are missing."""
    table, variant = kept_in(asset)
    source = to_polars(frame)
    named = (set(table.fields) - {"outputs", "probability", "prediction"}) - set(source.columns)
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
