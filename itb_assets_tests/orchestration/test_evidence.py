"""What is stored with a model: trades, luck and references for drift, all out of sample, all plain JSON."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pandas as pd
import pytest
from pipeline_making import START, WOLF, Pipeline, open_pipeline, pages
from quick_strategies import brisk, strategy

from itb_assets.domain.drift import CalibrationSummary, Forecasts, ReferenceBins, freeze_bins
from itb_assets.domain.drift.calibration import summarise_calibration
from itb_assets.domain.evaluation.intervals import wilson
from itb_assets.orchestration.models import load_model
from itb_assets.orchestration.platform import ModelName

NAME = ModelName("brisk", "lgbm", "high_020_4")


def refuse(word: str) -> None:
    raise AssertionError(f"{word} is not JSON")


def stored(pipeline: Pipeline, name: ModelName, file: str) -> dict[str, Any]:
    """Read a file of the model in use as strict JSON."""
    folder = pipeline.platform.layout.promoted_dir(name.at(WOLF))
    return json.loads((folder / file).read_text(), parse_constant=refuse)


def test_every_number_says_that_it_is_out_of_sample(built):
    for name in built.platform.model_names():
        metrics = stored(built, name, "metrics.json")
        assert {metrics[key]["sample"] for key in ("trading", "luck")} == {"out_of_sample"}
        assert metrics["sample"] == "out_of_sample"


def test_the_win_rate_has_its_interval(built):
    for name in built.platform.model_names():
        overall = stored(built, name, "metrics.json")["overall"]
        if not overall["signals"]:
            assert overall["wilson_low"] is overall["wilson_high"] is None
            continue
        hits = round(overall["precision"] * overall["signals"])
        assert (overall["wilson_low"], overall["wilson_high"]) == wilson(hits, overall["signals"])


def test_trades_name_their_costs_and_their_rule(built):
    trading = stored(built, NAME, "metrics.json")["trading"]
    rule = trading["rule"]
    assert (rule["direction"], rule["take_profit_pct"], rule["time_limit_rows"]) == ("long", 0.2, 4)
    assert rule["stop_loss_pct"] == pytest.approx(0.2 * 0.2)
    assert (rule["fee_pct"], rule["slippage_pct"]) == (0.04, 0.0)
    down = stored(built, ModelName("brisk", "lgbm", "low_020_4"), "metrics.json")["trading"]
    assert down["rule"]["direction"] == "short"


def test_more_rows_give_trades_and_a_test_of_luck(tmp_path):
    """Costs set in the strategy are those that were charged."""
    costly = brisk(
        walk_forward={"folds": 4, "window_rows": 400, "min_train_rows": 300},
        paper_trading={"fee_pct": 0.1, "slippage_pct": 0.02},
    )
    start = START.replace(month=2, day=23)
    with open_pipeline(tmp_path / "data", costly, start=start) as pipeline:
        page = pages(pipeline.run_well())["/".join(NAME.key)]
        metrics = stored(pipeline, NAME, "metrics.json")
    trading, luck = metrics["trading"], metrics["luck"]
    assert trading["trades"] > 20
    assert (trading["rule"]["fee_pct"], trading["rule"]["slippage_pct"]) == (0.1, 0.02)
    assert trading["total_fees"] == pytest.approx(2 * trading["trades"], rel=0.01)
    assert trading["slippage"] > 0
    assert trading["max_drawdown"] <= 0
    assert trading["turnover"] == pytest.approx(2 * trading["trades"], rel=0.01)
    assert 0 < luck["auc"]["p_value"] <= 1
    assert 0 < luck["trading"]["p_value"] <= 1
    assert luck["deflated_sharpe"]["n_trials"] == luck["models_tried"] == 2
    assert "after fees of 0.1 % a side and slippage of 0.02 %" in page["trading"].replace("\xa0", " ")
    assert f"{trading['trades']} trades" in page["trading"]
    assert "shifted rows do as well in" in page["luck"]


def test_what_was_tried_before_counts(built):
    """Each definition once, however often it was trained."""
    model = "/".join(NAME.key)
    built.run_well(assets=[model])
    assert stored(built, NAME, "metrics.json")["luck"]["models_tried"] == 2
    changed = built.with_strategies(brisk(label_horizon=6))
    changed.run_well(assets=[model])
    assert stored(changed, NAME, "metrics.json")["luck"]["models_tried"] == 3


def test_a_label_that_says_no_side_is_not_traded(tmp_path):
    """Nothing says where such a position would end; the scores are judged all the same."""
    labels = [
        {
            "generator": "highlow2",
            "config": {
                "columns": ["close", "high", "low"],
                "function": "high",
                "thresholds": [0.2],
                "tolerance": 0.2,
                "horizon": 4,
                "names": ["high_020_4"],
            },
        },
        {
            "generator": "topbot2",
            "config": {
                "columns": "close",
                "function": "bot",
                "level": 0.005,
                "tolerances": [0.3],
                "names": ["bot_005"],
                "horizon": 20,
            },
        },
    ]
    asked = strategy("brisk", label_sets=labels, labels=["bot_005"], signal_sets=[])
    with open_pipeline(tmp_path / "data", asked) as pipeline:
        result = pipeline.run_well(
            assets=[
                "raw/klines",
                "processed/data",
                "processed/features",
                "labeled/matrix",
                "models/brisk/lgbm/bot_005",
            ]
        )
        trading = stored(pipeline, ModelName("brisk", "lgbm", "bot_005"), "metrics.json")["trading"]
    assert trading["trades"] == 0
    assert "take_profit_pct is not set" in trading["reason"]
    assert pages(result)["models/brisk/lgbm/bot_005"]["trading"].startswith(
        "no trade out of sample: take_profit"
    )


def test_references_for_drift_are_of_the_rows_the_model_was_made_from(built):
    for name in built.platform.model_names():
        metadata = stored(built, name, "metadata.json")
        reference = metadata["drift_reference"]
        features = built.frame("processed/features")
        times = features["timestamp"]
        assert (reference["from"], reference["until"]) == (metadata["train_start"], metadata["train_end"])
        rows = features[
            (times >= pd.Timestamp(reference["from"])) & (times < pd.Timestamp(reference["until"]))
        ]
        assert list(reference["features"]) == metadata["features"]
        for feature, bins in reference["features"].items():
            assert ReferenceBins.from_dict(bins) == freeze_bins(rows[feature].to_numpy(np.float64))
        scores = load_model(built.platform, WOLF, name).scores.assign(sample="out_of_sample")
        assert ReferenceBins.from_dict(reference["score"]) == freeze_bins(scores["score"])
        found = CalibrationSummary.from_dict(reference["calibration"])
        assert found.block_rows == 288
        again = summarise_calibration(Forecasts.of(scores, "score", "outcome"), block_rows=288)
        assert found == again


def test_cross_validation_is_kept_where_it_is_asked_for(built):
    changed = built.with_strategies(brisk(cross_validation={"folds": 3, "embargo_rows": 6}))
    page = pages(changed.run_well())["/".join(NAME.key)]
    found = stored(changed, NAME, "metrics.json")["cross_validation"]
    assert found["sample"] == "out_of_sample"
    assert len(found["folds"]) == 3
    assert page["cross_validation_auc"] == pytest.approx(found["overall"]["auc"], abs=1e-4)
    assert (
        stored(built, ModelName("steady", "logreg", "high_020_4"), "metrics.json")["cross_validation"] is None
    )


def test_a_search_shows_its_leaderboard(built):
    pytest.importorskip("optuna", reason="the extra automl is not installed")
    searched = [{"name": "auto", "algo": "automl", "train": {"max_trials": 3, "family": ["lgbm", "logreg"]}}]
    changed = built.with_strategies(brisk(algorithms=searched, signal_sets=[]))
    name = ModelName("brisk", "auto", "high_020_4")
    page = pages(changed.run_well())["/".join(name.key)]
    metrics = stored(changed, name, "metrics.json")
    assert [entry["rank"] for entry in metrics["leaderboard"]] == [1, 2, 3]
    assert metrics["luck"]["models_tried"] == 2 + 2
    assert page["plots"].count("data:image/png;base64,") == 4
    assert "leaderboard of the search" in page["plots"]
    assert stored(changed, name, "metadata.json")["libraries"]["optuna"]
