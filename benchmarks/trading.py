"""Measures what judging costs: paper trading and measures of a million scored rows, and a model's evaluation.

The first is held against a budget and beside the plain way, the second against the bare fits of the same
rows. The last lines give each target as met or MISSED; the exit code is 1 when one is missed, or when the
ways disagree about what they computed.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from progress import say

THREADS = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "POLARS_MAX_THREADS": "2"}
os.environ.update(THREADS)  # before any library reads it

import machine  # noqa: E402 - after the threads are set
from measure import Cost, Job, Meter  # noqa: E402 - same
from trading_fits import fit_costs  # noqa: E402 - same
from trading_ways import HITS_PER_ROW, make_rows, ours, plain  # noqa: E402 - same

LIBRARIES = ("numpy", "pandas", "scikit-learn", "lightgbm")
BUDGET_CPU_S = 2.0
BUDGET_ROWS = 1_000_000
MOST_OVERHEAD = 0.15
ALIKE = 1e-9

_FITS = {
    "bare": "bare fits: data set, training, scores of the window",
    "training": "`train_model`: folds, metrics, final fit",
    "evidence": "what the assets add: trades and luck tests",
    "page": "what the assets add: pictures",
    "assets": "model assets whole: also the matrix read, the model compared with the one in use and kept",
}

_EPILOG = """examples:
  python benchmarks/trading.py                                the numbers of docs/evaluation.md; 3 minutes
  python benchmarks/trading.py --rows 200000 --fit-rows 0     quicker; the budget shrinks with the rows"""


@dataclass
class Findings:
    """Costs of every share of signals by stage and way, those of the fits, and what did not agree."""

    rows: int
    plain_rows: int
    costs: dict[str, dict[str, dict[str, Cost]]] = field(default_factory=dict)
    fits: dict[str, Cost] = field(default_factory=dict)
    wrong: list[str] = field(default_factory=list)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print; return 1 when a target is missed or the ways disagree."""
    options = _parse(arguments)
    described, meter = machine.describe(LIBRARIES, THREADS), Meter(None)
    found = Findings(options.rows, min(options.rows, options.plain_rows))
    for share in HITS_PER_ROW:
        say(f"{found.rows:,} rows, signals on {share} of them")
        found.costs[share] = _paper(found, share, meter, options.repeats)
    if options.fit_rows:
        say(f"models of {options.fit_rows:,} klines")
        with tempfile.TemporaryDirectory(prefix="itb-bench-") as folder:
            job = Job(options.fit_rows, Path(folder), options.repeats)
            found.fits = fit_costs(job, meter)
    judged = verdicts(found)
    if options.json:
        told = {"machine": described, **asdict(found), "verdicts": [line for _, line in judged]}
        print(json.dumps(told, indent=1, allow_nan=False))
    else:
        print(_as_text(described, found, [line for _, line in judged]))
    return 0 if all(met for met, _ in judged) and not found.wrong else 1


def _paper(found: Findings, share: str, meter: Meter, repeats: int) -> dict[str, dict[str, Cost]]:
    """Measure both ways, the plain one on fewer rows, and see that they agree on those."""
    rows = make_rows(found.rows, share)
    costs = {name: {"ours": meter.measure(case, repeats=repeats)} for name, case in ours(rows).items()}
    few = rows.head(found.plain_rows)
    beside = ours(few)
    for name, case in plain(few).items():
        cost = meter.measure(case, repeats=1)
        found.wrong += _differing(f"signals on {share}, {name}", beside[name].run(), cost.facts)
        costs[name]["plain"] = cost.scaled(found.rows / found.plain_rows)
    return costs


def _differing(where: str, mine: Mapping[str, Any], other: Mapping[str, float]) -> list[str]:
    return [
        f"{where}, {name}: ours {float(mine[name])!r}, plain {value!r}"
        for name, value in other.items()
        if not abs(float(mine[name]) - value) <= ALIKE * max(1.0, abs(value))
    ]


def verdicts(found: Findings) -> list[tuple[bool, str]]:
    """Judge the budget, in proportion to the rows, and the overhead."""
    budget = BUDGET_CPU_S * found.rows / BUDGET_ROWS
    judged = []
    for share, costs in found.costs.items():
        spent = sum(ways["ours"].cpu_s for ways in costs.values())
        judged.append(
            _verdict(
                spent <= budget,
                f"{found.rows:,} scored rows, signals on {share}: {spent:.2f} CPU-s, at most {budget:.2f}",
            )
        )
    if found.fits:
        judging = found.fits["training"].cpu_s + found.fits["evidence"].cpu_s
        more = judging / found.fits["bare"].cpu_s - 1
        what = "walk-forward, trades and luck tests over the bare fits"
        judged.append(
            _verdict(more <= MOST_OVERHEAD, f"{what}: {_more(more)}, at most {_more(MOST_OVERHEAD)}")
        )
    return judged


def _more(share: float) -> str:
    return f"{100 * share:+.1f} %"


def _verdict(met: bool, line: str) -> tuple[bool, str]:  # noqa: FBT001 - private
    return met, f"{'met   ' if met else 'MISSED'}  {line}"


def _as_text(described: Mapping[str, Any], found: Findings, judged: Sequence[str]) -> str:
    blocks = [machine.as_line(described), _paper_table(found)]
    blocks += [_fit_table(found.fits)] if found.fits else []
    agreed = "The ways agree on what they computed."
    blocks.append("The ways DISAGREE:\n" + "\n".join(found.wrong) if found.wrong else agreed)
    return "\n\n".join([*blocks, "```\n" + "\n".join(judged) + "\n```"])


def _paper_table(found: Findings) -> str:
    sign = "~" if found.plain_rows < found.rows else ""
    lines = [
        f"| {found.rows:,} scored rows | signals on | ours CPU-s | plain CPU-s | plain / ours | peak MB |",
        "|---|--:|--:|--:|--:|--:|",
    ]
    for share, costs in found.costs.items():
        whole = {
            way: Cost(sum(ways[way].cpu_s for ways in costs.values()), 0, 1, {}) for way in ("ours", "plain")
        }
        for name, ways in [*costs.items(), ("**all**", whole)]:
            mine, other = ways["ours"], ways["plain"]
            ratio = f"{other.cpu_s / mine.cpu_s:.0f}" if mine.cpu_s else ""
            peak = f"{mine.peak_mb:,.0f}" if mine.peak_mb else ""
            lines.append(
                f"| {name} | {share} | {mine.cpu_s:.3f} | {sign}{other.cpu_s:.1f} | {ratio} | {peak} |"
            )
    if sign:
        lines.append(f"\n~ measured on {found.plain_rows:,} rows and extrapolated in proportion.")
    return "\n".join(lines)


def _fit_table(fits: Mapping[str, Cost]) -> str:
    bare = fits["bare"].cpu_s
    lines = ["| models of the aggressive strategy | CPU-s | over, or of, the bare fits |", "|---|--:|--:|"]
    for key, name in _FITS.items():
        part = key in ("evidence", "page")
        share = "" if key == "bare" else _more(fits[key].cpu_s / bare - (0 if part else 1))
        lines.append(f"| {name} | {fits[key].cpu_s:.3f} | {share} |")
    return "\n".join(lines)


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, epilog=_EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--rows", type=int, default=BUDGET_ROWS, help=f"scored rows (default {BUDGET_ROWS:,})")
    add("--plain-rows", type=int, default=100_000, help="rows of the plain way (default 100,000)")
    add("--fit-rows", type=int, default=52_000, help="klines of the models, 0 for none (default 52,000)")
    add("--repeats", type=int, default=3, help="runs of each stage; the cheapest counts (default 3)")
    add("--json", action="store_true", help="print all measurements as JSON")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
