"""The exchange's twelve-field rows, from JSON or CSV, as canonical klines; bad rows stop here.

Where rows come from does not belong here: callers name their origin, and it opens every message.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
from numpy.typing import NDArray

from itb_assets.domain.klines import KLINE_COLUMNS, KLINE_DTYPES, check_klines, empty_klines
from itb_assets.domain.markets import Market
from itb_assets.errors import DataContractError

MICROSECONDS_FROM = 10**15
"""Binance's archives hold microseconds from 2025-01-01 on; a time this large is one."""

_LATEST_MS = 4_102_444_800_000  # the year 2100
_INTEGERS = ("timestamp", "close_time", "trades")
_RAW_SCHEMA: dict[str, type[pl.DataType]] = {
    name: pl.Int64 if name in _INTEGERS else pl.Float64 for name in KLINE_COLUMNS
}


def parse_json_rows(rows: object, market: Market, *, origin: str) -> pd.DataFrame:
    """Return klines from the decoded body of `/api/v3/klines`: a list of lists of twelve."""
    if not isinstance(rows, list) or any(
        not isinstance(row, list) or len(row) != len(KLINE_COLUMNS) for row in rows
    ):
        raise DataContractError(f"{origin}: expected a list of klines of {len(KLINE_COLUMNS)} fields each")
    if not rows:
        return empty_klines()
    try:
        columns: dict[str, Any] = {
            name: [_number(value, name) for value in column]
            for name, column in zip(KLINE_COLUMNS, zip(*rows, strict=True), strict=True)
        }
        raw = pl.DataFrame(columns, schema=_RAW_SCHEMA)
    except (TypeError, ValueError, OverflowError) as error:
        raise DataContractError(f"{origin}: a kline holds something that is no number: {error}") from error
    return _canonical(raw, market, origin)


def parse_csv_rows(text: bytes, market: Market, *, origin: str) -> pd.DataFrame:
    """Return klines from an archive's CSV, with or without a header row, in ms or us told row by row."""
    if not text.strip():
        return empty_klines()
    try:
        raw = pl.read_csv(
            text,
            has_header=_is_header(text),
            new_columns=list(KLINE_COLUMNS),
            schema=_RAW_SCHEMA,
        )
    except (pl.exceptions.PolarsError, ValueError) as error:
        first = str(error).splitlines()[0]
        raise DataContractError(
            f"{origin}: expected {len(KLINE_COLUMNS)} comma separated numbers a line: {first}"
        ) from error
    return _canonical(raw, market, origin) if len(raw) else empty_klines()


def _is_header(text: bytes) -> bool:
    """Tell whether the first line names columns: no field of it is a number, not even NaN."""
    fields = text.split(b"\n", 1)[0].split(b",")
    return not any(_is_number(field) or not field.strip() for field in fields)


def _is_number(field: bytes) -> bool:
    try:
        float(field)
    except ValueError:
        return False
    return True


def _number(value: object, name: str) -> float | int:
    if name in _INTEGERS:
        return int(value)  # type: ignore[call-overload, no-any-return]
    return float(value)  # type: ignore[arg-type]


def _canonical(raw: pl.DataFrame, market: Market, origin: str) -> pd.DataFrame:
    opens = _milliseconds(raw["timestamp"], origin)
    _refuse_unknown_values(raw, opens, origin)
    _refuse_disorder(opens, origin)
    columns: dict[str, object] = {
        name: raw[name].to_numpy().astype(KLINE_DTYPES[name], copy=True) for name in KLINE_COLUMNS[1:]
    }
    columns["close_time"] = _milliseconds(raw["close_time"], origin)
    times = pd.to_datetime(opens * 1_000_000, utc=True)
    frame = pd.DataFrame({"timestamp": times, **columns}, columns=list(KLINE_COLUMNS))
    try:
        check_klines(frame, market)
    except DataContractError as error:
        raise DataContractError(f"{origin}: {error}") from error
    return frame


def _milliseconds(times: pl.Series, origin: str) -> NDArray[np.int64]:
    if times.null_count():
        raise DataContractError(f"{origin}: line {int(times.is_null().arg_max() or 0) + 1} has no time")
    values = times.to_numpy()
    values = np.where(values >= MICROSECONDS_FROM, values // 1000, values)
    wrong = (values < 0) | (values > _LATEST_MS)
    if wrong.any():
        raise DataContractError(
            f"{origin}: {int(values[wrong][0])} is no time in milliseconds or microseconds since 1970"
        )
    return values.astype(np.int64)


def _refuse_unknown_values(raw: pl.DataFrame, opens: NDArray[np.int64], origin: str) -> None:
    problems = []
    for name in KLINE_COLUMNS[1:]:
        column = raw[name]
        unknown = column.is_null().to_numpy()
        if column.dtype == pl.Float64:
            unknown = unknown | ~np.isfinite(column.fill_null(0.0).to_numpy())
        if unknown.any():
            problems.append(f"{name} at {show_time(int(opens[unknown][0]))} ({int(unknown.sum())} rows)")
    if problems:
        raise DataContractError(
            f"{origin}: NaN, infinite or missing value in {', '.join(problems)}: expected a number in every "
            "field; get a sound copy, from the archive or from another host"
        )


def _refuse_disorder(opens: NDArray[np.int64], origin: str) -> None:
    """Duplicates are refused even when identical: which copy is right is not ours to guess."""
    steps = np.diff(opens)
    problems = []
    for wrong, what in ((steps == 0, "duplicate"), (steps < 0, "unsorted")):
        if wrong.any():
            at = int(opens[1:][wrong][0])
            problems.append(f"{int(wrong.sum())} {what} rows, first at {show_time(at)}")
    if problems:
        raise DataContractError(
            f"{origin}: {'; '.join(problems)}: expected open times that rise strictly; get "
            "a sound copy, from the archive or from another host"
        )


def time_range(start_ms: int, end_ms: int) -> str:
    """Return `[start, end)` as people read it."""
    return f"[{show_time(start_ms)}, {show_time(end_ms)})"


def show_time(time_ms: int) -> str:
    """Return a time as `2024-09-01 22:00 UTC`, with seconds where it has some."""
    time = pd.Timestamp(time_ms, unit="ms", tz="UTC")
    return f"{time:%Y-%m-%d %H:%M} UTC" if time_ms % 60_000 == 0 else f"{time:%Y-%m-%d %H:%M:%S} UTC"


def open_times_ms(frame: pd.DataFrame) -> NDArray[np.int64]:
    """Return the open times of klines in milliseconds since 1970."""
    return frame["timestamp"].to_numpy(dtype="datetime64[ms]").view(np.int64)


def clip(frame: pd.DataFrame, start_ms: int, end_ms: int) -> pd.DataFrame:
    """Return the klines whose open time lies in [start_ms, end_ms)."""
    low, high = np.searchsorted(open_times_ms(frame), [start_ms, end_ms])
    return frame.iloc[int(low) : int(high)].reset_index(drop=True)


def join_frames(frames: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Lay klines one after the other; empty ones fall away."""
    filled = [frame for frame in frames if len(frame)]
    if not filled:
        return empty_klines()
    return pd.concat(filled, ignore_index=True, copy=False)
