"""Measures our way into the database and back beside pandas' `to_sql` and `read_sql` and a bare binary COPY.

Klines and 35 features, in rows per CPU-second of client and server together, each case in a process of its
own. The last lines give each target as met or MISSED; the exit code is 1 when one is missed, or when a way
left other rows than it was given.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import signal
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from progress import say

THREADS = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "POLARS_MAX_THREADS": "2"}
os.environ.update(THREADS)  # before any library reads it, here and in every process started from here

import machine  # noqa: E402 - after the threads are set
import server  # noqa: E402 - same
from database_report import LINES, Findings, disagreements, table, verdicts  # noqa: E402 - same
from table_inputs import FEATURES, KLINES, TableJob, plan  # noqa: E402 - same
from worker import Workers  # noqa: E402 - same

from itb_assets.domain.klines import KLINE_COLUMNS  # noqa: E402 - same

LIBRARIES = ("pandas", "polars", "pyarrow", "sqlalchemy", "psycopg2-binary", "adbc-driver-postgresql")
ASSETS = {"klines": KLINES, "features": FEATURES}
SLOW = ("to_sql", "read_sql")

_EPILOG = """examples:
  python benchmarks/database.py                                the numbers of README.md; 20 minutes
  python benchmarks/database.py --rows 100000 --data klines    quicker
  python benchmarks/database.py --plain-rows 50000             pandas on fewer rows, extrapolated"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print; return 1 when a target is missed or a way went wrong."""
    options = _parse(arguments)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # so that the server is stopped
    described = machine.describe(LIBRARIES, THREADS)
    columns = {"klines": len(KLINE_COLUMNS) - 1, "features": len(plan().names)}
    results: list[Findings] = []
    with contextlib.ExitStack() as stack:
        base = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="itb-bench-", dir=options.folder)))
        postgres = stack.enter_context(server.running(base))
        workers = Workers(share=options.share_process)
        stack.callback(workers.close)
        job = TableJob(options.rows, base / "job", options.repeats, postgres)
        job.folder.mkdir()
        say(f"{job.rows:,} rows: preparing")
        workers.prepare(job, module="table_inputs")
        for name in options.data:
            results.append(Findings(name, job.rows, columns[name]))
            _measure(replace(job, asset=ASSETS[name]), options.plain_rows, workers, results[-1])
    wrong = [line for found in results for line in disagreements(found)]
    judged = verdicts(results)
    if options.json:
        print(json.dumps(_as_json(described, results, wrong, judged), indent=1, allow_nan=False))
    else:
        print(_as_text(described, results, wrong, judged))
    return 0 if all(met for met, _ in judged) and not wrong else 1


def _measure(job: TableJob, plain_rows: int | None, workers: Workers, found: Findings) -> None:
    for line in LINES:
        rows = min(job.rows, plain_rows or job.rows) if line.key in SLOW else job.rows
        started = time.monotonic()
        chosen = replace(job, rows=rows, path=line.path or job.path)
        cost = workers.stage(line.module, line.function, chosen)
        say(
            f"{found.name}: {line.key}: {cost.cpu_s:.3f} CPU-s, {cost.peak_mb:,.0f} MB, "
            f"best of {cost.repeats} ({time.monotonic() - started:.0f} s)"
        )
        found.costs[line.key] = cost
        if rows < job.rows:
            found.measured_on[line.key] = rows
            found.costs[line.key] = cost.scaled(job.rows / rows)


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, epilog=_EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--rows", type=int, default=1_000_000, help="rows of each frame (default 1,000,000)")
    add("--data", type=_data, default=list(ASSETS), help="comma separated, of: klines, features")
    add("--plain-rows", type=int, help="measure pandas on at most so many rows and extrapolate")
    add("--repeats", type=int, default=3, help="runs of a short case; the cheapest counts (default 3)")
    add("--json", action="store_true", help="print all measurements as JSON")
    add("--folder", help="where to work (default: the system's temporary folder); 8 GB are needed")
    add(
        "--share-process",
        action="store_true",
        help="one process for all cases: quicker, peaks then mean less",
    )
    return parser.parse_args(arguments)


def _data(text: str) -> list[str]:
    wanted = text.split(",")
    if unknown := [name for name in wanted if name not in ASSETS]:
        raise argparse.ArgumentTypeError(f"unknown {', '.join(unknown)}: expected of {', '.join(ASSETS)}")
    return wanted


def _as_json(
    described: Mapping[str, Any],
    results: Sequence[Findings],
    wrong: Sequence[str],
    judged: Sequence[tuple[bool, str]],
) -> dict[str, Any]:
    return {
        "machine": described,
        "frames": [asdict(found) for found in results],
        "disagreements": list(wrong),
        "verdicts": [line for _, line in judged],
    }


def _as_text(
    described: Mapping[str, Any],
    results: Sequence[Findings],
    wrong: Sequence[str],
    judged: Sequence[tuple[bool, str]],
) -> str:
    agreed = "Every way left and read the rows that it was given."
    blocks = [machine.as_line(described), *(table(found) for found in results)]
    blocks.append("WRONG ROWS:\n" + "\n".join(wrong) if wrong else agreed)
    return "\n\n".join([*blocks, "```\n" + "\n".join(line for _, line in judged) + "\n```"])


if __name__ == "__main__":
    sys.exit(main())
