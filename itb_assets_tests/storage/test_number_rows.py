"""Rows taken apart from PostgreSQL's binary COPY: every number exact, bytes that do not add up refused."""

from __future__ import annotations

import io

import numpy as np
import pandas as pd
import pytest

from itb_assets.errors import StorageError
from itb_assets.storage.files.dtypes import TIME_DTYPE
from itb_assets.storage.tables.number_rows import are_numbers, fetch_numbers

DTYPES = {"t": TIME_DTYPE, "x": "float64", "n": "int64", "b": "boolean"}
EXPRESSIONS = {"t": "t", "x": "x", "n": "n", "b": "b"}
TIMES = ["1969-12-31 23:59:59+00", "2000-01-01 00:00:00+00", "2262-04-11 00:00:00+00"]


class Sent:
    """A cursor whose server sends these bytes."""

    def __init__(self, content: bytes) -> None:
        """Keep what is sent."""
        self.content = content

    def copy_expert(self, _statement: str, sink: io.BytesIO) -> None:
        """Send it."""
        sink.write(self.content)


def test_numbers_of_every_kind_come_back(database):
    """Unknown doubles and booleans too, times before 2000, the largest and the smallest."""
    source = (
        f"(VALUES ('{TIMES[0]}'::timestamptz, 5e-324::float8, '-9223372036854775808'::bigint, true), "
        f"('{TIMES[1]}', '-Infinity', 9223372036854775807, NULL), "
        f"('{TIMES[2]}', NULL, 0, false)) v(t, x, n, b)"
    )
    with database._connections.copying() as cursor:
        found = fetch_numbers(cursor, EXPRESSIONS, DTYPES, source)
        none = fetch_numbers(cursor, EXPRESSIONS, DTYPES, source + " WHERE n = 1")
    assert found["t"].to_list() == [pd.Timestamp(time) for time in TIMES]
    assert np.array_equal(found["x"].to_numpy(), [5e-324, -np.inf, np.nan], equal_nan=True)
    assert found["n"].to_list() == [-(2**63), 2**63 - 1, 0]
    assert found["b"].to_list() == [True, None, False]
    assert none.height == 0
    assert none.schema == found.schema


def test_text_is_not_of_one_width():
    assert are_numbers(DTYPES)
    assert not are_numbers({**DTYPES, "sample": "str"})


HEADER = b"PGCOPY\n\xff\r\n\0" + bytes(8)
ROW = b"\x00\x01\x00\x00\x00\x08" + np.array(1.5, dtype=">f8").tobytes()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        HEADER,
        HEADER + ROW,
        HEADER + ROW[:-1] + b"\xff\xff",
        HEADER + b"\x00\x01\xff\xff\xff\xff" + b"\xff\xff",
        b"x" + HEADER[1:] + ROW + b"\xff\xff",
        HEADER + b"\x00\x02" + ROW[2:] + b"\xff\xff",
    ],
)
def test_bytes_that_are_no_rows_are_refused(content):
    """Cut off, a NULL, another header, another number of fields: never silent garbage."""
    with pytest.raises(StorageError, match="the database gave"):
        fetch_numbers(Sent(content), {"x": "x"}, {"x": "float64"}, "t")
    assert fetch_numbers(Sent(HEADER + ROW + b"\xff\xff"), {"x": "x"}, {"x": "float64"}, "t")[
        "x"
    ].to_list() == [1.5]
