"""Two troubles of the benchmark of latencies, in a deployment of real processes that leaves nothing."""

from __future__ import annotations

import json
import subprocess
import sys

import psutil
import pytest


@pytest.mark.slow
def test_an_error_in_a_step_and_a_stopped_collector_are_told(repository, tmp_path):
    command = [sys.executable, str(repository / "benchmarks" / "alert_latency.py"), "--json"]
    options = ["--trials", "1", "--only", "step", "--only", "collector", "--folder", str(tmp_path)]
    done = subprocess.run([*command, *options], capture_output=True, text=True, check=False, timeout=400)
    assert done.stdout, done.stderr
    told = json.loads(done.stdout)
    broken = [one["promise"] for one in told["verdicts"] if not one["kept"]]
    assert done.returncode == bool(broken)
    in_time = (": at most", ": median")  # for the benchmark, on a machine that does nothing else
    assert [line for line in broken if not any(words in line for words in in_time)] == [], told["trials"]
    assert [(row["kind"], row["trials"], row["missing"]) for row in told["table"]] == [
        ("step", 1, 0),
        ("collector", 1, 0),
    ]
    assert {trial["rule"] for trial in told["trials"]} == {"pipeline_error", "orderbook_stopped"}
    assert not list(tmp_path.iterdir()), "a run leaves nothing behind"
    assert not [found for found in psutil.process_iter() if str(tmp_path) in _words(found)]


def _words(process: psutil.Process) -> str:
    try:
        return " ".join([*process.cmdline(), process.cwd()])
    except psutil.Error:
        return ""
