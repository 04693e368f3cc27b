"""The benchmarks of models tell what they found and fail where they must."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

STAGES = ("positions", "days and hours", "statistics, curve, ratios", "metrics of the scores")
EVALUATION = (
    *("--rows", "6000", "--algos", "logreg,automl", "--automl-trials", "1", "--shifts", "9"),
    *("--variants", "aggressive", "--once"),
)


@pytest.mark.slow
def test_an_evaluation_has_a_line_for_every_way_and_fee(modules, test_data: Path, capsys):
    assert modules("evaluation").main([*EVALUATION, "--json"]) == 0
    found = json.loads(capsys.readouterr().out, parse_constant=pytest.fail)
    lines = found["lines"]
    ways = {(line["algo"], line["scores"]["traded"], line["threshold"], line["fee_pct"]) for line in lines}
    assert len(lines) == len(ways) == 2 * 4 * 2
    assert {(way, limits) for _, way, limits, _ in ways} == {
        ("high_040_4", "chosen"),
        ("low_040_4", "chosen"),
        ("both", "shipped"),
        ("both", "chosen"),
    }
    assert not found["trained_twice"]
    for line in lines:
        assert line["trades"] <= line["signals"]
        if line["trades"]:
            assert line["wilson_low"] <= line["win_rate"] <= line["wilson_high"]
            assert 0.1 <= line["p_value"] <= 1  # 9 shifts cannot say less
            assert line["deflated_sharpe"] < 1
        if line["scores"]["traded"] != "both":
            assert line["scores"]["rows"] > 500
            assert 0.5 < line["scores"]["range_auc"] < 1
            assert line["scores"]["log_loss"] > 0
    cheap = {way[:3]: line for line, way in zip(lines, map(key, lines), strict=True) if way[3] == 0.04}
    dear = {way[:3]: line for line, way in zip(lines, map(key, lines), strict=True) if way[3] == 0.1}
    for way in (way for way in cheap if way[2] == "shipped"):
        assert cheap[way]["signals"] == dear[way]["signals"]
        lost = cheap[way]["total_return_pct"] - dear[way]["total_return_pct"]
        assert lost == pytest.approx(2 * 0.06 * cheap[way]["trades"], rel=0.01), "two sides, 0.06 % more each"
    flattering = {one["label"]: one["in_sample_auc"] for one in found["not_a_result"]}
    assert all(auc > 0.9 for auc in flattering.values())
    assert not {line["scores"]["auc"] for line in lines} & set(flattering.values())


def key(line: dict[str, Any]) -> tuple[str, str, str, float]:
    """Name a line."""
    return line["algo"], line["scores"]["traded"], line["threshold"], line["fee_pct"]


@pytest.mark.slow
def test_trainings_that_differ_fail_the_run(modules, test_data: Path, monkeypatch, capsys):
    """The second training finds one close changed in its last decimal."""
    evaluation = modules("evaluation")
    train, times = evaluation.train, iter(range(2))

    def train_otherwise(combination: Any, data: Any, **options: int) -> Any:
        data = data.copy()
        data.loc[1500, "close"] += 0.01 * next(times)
        return train(combination, data, **options)

    monkeypatch.setattr(evaluation, "legacy_reference", lambda *_, **__: [])
    few = ("--rows", "3000", "--variants", "aggressive", "--algos", "logreg", "--fees", "0.04")
    assert evaluation.main([*few, "--shifts", "1"]) == 0
    assert "models and scores are the same, byte for byte" in capsys.readouterr().out
    monkeypatch.setattr(evaluation, "train", train_otherwise)
    assert evaluation.main([*few, "--shifts", "1"]) == 1
    printed = capsys.readouterr().out
    assert "Two trainings on the same rows DIFFER: aggressive logreg" in printed
    assert "| aggressive | logreg | high_040_4 | chosen |" in printed
    assert "AUC, range alone" in printed


def made_line(modules: Any, **changes: Any) -> Any:
    """Return a line of a table."""
    trades, scores = modules("evaluation_trades"), modules("evaluation_scores")
    scored = scores.Scored("both", None, rows=900, auc=0.51, auc_p_value=0.3)
    line = trades.Line(
        variant="aggressive",
        algo="lgbm",
        scored=scored,
        threshold="shipped",
        fee_pct=0.04,
        days=56.0,
        signals=30,
        trades=20,
        win_rate=0.4,
        wilson_low=0.2188,
        wilson_high=0.6134,
        profit_factor=0.8,
        expectancy_pct=-0.05,
        gross_pct=0.03,
        total_return_pct=-1.0,
        hold_return_pct=3.25,
        sharpe=-2.0,
        max_drawdown_pct=-4.0,
        p_value=0.02,
        losing_thresholds=0,
        chosen_thresholds=0,
        returns=np.zeros(3),
    )
    return replace(line, **changes)


def test_losing_is_said_in_words(modules):
    closing = modules("evaluation_table").closing
    lost, idle = made_line(modules), made_line(modules, trades=0, total_return_pct=0.0)
    said = closing([lost, idle, made_line(modules, total_return_pct=-7.25)])
    assert said[3] == (
        "After fees of 0.04 % a side every combination lost money (2: -7.2 % to -1.0 %; buy & hold 3.2 %; "
        "1 never traded)."
    )
    assert "telling up from down 0.510, where 0.5 is a coin" in said[1]
    assert "a trade brought 0.030 % on average" in said[2]


def test_winning_is_weighed_against_luck(modules):
    closing = modules("evaluation_table").closing
    lucky = made_line(modules, total_return_pct=2.0, p_value=0.01, deflated_sharpe=0.94)
    said = closing([lucky, made_line(modules)])
    assert "1 of 2 combinations made money" in said[3]
    assert "none of these passes both tests of luck" in said[3]
    sure = replace(lucky, deflated_sharpe=0.96)
    assert "passed by aggressive lgbm both shipped" in closing([sure, lucky])[3]
    assert "every combination lost money" in closing([replace(lucky, fee_pct=0.1), made_line(modules)])[4]


def test_a_line_is_told_once_a_fee(modules):
    table = modules("evaluation_table").table
    text = table([made_line(modules), made_line(modules, fee_pct=0.1, win_rate=None)]).splitlines()
    assert text[2].startswith("| aggressive | lgbm | both | shipped | 900 | 0.510 (0.300) | - |")
    assert "| 0.04 | 56 | 30 / 20 | 40.0 (21.9 to 61.3) | 0.80 | -0.050 | -1.0 | 3.2 |" in text[2]
    assert text[3].startswith("|  |  |  |  |  |  |  |  |  | 0.1 | 56 | 30 / 20 | - |")
    assert len({line.count("|") for line in text}) == 1


def test_the_deflated_sharpe_counts_every_line_as_a_trial(modules):
    deflated = modules("evaluation_trades").deflated
    rng = np.random.default_rng(3)
    good = made_line(modules, returns=rng.normal(0.1, 1.0, 2000))
    others = [made_line(modules, returns=rng.normal(0.0, 1.0, 2000)) for _ in range(20)]
    alone = deflated([good])[0].deflated_sharpe
    among = deflated([good, *others])[0].deflated_sharpe
    assert alone > 0.999
    assert among < alone


@pytest.mark.slow
def test_trading_is_measured_both_ways_and_judged(repository: Path):
    options = ("--rows", "20000", "--plain-rows", "6000", "--fit-rows", "2500", "--repeats", "1", "--json")
    command = [sys.executable, str(repository / "benchmarks" / "trading.py"), *options]  # it stops all logs
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    found = json.loads(done.stdout, parse_constant=pytest.fail)
    assert found["wrong"] == []
    for costs in found["costs"].values():
        assert list(costs) == list(STAGES)
        for ways in costs.values():
            assert ways["plain"]["cpu_s"] > 0
        assert costs["positions"]["ours"]["facts"]["positions"] > 100
        assert 0.5 < costs[STAGES[3]]["ours"]["facts"]["auc"] < 1
    assert set(found["fits"]) == {"bare", "training", "evidence", "page", "assets"}
    assert found["fits"]["assets"]["cpu_s"] > found["fits"]["bare"]["cpu_s"] > 0
    missed = any(line.startswith("MISSED") for line in found["verdicts"])
    assert len(found["verdicts"]) == 3
    assert done.returncode == int(missed)


@dataclass
class Spent:
    """What a stage cost."""

    cpu_s: float


def test_targets_of_trading_are_judged_by_what_was_measured(modules):
    trading = modules("trading")

    def judged(rows: int, cpu_s: float, evidence: float) -> list[bool]:
        found = trading.Findings(
            rows, rows, {"5 %": {"a": {"ours": Spent(cpu_s / 2)}, "b": {"ours": Spent(cpu_s / 2)}}}
        )
        found.fits = {"bare": Spent(10.0), "training": Spent(10.2), "evidence": Spent(evidence)}
        return [met for met, _ in trading.verdicts(found)]

    assert judged(1_000_000, 2.0, 1.2) == [True, True]
    assert judged(1_000_000, 2.01, 1.4) == [False, False]
    assert judged(500_000, 1.01, 1.2) == [False, True]


def test_ways_that_differ_are_told(modules):
    differing = modules("trading")._differing
    assert differing("here", {"pnl": 1.0, "wins": 3}, {"pnl": 1.0 + 1e-12, "wins": 3.0}) == []
    assert differing("here", {"pnl": 1.0}, {"pnl": 1.1}) == ["here, pnl: ours 1.0, plain 1.1"]
    assert differing("here", {"pnl": float("nan")}, {"pnl": 1.0}) != []


def test_an_unknown_algorithm_is_named(modules, capsys):
    with pytest.raises(SystemExit, match="2"):
        modules("evaluation").main(["--algos", "lgbm,magic"])
    assert "unknown magic: expected of lgbm, logreg, automl" in capsys.readouterr().err


def test_absent_klines_are_told(modules, monkeypatch, tmp_path):
    monkeypatch.setenv("ITB_TEST_DATA", str(tmp_path))
    with pytest.raises(SystemExit, match="set ITB_TEST_DATA"):
        modules("evaluation").main(["--rows", "3000"])
