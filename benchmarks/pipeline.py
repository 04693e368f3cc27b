"""Prints what every stage costs beside the plain pandas way and beside its bare floor, in one run.

Run it by `make bench`, or `python benchmarks/pipeline.py --help`; README.md says how to read it.
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
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from progress import say

THREADS = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "POLARS_MAX_THREADS": "2"}
os.environ.update(THREADS)  # before any library reads it, here and in every process started from here

import machine  # noqa: E402 - after the threads are set
import server  # noqa: E402 - same
from measure import Cost, Job  # noqa: E402 - same
from report import STAGES, WAYS, SizeResult, disagreements, parts, table, verdicts  # noqa: E402 - same
from worker import Workers  # noqa: E402 - same

LIBRARIES = ("numpy", "pandas", "polars", "pyarrow", "ta-lib", "lightgbm", "adbc-driver-postgresql")
CHAIN = "chain"
DATABASE_STAGES = ("database", "features_database", "labels_database", "outcome")


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print; return 1 when the ways computed different things."""
    options = _parse(arguments)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # so that the server is stopped
    results: list[SizeResult] = []
    started = machine.describe(LIBRARIES, THREADS)
    with contextlib.ExitStack() as stack:
        base = stack.enter_context(tempfile.TemporaryDirectory(prefix="itb-bench-", dir=options.folder))
        postgres = (
            stack.enter_context(server.running(Path(base)))
            if {"database", CHAIN} & set(options.stages)
            else None
        )
        workers = Workers(share=options.share_process)
        stack.callback(workers.close)
        for rows in sorted(options.rows):
            folder = Path(base) / str(rows)
            folder.mkdir()
            job = Job(rows, folder, options.repeats, postgres)
            results.append(SizeResult(rows))
            try:
                _measure(job, options, workers, results)
            except BaseException:  # a failure or an interrupt: an hour of measurements is not thrown away
                print(_as_text(started, results, ["a stage failed, its error follows"]), flush=True)
                raise
    wrong = [f"{result.rows:,} klines, {line}" for result in results for line in disagreements(result)]
    if options.json:
        print(json.dumps(_as_json(started, results, wrong), indent=1))
    else:
        print(_as_text(started, results, wrong))
    return 1 if wrong else 0


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    keys = [stage.key for stage in STAGES]
    parser = argparse.ArgumentParser(
        description=__doc__,
        epilog="example: python benchmarks/pipeline.py --rows 52000 --stages features,labels",
    )
    parser.add_argument("--rows", type=_integers, default=[52_000, 1_000_000], help="klines, comma separated")
    parser.add_argument(
        "--stages",
        type=_stages,
        default=[*keys, CHAIN],
        help=f"comma separated, of: {', '.join([*keys, CHAIN])} (default: all)",
    )
    parser.add_argument(
        "--ways",
        type=_ways,
        default=list(WAYS),
        help=f"comma separated, of: {', '.join(WAYS)} (default: all)",
    )
    parser.add_argument("--json", action="store_true", help="print all measurements as JSON")
    parser.add_argument("--repeats", type=int, default=3, help="runs of a short stage; the cheapest counts")
    parser.add_argument(
        "--plain-rows", type=int, help="measure the plain way on at most so many klines and extrapolate"
    )
    parser.add_argument(
        "--plain-limit-s",
        type=float,
        default=300.0,
        help="extrapolate a plain stage that, by the size before, would take longer (CPU-s; default 300)",
    )
    parser.add_argument("--folder", help="where to work (default: the system's temporary folder)")
    parser.add_argument(
        "--share-process",
        action="store_true",
        help="one process for all stages of a way: quicker, but peaks then include earlier stages",
    )
    return parser.parse_args(arguments)


def _integers(text_: str) -> list[int]:
    return [int(part.replace("_", "")) for part in text_.split(",")]


def _stages(text_: str) -> list[str]:
    return _known(text_, [*(stage.key for stage in STAGES), CHAIN])


def _ways(text_: str) -> list[str]:
    return _known(text_, list(WAYS))


def _known(text_: str, known: list[str]) -> list[str]:
    wanted = text_.split(",")
    if unknown := [name for name in wanted if name not in known]:
        raise argparse.ArgumentTypeError(f"unknown {', '.join(unknown)}: expected of {', '.join(known)}")
    return wanted


def _measure(job: Job, options: argparse.Namespace, workers: Workers, results: Sequence[SizeResult]) -> None:
    """Fill in the last of `results`; those before are of smaller sizes."""
    say(f"{job.rows:,} klines: preparing")
    workers.prepare(job)
    *_, smaller, result = (None, *results)
    for stage in STAGES:
        if stage.key not in options.stages:
            continue
        costs = result.costs[stage.key] = {}
        for way in [way for way in stage.ways if way in options.ways]:
            rows = _plain_rows(stage.key, job, options, smaller) if way == "plain" else job.rows
            costs[way] = _told(workers, way, stage.key, replace(job, rows=rows))
            if rows < job.rows:
                result.extrapolated[stage.key] = rows
                costs[way] = costs[way].scaled(job.rows / rows)
    if CHAIN in options.stages:
        say(f"{job.rows:,} klines: whole chain, then 12 new klines")
        result.take_chain(workers.chain(job))


def _plain_rows(stage: str, job: Job, options: argparse.Namespace, smaller: SizeResult | None) -> int:
    """Return on how many klines the plain way is measured."""
    rows = min(job.rows, options.plain_rows or job.rows)
    if stage == "fits":  # training reads a fixed number of rows
        return job.rows
    if smaller is None or "plain" not in smaller.costs.get(stage, {}):
        return rows
    a_row = smaller.costs[stage]["plain"].cpu_s / smaller.rows
    return min(rows, max(smaller.rows, int(options.plain_limit_s / a_row))) if a_row else rows


def _told(workers: Workers, way: str, stage: str, job: Job) -> Cost:
    started = time.monotonic()
    cost = workers.stage(way, stage, job)
    say(
        f"{job.rows:,} klines: {stage}, {way}: {cost.cpu_s:.3f} CPU-s, {cost.peak_mb:,.0f} MB, "
        f"best of {cost.repeats} ({time.monotonic() - started:.0f} s)"
    )
    return cost


def _as_json(started: dict[str, Any], results: Sequence[SizeResult], wrong: list[str]) -> dict[str, Any]:
    return {
        "machine": started,
        "sizes": [asdict(result) for result in results],
        "disagreements": wrong,
        "verdicts": verdicts(results),
    }


def _as_text(started: dict[str, Any], results: Sequence[SizeResult], wrong: list[str]) -> str:
    blocks = [machine.as_line(started)]
    for result in results:
        blocks.append(f"### {result.rows:,} klines\n\n{table(result)}")
        if result.chain:
            blocks.append("What the assets of our chain cost:\n\n" + parts(result))
    agreed = (
        "The ways agree on what they computed." if not wrong else "The ways DISAGREE:\n" + "\n".join(wrong)
    )
    blocks += [agreed, "```\n" + "\n".join(verdicts(results)) + "\n```"]
    return "\n\n".join(blocks)


if __name__ == "__main__":
    sys.exit(main())
