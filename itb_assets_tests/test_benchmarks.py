"""The benchmark measures every stage in every way and judges by what it measured."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROWS = 3_000
STAGES = (
    *("klines", "data", "features", "features_write", "labels", "matrix_write", "matrix_read"),
    *("database", "features_database", "labels_database", "outcome", "signals", "scores", "fits"),
)


@pytest.fixture(scope="module")
def measured(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Return what one run over a few klines printed as JSON."""
    folder = tmp_path_factory.mktemp("bench")
    options = ("--rows", str(ROWS), "--repeats", "1", "--share-process", "--json", "--folder", str(folder))
    command = [sys.executable, str(repository / "benchmarks" / "pipeline.py"), *options]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr
    assert not list(folder.iterdir()), "a run leaves nothing behind"
    result: dict[str, Any] = json.loads(done.stdout)
    return result


@pytest.mark.slow
def test_every_stage_is_measured_in_every_way(measured: dict[str, Any]) -> None:
    (size,) = measured["sizes"]
    assert size["rows"] == ROWS
    assert tuple(sorted(size["costs"])) == tuple(sorted(STAGES))
    for stage, ways in size["costs"].items():
        expected = {"ours", "plain"} if stage == "outcome" else {"ours", "plain", "floors"}
        assert set(ways) == expected, stage
        assert all(cost["peak_mb"] > 0 and cost["cpu_s"] >= 0 for cost in ways.values()), stage
    assert {"chain", "update", "chain: raw/klines", "update: signals/aggressive"} <= set(size["chain"])


@pytest.mark.slow
def test_the_ways_computed_the_same(measured: dict[str, Any]) -> None:
    (size,) = measured["sizes"]
    assert measured["disagreements"] == []
    labels = {way: cost["facts"] for way, cost in size["costs"]["labels"].items()}
    assert len(labels["ours"]) == 6
    assert labels["ours"].keys() == labels["plain"].keys() == labels["floors"].keys()
    assert sum(labels["ours"].values()) > 0
    assert size["costs"]["database"]["ours"]["facts"] == {"rows": ROWS}


@pytest.mark.slow
def test_the_machine_is_named(measured: dict[str, Any]) -> None:
    machine = measured["machine"]
    assert all(machine[name] for name in ("cpu", "cores", "date"))
    assert machine["threads"]["OMP_NUM_THREADS"] == "1"


@pytest.mark.parametrize(
    "script",
    [
        *("pipeline", "database", "queries", "compression", "evaluation", "trading", "drift_simulation"),
        "alert_latency",
    ],
)
def test_help_shows_examples(modules, capsys, script):
    with pytest.raises(SystemExit, match="0"):
        modules(script).main(["--help"])
    assert f"python benchmarks/{script}.py --" in capsys.readouterr().out


@pytest.fixture
def report(modules) -> Any:
    return modules("report")


def _result(report: Any, *, rows: int, ours: float, plain: float, floor: float, peak_mb: float) -> Any:
    def cost(cpu_s: float) -> Any:
        return report.Cost(cpu_s, peak_mb, 1, {"rows": float(rows)})

    result = report.SizeResult(rows)
    ways = {"ours": cost(ours), "plain": cost(plain), "floors": cost(floor)}
    for stage in report.STAGES:
        result.costs[stage.key] = {way: ways[way] for way in stage.ways}
    parts = ("chain: predictions/v", "chain: signals/v")
    stages = sum(stage.in_chain for stage in report.STAGES)
    chain = {"chain": cost(stages * ours), "update": cost(0.1 * stages * ours)}
    result.take_chain({**chain, **dict.fromkeys(parts, cost(ours))})
    return result


def test_targets_are_judged_by_the_measured_ratios(report: Any) -> None:
    """Just met, then each of the four just missed."""
    good = {"rows": 1_000_000, "ours": 1.5, "plain": 15.0, "floor": 1.0, "peak_mb": 2_499.0}
    assert [line[:6] for line in report.verdicts([_result(report, **good)])] == ["met   "] * 4
    for change, missed in (
        ({"floor": 0.99}, "every stage within 1.5"),
        ({"plain": 14.9}, "at least 10 times the plain way"),
        ({"peak_mb": 2_500.0}, "peak memory"),
    ):
        lines = report.verdicts([_result(report, **(good | change))])
        assert [line for line in lines if line.startswith("MISSED")] == [
            line for line in lines if missed in line
        ], change
    slow = _result(report, **good)
    slow.chain["update"] = slow.chain["chain"].scaled(0.11)
    (line,) = [line for line in report.verdicts([slow]) if line.startswith("MISSED")]
    assert "12 new klines" in line
    assert "0.110" in line


def test_the_table_divides_what_was_measured(report: Any) -> None:
    result = _result(report, rows=1000, ours=2.0, plain=30.0, floor=1.6, peak_mb=100.0)
    result.extrapolated["labels"] = 500
    lines = report.table(result).splitlines()
    assert lines[2].endswith("| 2.000 | 30.000 | 1.600 | 1.25 | 15.0 | 100 |")
    assert any("labels: compute | 2.000 | ~30.000 |" in line for line in lines)
    assert lines[-1] == "~ labels: the plain way was measured on 500 rows and extrapolated in proportion."


def test_ways_that_differ_are_named(report: Any) -> None:
    result = _result(report, rows=1000, ours=1.0, plain=1.0, floor=1.0, peak_mb=1.0)
    assert report.disagreements(result) == []
    result.costs["data"]["plain"] = report.Cost(1.0, 1.0, 1, {"rows": 900.0})
    result.costs["features"]["ours"] = report.Cost(1.0, 1.0, 1, {"mean": 0.5})
    result.costs["features"]["floors"] = report.Cost(1.0, 1.0, 1, {"mean": 0.52})
    assert report.disagreements(result) == [
        "data, rows: ours 1000, plain 900",
        "features, mean: ours 0.5, floors 0.52",
    ]
