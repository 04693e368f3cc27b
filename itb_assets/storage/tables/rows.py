"""How a frame becomes rows of its table, and what a table refuses to take.

Which table keeps what belongs to `placing`.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping

import polars as pl

from itb_assets.errors import DataContractError
from itb_assets.storage.files.dtypes import TIME
from itb_assets.storage.tables.columns_catalogue import sql_name
from itb_assets.storage.tables.placing import MONEY, PAPER, Kept

LIKELY = 0.5
"""A `prediction` is true where the model holds its label likelier than not."""

_JSONB = "\x01"
"""The binary form of jsonb is this byte and the text."""


def check_frame(kept: Kept, dtypes: Mapping[str, str], frame: pl.DataFrame) -> None:
    """Raise DataContractError for a frame that its table cannot hold exactly.

    A number of another dtype would not be refused by the server: both are eight bytes.
    """
    wanted = kept.table.dtypes
    problems = [f"lacks {', '.join(missing)}"] if (missing := [n for n in wanted if n not in dtypes]) else []
    problems += [
        f"has {name} as {dtypes[name]}: expected {dtype}"
        for name, dtype in wanted.items()
        if name in dtypes and dtypes[name] != _stored(kept, dtype)
    ]
    if kept.table.form == "columns" and wanted:
        extra = [name for name in dtypes if name not in wanted]
        problems += [f"has {', '.join(extra)}, which table {kept.table.name} does not keep"] * bool(extra)
    if not problems:
        problems = _FORM_PROBLEMS[kept.table.form](kept, dtypes, frame)
    if problems:
        raise DataContractError(f"{kept.asset} of {kept.market} {'; '.join(problems)}")


def _stored(kept: Kept, dtype: str) -> str:
    """Return the dtype a column has in the frame: on the grid every kline's number is a double."""
    return "float64" if kept.asset == "processed/data" and dtype == "int64" else dtype


def rows_of(kept: Kept, frame: pl.DataFrame) -> pl.DataFrame:
    """Return a frame, or a part of it, as rows of its table."""
    rows = _ROWS[kept.table.name](frame, kept)
    keys = [
        pl.Series("symbol", [kept.market.symbol], dtype=pl.Categorical).new_from_index(0, rows.height),
        pl.Series("freq", [kept.market.freq], dtype=pl.Categorical).new_from_index(0, rows.height),
    ]
    times = rows["time"].dt.cast_time_unit("us")
    return pl.DataFrame([*keys, times, *(column for column in rows if column.name != "time")])


def _klines(frame: pl.DataFrame, kept: Kept) -> pl.DataFrame:
    del kept
    return frame.rename({TIME: "time"})


def _on_demand(frame: pl.DataFrame, kept: Kept) -> pl.DataFrame:
    del kept
    return frame.rename({name: sql_name(name) for name in frame.columns if name != TIME} | {TIME: "time"})


def _scores(frame: pl.DataFrame, kept: Kept) -> pl.DataFrame:
    """Return one row a score, in the order of the rows' times: also where the score is unknown."""
    scores = [name for name in frame.columns if name not in {TIME, "sample"}]
    parts = [
        frame.select(
            pl.col(TIME).alias("time"),
            pl.lit(f"{name.rpartition('_')[2]}_{kept.variant}").alias("model_name"),
            pl.lit(name.rpartition("_")[0]).alias("label"),
            pl.col(name).alias("probability"),
            (pl.col(name) > LIKELY).alias("prediction"),
            "sample",
        )
        for name in scores
    ]
    return pl.concat(parts).sort("time", maintain_order=True) if len(parts) > 1 else parts[0]


def _signals(frame: pl.DataFrame, kept: Kept) -> pl.DataFrame:
    outputs = [name for name in frame.columns if name not in {TIME, "sample", "close"}]
    return frame.select(
        pl.col(TIME).alias("time"),
        pl.lit(kept.variant).alias("variant"),
        "sample",
        "close",
        (_JSONB + _objects(frame, outputs)).alias("outputs"),
    )


def _summaries(frame: pl.DataFrame, kept: Kept) -> pl.DataFrame:
    values = [name for name in frame.columns if name != TIME]
    return frame.select(
        pl.col(TIME).alias("time"),
        pl.lit(kept.variant).alias("asset"),
        _objects(frame, values).alias("content"),
    )


def _objects(frame: pl.DataFrame, names: list[str]) -> pl.Series:
    """Return one JSON object a row: numbers, true, false, texts and null; infinity as a text."""
    if not names:
        return pl.Series("objects", ["{}"] * frame.height, dtype=pl.String)
    if any(frame[name].dtype == pl.Float64 and frame[name].is_infinite().any() for name in names):
        rows = ({name: _json_value(row[name]) for name in names} for row in frame.select(names).to_dicts())
        return pl.Series("objects", [json.dumps(row) for row in rows], dtype=pl.String)
    return frame.select(pl.struct(names).struct.json_encode()).to_series()


def _json_value(value: object) -> object:
    if isinstance(value, float) and math.isinf(value):
        return "Infinity" if value > 0 else "-Infinity"
    return value


def _trades(frame: pl.DataFrame, kept: Kept) -> pl.DataFrame:
    exit_time = pl.from_epoch(pl.col("exit_time_ms").cast(pl.Int64), time_unit="ms")
    columns = frame.with_columns(
        pl.col(TIME).alias("time"),
        pl.lit(PAPER).alias("source"),
        pl.lit(kept.variant).alias("account"),
        pl.lit(kept.variant).alias("model_name"),
        pl.lit(kept.variant).alias("variant"),
        pl.col("entry_price").alias("price"),
        exit_time.dt.cast_time_unit("us").dt.replace_time_zone("UTC").alias("exit_time"),
        pl.lit(None, pl.String).alias("other_fees"),
    ).with_columns(pl.col(name).cast(pl.String) for name in MONEY)  # the shortest text that is this double
    return columns.select("time", *kept.table.key, *kept.table.fields)


def _no_problems(kept: Kept, dtypes: Mapping[str, str], frame: pl.DataFrame) -> list[str]:
    del dtypes
    if kept.table.name != "trades" or not frame.height:
        return []
    fraction = frame["exit_time_ms"].drop_nulls()
    broken = int(((fraction != fraction.floor()) | fraction.is_infinite()).sum())
    return [f"has {broken} exit_time_ms that are not whole milliseconds"] * bool(broken)


def _score_problems(kept: Kept, dtypes: Mapping[str, str], frame: pl.DataFrame) -> list[str]:
    del kept, frame
    scores = [name for name in dtypes if name not in {TIME, "sample"}]
    problems = ["lacks sample as text"] * (dtypes.get("sample") != "str")
    problems += ["lacks scores: expected at least one"] * (not scores)
    problems += [
        f"has {name} as {dtypes[name]}: expected a score of float64"
        for name in scores
        if dtypes[name] != "float64"
    ]
    problems += [
        f"has the score {name!r}: expected a label and an algorithm, as in high_040_4_lgbm"
        for name in scores
        if not all(name.rpartition("_"))
    ]
    return problems


def _text_problems(kept: Kept, dtypes: Mapping[str, str], frame: pl.DataFrame) -> list[str]:
    del kept
    texts = [name for name, dtype in dtypes.items() if dtype == "str"]
    broken = [name for name in texts if frame[name].str.contains("\0", literal=True).any()]
    return [f"has NUL characters in {', '.join(broken)}, which a database cannot keep"] * bool(broken)


_FORM_PROBLEMS: Mapping[str, Callable[[Kept, Mapping[str, str], pl.DataFrame], list[str]]] = {
    "columns": _no_problems,
    "object": _text_problems,
    "scores": _score_problems,
}
_ROWS: Mapping[str, Callable[[pl.DataFrame, Kept], pl.DataFrame]] = {
    "ohlcv": _klines,
    "features": _on_demand,
    "labels": _on_demand,
    "predictions": _scores,
    "signals": _signals,
    "summaries": _summaries,
    "trades": _trades,
}
