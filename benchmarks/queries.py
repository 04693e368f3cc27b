"""Measures how soon an embedded PostgreSQL that holds many markets answers an analyst's questions.

Each question is asked over and over, of random markets where it is about one, on data that the server has
read before. The last lines give each target as met or MISSED; the exit code is 1 when one is missed, or when
an answer is shorter than it must be.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from progress import say

THREADS = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "POLARS_MAX_THREADS": "2"}
os.environ.update(THREADS)  # before any library reads it

import machine  # noqa: E402 - after the threads are set
import numpy as np  # noqa: E402 - same
import server  # noqa: E402 - same
import sqlalchemy as sa  # noqa: E402 - same
from query_load import SETTINGS, Size, check_space, load  # noqa: E402 - same
from questions import QUESTIONS, Question  # noqa: E402 - same

LIBRARIES = ("psycopg2-binary", "sqlalchemy", "adbc-driver-postgresql")
DATABASE = "queries"
TABLES = ("features", "trades")
WARM_UPS = 3
SEED = 4

_EPILOG = """examples:
  python benchmarks/queries.py                                           the numbers of README.md; 10 minutes
  python benchmarks/queries.py --markets 3 --rows 100000 --trades 10000  quicker, on less data"""


@dataclass(frozen=True)
class Answered:
    """How long the answers to one question took, in milliseconds, and the fewest rows of one."""

    runs: int
    p50_ms: float
    p99_ms: float
    longest_ms: float
    fewest_rows: int


def main(arguments: Sequence[str] | None = None) -> int:
    """Load, ask and print; return 1 when a target is missed or an answer too short."""
    options = _parse(arguments)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # so that the server is stopped
    size = Size(options.markets, options.rows, options.features, options.trades)
    check_space(options.folder, size)
    with (
        tempfile.TemporaryDirectory(prefix="itb-bench-", dir=options.folder) as folder,
        server.running(Path(folder), SETTINGS) as started,
    ):
        url, say = started.database(DATABASE), _Progress()
        load(url, size, Path(folder), say)
        described = machine.describe(LIBRARIES, THREADS)
        engine = sa.create_engine(url, isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            loaded = {name: _size_of(connection, name) for name in TABLES}
            answers = {}
            for question in QUESTIONS:
                say(f"asking: {question.title}")
                runs = options.runs if question.of_market else max(options.runs // 10, 1)
                answers[question.key] = _ask(connection, question, size.symbols, runs)
        engine.dispose()
    judged = verdicts(answers)
    if options.json:
        told = {"machine": described, "loaded": loaded, "markets": size.markets, "features": size.features}
        asked = {key: asdict(answered) for key, answered in answers.items()}
        told |= {"answers": asked, "verdicts": [line for _, line in judged]}
        print(json.dumps(told, indent=1, allow_nan=False))
    else:
        print(_as_text(described, size, loaded, answers, judged))
    return 0 if all(met for met, _ in judged) else 1


def _ask(connection: sa.Connection, question: Question, symbols: Sequence[str], runs: int) -> Answered:
    """Ask a question again and again; the time is from sending it to the last row as a Python object."""
    statement, draw = sa.text(question.text), random.Random(SEED)  # noqa: S311 - which market, no secret
    drawn = [*symbols * WARM_UPS, *draw.choices(symbols, k=runs)]
    spent, rows = [], []
    for symbol in drawn:
        values = question.values(symbol)
        started = time.perf_counter()
        found = connection.execute(statement, values).fetchall()
        spent.append(1000 * (time.perf_counter() - started))
        rows.append(len(found))
    measured = np.array(spent[-runs:])
    half, most = np.percentile(measured, (50, 99), method="higher")
    return Answered(runs, float(half), float(most), float(measured.max()), min(rows))


def _size_of(connection: sa.Connection, name: str) -> Mapping[str, int]:
    found = connection.execute(
        sa.text(f"SELECT count(*), pg_total_relation_size('{name}') FROM {name}")  # noqa: S608 - our own names
    ).one()
    return {"rows": int(found[0]), "bytes": int(found[1])}


def verdicts(answers: Mapping[str, Answered]) -> list[tuple[bool, str]]:
    """Judge every question that was asked."""
    judged = []
    for question in QUESTIONS:
        if found := answers.get(question.key):
            met = found.p99_ms < question.most_ms and found.fewest_rows >= question.least_rows
            text = (
                f"{question.key}: p99 {found.p99_ms:.2f} ms, under {question.most_ms:.0f}; "
                f"{found.fewest_rows} rows, at least {question.least_rows}"
            )
            judged.append((met, f"{'met   ' if met else 'MISSED'}  {text}"))
    return judged


def _as_text(
    described: Mapping[str, Any],
    size: Size,
    loaded: Mapping[str, Mapping[str, int]],
    answers: Mapping[str, Answered],
    judged: Sequence[tuple[bool, str]],
) -> str:
    held = "; ".join(
        f"{name}: {of['rows']:,} rows, {of['bytes'] / 1e9:.2f} GB" for name, of in loaded.items()
    )
    lines = ["| asked | runs | p50 ms | p99 ms | longest ms | rows |", "|---|--:|--:|--:|--:|--:|"]
    for question in QUESTIONS:
        found = answers[question.key]
        lines.append(
            f"| {question.title} | {found.runs:,} | {found.p50_ms:.2f} | {found.p99_ms:.2f} "
            f"| {found.longest_ms:.2f} | {found.fewest_rows:,} |"
        )
    return "\n\n".join(
        [
            machine.as_line(described),
            f"{size.markets} markets of {size.rows:,} klines, {size.features} features; {held}",
            "\n".join(lines),
            "```\n" + "\n".join(line for _, line in judged) + "\n```",
        ]
    )


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, epilog=_EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--markets", type=int, default=15, help="markets (default 15)")
    add("--rows", type=int, default=1_000_000, help="klines of each market (default 1,000,000)")
    add("--features", type=int, choices=(17, 35), default=35, help="features of each kline (default 35)")
    add("--trades", type=int, default=100_000, help="trades of each market (default 100,000)")
    add(
        "--runs",
        type=int,
        default=5_000,
        help="times a market is asked about; the rest a tenth (default 5,000)",
    )
    add("--json", action="store_true", help="print all measurements as JSON")
    add("--folder", help="where the database lies meanwhile (default: the system's temporary folder)")
    return parser.parse_args(arguments)


class _Progress:
    """Tells what is being done, and how many seconds after the start."""

    def __init__(self) -> None:
        self._started = time.monotonic()

    def __call__(self, line: str) -> None:
        """Tell it."""
        say(f"{time.monotonic() - self._started:4.0f} s  {line}")


if __name__ == "__main__":
    sys.exit(main())
