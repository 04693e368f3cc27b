"""Frames as CSV: floats that read back bit for bit, times as `2024-09-01 22:00:00+00:00`, unknown as nothing.

Every row is one line that opens with its time at a fixed width, so a row is found by bisection in the bytes
and a tail is replaced without parsing what comes before it. Atomicity belongs to the store.
"""

from __future__ import annotations

import errno
import functools
import mmap
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import BinaryIO, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd
import polars as pl
import pyarrow as pa

from itb_assets.storage.files.dtypes import POLARS_DTYPES, TIME

_NAIVE_FORMAT = "%Y-%m-%d %H:%M:%S"
_NAIVE_WIDTH = 19
_DATE_WIDTH, _TIME_WIDTH = 10, 25
_DAY_S, _SECOND_NS = 86_400, 1_000_000_000
_COPY_BYTES = 1 << 30
_BUFFER_BYTES = 1 << 20
_CANNOT_COPY = {errno.ENOSYS, errno.EXDEV, errno.EINVAL, errno.EOPNOTSUPP, errno.EPERM}


def write(table: pl.DataFrame, path: Path) -> None:
    """Write a whole table and force it to disk."""
    with path.open("wb") as file:
        _write_rows(table, file, header=True)


def splice(source: int, path: Path, start: pd.Timestamp, tail: pl.DataFrame) -> int:
    """Write to `path` the bytes of `source` before `start` and then `tail`; return where the tail begins."""
    offset = _offset_of(source, start)
    with path.open("wb") as file:
        _copy(source, file.fileno(), offset)
        file.seek(offset)
        _write_rows(tail, file, header=False)
    return offset


def read(source: int, dtypes: Mapping[str, str], columns: Sequence[str]) -> pl.DataFrame:
    """Read some columns of all rows."""
    table = pl.read_csv(
        f"/dev/fd/{source}", columns=list(columns), schema_overrides=_schema(dtypes), infer_schema_length=0
    )
    return _typed(table, columns)


def tail(source: int, dtypes: Mapping[str, str], columns: Sequence[str], rows: int) -> pl.DataFrame:
    """Read the last `rows` rows, at a cost that does not depend on those before."""
    return _read_from(source, dtypes, columns, _tail_offset(source, rows))


def since(
    source: int, dtypes: Mapping[str, str], columns: Sequence[str], start: pd.Timestamp
) -> pl.DataFrame:
    """Read the rows at or after `start`, at a cost that does not depend on those before."""
    return _read_from(source, dtypes, columns, _offset_of(source, start))


def _write_rows(table: pl.DataFrame, file: BinaryIO, *, header: bool) -> None:
    """Write rows and force them to disk; where no text needs quotes, none is looked at for them again."""
    quotes: Literal["never", "necessary"] = "necessary" if any(map(_needs_quotes, table)) else "never"
    lines = table.clone().replace_column(table.get_column_index(TIME), _time_text(table[TIME]))
    lines.write_csv(file, include_header=header, quote_style=quotes)
    file.flush()
    os.fsync(file.fileno())


def _needs_quotes(column: pl.Series) -> bool:
    """Tell whether a column holds text with a comma or a quote in it, or empty text, which is not unknown."""
    if column.dtype != pl.String:
        return False
    return bool(column.rle().struct.field("value").str.contains('^$|[,"]').any())


def _time_text(times: pl.Series) -> pl.Series:
    """Write whole seconds as `2024-09-01 22:00:00+00:00`, three times faster than a format can.

    A day's text is made once and repeated, the text of a second of the day is looked up.
    """
    rows = len(times)
    total = times.to_physical().to_numpy() // _SECOND_NS
    days = total // _DAY_S
    starts = np.flatnonzero(np.diff(days, prepend=days[:1] - 1))
    dates = np.datetime_as_string(days[starts].astype("datetime64[D]")).astype(f"S{_DATE_WIDTH}")
    text = np.empty((rows, _TIME_WIDTH), dtype=np.uint8)
    text[:, :_DATE_WIDTH] = np.repeat(_bytes(dates), np.diff(starts, append=rows), axis=0)
    text[:, _DATE_WIDTH:] = _clock()[total - days * _DAY_S]
    offsets = np.arange(rows + 1, dtype=np.int64) * _TIME_WIDTH
    array = pa.LargeStringArray.from_buffers(rows, pa.py_buffer(offsets), pa.py_buffer(text))
    return pl.Series(times.name, array)


@functools.cache
def _clock() -> npt.NDArray[np.uint8]:
    """Return ` 22:00:00+00:00` for every second of a day, as rows of bytes."""
    second = np.arange(_DAY_S)
    text = np.empty((_DAY_S, _TIME_WIDTH - _DATE_WIDTH), dtype=np.uint8)
    text[:] = np.frombuffer(b" 00:00:00+00:00", dtype=np.uint8)
    for place, part in ((1, second // 3600), (4, second // 60 % 60), (7, second % 60)):
        text[:, place] += (part // 10).astype(np.uint8)
        text[:, place + 1] += (part % 10).astype(np.uint8)
    return text


def _bytes(texts: npt.NDArray[np.bytes_]) -> npt.NDArray[np.uint8]:
    return texts.view(np.uint8).reshape(len(texts), texts.itemsize)


def _schema(dtypes: Mapping[str, str]) -> dict[str, pl.DataType]:
    return {name: pl.String() if name == TIME else POLARS_DTYPES[dtype] for name, dtype in dtypes.items()}


def _typed(table: pl.DataFrame, columns: Sequence[str]) -> pl.DataFrame:
    if TIME in table.columns:
        # a fixed slice parses several times faster than a format with an offset; the writer only knows +00:00
        naive = pl.col(TIME).str.slice(0, _NAIVE_WIDTH).str.to_datetime(_NAIVE_FORMAT, time_unit="ns")
        table = table.with_columns(naive.dt.replace_time_zone("UTC"))
    return table if table.columns == list(columns) else table.select(columns)


def _read_from(source: int, dtypes: Mapping[str, str], columns: Sequence[str], offset: int) -> pl.DataFrame:
    schema = _schema(dtypes)
    content = _content(source, offset)
    if not content:
        return _typed(pl.DataFrame(schema=schema), columns)
    asked = sorted(
        map(list(schema).index, columns)
    )  # names of a header that is not there cannot be asked for
    table = pl.read_csv(content, has_header=False, schema=schema, columns=asked)
    return _typed(table, columns)


def _content(source: int, offset: int) -> bytes:
    """Return the bytes from `offset` on; the system hands over at most 2 GiB at a time."""
    parts = []
    while part := os.pread(source, os.fstat(source).st_size - offset, offset):
        parts.append(part)
        offset += len(part)
    return parts[0] if len(parts) == 1 else b"".join(parts)


def _offset_of(source: int, start: pd.Timestamp) -> int:
    """Return where the first row at or after `start` begins, or the end of the file."""
    wanted = start.tz_convert("UTC").ceil("s").strftime(_NAIVE_FORMAT).encode()
    with mmap.mmap(source, 0, access=mmap.ACCESS_READ) as text:
        low = text.find(b"\n") + 1
        high = len(text)
        while low < high:
            middle = _line_start(text, (low + high) // 2, low)
            if text[middle : middle + _NAIVE_WIDTH] < wanted:
                low = text.find(b"\n", middle) + 1
            else:
                high = middle
        return low


def _line_start(text: mmap.mmap, position: int, low: int) -> int:
    return max(text.rfind(b"\n", low, position) + 1, low)


def _tail_offset(source: int, rows: int) -> int:
    """Return where the last `rows` rows begin; the header is never one of them."""
    with mmap.mmap(source, 0, access=mmap.ACCESS_READ) as text:
        first = text.find(b"\n") + 1
        start = len(text)
        for _ in range(rows):
            if start <= first:
                return first
            start = text.rfind(b"\n", first - 1, start - 1) + 1
        return start


def _copy(source: int, target: int, count: int) -> None:
    """Copy the first `count` bytes inside the kernel; a filesystem that can will share them.

    Where the system or the filesystem cannot (macOS, some network mounts), they go through memory.
    """
    done = 0
    while done < count:
        copied = _copy_inside(source, target, done, count - done) or _copy_through(
            source, target, done, count - done
        )
        if not copied:
            raise OSError(errno.EIO, f"the file ends after {done} bytes, expected {count}")
        done += copied


def _copy_inside(source: int, target: int, done: int, count: int) -> int:
    """Return the bytes copied by the kernel: 0 where it cannot, or does nothing and says so."""
    if not hasattr(os, "copy_file_range"):
        return 0
    try:
        return os.copy_file_range(source, target, min(count, _COPY_BYTES), done, done)
    except OSError as error:
        if error.errno not in _CANNOT_COPY:
            raise
        return 0


def _copy_through(source: int, target: int, done: int, count: int) -> int:
    return os.pwrite(target, os.pread(source, min(count, _BUFFER_BYTES), done), done)
