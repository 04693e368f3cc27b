"""Simulates what the drift measures say when nothing changed, and how soon they see what did.

Run it by `python benchmarks/drift_simulation.py`. It prints markdown tables and, last, each target as met
or MISSED; the exit code is 1 when one is missed. `docs/drift.md` explains the measures and shows the tables.
"""

from __future__ import annotations

import argparse
import math
import os
import platform
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before numpy reads it

import numpy as np
from drift_histories import (
    Seen,
    calibration_looks,
    changing_days,
    independent,
    psi_by_rows,
    repeating,
    rule_alone,
    rule_by_reference,
    slow_features,
    ways_to_watch,
)

DROPS = (0.05, 0.07, 0.10)
REFERENCES = (100, 200, 500, 1000, 2000)
PSI_ROWS = (50, 100, 200, 500, 1000)
RESEMBLANCES = (0.9, 0.99, 0.999)
YEAR_DAYS = 365


@dataclass
class Findings:
    """Tables to print and targets to judge, gathered section by section."""

    blocks: list[str] = field(default_factory=list)
    targets: list[tuple[bool, str]] = field(default_factory=list)

    def table(self, title: str, head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        """Add a markdown table."""
        lines = [f"| {' | '.join(head)} |", "|---|" + "--:|" * (len(head) - 1)]
        lines += [f"| {' | '.join(row)} |" for row in rows]
        self.blocks.append(f"### {title}\n\n" + "\n".join(lines))

    def at_most(self, what: str, found: float, limit: float, unit: str = "%") -> None:
        """Ask for a value of at most `limit`; both are shares when the unit is %."""
        self._judge(found <= limit, what, found, "at most", limit, unit)

    def at_least(self, what: str, found: float, limit: float, unit: str = "%") -> None:
        """Ask for a value of at least `limit`; both are shares when the unit is %."""
        self._judge(found >= limit, what, found, "at least", limit, unit)

    def _judge(self, met: bool, what: str, found: float, word: str, limit: float, unit: str) -> None:  # noqa: FBT001 - private
        shown = [percent(value) if unit == "%" else f"{unit} {value:g}" for value in (found, limit)]
        self.targets.append((met, f"{'met   ' if met else 'MISSED'} {what}: {shown[0]}, {word} {shown[1]}"))


def main(arguments: Sequence[str] | None = None) -> int:
    """Simulate and print; return 1 when a target is missed."""
    options = _parse(arguments)
    rng, findings, started = np.random.default_rng(options.seed), Findings(), time.monotonic()
    for section in (win_rate, later_change, references, dependence, psi_without_drift, features, calibration):
        section(rng, options, findings)
    cost = f"{time.monotonic() - started:.0f} s"
    print("\n\n".join([_heading(options, cost), *findings.blocks]))
    print("\n```\n" + "\n".join(line for _, line in findings.targets) + "\n```")
    return 0 if all(met for met, _ in findings.targets) else 1


def win_rate(rng: np.random.Generator, options: argparse.Namespace, findings: Findings) -> None:
    """Compare the ways to watch a win rate: false alarms, and how soon a fall is seen."""
    seen: dict[str, list[Seen]] = {}
    for drop in (0.0, *DROPS):
        won = independent(rng, _shape(options), options.win_rate - drop)
        for way, alarms in ways_to_watch(won, options.win_rate, a_day=options.trades_per_day).items():
            seen.setdefault(way, []).append(Seen.of(alarms))
    head = ["way", "no change: ever alarms", *(f"{100 * drop:g} points: seen, median day" for drop in DROPS)]
    rows = [
        [way, percent(none.ever), *(_found(one) for one in falls)] for way, (none, *falls) in seen.items()
    ]
    findings.table(f"Looking every day for {options.days} days", head, rows)
    none, _, seven, ten = seen["our rule"]
    findings.at_most("our rule, no change, ever alarms", none.ever, 0.01)
    often = seen["our rule, after every trade"][0].ever
    findings.at_most("our rule after every trade, no change, ever alarms", often, with_luck(0.01, options))
    findings.at_most("SPRT alone, no change, ever alarms", seen["SPRT"][0].ever, with_luck(0.01, options))
    findings.at_most("CUSUM alone, no change, ever alarms", seen["CUSUM"][0].ever, with_luck(0.02, options))
    findings.at_least("our rule, 7 points, seen", seven.ever, 0.91)
    findings.at_most("our rule, 7 points, median", seven.median_day, 30, "day")
    findings.at_least("our rule, 10 points, seen", ten.ever, 0.99)
    findings.at_most("our rule, 10 points, median", ten.median_day, 20, "day")


def later_change(rng: np.random.Generator, options: argparse.Namespace, findings: Findings) -> None:
    """Let the win rate fall only after a good time, and let it never fall for a year."""
    rate, a_day = options.win_rate, options.trades_per_day
    won = np.hstack([independent(rng, _shape(options), rate - drop) for drop in (0.0, 0.1)])
    late = Seen.of(rule_alone(won, rate, a_day=a_day), after_day=options.days)
    whole = ways_to_watch(won, rate, a_day=a_day)["5 points below"]
    naive = Seen.of(whole & (np.arange(whole.shape[1]) >= options.days), after_day=options.days)
    year = independent(rng, (options.histories, YEAR_DAYS * a_day), rate)
    yearly = Seen.of(rule_alone(year, rate, a_day=a_day))
    findings.table(
        "Longer histories",
        ["history", "seen, median day"],
        [
            [f"{options.days} good days, then 10 points less; days after the fall, our rule", _found(late)],
            ["the same, by the win rate since the beginning, 5 points below", _found(naive)],
            ["a year without change: our rule ever alarms", percent(yearly.ever)],
        ],
    )
    findings.at_least("our rule, 10 points after a good time, seen", late.ever, 0.95)
    findings.at_most("our rule, 10 points after a good time, median", late.median_day, 30, "day")
    findings.at_most("our rule, a year without change, ever alarms", yearly.ever, 0.05)


def references(rng: np.random.Generator, options: argparse.Namespace, findings: Findings) -> None:
    """Take the reference's win rate from so many trades, as it is in life."""
    rows = []
    for trades in REFERENCES:
        found = []
        for drop in (0.0, 0.07, 0.10, 0.15):
            wins = rng.binomial(trades, options.win_rate, options.histories)
            won = independent(rng, _shape(options), options.win_rate - drop)
            found.append(Seen.of(rule_by_reference(won, wins, trades, a_day=options.trades_per_day)))
        none, *falls = found
        rows.append([f"{trades:,}", percent(none.ever), *(_found(one) for one in falls)])
        findings.at_most(f"our rule, reference of {trades:,} trades, no change, ever alarms", none.ever, 0.05)
    head = [
        "trades out of sample",
        "no change: ever alarms",
        *(f"{points} points: seen, median day" for points in (7, 10, 15)),
    ]
    findings.table("Our rule, the reference being a sample itself", head, rows)


def dependence(rng: np.random.Generator, options: argparse.Namespace, findings: Findings) -> None:
    """Let trades not be independent; no target, for the rule assumes they are."""
    rate, a_day, shape = options.win_rate, options.trades_per_day, _shape(options)
    cases = {
        "repeats the trade before in 5 %": repeating(rng, shape, rate, 0.05),
        "repeats the trade before in 10 %": repeating(rng, shape, rate, 0.1),
        "repeats the trade before in 20 %": repeating(rng, shape, rate, 0.2),
        "chance differs by day, deviation 5 points": changing_days(rng, shape, rate, 0.05, a_day),
        "chance differs by day, deviation 10 points": changing_days(rng, shape, rate, 0.1, a_day),
    }
    rows = [[name, percent(Seen.of(rule_alone(won, rate, a_day=a_day)).ever)] for name, won in cases.items()]
    findings.table("Our rule, trades that depend on each other", ["trades", "no change: ever alarms"], rows)


def psi_without_drift(rng: np.random.Generator, options: argparse.Namespace, findings: Findings) -> None:
    """Count how often PSI passes its conventional thresholds by chance, rows being independent."""
    rows = []
    for n in PSI_ROWS:
        found = psi_by_rows(rng, n, times=options.histories, reference=5000)
        above, far = float((found >= 0.1).mean()), float((found >= 0.25).mean())
        ours = above if n >= 500 else 0.0
        rows.append([f"{n:,}", f"{found.mean():.3f}", percent(above), percent(far), percent(ours)])
        if n >= 500:
            findings.at_most(f"PSI of {n:,} independent rows, above 0.1", above, 0.001)
    head = ["rows", "mean PSI", "above 0.1", "above 0.25", "ours alarms (silent below 500)"]
    findings.table("PSI without drift, 10 bins", head, rows)


def features(rng: np.random.Generator, options: argparse.Namespace, findings: Findings) -> None:
    """Look at features that move slowly, as those of candles do, a week against twenty weeks."""
    rows = []
    for resemblance in RESEMBLANCES:
        slow = slow_features(rng, resemblance, families=options.families, features=10, rows=2016, windows=20)
        rows.append(
            [
                f"{resemblance:g}",
                *map(percent, (slow.above_convention, slow.families_alarmed, slow.shifted_found)),
            ]
        )
        chance = 0.05 + 3 * math.sqrt(0.05 * 0.95 / options.families)
        findings.at_most(
            f"10 features, resemblance {resemblance:g}, any alarms", slow.families_alarmed, chance
        )
    head = [
        "resemblance of neighbouring rows",
        "PSI above 0.1 without drift",
        "ours: any of 10 features alarms",
        "ours: sees one shifted by 2 deviations",
    ]
    findings.table("PSI of slow features, 2,016 rows against 20 times as many, one look", head, rows)


def calibration(rng: np.random.Generator, options: argparse.Namespace, findings: Findings) -> None:
    """Look daily at forecasts of 5-minute rows whose labels reach two hours ahead."""
    rows = []
    for overstated in (0.0, 0.05, 0.10):
        looks = [
            calibration_looks(rng, days=options.days, a_day=288, horizon=24, overstated=overstated)
            for _ in range(options.families)
        ]
        brier, gap = (Seen.of(np.asarray(alarms)) for alarms in zip(*looks, strict=True))
        rows.append([f"{100 * overstated:g} points", _found(brier), _found(gap)])
        if overstated == 0:
            findings.at_most("Brier score, no change, ever alarms", brier.ever, 0.05)
            findings.at_most("calibration gap, no change, ever alarms", gap.ever, 0.05)
    head = [
        "probabilities too high by",
        "Brier score: ever alarms, median day",
        "gap: ever alarms, median day",
    ]
    findings.table(f"Calibration, looking every day for {options.days} days", head, rows)


def percent(share: float) -> str:
    """Return a share as per cent."""
    return f"{100 * share:.1f} %"


def with_luck(share: float, options: argparse.Namespace) -> float:
    """Return the share and two standard deviations of what so many histories show of it."""
    return share + 2 * math.sqrt(share * (1 - share) / options.histories)


def _found(seen: Seen) -> str:
    day = f"day {seen.median_day:.0f}" if math.isfinite(seen.median_day) else "never"
    return f"{percent(seen.ever)}, {day}"


def _shape(options: argparse.Namespace) -> tuple[int, int]:
    return options.histories, options.days * options.trades_per_day


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__,
        epilog="example: python benchmarks/drift_simulation.py --histories 4000 --seed 2   (surer, slower)",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    add = parser.add_argument
    add("--histories", type=int, default=1000, help="histories of trades simulated for each number")
    add("--days", type=int, default=60, help="days a history is watched, one look at each day's end")
    add("--trades-per-day", type=int, default=15, help="closed trades a day")
    add("--win-rate", type=float, default=0.58, help="win rate out of sample")
    add("--families", type=int, default=40, help="families of features, and histories of forecasts")
    add("--seed", type=int, default=1, help="of the random numbers: the same seed prints the same tables")
    return parser.parse_args(arguments)


def _heading(options: argparse.Namespace, cost: str) -> str:
    libraries = ", ".join(f"{name} {version(name)}" for name in ("numpy", "scipy"))
    return (
        f"{datetime.now(UTC):%F %H:%M} UTC, {os.cpu_count()} cores, Python {platform.python_version()}, "
        f"{libraries}; {cost}; {options.histories:,} histories of {options.days} days with "
        f"{options.trades_per_day} trades a day, win rate {options.win_rate:.0%}, seed {options.seed}"
    )


if __name__ == "__main__":
    sys.exit(main())
