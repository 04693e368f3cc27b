"""Tables in TimescaleDB for `compression.py`: what compressing them saves, laid out in several ways.

What lies in them and how it is judged belongs there.
"""

# ruff: noqa: S608 - our own names

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import psycopg2

from itb_assets.storage.database.timescale import Policies

KEYS = ("symbol", "freq", "time")
TRIED = "tried"


@dataclass(frozen=True)
class Saved:
    """Bytes of a table with its indexes before and after, in how many chunks."""

    title: str
    rows: int
    columns: int
    chunks: int
    before: int
    after: int

    @property
    def share(self) -> float:
        """Part of the space that compressing saved."""
        return 1 - self.after / self.before


@dataclass(frozen=True)
class Layout:
    """One way to lay a table out; without `numbers` its values stay what they are."""

    title: str
    segment_by: str = "symbol, freq"
    order_by: str = "time"
    numbers: str = ""


LAYOUTS = (
    Layout("ordered by time DESC", order_by="time DESC"),
    Layout("not segmented", segment_by="", order_by="symbol, freq, time"),
    Layout("as NUMERIC", numbers="numeric"),
)


class Timescale:
    """A database of which the statements each commit by themselves: its server may have one session only."""

    def __init__(self, url: str) -> None:
        """Remember where it is."""
        self.url = url

    @contextlib.contextmanager
    def cursor(self) -> Iterator[psycopg2.extensions.cursor]:
        """Yield a cursor."""
        with contextlib.closing(psycopg2.connect(self.url.replace("+psycopg2", ""))) as connection:
            connection.autocommit = True
            with connection.cursor() as cursor:
                yield cursor

    def one(self, statement: str) -> tuple[object, ...]:
        """Return the first row of an answer."""
        with self.cursor() as cursor:
            cursor.execute(statement)
            return cursor.fetchone() or ()

    def values(self, table: str) -> dict[str, str]:
        """Return the types of a table's columns after its key."""
        with self.cursor() as cursor:
            cursor.execute(
                "SELECT column_name, data_type FROM information_schema.columns "
                f"WHERE table_schema = 'public' AND table_name = '{table}' ORDER BY ordinal_position"
            )
            return {name: kind for name, kind in cursor.fetchall() if name not in KEYS}

    def compress(self, table: str, title: str) -> Saved:
        """Compress every chunk of a table and return what that saved."""
        rows = int(str(self.one(f"SELECT count(*) FROM {table}")[0]))
        with self.cursor() as cursor:
            cursor.execute(f"SELECT count(compress_chunk(c)) FROM show_chunks('{table}') AS c")
        chunks, before, after = self.one(
            "SELECT count(*), sum(before_compression_total_bytes), sum(after_compression_total_bytes) "
            f"FROM chunk_compression_stats('{table}') WHERE compression_status = 'Compressed'"
        )
        sizes = (int(str(number)) for number in (chunks, before, after))
        return Saved(title, rows, len(self.values(table)), *sizes)

    def try_layout(self, source: str, layout: Layout) -> Saved:
        """Copy a table into another layout and compress that."""
        kinds = {
            name: layout.numbers if layout.numbers and kind == "double precision" else kind
            for name, kind in self.values(source).items()
        }
        self.create(kinds, layout)
        # by the shortest text that is the same double: a plain cast keeps fifteen digits
        values = ", ".join(
            f'"{name}"::text::numeric' if kind == "numeric" else f'"{name}"' for name, kind in kinds.items()
        )
        with self.cursor() as cursor:
            cursor.execute(f"INSERT INTO {TRIED} SELECT {', '.join(KEYS)}, {values} FROM {source}")
        return self.compress(TRIED, layout.title)

    def create(self, kinds: dict[str, str], layout: Layout) -> None:
        """Make an empty table of such columns, laid out so, with the project's spans of time in a chunk."""
        columns = "".join(f', "{name}" {kind}' for name, kind in kinds.items())
        types = "symbol text NOT NULL, freq text NOT NULL, time timestamptz NOT NULL"
        span = f"by_range('time', INTERVAL '{Policies().chunk_days} days')"
        settings = f"timescaledb.compress_segmentby = '{layout.segment_by}', "
        settings += f"timescaledb.compress_orderby = '{layout.order_by}'"
        for statement in (
            f"DROP TABLE IF EXISTS {TRIED}",
            f"CREATE TABLE {TRIED} ({types}{columns}, PRIMARY KEY ({', '.join(KEYS)}))",
            f"SELECT create_hypertable('{TRIED}', {span}, create_default_indexes => FALSE)",
            f"ALTER TABLE {TRIED} SET (timescaledb.compress, {settings})",
        ):
            with self.cursor() as cursor:
                cursor.execute(statement)


def table_of(saved: Sequence[Saved]) -> str:
    """Return what was saved in Markdown."""
    lines = [
        "| table | rows x columns | chunks | MB before | MB after | saved % |",
        "|---|--:|--:|--:|--:|--:|",
    ]
    lines += [
        f"| {one.title} | {one.rows:,} x {one.columns} | {one.chunks} "
        f"| {one.before / 1e6:.1f} | {one.after / 1e6:.1f} | {100 * one.share:.1f} |"
        for one in saved
    ]
    return "\n".join(lines)
