"""Rows of a table as they are, or as the frame they were made from; both as Arrow.

Connections and transactions belong to `connection`, which frame is put together from what to `frame`.
"""

# ruff: noqa: S608 - symbols, freqs and columns were checked or quoted where they became values

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import polars as pl

from itb_assets.domain.markets import Market
from itb_assets.errors import StorageError
from itb_assets.storage.database.connection import Cursor
from itb_assets.storage.database.sql_text import identifier, literal
from itb_assets.storage.files.dtypes import POLARS_DTYPES, TIME, TIME_DTYPE, to_pandas
from itb_assets.storage.tables.number_rows import copies_numbers, fetch_numbers
from itb_assets.storage.tables.placing import TABLES, Kept

_PANDAS: dict[pl.DataType, str] = {dtype: name for name, dtype in POLARS_DTYPES.items() if name != "bool"}
_WHICH, _SCORE, _SAMPLE = "which", "score", "sample"


@dataclass(frozen=True)
class Window:
    """Times from `start` to `last`, both of them inside; None is open."""

    start: pd.Timestamp | None = None
    last: pd.Timestamp | None = None

    @property
    def condition(self) -> str:
        """Return it as the end of an SQL condition."""
        signs = ((">=", self.start), ("<=", self.last))
        return "".join(f" AND time {sign} '{time.isoformat()}'" for sign, time in signs if time is not None)


ALWAYS = Window()


def frame_rows(cursor: Cursor, kept: Kept, dtypes: Mapping[str, str], window: Window) -> pl.DataFrame:
    """Return the columns `dtypes` of the frame whose rows a table keeps, in the order of their times.

    The times come first, asked for or not. Raises StorageError where scores of a row are missing.
    """
    if kept.table.form == "scores":
        return _pivoted(cursor, kept, dtypes, window)
    names = [TIME, *(name for name in dtypes if name != TIME)]
    wanted = {TIME: TIME_DTYPE} | dict(dtypes)
    expressions = {name: kept.expression(name, wanted[name]) for name in names}
    source = _source(kept, window)
    if copies_numbers(cursor):
        return _in_order(fetch_numbers(cursor, expressions, wanted, source))
    selected = ", ".join(f"{sql} AS c{place}" for place, sql in enumerate(expressions.values()))
    found = _fetch(cursor, f"SELECT {selected} FROM {source}")
    table = found.rename({f"c{place}": name for place, name in enumerate(names)})
    return _in_order(table.cast({name: POLARS_DTYPES[wanted[name]] for name in names}))


def newest_time(cursor: Cursor, kept: Kept, *, before: pd.Timestamp | None = None) -> pd.Timestamp | None:
    """Return the time of an asset's last row, of those before a time; None where it has none."""
    until = "" if before is None else f" AND time < '{before.isoformat()}'"
    cursor.execute(
        f"SELECT time FROM {kept.table.name} WHERE {kept.condition()}{until} ORDER BY time DESC LIMIT 1"
    )
    row = cursor.fetchone()
    return None if row is None else pd.Timestamp(row[0]).tz_convert("UTC").as_unit("ns")


def start_of_tail(cursor: Cursor, kept: Kept, rows: int, last: pd.Timestamp | None) -> pd.Timestamp | None:
    """Return the time of the first of the last `rows` rows of the table, of those until `last`."""
    cursor.execute(
        f"SELECT min(time) FROM (SELECT time FROM {_source(kept, Window(last=last))} "
        f"ORDER BY time DESC LIMIT {rows}) newest"
    )
    row = cursor.fetchone()
    return None if row is None or row[0] is None else pd.Timestamp(row[0]).tz_convert("UTC").as_unit("ns")


def row_count(cursor: Cursor, kept: Kept, window: Window) -> int:
    """Return how many times an asset has rows for."""
    counted = "DISTINCT time" if kept.table.form == "scores" else "*"
    cursor.execute(f"SELECT count({counted}) FROM {_source(kept, window)}")
    return int(cursor.fetchone()[0])


def _source(kept: Kept, window: Window) -> str:
    return f"{kept.table.name} WHERE {kept.condition()}{window.condition}"


def _fetch(cursor: Cursor, statement: str) -> pl.DataFrame:
    cursor.execute(statement)
    found = pl.from_arrow(cursor.fetch_arrow_table(), rechunk=False)
    return found if isinstance(found, pl.DataFrame) else found.to_frame()


def _in_order(table: pl.DataFrame) -> pl.DataFrame:
    """Sort by time where the server did not: cheaper here than there, and most tables lie in order."""
    return table if table[TIME].is_sorted() else table.sort(TIME)


def _pivoted(cursor: Cursor, kept: Kept, dtypes: Mapping[str, str], window: Window) -> pl.DataFrame:
    """Put the scores of each time side by side again."""
    scores = [name for name in dtypes if name not in {TIME, _SAMPLE}]
    asked = scores
    if not scores:
        return _samples(cursor, kept, window)
    parts = [name.rpartition("_") for name in asked]
    models = [
        f"model_name = {literal(f'{algo}_{kept.variant}')} AND label = {literal(label)}"
        for label, _, algo in parts
    ]
    cases = " ".join(f"WHEN {model} THEN {place}" for place, model in enumerate(models))
    found = _fetch(
        cursor,
        f"SELECT time AS {TIME}, (CASE {cases} END)::smallint AS {_WHICH}, probability AS {_SCORE}, "
        f"sample AS {_SAMPLE} FROM {_source(kept, window)} AND ({' OR '.join(f'({m})' for m in models)})",
    ).cast({TIME: POLARS_DTYPES[TIME_DTYPE]})
    found = found if _orderly(found, len(asked)) else found.sort(TIME, _WHICH)
    if not _orderly(found, len(asked)):
        raise StorageError(
            f"{kept.place} has {found.height} scores that are not {len(asked)} for every time: make it again"
        )
    first = found.gather_every(len(asked))
    order = first_which(found, len(asked))
    columns = (
        {
            asked[which]: found[_SCORE].gather_every(len(asked), place).rename(asked[which])
            for place, which in enumerate(order)
        }
        if found.height
        else {name: pl.Series(name, [], dtype=pl.Float64) for name in asked}
    )
    return pl.DataFrame(
        [first[TIME], *(first[name] if name == _SAMPLE else columns[name] for name in dtypes if name != TIME)]
    )


def first_which(found: pl.DataFrame, scores: int) -> list[int]:
    """Return which score each of the first rows is."""
    return [int(which) for which in found[_WHICH].head(scores)]


def _orderly(found: pl.DataFrame, scores: int) -> bool:
    """Tell whether rows lie by time, at each time all scores in one order."""
    if found.height % scores:
        return False
    if not found.height:
        return True
    times = found[TIME].to_physical().to_numpy().reshape(-1, scores)
    which = found[_WHICH].to_numpy().reshape(-1, scores)
    return bool(
        (np.sort(which[0]) == np.arange(scores)).all()
        and (which == which[0]).all()
        and (times == times[:, :1]).all()
        and (np.diff(times[:, 0]) > 0).all()
    )


def _samples(cursor: Cursor, kept: Kept, window: Window) -> pl.DataFrame:
    statement = f"SELECT DISTINCT time AS {TIME}, sample AS {_SAMPLE} FROM {_source(kept, window)}"
    return _in_order(_fetch(cursor, statement).cast({TIME: POLARS_DTYPES[TIME_DTYPE]}))


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
    selected = ", ".join(_read_as(table, name) for name in names)
    return f"SELECT {selected} FROM {table} WHERE {where} ORDER BY {', '.join(TABLES[table].keys)}"


def to_frame(found: pl.DataFrame) -> pd.DataFrame:
    """Return rows as files give them: `time` as `timestamp`, NULL as NaN, NA or None."""
    if "time" in found.columns:
        found = found.rename({"time": TIME}).cast({TIME: POLARS_DTYPES[TIME_DTYPE]})
    return to_pandas(found, {name: _PANDAS[dtype] for name, dtype in found.schema.items()})


def _read_as(table: str, name: str) -> str:
    reads = TABLES[table].reads
    if name not in reads:
        return identifier(name)
    return f"{reads[name]} AS {identifier('exit_time_ms' if name == 'exit_time' else name)}"


def _selected(table: str, columns: Sequence[str] | None) -> list[str]:
    if table not in TABLES or TABLES[table].on_demand:
        readable = ", ".join(name for name, one in TABLES.items() if not one.on_demand)
        raise StorageError(f"there is no table {table!r} to read: expected one of {readable}")
    known = TABLES[table].columns
    names = [name for name in known if name not in {"symbol", "freq"}] if columns is None else list(columns)
    names = ["time" if name == TIME else name for name in names]
    unknown = [name for name in names if name not in known]
    if unknown:
        raise StorageError(f"table {table} has no column {', '.join(unknown)}: it has {', '.join(known)}")
    return names
