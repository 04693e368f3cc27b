"""Judges the shipped strategies on recorded klines, out of sample only: one table of scores, trades and luck.

Every strategy is trained by walk-forward with every algorithm, and its scores are traded on paper: each label
alone, and both by the strategy's signal rule. Thresholds are the strategy's own, or chosen on earlier folds.
The last lines say in words what the numbers say. docs/evaluation.md explains the columns.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Sequence
from typing import Any

from progress import say

THREADS = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
os.environ.update(THREADS)  # before any library reads it

import machine  # noqa: E402 - after the threads are set
import pandas as pd  # noqa: E402 - same
from evaluation_cases import (  # noqa: E402 - same
    ALGOS,
    REFERENCE_ROWS,
    VARIANTS,
    Combination,
    Evaluated,
    combinations,
    fingerprint,
    legacy_reference,
    recorded,
    train,
)
from evaluation_table import as_json, closing, reference_table, table  # noqa: E402 - same
from evaluation_trades import Line, deflated, lines_of  # noqa: E402 - same

LIBRARIES = ("numpy", "pandas", "scikit-learn", "lightgbm", "optuna", "ta-lib")

_EPILOG = """examples:
  python benchmarks/evaluation.py                            the table of docs/evaluation.md; 20 minutes
  python benchmarks/evaluation.py --algos lgbm,logreg          without the search; about 3 minutes
  python benchmarks/evaluation.py --all --json > all.json      every recorded kline, as JSON

The klines lie in ITB_TEST_DATA (default: ../shared/data beside the checkout), laid out as the public archive.
The exit code is 1 when two trainings on the same rows differ in a single byte."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Evaluate and print; return 1 when two trainings on the same rows differ."""
    options = _parse(arguments)
    described = machine.describe(LIBRARIES, THREADS)
    started = time.process_time()
    data = recorded(None if options.all else options.rows)
    lines: list[Line] = []
    differing: list[str] = []
    for combination in combinations(options.variants, options.algos, automl_trials=options.automl_trials):
        evaluated, same = _trained(combination, data, options)
        if not same:
            differing.append(f"{combination.variant} {combination.algo}")
        lines += lines_of(evaluated, data, fees=options.fees, shifts=options.shifts, seed=options.seed)
    lines = deflated(lines)
    say("the old bot's way of measuring")
    reference = legacy_reference(data.tail(REFERENCE_ROWS), seed=options.seed, threads=options.threads)
    found: dict[str, Any] = {
        "machine": described,
        "cpu_s": round(time.process_time() - started, 1),
        "rows": len(data),
        "first": data["timestamp"].iloc[0].isoformat(),
        "last": data["timestamp"].iloc[-1].isoformat(),
        "options": {name: value for name, value in vars(options).items() if name != "json"},
        "trained_twice": not options.once,
        "differing": differing,
        "closing": closing(lines),
    }
    if options.json:
        rest = {"lines": [as_json(line) for line in lines], "not_a_result": [vars(one) for one in reference]}
        print(json.dumps(found | rest, indent=1, allow_nan=False))
    else:
        print(_as_text(found, table(lines), reference_table(reference)))
    return 1 if differing else 0


def _trained(
    combination: Combination, data: pd.DataFrame, options: argparse.Namespace
) -> tuple[Evaluated, bool]:
    """Train, and train again to see that not a byte differs."""
    started = time.monotonic()
    evaluated = train(combination, data, seed=options.seed, threads=options.threads)
    same = True
    if not options.once:
        again = train(combination, data, seed=options.seed, threads=options.threads)
        same = fingerprint(evaluated.models) == fingerprint(again.models)
    for label, model in evaluated.models.items():
        for note in model.notes:
            say(f"{combination.variant} {combination.algo} {label}: {note}")
    say(f"{combination.variant} {combination.algo}: trained ({time.monotonic() - started:.0f} s)")
    return evaluated, same


def _as_text(found: dict[str, Any], lines: str, reference: str) -> str:
    rows, seed = found["rows"], found["options"]["seed"]
    heading = (
        f"{machine.as_line(found['machine'])}; {rows:,} klines of BTCUSDT 5m from {found['first'][:10]} to "
        f"{found['last'][:10]}, seed {seed}, {found['cpu_s']:,.0f} CPU-s"
    )
    told = "\n".join(f"- {sentence}" for sentence in found["closing"])
    if found["differing"]:
        proof = "Two trainings on the same rows DIFFER: " + ", ".join(found["differing"])
    elif found["trained_twice"]:
        proof = "Every model was trained twice: models and scores are the same, byte for byte."
    else:
        proof = "Every model was trained once: whether a second training gives the same was not looked at."
    flattering = (
        "Not a result: the same labels in the old bot's dialect. The numbers in brackets are measured on the "
        "rows the model was trained on, as the old bot does it; no metric of this package computes them."
    )
    return f"{heading}\n\n{lines}\n\n{told}\n\n{proof}\n\n{flattering}\n\n{reference}"


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, epilog=_EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add(
        "--rows", type=int, default=REFERENCE_ROWS, help=f"newest klines to take (default {REFERENCE_ROWS:,})"
    )
    add("--all", action="store_true", help="take every recorded kline")
    add("--variants", type=_of(VARIANTS), default=VARIANTS, help=f"of: {', '.join(VARIANTS)} (default all)")
    add("--algos", type=_of(ALGOS), default=ALGOS, help=f"of: {', '.join(ALGOS)} (default all)")
    add("--fees", type=_numbers, default=(0.04, 0.1), help="per cent a side (default 0.04,0.1)")
    add("--automl-trials", type=int, default=8, help="choices the search tries for each fit (default 8)")
    add("--shifts", type=int, default=999, help="shifts of each trading luck test (default 999)")
    add("--seed", type=int, default=7, help="of every fit and test (default 7)")
    add("--threads", type=int, default=2, help="fits side by side; changes no bit (default 2)")
    add("--once", action="store_true", help="do not train a second time to compare")
    add("--json", action="store_true", help="print everything as JSON")
    return parser.parse_args(arguments)


def _of(known: Sequence[str]) -> Any:  # noqa: ANN401 - what argparse calls a type
    def read(text: str) -> tuple[str, ...]:
        wanted = tuple(text.split(","))
        if unknown := [name for name in wanted if name not in known]:
            raise argparse.ArgumentTypeError(f"unknown {', '.join(unknown)}: expected of {', '.join(known)}")
        return wanted

    return read


def _numbers(text: str) -> tuple[float, ...]:
    return tuple(float(part) for part in text.split(","))


if __name__ == "__main__":
    sys.exit(main())
