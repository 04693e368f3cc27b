"""The benchmarks of the database measure every way, see what it left behind, and fail where they must."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

ROWS = 3_000
NEW_ROWS = 5 * 288
KINDS = ("new", "half_new", "all_changed", "few_changed", "same", "same_unrecorded")
WRITES = ("replace", "write")


def run(repository: Path, script: str, folder: Path, *options: str) -> tuple[int, dict[str, Any]]:
    """Run a benchmark in a process of its own and return its exit code and what it printed as JSON."""
    command = [sys.executable, str(repository / "benchmarks" / f"{script}.py"), "--json", *options]
    done = subprocess.run(
        [*command, "--folder", str(folder)], capture_output=True, text=True, check=False, timeout=300
    )
    assert done.stdout, done.stderr
    assert not list(folder.iterdir()), "a run leaves nothing behind"
    return done.returncode, json.loads(done.stdout, parse_constant=pytest.fail)


@pytest.mark.slow
def test_every_way_to_the_tables_leaves_the_same_rows(repository, tmp_path):
    """What was written is counted by the versions of the rows: none where the same rows came again."""
    options = ("--rows", str(ROWS), "--repeats", "1", "--share-process")
    code, found = run(repository, "database", tmp_path, *options)
    assert found["disagreements"] == []
    assert [frame["name"] for frame in found["frames"]] == ["klines", "features"]
    assert [frame["columns"] for frame in found["frames"]] == [11, 35]
    for frame in found["frames"]:
        costs = frame["costs"]
        written = {key: cost["facts"]["written"] for key, cost in costs.items() if "written" in cost["facts"]}
        expected = {f"{kind} {path}" for kind in KINDS for path in WRITES}
        assert set(costs) == expected | {"to_sql", "copy", "read_sql", "read"}
        assert all(cost["cpu_s"] > 0 and cost["facts"]["rows"] == ROWS for cost in costs.values())
        assert len({cost["facts"]["content"] for key, cost in costs.items() if "read" not in key}) == 1
        assert written["to_sql"] == written["copy"] == ROWS
        for path in WRITES:
            assert written[f"new {path}"] == ROWS
            assert NEW_ROWS <= written[f"half_new {path}"] <= ROWS, "those of every second day and not all"
            assert written[f"all_changed {path}"] > ROWS - 300, "all but those of which nothing is known"
            assert 10 < written[f"few_changed {path}"] < 60
            assert written[f"same {path}"] == written[f"same_unrecorded {path}"] == 0
        assert costs["read"]["facts"]["differs"] == costs["read_sql"]["facts"]["differs"] == 0
    missed = any(line.startswith("MISSED") for line in found["verdicts"])
    assert len(found["verdicts"]) == 2 * (4 + 4)
    assert code == int(missed)


def findings(modules: Any, cpu_s: dict[str, float], **facts: float) -> Any:
    """Return what a run over a million rows might have found."""
    report, measure = modules("database_report"), modules("measure")
    found = report.Findings("klines", 1_000_000, 11)
    for line in report.LINES:
        told = {"rows": 1_000_000.0, "content": 7.0, "written": 0.0, **facts}
        found.costs[line.key] = measure.Cost(cpu_s[line.key.split()[0]], 100.0, 1, told)
    return found


GOOD = {
    "to_sql": 40.0,
    "copy": 1.4,
    "new": 2.0,
    "half_new": 5.0,
    "all_changed": 5.0,
    "few_changed": 5.0,
    "same": 0.1,
    "same_unrecorded": 1.9,
    "read_sql": 10.0,
    "read": 2.0,
}


def test_targets_are_judged_by_measured_ratios(modules):
    """Just met, then each just missed."""
    report = modules("database_report")
    assert all(met for met, _ in report.verdicts([findings(modules, GOOD)]))
    for changed, missed in (
        ({"to_sql": 39.9}, ["times to_sql, at least 20", "times to_sql, at least 8"]),
        ({"copy": 1.39}, ["of a bare COPY"]),
        ({"few_changed": 5.1}, ["rows that may exist"]),
        ({"read": 2.1}, ["read_sql"]),
        ({"same": 2.0}, ["same replace", "same write"]),
    ):
        judged = report.verdicts([findings(modules, GOOD | changed)])
        lines = [line for met, line in judged if not met]
        assert len(lines) == len(missed), changed
        assert all(part in line for part, line in zip(missed, lines, strict=True))
        assert all(line.startswith("MISSED") for line in lines)
    judged = report.verdicts([findings(modules, GOOD, written=1.0)])
    assert len([line for met, line in judged if not met and "1 rows written" in line]) == 4


def test_other_rows_than_were_given_are_named(modules):
    report, measure = modules("database_report"), modules("measure")
    found = findings(modules, GOOD)
    assert report.disagreements(found) == []
    found.costs["new write"] = measure.Cost(2.0, 100.0, 1, {"rows": 1_000_000.0, "content": 8.0})
    found.costs["read"] = measure.Cost(2.0, 100.0, 1, {"rows": 1_000_000.0, "differs": 1.0})
    assert report.disagreements(found) == [
        "klines, new write: content 8, bare COPY 7",
        "klines, read: the frame read is not the one that was written",
    ]


def test_the_table_of_a_frame_divides_what_was_measured(modules):
    report = modules("database_report")
    found = findings(modules, GOOD, written=5.0)
    found.measured_on["to_sql"] = 50_000
    lines = report.table(found).splitlines()
    assert "| `to_sql`, all rows new | ~40.000 | ~25,000 | 1.0 | 0.03 | 5 | 100 |" in lines
    assert "| ours, all rows new: `replace` | 2.000 | 500,000 | 20.0 | 0.70 | 5 | 100 |" in lines
    assert "| ours, read: `TableFrame.read` | 2.000 | 500,000 | 5.0 |  | 5 | 100 |" in lines
    assert lines[-1] == "~ to_sql: measured on 50,000 rows and extrapolated in proportion."


@pytest.mark.slow
def test_questions_are_answered_over_all_markets(repository, tmp_path):
    size = ("--markets", "2", "--rows", "3000", "--features", "17", "--trades", "900", "--runs", "40")
    code, found = run(repository, "queries", tmp_path, *size)
    assert (found["markets"], found["features"]) == (2, 17)
    assert 6_000 + 2 * 288 <= found["loaded"]["features"]["rows"] <= 6_000 + 2 * 290
    assert found["loaded"]["trades"]["rows"] == 2 * 901
    answers = found["answers"]
    assert {key: one["runs"] for key, one in answers.items() if "recent" in key} == {
        "recent": 40,
        "recent_features": 40,
    }
    assert answers["recent"]["fewest_rows"] in {11, 12}
    assert answers["performance"]["fewest_rows"] > 3 * answers["model_performance"]["fewest_rows"]
    assert answers["model_performance"]["fewest_rows"] == 2 * 3, "a line for every market and model"
    assert answers["clouds"]["fewest_rows"] == answers["cloud_comparison"]["fewest_rows"] == 3
    assert all(0 < one["p50_ms"] <= one["p99_ms"] <= one["longest_ms"] for one in answers.values())
    assert code == int(any(line.startswith("MISSED") for line in found["verdicts"]))


def test_slow_and_short_answers_are_missed(modules):
    queries = modules("queries")
    keys = [question.key for question in queries.QUESTIONS]

    def judged(p99_ms: float, rows: int) -> list[bool]:
        answers = {key: queries.Answered(10, 1.0, p99_ms, 99.0, rows) for key in keys}
        return [met for met, _ in queries.verdicts(answers)]

    recent = ["recent" in key for key in keys]
    assert judged(9.99, 12) == [True] * 6
    assert judged(10.0, 12) == [not one for one in recent]
    assert judged(50.0, 12) == [False] * 6
    assert judged(9.99, 10) == [not one for one in recent]


def test_a_full_disk_is_told_before_loading(modules, tmp_path, monkeypatch):
    load = modules("query_load")
    size = load.Size(markets=15, rows=1_000_000, features=35, trades=100_000)
    assert 8e9 < size.expected_bytes < 20e9
    free = SimpleNamespace(free=size.expected_bytes)
    monkeypatch.setattr(load.shutil, "disk_usage", lambda _: free)
    load.check_space(str(tmp_path), size)
    free.free -= 1
    with pytest.raises(SystemExit, match=r"GB free: about .* GB are needed; choose another --folder"):
        load.check_space(str(tmp_path), size)


@pytest.mark.slow
def test_compression_is_measured_in_every_layout(modules, test_data, timescale_url, capsys):
    """Three months of klines are a chunk or two: little, so whether the targets are met is no matter here."""
    code = modules("compression").main(["--rows", "6000", "--url", timescale_url, "--json"])
    found = json.loads(capsys.readouterr().out, parse_constant=pytest.fail)
    assert found["wrong"] == []
    assert "TimescaleDB" in found["server"]
    assert [one["rows"] for one in found["kept"].values()] == [6_000] * 3
    assert [one["columns"] for one in found["kept"].values()] == [11, 31, 16]
    assert [one["title"] for one in found["others"]] == [
        *(f"`{table}`, {how}" for table in ("ohlcv", "features") for how in LAYOUTS),
        "`features`, doubles not rounded",
    ]
    assert all(one["after"] < one["before"] for one in [*found["kept"].values(), *found["others"]])
    rounded, full = found["kept"]["processed/features"], found["others"][-1]
    assert rounded["after"] < 0.8 * full["after"]
    assert 1e-10 < found["largest_change"] <= 2**-31
    assert code == int(any(line.startswith("MISSED") for line in found["verdicts"]))


LAYOUTS = ("ordered by time DESC", "not segmented", "as NUMERIC")


def test_a_change_is_measured_in_parts_of_the_value(modules):
    largest_change = modules("compression").largest_change
    exact = pd.DataFrame({"timestamp": [1, 2, 3], "a": [1.0, -2.0, np.nan], "b": [0.0, 4.0, 5.0]})
    assert largest_change(exact, exact) == (0.0, "")
    changed = exact.assign(a=[1.0, -2.5, np.nan], b=[0.0, 4.0, 5.5])
    assert largest_change(exact, changed) == (0.25, "a")
    assert largest_change(exact, exact.assign(b=[1e-300, 4.0, 5.0])) == (np.inf, "b")
    assert largest_change(exact, exact.assign(a=[np.nan, -2.0, np.nan])) == (np.inf, "a")
    assert largest_change(exact, exact.assign(a=[1.0, -2.0, 3.0])) == (np.inf, "a")


def test_savings_below_the_targets_are_missed(modules):
    compression, layouts = modules("compression"), modules("compression_layouts")

    def judged(klines: int, features: int, change: float) -> list[bool]:
        kept = {
            asset: layouts.Saved(asset, 1, 1, 1, 1_000, after)
            for asset, after in (("raw/klines", klines), ("processed/features", features))
        }
        found = compression.Findings("", kept, largest_change=change)
        return [met for met, _ in compression.verdicts(found)]

    assert judged(399, 499, 1e-9) == [True, True, True]
    assert judged(400, 500, 1.1e-9) == [False, False, False]


def test_unknown_data_are_named(modules, capsys):
    with pytest.raises(SystemExit, match="2"):
        modules("database").main(["--data", "klines,books"])
    assert "unknown books: expected of klines, features" in capsys.readouterr().err
