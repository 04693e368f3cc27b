"""A short storm: events by the hundred, a dispatcher that is killed, a Bot API that fails; all arrives."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest


@pytest.mark.slow
def test_a_storm_loses_nothing_is_never_too_fast_and_repeats_only_what_may_not_have_arrived(
    repository, tmp_path
):
    command = [sys.executable, str(repository / "benchmarks" / "alert_storm.py"), "--json"]
    options = ["--seconds", "10", "--outage", "2", "--kill-every", "1.5", "--folder", str(tmp_path)]
    done = subprocess.run([*command, *options], capture_output=True, text=True, check=False, timeout=240)
    assert done.stdout, done.stderr
    told = json.loads(done.stdout)
    found = told["found"]
    broken = [one["promise"] for one in told["verdicts"] if not one["kept"]]
    assert done.returncode == bool(broken)
    in_time = "critical p95"  # for the benchmark, on a machine that does nothing else
    assert [line for line in broken if not line.startswith(in_time)] == [], found
    assert found["events"] == 1000
    assert found["critical"] == 20
    assert found["kills"] >= 1
    assert found["faults"]["lost_answer"] + found["faults"]["too_many"] >= 1
    assert found["messages"] < found["rows"], "digests were needed"
