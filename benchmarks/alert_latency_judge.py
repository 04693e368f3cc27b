"""What trials of alerts' latency come to: a row for each kind, and whether each promise was kept.

Pure: trials in, table and verdicts out. How a cause is made belongs to `alert_latency_causes`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from itb_assets.observability.alerts.catalogue import SIGNS

MAX_S = 30.0
MEDIAN_S = 10.0

KINDS: Mapping[str, str] = {
    "step": "error raised in an asset's step",
    "worker": "kill -9 of a run's worker",
    "check": "failed blocking check",
    "drift": "drift found by the drift asset",
    "collector": "order-book collector killed",
    "server": "kill -9 of the code server",
}
"""Kinds of trouble, in the order of the table."""

COLUMNS = ("kind", "trials", "min", "median", "p95", "max", "missing")


@dataclass(frozen=True)
class Trial:
    """One cause and its message; times are Unix seconds, None where there was none.

    `trouble` says why the cause itself could not be brought about.
    """

    kind: str
    number: int
    place: str = ""
    cause_at: float | None = None
    told_at: float | None = None
    rule: str = ""
    trouble: str = ""

    @property
    def latency_s(self) -> float:
        """Seconds from the cause to its message; infinite where none came."""
        if self.cause_at is None or self.told_at is None:
            return math.inf
        return self.told_at - self.cause_at


def names(text: str, heading: str, place: Sequence[str]) -> bool:
    r"""Return whether a message says that this is wrong there; one of its being over does not count.

    A message that tells one thing is looked at as a whole, one that tells many line by line.

    >>> names("❌ ERROR: Run failed\nBTCUSDT 5m · job update", "Run failed", ["BTCUSDT 5m"])
    True
    >>> names("✅ RESOLVED: Run failed\nBTCUSDT 5m", "Run failed", ["BTCUSDT 5m"])
    False
    """
    lines = text.split("\n")
    listed = [line for line in _wrong_of(lines) if line.startswith("• ")]
    if not any(line.startswith("• ") for line in lines):
        over = lines[0].startswith(SIGNS["resolved"])
        return not over and heading.lower() in lines[0].lower() and all(word in text for word in place)
    return any(heading.lower() in line.lower() and all(word in line for word in place) for line in listed)


def _wrong_of(lines: Sequence[str]) -> list[str]:
    """Return the lines of a digest up to where it lists what is over."""
    over = [at for at, line in enumerate(lines[1:], 1) if line.startswith(SIGNS["resolved"])]
    return list(lines[: over[0]] if over else lines)


def table(trials: Sequence[Trial]) -> list[dict[str, Any]]:
    """Return a row for each kind that was tried; a message that is missing is infinitely late.

    Trials whose cause could not be brought about are none; `undone` counts them.
    """
    rows = []
    for kind in KINDS:
        of_kind = [trial for trial in trials if trial.kind == kind]
        if not of_kind:
            continue
        done = [trial for trial in of_kind if trial.cause_at is not None]
        rows.append(
            {
                "kind": kind,
                "trials": len(done),
                **_spread([trial.latency_s for trial in done]),
                "missing": sum(trial.told_at is None for trial in done),
                "undone": len(of_kind) - len(done),
            }
        )
    return rows


def _spread(latencies: Sequence[float]) -> dict[str, float]:
    """Return figures that were measured, none between two of them; of nothing they are infinite."""
    if not latencies:
        return dict.fromkeys(("min", "median", "p95", "max"), math.inf)
    wanted = {"min": 0.0, "median": 0.5, "p95": 0.95, "max": 1.0}
    return {name: float(np.quantile(latencies, share, method="higher")) for name, share in wanted.items()}


def verdicts(rows: Sequence[Mapping[str, Any]], wanted: int) -> list[tuple[bool, str]]:
    """Return each promise of each kind with whether it was kept; `wanted` trials of each were asked for."""
    said = []
    for row in rows:
        kind, trials, missing = row["kind"], row["trials"], row["missing"]
        said += [
            (row["max"] < MAX_S, f"{kind}: at most {row['max']:.1f} s, under {MAX_S:g} s"),
            (row["median"] < MEDIAN_S, f"{kind}: median {row['median']:.1f} s, under {MEDIAN_S:g} s"),
            (
                missing == 0 and trials == wanted,
                f"{kind}: {missing} missing of {trials}: none of {wanted}",
            ),
        ]
    return said


def as_text(rows: Sequence[Mapping[str, Any]]) -> str:
    """Return the table in Markdown, times in seconds."""
    lines = [f"| {' | '.join(COLUMNS)} |", "|---" + "|--:" * (len(COLUMNS) - 1) + "|"]
    for row in rows:
        figures = [
            f"{row[name]:.1f}" if isinstance(row[name], float) else str(row[name]) for name in COLUMNS[1:]
        ]
        lines.append(f"| {' | '.join([KINDS[row['kind']], *figures])} |")
    return "\n".join(lines)
