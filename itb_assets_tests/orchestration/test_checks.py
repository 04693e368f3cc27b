"""Each check passes on good data, fails on data broken on purpose, and stops what follows where it should."""

from __future__ import annotations

from datetime import timedelta

import dagster as dg
import numpy as np
import pandas as pd
import pytest
from pipeline_making import NOW, WOLF, Pipeline, open_pipeline, pages

from itb_assets.domain import training
from itb_assets.errors import DataContractError
from itb_assets.orchestration.models import load_model
from itb_assets.orchestration.platform import ModelName

ERROR, WARN = dg.AssetCheckSeverity.ERROR, dg.AssetCheckSeverity.WARN
CHECKS = [
    ("raw/klines", "schema", ERROR, True),
    ("raw/klines", "gaps", WARN, False),
    ("raw/klines", "freshness", WARN, False),
    ("processed/features", "look_ahead", ERROR, True),
    ("processed/features", "serve_parity", ERROR, False),
    ("labeled/matrix", "unknown_tail", ERROR, True),
    ("labeled/matrix", "label_join", ERROR, True),
    ("models/brisk/lgbm/high_020_4", "too_good", WARN, False),
    ("models/brisk/lgbm/high_020_4", "promoted", WARN, False),
    ("models/brisk/lgbm/low_020_4", "too_good", WARN, False),
    ("models/brisk/lgbm/low_020_4", "promoted", WARN, False),
    ("models/steady/logreg/high_020_4", "too_good", WARN, False),
    ("models/steady/logreg/high_020_4", "promoted", WARN, False),
    ("models/steady/logreg/low_020_12", "too_good", WARN, False),
    ("models/steady/logreg/low_020_12", "promoted", WARN, False),
    ("predictions/brisk", "out_of_sample", ERROR, True),
    ("predictions/brisk", "serve_parity", ERROR, False),
    ("predictions/steady", "out_of_sample", ERROR, True),
    ("predictions/steady", "serve_parity", ERROR, False),
    ("trades/brisk", "rule", ERROR, False),
    ("trades/steady", "rule", ERROR, False),
    ("drift/brisk", "drift", ERROR, False),
    ("drift/steady", "drift", ERROR, False),
]


@pytest.mark.parametrize(("asset", "name", "severity", "blocking"), CHECKS)
def test_a_check_passes_on_good_data_and_fails_where_nothing_is_stored(
    built, tmp_path, asset, name, severity, blocking
):
    found = built.check(asset, name)
    assert found.passed, found.metadata
    with open_pipeline(tmp_path / "empty") as empty:
        found = empty.check(asset, name)
    assert not found.passed
    assert found.metadata["found"].value == "nothing stored for this market"
    assert found.blocking == blocking


def test_every_check_is_asked_in_a_run_of_everything(built):
    evaluations = built.run_well(retrain=True).get_asset_check_evaluations()
    assert sorted((item.asset_key.to_user_string(), item.check_name) for item in evaluations) == sorted(
        (one, other) for one, other, *_ in CHECKS
    )


def _failed(pipeline: Pipeline, asset: str, name: str) -> dg.AssetCheckEvaluation:
    """Ask a check that must fail as it is announced in CHECKS."""
    found = pipeline.check(asset, name)
    expected = {(one, other): rest for one, other, *rest in CHECKS}[asset, name]
    assert not found.passed
    assert [found.severity, found.blocking] == expected
    return found


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda rows: rows.assign(close=rows["close"].where(rows.index != 7)), "not a finite number"),
        (lambda rows: rows.assign(high=rows["low"] - 1), "high: below"),
        (lambda rows: rows.assign(timestamp=rows["timestamp"] + timedelta(seconds=1)), "not on the grid"),
    ],
    ids=["NaN", "high below low", "off the grid"],
)
def test_klines_that_break_their_contract_fail_the_schema(built, spoil, said):
    built.rewrite("raw/klines", spoil(built.frame("raw/klines")))
    assert said in _failed(built, "raw/klines", "schema").metadata["breaches"].value


@pytest.mark.parametrize(
    "spoil", [lambda rows: rows.iloc[::-1], lambda rows: pd.concat([rows, rows.tail(1)])]
)
def test_klines_out_of_order_cannot_even_be_stored(built, spoil):
    klines = built.frame("raw/klines")
    with pytest.raises(DataContractError, match="out of order or repeated"):
        built.rewrite("raw/klines", spoil(klines).reset_index(drop=True))
    pd.testing.assert_frame_equal(built.frame("raw/klines"), klines)


@pytest.mark.parametrize(
    ("asset", "spoil", "assets"),
    [
        ("raw/klines", lambda rows: rows.assign(high=rows["low"] - 1), ["raw/klines", "processed/data"]),
        (
            "labeled/matrix",
            lambda rows: rows.assign(high_020_4=True),
            ["labeled/matrix", "models/brisk/lgbm/high_020_4"],
        ),
        (
            "predictions/brisk",
            lambda rows: rows.assign(high_020_4_lgbm=0.5),
            ["predictions/brisk", "signals/brisk"],
        ),
    ],
)
def test_a_blocking_check_that_fails_keeps_what_follows_from_being_made(built, asset, spoil, assets):
    """The asset itself finds nothing to do; its check looks at what is stored."""
    frame = built.frame(asset)
    spoilt = spoil(frame)
    built.rewrite(asset, spoilt.astype({name: frame[name].dtype for name in frame}))
    result = built.run(assets=assets)
    assert not result.success
    assert set(pages(result)) == {asset}


def test_a_missing_kline_is_a_warning_that_stops_nothing(built):
    klines = built.frame("raw/klines")
    built.rewrite("raw/klines", klines.drop(range(300, 303)).reset_index(drop=True))
    metadata = _failed(built, "raw/klines", "gaps").metadata
    assert (metadata["gaps"].value, metadata["missing_rows"].value) == (1, 3)
    assert "2024-03-02 01:00 UTC" in metadata["list"].value
    assert built.run_well().success


def test_klines_that_are_late_are_a_warning(built):
    """Two klines and a little time for the exchange to publish them."""
    built.at(NOW + timedelta(minutes=11))
    assert built.check("raw/klines", "freshness").passed
    built.at(NOW + timedelta(minutes=12))
    metadata = _failed(built, "raw/klines", "freshness").metadata
    assert metadata["age_minutes"].value == 12.5


def test_stored_features_that_are_not_what_serving_gives_are_found(built):
    """The altered row lies between those that the look-ahead check compares."""
    features = built.frame("processed/features")
    features.loc[len(features) - 81, "close_SMA_3"] *= 1.0001
    built.rewrite("processed/features", features)
    found = _failed(built, "processed/features", "serve_parity")
    assert "close_SMA_3" in found.metadata["differences"].value
    assert built.check("processed/features", "look_ahead").passed


def test_a_label_known_before_its_time_is_found(built):
    matrix = built.frame("labeled/matrix")
    matrix.loc[len(matrix) - 12, "low_020_12"] = True
    built.rewrite("labeled/matrix", matrix)
    found = _failed(built, "labeled/matrix", "unknown_tail")
    assert found.metadata["labels_known_too_early"].value == {"low_020_12": 1}


@pytest.fixture
def in_sample(built) -> pd.DataFrame:
    """Return the predictions and what the final model says of rows it was trained on, beside each other."""
    model = load_model(built.platform, WOLF, ModelName("brisk", "lgbm", "high_020_4"))
    features = built.frame("processed/features")
    scores = training.score_rows(model.payload, model.features, features)
    own = pd.DataFrame({"timestamp": features["timestamp"], "own": scores})
    return own[features["timestamp"] < model.train_end]


@pytest.mark.parametrize("sample", ["live", "out_of_sample"])
def test_a_score_on_a_training_row_is_found_whatever_it_calls_itself(built, in_sample, sample):
    predictions = built.frame("predictions/brisk")
    first = predictions["timestamp"].iloc[0]
    extra = in_sample[in_sample["timestamp"] < first].tail(3)
    rows = pd.DataFrame(
        {
            "timestamp": extra["timestamp"],
            "sample": sample,
            "high_020_4_lgbm": extra["own"],
            "low_020_4_lgbm": np.nan,
        }
    )
    built.rewrite("predictions/brisk", pd.concat([rows, predictions], ignore_index=True))
    found = _failed(built, "predictions/brisk", "out_of_sample")
    breaches = found.metadata["scores_on_training_rows"].value
    assert list(breaches) == ["high_020_4_lgbm"]
    assert breaches["high_020_4_lgbm"].startswith("3 rows")


def test_the_final_models_score_in_place_of_a_walk_forward_one_is_found(built, in_sample):
    """The final model was trained on the rows of the walk-forward windows."""
    predictions = built.frame("predictions/brisk").merge(in_sample, on="timestamp", how="left")
    row = predictions.index[predictions["own"].notna()][5]
    assert predictions.loc[row, "own"] != predictions.loc[row, "high_020_4_lgbm"]
    predictions.loc[row, "high_020_4_lgbm"] = predictions.loc[row, "own"]
    built.rewrite("predictions/brisk", predictions.drop(columns="own"))
    _failed(built, "predictions/brisk", "out_of_sample")


def test_an_unknown_sample_is_found(built):
    predictions = built.frame("predictions/steady")
    predictions.loc[3, "sample"] = "in_sample"
    built.rewrite("predictions/steady", predictions)
    found = _failed(built, "predictions/steady", "out_of_sample")
    assert "in_sample" in found.metadata["samples"].value


def test_a_live_score_that_the_model_does_not_give_is_found(built):
    predictions = built.frame("predictions/steady")
    last = predictions.index[-1]
    predictions.loc[last, "high_020_4_logreg"] += 1e-9
    built.rewrite("predictions/steady", predictions)
    found = _failed(built, "predictions/steady", "serve_parity")
    assert found.metadata["scores_that_differ"].value == {"high_020_4_logreg": 1}


def test_scores_that_lag_behind_the_features_are_compared_where_both_are(built):
    """Features were materialized alone: what is scored is still right."""
    built.at(NOW + timedelta(hours=2)).run_well(assets=["raw/klines", "processed/data", "processed/features"])
    assert built.check("predictions/brisk", "serve_parity").passed
