"""Which asset is kept in which table, and under which names its columns stand there.

How a frame becomes rows belongs to `rows`, statements to `read` and `write`, the tables
themselves to the migrations.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

import pandas as pd

from itb_assets.domain.klines import KLINE_DTYPES
from itb_assets.domain.labels.group import TIE_SUFFIX
from itb_assets.domain.markets import Market
from itb_assets.domain.trading.trades import TRADE_DTYPES
from itb_assets.errors import StorageError
from itb_assets.storage.database.sql_text import identifier, literal
from itb_assets.storage.files.dtypes import TIME
from itb_assets.storage.layout import VARIANT
from itb_assets.storage.tables.columns_catalogue import Wanted, sql_name

PAPER = "paper"
"""The source of trades that only took place here; executed ones name the exchange."""

MONEY = (
    *("price", "quantity", "signal_strength", "exit_price", "fees", "gross_pnl", "pnl", "return_pct"),
    *("take_profit", "stop_loss"),
)
"""Columns of trades that are NUMERIC."""

RAW, DATA, FEATURES, MATRIX = "raw/klines", "processed/data", "processed/features", "labeled/matrix"

Form = Literal["columns", "object", "scores"]
_CASTS = {"float64": "double precision", "int64": "bigint", "bool": "boolean", "boolean": "boolean"}


@dataclass(frozen=True)
class Table:
    """A table: its key after (symbol, freq, time), its values, and the rows that belong to one asset.

    `dtypes` are those of the frame it keeps, where all such frames have the same columns. A column in `casts`
    has a binary form that Arrow lacks: it travels as text and is cast on the way from the staging table.
    `reads` says how such a one comes back. `form` tells whether the values of a frame lie in columns, in one
    JSON object, or one a row.
    """

    name: str
    scope: str
    key: tuple[str, ...] = ()
    fields: tuple[str, ...] = ()
    dtypes: Mapping[str, str] = field(default_factory=dict)
    form: Form = "columns"
    on_demand: bool = False
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


@dataclass(frozen=True)
class Kept:
    """An asset of a market in its table: the rows that are its own, and how its columns are found there."""

    asset: str
    market: Market
    table: Table
    variant: str = ""
    labels: frozenset[str] | None = None
    """Of the matrix: the columns that are labels; None where nobody told: those that are true or false."""

    @property
    def place(self) -> str:
        """What messages call it."""
        return f"table {self.table.name} ({self.asset} of {self.market})"

    def condition(self, prefix: str = "", *, start: pd.Timestamp | None = None) -> str:
        """Return its rows as an SQL condition, columns prefixed by a table's alias such as `t.`."""
        parts = [
            f"{prefix}symbol = '{self.market.symbol}'",
            f"{prefix}freq = '{self.market.freq}'",
            self.table.scope.format(prefix, self.variant),
        ]
        if start is not None:
            parts.append(f"{prefix}time >= '{start.isoformat()}'")
        return " AND ".join(parts)

    def own_columns(self, dtypes: Mapping[str, str]) -> list[str]:
        """Return the columns of a frame, without its times, whose values lie in this table."""
        names = [name for name in dtypes if name != TIME]
        if self.asset != MATRIX:
            return names
        if self.labels is None:
            return [name for name in names if dtypes[name] in ("bool", "boolean")]
        return [name for name in names if name in self.labels or name.removesuffix(TIE_SUFFIX) in self.labels]

    def wanted(self, dtypes: Mapping[str, str], definitions: Mapping[str, str]) -> tuple[Wanted, ...]:
        """Return the columns that the table needs for a frame; none where it has them all by itself."""
        if not self.table.on_demand:
            return ()
        return tuple(
            Wanted(
                name, dtypes[name], definitions.get(name, definitions.get(name.removesuffix(TIE_SUFFIX), ""))
            )
            for name in self.own_columns(dtypes)
        )

    def blurs(self, name: str, dtype: str) -> bool:
        """Tell whether the column's type in SQL cannot tell 0.0 from -0.0."""
        if dtype != "float64":
            return False
        if self.table.name == "signals":
            return name not in self.table.dtypes
        return "numeric" in self.table.casts.get({"entry_price": "price"}.get(name, name), "")

    def expression(self, name: str, dtype: str) -> str:
        """Return what a column of the frame is in SQL."""
        if name == TIME:
            return "time"
        if self.table.form == "object" and name not in self.table.dtypes:
            held = {"signals": "outputs", "summaries": "content::json"}[self.table.name]
            text = f"({held}->>{literal(name)})"
            return f"{text}::{_CASTS[dtype]}" if dtype in _CASTS else text
        if self.table.on_demand:
            return identifier(sql_name(name))
        return self.table.reads.get(name, identifier(name))


_KLINE_FIELDS = tuple(name for name in KLINE_DTYPES if name != TIME)

OHLCV = Table(name="ohlcv", fields=_KLINE_FIELDS, dtypes=dict(KLINE_DTYPES), scope="TRUE")
_FEATURES = Table(name="features", scope="TRUE", on_demand=True)
_LABELS = Table(name="labels", scope="TRUE", on_demand=True)
_PREDICTIONS = Table(
    name="predictions",
    key=("model_name", "label"),
    fields=("probability", "prediction", "sample"),
    scope="substr({0}model_name, strpos({0}model_name, '_') + 1) = '{1}'",
    form="scores",
)
_SIGNALS = Table(
    name="signals",
    key=("variant",),
    fields=("sample", "close", "outputs"),
    dtypes={"sample": "str", "close": "float64"},
    scope="{0}variant = '{1}'",
    form="object",
    reads={"outputs": "outputs::text"},
)
_EXIT_TIME = "(extract(epoch FROM exit_time) * 1000)::double precision"
TRADES = Table(
    name="trades",
    key=("source", "account", "trade_id"),
    fields=(
        *("side", "status", "price", "quantity", "model_name", "variant", "signal_strength", "exit_time"),
        *("exit_price", "exit_reason", "fees", "other_fees", "gross_pnl", "pnl", "return_pct"),
        *("take_profit", "stop_loss", "sample"),
    ),
    dtypes={name: "str" if dtype == "object" else dtype for name, dtype in TRADE_DTYPES.items()},
    scope=f"{{0}}source = '{PAPER}' AND {{0}}account = '{{1}}'",
    casts=dict.fromkeys(MONEY, "numeric") | {"other_fees": "jsonb"},
    reads={name: f"{name}::double precision" for name in MONEY}
    | {
        "entry_price": "price::double precision",
        "exit_time": _EXIT_TIME,
        "exit_time_ms": _EXIT_TIME,
        "other_fees": "other_fees::text",
    },
)
_SUMMARIES = Table(
    name="summaries",
    key=("asset",),
    fields=("content",),
    scope="{0}asset = '{1}'",
    form="object",
)
TABLES = {
    table.name: table for table in (OHLCV, _FEATURES, _LABELS, _PREDICTIONS, _SIGNALS, TRADES, _SUMMARIES)
}
_SHARED = {RAW: OHLCV, DATA: OHLCV, FEATURES: _FEATURES, MATRIX: _LABELS}
_BY_VARIANT = {"predictions": _PREDICTIONS, "signals": _SIGNALS, "trades": TRADES}
_SUMMARISED = ("performance", "drift")


def is_kept(asset: str) -> bool:
    """Return whether some table keeps an asset such as `predictions/aggressive`."""
    stage, _, name = asset.partition("/")
    return asset in _SHARED or (stage in (*_BY_VARIANT, *_SUMMARISED) and bool(VARIANT.fullmatch(name)))


def kept_in(asset: str, market: Market, labels: Sequence[str] | None = None) -> Kept:
    """Return where an asset's rows are; raise StorageError for an asset that no table keeps.

    `processed/data` has no rows of its own: it is made of those of `raw/klines`.
    """
    if not is_kept(asset):
        raise StorageError(
            f"no table keeps {asset}: expected {', '.join(_SHARED)}, or "
            f"{', '.join((*_BY_VARIANT, *_SUMMARISED))} of a variant"
        )
    stage, _, name = asset.partition("/")
    if asset in _SHARED:
        found = Kept(asset, market, _SHARED[asset])
        return replace(found, labels=None if labels is None else frozenset(labels))
    if stage in _SUMMARISED:
        return Kept(asset, market, _SUMMARIES, asset)
    return Kept(asset, market, _BY_VARIANT[stage], name)
