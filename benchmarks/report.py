"""What the measurements say: one table a size, whether the ways agree, and the targets, met or missed.

Every ratio is computed here from measured costs; none is written down.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from measure import Cost

WAYS = ("ours", "plain", "floors")
MOST_OVER_FLOOR = 1.5
LEAST_OVER_PLAIN = 10.0
MOST_PEAK_MB = 2_500.0
MOST_UPDATE_SHARE = 0.1
UPDATE_ROWS = 1_000_000
"""Markets of fewer klines are too cheap to build for the share of an update to mean much."""

FACT_TOLERANCE = 0.02
"""The ways start recursions differently, and the floors know no gap: means differ by this much at most."""

COUNT_SLACK = 5
"""Counts differ by a few more, at the gap and at the ends."""


@dataclass(frozen=True)
class Stage:
    """A row of the table; `in_chain` if the sums of the plain way and of the floors count it.

    `ways` are those that are measured on their own.
    """

    key: str
    title: str
    in_chain: bool = True
    ways: tuple[str, ...] = WAYS


STAGES = (
    Stage("klines", "klines: check, merge, write parquet"),
    Stage("data", "data: grid, write CSV"),
    Stage("features", "features: compute"),
    Stage("features_write", "features: write CSV"),
    Stage("labels", "labels: compute"),
    Stage("matrix_write", "matrix: join, write CSV"),
    Stage("matrix_read", "matrix: read CSV"),
    Stage("database", "klines into the database"),
    Stage("features_database", "features into the database"),
    Stage("labels_database", "labels into the database"),
    Stage("outcome", "predictions, signals: files, database", ways=("plain",)),
    Stage("signals", "signals of every row: read, rules, write CSV", in_chain=False),
    Stage("scores", "scores of every row, two models", in_chain=False),
    Stage("fits", "model fitting, ten fits", in_chain=False),
)


@dataclass
class SizeResult:
    """All that was measured on so many klines."""

    rows: int
    costs: dict[str, dict[str, Cost]] = field(default_factory=dict)
    """Stage key, then way."""
    extrapolated: dict[str, int] = field(default_factory=dict)
    """Stage key of the plain way to the rows it was really measured on."""
    chain: Mapping[str, Cost] = field(default_factory=dict)
    """`chain`, `update`, and their parts as `chain: features` and so on."""

    def take_chain(self, costs: Mapping[str, Cost]) -> None:
        """Keep the costs of our chain; what it spent on predictions and signals is a row of the table."""
        self.chain = costs
        parts = [
            cost for key, cost in costs.items() if key.startswith(("chain: predictions", "chain: signals"))
        ]
        total = Cost(sum(part.cpu_s for part in parts), max(part.peak_mb for part in parts), 1, {})
        self.costs.setdefault("outcome", {})["ours"] = total

    def sum_of(self, way: str) -> float | None:
        """Return the CPU-seconds of a way over the stages that make up the chain, None if one is missing."""
        stages = [stage for stage in STAGES if stage.in_chain and way in stage.ways]
        found = [self.costs.get(stage.key, {}).get(way) for stage in stages]
        return sum(cost.cpu_s for cost in found if cost) if all(found) else None

    def peaks(self) -> dict[str, float]:
        """Return our peak memory in MB by stage, chain and update included."""
        ours = {key: ways["ours"].peak_mb for key, ways in self.costs.items() if "ours" in ways}
        return ours | {key: self.chain[key].peak_mb for key in ("chain", "update") if key in self.chain}


def table(result: SizeResult) -> str:
    """Return the table of one size in Markdown."""
    lines = [
        "| stage | ours CPU-s | plain CPU-s | floor CPU-s | ours / floor | plain / ours | peak MB |",
        "|---|--:|--:|--:|--:|--:|--:|",
    ]
    for stage in STAGES:
        if stage.key in result.costs:
            costs = result.costs[stage.key]
            values = [costs[way].cpu_s if way in costs else None for way in WAYS]
            peak = costs["ours"].peak_mb if "ours" in costs else None
            lines.append(
                _line(stage.title, values, peak, mark="~" if stage.key in result.extrapolated else "")
            )
    if "chain" in result.chain:
        chain, update = result.chain["chain"], result.chain["update"]
        values = [chain.cpu_s, result.sum_of("plain"), result.sum_of("floors")]
        mark = "~" if result.extrapolated else ""
        lines.append(_line("**whole chain without model fitting**", values, chain.peak_mb, mark=mark))
        lines.append(_line("**12 new klines on top**", [update.cpu_s, None, None], update.peak_mb))
    for key, rows in result.extrapolated.items():
        lines += ["", f"~ {key}: the plain way was measured on {rows:,} rows and extrapolated in proportion."]
    return "\n".join(lines)


def _line(title: str, values: Sequence[float | None], peak: float | None, *, mark: str = "") -> str:
    ours, plain, floor = values
    cells = [
        title,
        _number(ours, 3),
        mark + _number(plain, 3),
        _number(floor, 3),
        _number(ratio(ours, floor), 2),
        mark + _number(ratio(plain, ours), 1),
        _number(peak, 0),
    ]
    return "| " + " | ".join(cells) + " |"


def _number(value: float | None, digits: int) -> str:
    return "" if value is None else f"{value:,.{digits}f}"


def ratio(above: float | None, below: float | None) -> float | None:
    """Divide, or return None where a side was not measured or cost nothing that the clock could see."""
    return None if above is None or not below else above / below


def parts(result: SizeResult) -> str:
    """Return what each asset of the chain and of the update cost."""
    lines = ["| asset | full, CPU-s | peak MB | update, CPU-s |", "|---|--:|--:|--:|"]
    for key, cost in result.chain.items():
        kind, _, asset = key.partition(": ")
        if kind == "chain" and asset:
            update = result.chain[f"update: {asset}"].cpu_s
            lines.append(f"| {asset} | {cost.cpu_s:.3f} | {cost.peak_mb:,.0f} | {update:.3f} |")
    return "\n".join(lines)


def disagreements(result: SizeResult) -> list[str]:
    """Name every number that a way computed differently from ours."""
    found = []
    for stage, ways in result.costs.items():
        ours = ways["ours"].facts if "ours" in ways else {}
        for way, cost in ways.items():
            for name in sorted(ours.keys() & cost.facts.keys()):
                mine, theirs = ours[name], cost.facts[name]
                slack = COUNT_SLACK if float(mine).is_integer() else 0.0
                if abs(mine - theirs) > FACT_TOLERANCE * max(abs(mine), abs(theirs)) + slack:
                    found.append(f"{stage}, {name}: ours {mine:g}, {way} {theirs:g}")
    return found


def verdicts(results: Sequence[SizeResult]) -> list[str]:
    """Judge every target that was measured, and say by how much one is missed."""
    return [line for result in results for line in _verdicts(result)]


def _verdicts(result: SizeResult) -> list[str]:
    rows = f"{result.rows:,} klines"
    lines = []
    ratios = {
        key: value
        for key, ways in result.costs.items()
        if "ours" in ways and "floors" in ways and (value := ratio(ways["ours"].cpu_s, ways["floors"].cpu_s))
    }
    if ratios:
        over = {key: value for key, value in ratios.items() if value > MOST_OVER_FLOOR}
        shown = over or {max(ratios, key=lambda key: ratios[key]): max(ratios.values())}
        text = ", ".join(f"{key} {value:.2f}" for key, value in shown.items())
        lines.append(_verdict(rows, f"every stage within {MOST_OVER_FLOOR} of its floor", text, met=not over))
    if "chain" in result.chain:
        chain, update = result.chain["chain"].cpu_s, result.chain["update"].cpu_s
        times = ratio(result.sum_of("plain"), chain)
        if times is not None:
            target = f"chain without fitting at least {LEAST_OVER_PLAIN:.0f} times the plain way"
            lines.append(_verdict(rows, target, f"{times:.1f} times", met=times >= LEAST_OVER_PLAIN))
        share = ratio(update, chain)
        if share is not None and result.rows >= UPDATE_ROWS:
            target = f"12 new klines in at most {MOST_UPDATE_SHARE} of the full computation"
            lines.append(_verdict(rows, target, f"{share:.3f}", met=share <= MOST_UPDATE_SHARE))
    if peaks := result.peaks():
        worst = max(peaks, key=lambda key: peaks[key])
        target = f"peak memory under {MOST_PEAK_MB / 1000} GB"
        lines.append(
            _verdict(rows, target, f"{peaks[worst]:,.0f} MB in {worst}", met=peaks[worst] < MOST_PEAK_MB)
        )
    return lines


def _verdict(rows: str, target: str, found: str, *, met: bool) -> str:
    return f"{'met   ' if met else 'MISSED'}  {rows}: {target}: {found}"
