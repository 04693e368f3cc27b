"""Measures what TimescaleDB's compression saves on recorded klines and on the features computed of them.

Through the project's own migrations, plan and way of writing, every chunk compressed; beside it other layouts
of the same rows. The last lines give each target as met or MISSED; the exit code is 1 when one is missed, or
when a compressed table does not give back every bit.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import json
import os
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from unittest.mock import patch

from progress import say

THREADS = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "POLARS_MAX_THREADS": "2"}
os.environ.update(THREADS)  # before any library reads it
sys.path.append(str(Path(__file__).parents[1] / "itb_assets_tests"))  # TimescaleDB without Docker lives there

import machine  # noqa: E402 - after the threads are set
import numpy as np  # noqa: E402 - same
import pandas as pd  # noqa: E402 - same
import polars as pl  # noqa: E402 - same
from adbc_driver_postgresql import dbapi  # noqa: E402 - same
from compression_layouts import KEYS, LAYOUTS, TRIED, Layout, Saved, Timescale, table_of  # noqa: E402 - same
from evaluation_cases import MARKET, VARIANTS, recorded, shipped_strategy  # noqa: E402 - same
from table_inputs import names  # noqa: E402 - same
from timescaledb.server import NotAvailable, TimescaleServer  # noqa: E402 - same

from itb_assets.domain.features import FeaturePlan, compile_features  # noqa: E402 - same
from itb_assets.domain.klines import KLINE_DTYPES  # noqa: E402 - same
from itb_assets.domain.labels import LabelPlan, compile_labels  # noqa: E402 - same
from itb_assets.storage.files.frames import Record  # noqa: E402 - same
from itb_assets.storage.tables.database import SqlStore  # noqa: E402 - same

LIBRARIES = ("pandas", "polars", "adbc-driver-postgresql")
LEAST_SAVED = {"raw/klines": 0.60, "processed/features": 0.50}
MOST_CHANGED = 1e-9
TABLES = {"raw/klines": "ohlcv", "processed/features": "features", "labeled/matrix": "labels"}

_EPILOG = """examples:
  python benchmarks/compression.py                  the numbers of README.md, on the TimescaleDB of the tests
  python benchmarks/compression.py --rows 20000     the last klines only: smaller chunks compress less
  python benchmarks/compression.py --url postgresql+psycopg2://user@host/empty"""


@dataclass
class Findings:
    """What compressing saved by asset, what other layouts do, and what rounding changed."""

    server: str
    kept: dict[str, Saved] = field(default_factory=dict)
    others: list[Saved] = field(default_factory=list)
    largest_change: float = 0.0
    changed_most: str = ""
    wrong: list[str] = field(default_factory=list)


def main(arguments: Sequence[str] | None = None) -> int:
    """Store, compress, read back and print; return 1 when a target is missed or a bit is lost."""
    options = _parse(arguments)
    described = machine.describe(LIBRARIES, THREADS)
    data = recorded(options.rows)
    plan = functools.reduce(FeaturePlan.joined, map(_features_of, VARIANTS))
    labels = functools.reduce(LabelPlan.joined, map(_labels_of, VARIANTS))
    frames = {
        "raw/klines": data.dropna().astype(dict(KLINE_DTYPES)).reset_index(drop=True),
        "processed/data": data,
        "processed/features": plan.compute(data),
    }
    columns = [
        part.drop(columns="timestamp") for part in (frames["processed/features"], labels.compute(data))
    ]
    frames["labeled/matrix"] = pd.concat([data, *columns], axis=1)
    with _unrounded():
        exact = plan.compute(data)
    definitions = {"features": plan.definitions, "labels": labels.definitions}
    with _database(options.url) as url:
        found = _measure(url, frames, exact, definitions)
    judged = verdicts(found)
    if options.json:
        told = {"machine": described, **asdict(found), "verdicts": [line for _, line in judged]}
        print(json.dumps(told, indent=1))
    else:
        print(_as_text(described, found, judged))
    return 0 if all(met for met, _ in judged) and not found.wrong else 1


def _features_of(variant: str) -> FeaturePlan:
    strategy = shipped_strategy(variant)
    return compile_features(strategy.feature_sets, dialect=strategy.dialect)


def _labels_of(variant: str) -> LabelPlan:
    strategy = shipped_strategy(variant)
    return compile_labels(strategy.label_sets, dialect=strategy.dialect)


def _unrounded() -> contextlib.AbstractContextManager[object]:
    """Have features computed to the last bit of their doubles."""
    return patch("itb_assets.domain.features.plan.round_in_place", lambda _: None)


@contextlib.contextmanager
def _database(url: str | None) -> Iterator[str]:
    """Yield the URL of an empty TimescaleDB: the one named, or that of the tests."""
    if url:
        yield url
        return
    with tempfile.TemporaryDirectory(prefix="itb-bench-") as folder:
        try:
            server = TimescaleServer.start(Path(folder) / "server.log")
        except NotAvailable as missing:
            raise SystemExit(str(missing)) from missing
        try:
            yield server.url()
        finally:
            server.stop()


def _measure(
    url: str,
    frames: Mapping[str, pd.DataFrame],
    exact: pd.DataFrame,
    definitions: Mapping[str, Mapping[str, str]],
) -> Findings:
    database, store = Timescale(url), SqlStore(url, definitions=definitions)
    found = Findings("")
    try:
        for asset, frame in frames.items():
            say(f"{asset}: {len(frame):,} rows x {frame.shape[1] - 1}")
            store.write(asset, MARKET, frame, record=_record(asset), whole=True)
        found.server = str(database.one(_SERVER)[0])
        for asset, table in TABLES.items():
            say(f"{asset}: compressing")
            found.kept[asset] = database.compress(table, f"`{table}`, as the project keeps it")
        for asset, frame in frames.items():
            stored = store.find(asset, MARKET)
            if stored is None or not stored.read().equals(frame):
                found.wrong.append(f"{asset}: read from compressed chunks it is not what was written")
    finally:
        store.close()
    for asset in LEAST_SAVED:
        say(f"{asset}: other layouts")
        found.others += [database.try_layout(TABLES[asset], one) for one in _titled(TABLES[asset])]
    found.others.append(_full_doubles(database, exact))
    found.largest_change, found.changed_most = largest_change(exact, frames["processed/features"])
    return found


_SERVER = (
    "SELECT 'PostgreSQL ' || current_setting('server_version') || ', TimescaleDB ' || extversion "
    "FROM pg_extension WHERE extname = 'timescaledb'"
)


def _titled(table: str) -> list[Layout]:
    return [Layout(f"`{table}`, {one.title}", one.segment_by, one.order_by, one.numbers) for one in LAYOUTS]


def _full_doubles(database: Timescale, exact: pd.DataFrame) -> Saved:
    """Compress the features as they are before rounding, in the project's layout."""
    database.create(database.values("features"), Layout(""))
    rows = pl.from_pandas(exact, nan_to_null=True).rename(names(exact.columns))
    rows = rows.with_columns(
        pl.col("time").dt.cast_time_unit("us"), symbol=pl.lit(MARKET.symbol), freq=pl.lit(MARKET.freq)
    )
    rows = rows.select(*KEYS, *(name for name in rows.columns if name not in KEYS))
    with dbapi.connect(database.url.replace("+psycopg2", "")) as connection, connection.cursor() as cursor:
        cursor.adbc_ingest(TRIED, rows.to_arrow(compat_level=pl.CompatLevel.oldest()), mode="append")
        connection.commit()
    return database.compress(TRIED, "`features`, doubles not rounded")


def largest_change(exact: pd.DataFrame, rounded: pd.DataFrame) -> tuple[float, str]:
    """Return by how much of itself a value was changed at most, and in which column.

    A zero or an unknown value that became another counts as infinitely changed.
    """
    worst, where = 0.0, ""
    for name in exact.columns[1:]:
        before, after = exact[name].to_numpy(), rounded[name].to_numpy()
        differs = ~((before == after) | (np.isnan(before) & np.isnan(after)))
        with np.errstate(divide="ignore"):
            change = np.abs((after[differs] - before[differs]) / before[differs])
        largest = float(np.nan_to_num(change, nan=np.inf, posinf=np.inf).max(initial=0.0))
        if largest > worst:
            worst, where = largest, str(name)
    return worst, where


def _record(asset: str) -> Record:
    return Record(
        asset=asset,
        symbol=MARKET.symbol,
        freq=MARKET.freq,
        run_id="benchmark",
        written_at=datetime.now(UTC),
        digest="benchmark",
    )


def verdicts(found: Findings) -> list[tuple[bool, str]]:
    """Judge what was saved and what rounding changed."""
    judged = [
        _verdict(
            f"{asset}: {100 * found.kept[asset].share:.1f} % saved, over {100 * least:.0f} %",
            met=found.kept[asset].share > least,
        )
        for asset, least in LEAST_SAVED.items()
    ]
    changed = f"largest change of a feature {found.largest_change:.2e} of itself ({found.changed_most})"
    return [
        *judged,
        _verdict(f"{changed}, at most {MOST_CHANGED:g}", met=found.largest_change <= MOST_CHANGED),
    ]


def _verdict(line: str, *, met: bool) -> tuple[bool, str]:
    return met, f"{'met   ' if met else 'MISSED'}  {line}"


def _as_text(described: Mapping[str, Any], found: Findings, judged: Sequence[tuple[bool, str]]) -> str:
    agreed = "Every frame comes back from compressed chunks bit for bit."
    return "\n\n".join(
        [
            machine.as_line(described),
            found.server,
            table_of([*found.kept.values(), *found.others]),
            "\n".join(found.wrong) or agreed,
            "```\n" + "\n".join(line for _, line in judged) + "\n```",
        ]
    )


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, epilog=_EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--rows", type=int, help="recorded klines, the newest (default all)")
    add("--url", help="an empty database with TimescaleDB (default: the TimescaleDB of the tests is started)")
    add("--json", action="store_true", help="print all measurements as JSON")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
