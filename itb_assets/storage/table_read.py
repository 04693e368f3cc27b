"""Rows of a table as a frame: the statement that selects them and what Arrow makes of them.

Connections and transactions belong to `database`.
"""

# ruff: noqa: S608 - symbols, freqs and columns were checked where they became values

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
import polars as pl

from itb_assets.domain.markets import Market
from itb_assets.errors import StorageError
from itb_assets.storage.dtypes import POLARS_DTYPES, TIME, TIME_DTYPE, to_pandas
from itb_assets.storage.tables import TABLES

_PANDAS: dict[pl.DataType, str] = {dtype: name for name, dtype in POLARS_DTYPES.items() if name != "bool"}


def select_statement(
    table: str,
    market: Market,
    *,
    start: pd.Timestamp | None,
    end: pd.Timestamp | None,
    columns: Sequence[str] | None,
) -> str:
    """Return the SELECT for rows of [start, end) in the order of their key; raise StorageError for a name."""
    names = _selected(table, columns)
    window = [f"time {sign} '{t.isoformat()}'" for sign, t in ((">=", start), ("<", end)) if t is not None]
    where = " AND ".join((f"symbol = '{market.symbol}'", f"freq = '{market.freq}'", *window))
    selected = ", ".join(TABLES[table].reads.get(name, name) for name in names)
    return f"SELECT {selected} FROM {table} WHERE {where} ORDER BY {', '.join(TABLES[table].keys)}"


def to_frame(found: pl.DataFrame) -> pd.DataFrame:
    """Return rows as files give them: `time` as `timestamp`, NULL as NaN, NA or None."""
    if "time" in found.columns:
        found = found.rename({"time": TIME}).cast({TIME: POLARS_DTYPES[TIME_DTYPE]})
    return to_pandas(found, {name: _PANDAS[dtype] for name, dtype in found.schema.items()})


def _selected(table: str, columns: Sequence[str] | None) -> list[str]:
    if table not in TABLES:
        raise StorageError(f"there is no table {table!r} to read: expected one of {', '.join(TABLES)}")
    known = TABLES[table].columns
    names = [name for name in known if name not in {"symbol", "freq"}] if columns is None else list(columns)
    names = ["time" if name == TIME else name for name in names]
    unknown = [name for name in names if name not in known]
    if unknown:
        raise StorageError(f"table {table} has no column {', '.join(unknown)}: it has {', '.join(known)}")
    return names
