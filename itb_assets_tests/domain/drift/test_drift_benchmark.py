"""The simulation of drift says what it found, and fails when a target is missed."""

from __future__ import annotations

import pytest


@pytest.fixture
def simulation(modules):
    return modules("drift_simulation")


def test_a_missed_target_is_told_and_fails(simulation, capsys):
    """In ten days nobody sees a drop of 7 points in nine of ten histories."""
    options = ["--histories", "60", "--days", "10", "--families", "1"]
    assert simulation.main(options) == 1
    first = capsys.readouterr().out
    assert "MISSED our rule, 7 points, seen: " in first
    assert "met    our rule, no change, ever alarms: " in first
    for way in ("5 points below", "Wilson's bound below", "SPRT", "CUSUM", "our rule"):
        assert f"| {way} | " in first
    simulation.main(options)
    assert first.splitlines()[1:] == capsys.readouterr().out.splitlines()[1:], (
        "the same seed, the same tables"
    )


def test_targets_are_judged_by_their_limits(simulation):
    findings = simulation.Findings()
    findings.at_most("alarms", 0.01, 0.01)
    findings.at_most("alarms", 0.0101, 0.01)
    findings.at_least("seen", 0.91, 0.91)
    findings.at_least("seen", 0.90, 0.91)
    findings.at_most("median", float("inf"), 30, "day")
    assert [met for met, _ in findings.targets] == [True, False, True, False, False]
    assert findings.targets[1][1] == "MISSED alarms: 1.0 %, at most 1.0 %"
    assert findings.targets[4][1] == "MISSED median: day inf, at most day 30"


def test_help_shows_an_example(simulation, capsys):
    with pytest.raises(SystemExit, match="0"):
        simulation.main(["--help"])
    assert "example: python benchmarks/drift_simulation.py" in capsys.readouterr().out
