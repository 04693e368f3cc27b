"""Looks for drift as rows of the table `model_drift`.

What is measured belongs to `domain.drift`, connections and transactions to `database`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd
import polars as pl

from itb_assets.domain.markets import Market
from itb_assets.errors import DataContractError
from itb_assets.storage.database.connection import Cursor

_KEYS = ("symbol", "freq", "time", "model_name", "metric")
_VALUES = ("value", "n", "threshold", "verdict", "detail")
_SCHEMA: dict[str, pl.DataType] = {
    **dict.fromkeys((*_KEYS, *_VALUES), pl.String()),
    "time": pl.Datetime("us", "UTC"),
    "value": pl.Float64(),
    "n": pl.Int64(),
    "threshold": pl.Float64(),
}
_COLUMNS = ", ".join((*_KEYS, *_VALUES))
_STAGING = "drift_staging"
_CREATE = f"CREATE TEMPORARY TABLE {_STAGING} (LIKE model_drift) ON COMMIT DROP"
_FRESH = ", ".join(f"excluded.{name}" for name in _VALUES)
_STORED = ", ".join(f"d.{name}" for name in _VALUES)
_UPSERT = (
    f"INSERT INTO model_drift AS d ({_COLUMNS}) SELECT {_COLUMNS} FROM {_STAGING} "  # noqa: S608 - constants
    f"ON CONFLICT ({', '.join(_KEYS)}) DO UPDATE SET ({', '.join(_VALUES)}) = ({_FRESH}) "
    f"WHERE ({_STORED}) IS DISTINCT FROM ({_FRESH}) RETURNING 1"
)


@dataclass(frozen=True, kw_only=True)
class DriftRow:
    """One look at one measure of one model; `metric` also says of which feature or score it is.

    `value` and `threshold` are None (or NaN) where the data could not tell, `n` counts what was looked at.
    """

    market: Market
    time: pd.Timestamp
    model_name: str
    metric: str
    value: float | None
    n: int
    threshold: float | None
    verdict: str
    detail: str = ""


def write_drift(cursor: Cursor, rows: Sequence[DriftRow]) -> int:
    """Add looks, replacing those of the same measure and time that say otherwise; return how many changed.

    Raises DataContractError where two rows are the same look or a time has no zone.
    """
    table = _table(rows)
    if not table.height:
        return 0
    cursor.execute(_CREATE)
    cursor.adbc_ingest(_STAGING, table.to_arrow(), mode="append", temporary=True)
    cursor.execute(_UPSERT)
    return len(cursor.fetchall())


def _table(rows: Sequence[DriftRow]) -> pl.DataFrame:
    naive = [row.metric for row in rows if row.time.tzinfo is None]
    if naive:
        raise DataContractError(f"looks for drift have times without a zone: {', '.join(sorted(set(naive)))}")
    table = pl.DataFrame([_values(row) for row in rows], schema=_SCHEMA, orient="row")
    twice = table.filter(table.select(_KEYS).is_duplicated())
    if twice.height:
        named = sorted(set(twice["metric"].to_list()))
        raise DataContractError(
            f"{twice.height} looks for drift are of the same measure and time: {', '.join(named)}; a metric "
            "names what it measures, such as psi:close_sma_5"
        )
    return table


def _values(row: DriftRow) -> tuple[object, ...]:
    time = row.time.to_pydatetime(warn=False)
    key = (row.market.symbol, row.market.freq, time, row.model_name, row.metric)
    return (*key, _known(row.value), row.n, _known(row.threshold), row.verdict, row.detail)


def _known(value: float | None) -> float | None:
    return None if value is None or math.isnan(value) else float(value)
