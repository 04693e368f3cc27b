"""Runs that go on from what is stored give what one run over everything gives, and touch nothing else."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pandas as pd
import pytest
from pipeline_making import ASSETS, NOW, START, WOLF, Pipeline, open_pipeline, pages
from quick_strategies import brisk, steady

from itb_assets.domain.lookahead import compare_features
from itb_assets.orchestration.models import load_model
from itb_assets.orchestration.platform import ModelName

CANDLE = timedelta(minutes=5)
MATRIX = ASSETS[:4]
"""Klines to matrix: all that needs no model."""
COMPARED = [asset for asset in ASSETS if not asset.startswith("drift")]
"""What does not depend on when it was made: a look for drift is taken on a day or not at all."""
OUTAGE = datetime(2024, 5, 17, 13, tzinfo=UTC)
"""The invented exchange is gone from then until three hours later."""
pytestmark = pytest.mark.usefixtures("blank_pictures")


def frames(pipeline: Pipeline, assets: Sequence[str] = COMPARED) -> dict[str, pd.DataFrame]:
    """Return what is stored, by asset."""
    return {asset: pipeline.frame(asset) for asset in assets}


def assert_same(found: Pipeline, expected: dict[str, pd.DataFrame]) -> None:
    """Compare stored frames: features, and what is made of them, to within rounding; the rest exactly."""
    for asset, right in expected.items():
        left = found.frame(asset)
        features = [name for name in found.platform.features.names if name in right]
        if features:
            assert list(left["timestamp"]) == list(right["timestamp"]), asset
            assert compare_features(features, right, left, last_rows=len(right)) == [], asset
        scored = asset.startswith(("predictions", "signals", "trades", "performance"))
        tolerance = {"rtol": 1e-9, "atol": 1e-12} if scored else {"check_exact": True}
        pd.testing.assert_frame_equal(
            left.drop(columns=features), right.drop(columns=features), obj=asset, **tolerance
        )


@pytest.mark.parametrize(
    ("start", "times"),
    [
        (START, [NOW, NOW + CANDLE, NOW + 8 * CANDLE, NOW + 21 * CANDLE]),
        (OUTAGE - timedelta(days=4), [OUTAGE + 12 * CANDLE, OUTAGE + 35 * CANDLE, OUTAGE + 38 * CANDLE]),
        (OUTAGE - timedelta(days=4), [OUTAGE + 55 * CANDLE, OUTAGE + 56 * CANDLE, OUTAGE + 64 * CANDLE]),
    ],
    ids=["without a gap", "begun inside an outage", "trained just after an outage"],
)
def test_step_by_step_equals_all_at_once(tmp_path, start, times):
    """Both score with the same models; the last step computes a window, not the history."""
    late = timedelta(seconds=30)
    with (
        open_pipeline(tmp_path / "steps", start=start) as steps,
        open_pipeline(tmp_path / "whole", start=start, now=times[-1] + late) as whole,
    ):
        for time in times:
            last = pages(steps.at(time + late).run_well())
        shutil.copytree(steps.root / "models", whole.root / "models")
        first = pages(whole.run_well())
        assert set(first) == set(ASSETS), "no model is to be trained here"
        assert_same(steps, frames(whole))
        for asset in ("processed/data", "processed/features", "labeled/matrix", *ASSETS[4:8]):
            assert 0 < last[asset]["rows_computed"] < 60
        assert first["processed/features"]["rows_computed"] > 1000


def test_nothing_new_changes_nothing_and_every_asset_is_materialized_still(built):
    def state() -> dict[str, tuple[int, int, int]]:
        paths = [path for path in built.root.rglob("*") if path.is_file() and ".itb" not in path.parts]
        kept = [path for path in paths if path.name != "gaps.json"]
        return {
            str(path): (path.stat().st_mtime_ns, path.stat().st_ino, path.stat().st_size) for path in kept
        }

    before, versions = state(), {asset: built.manifest(asset).version for asset in ASSETS}
    made = pages(built.run_well())
    assert set(made) == set(ASSETS)
    assert all(page["rows_new"] == 0 and page["rows_computed"] == 0 for page in made.values())
    assert state() == before
    assert {asset: built.manifest(asset).version for asset in ASSETS} == versions
    assert made["raw/klines"]["dagster/row_count"] == 1152


@pytest.mark.parametrize(
    ("row", "trained_again"),
    [(-8, []), (-8, ["models/steady/logreg/high_020_4"]), (700, [])],
    ids=["scored live", "live to one model and tested to another", "trained on"],
)
def test_a_late_kline_changes_what_depends_on_it_and_nothing_before(built, row, trained_again):
    """A kline the exchange owed comes in: the gap closes and all is as if it had never been."""
    built.at(NOW + 20 * CANDLE).run_well(assets=[*ASSETS, *trained_again])
    whole = frames(built)
    klines = whole["raw/klines"]
    time = klines["timestamp"].iloc[row]
    built.rewrite("raw/klines", klines.drop(klines.index[row]).reset_index(drop=True))
    result = built.run_well()
    assert not _check(result, "gaps").passed
    assert pages(result)["raw/klines"]["gaps"] == 1
    lacking = frames(built)
    empty = lacking["processed/data"]["timestamp"] == time
    assert lacking["processed/data"].loc[empty].drop(columns="timestamp").isna().all(axis=None)

    repaired = built.run_well(config={"repair_gaps": True})
    assert _check(repaired, "gaps").passed
    assert pages(repaired)["raw/klines"]["rows_new"] == 1
    assert_same(built, whole)
    horizon = built.platform.labels.horizon_rows
    assert horizon == 20
    for asset, reach in {"processed/data": 0, "processed/features": 0, "labeled/matrix": horizon}.items():
        assert _first_change(lacking[asset], built.frame(asset)) == time - reach * CANDLE
        assert built.manifest(asset).changes[-1].changed_from == time - reach * CANDLE


def _check(result, name):
    (found,) = (check for check in result.get_asset_check_evaluations() if check.check_name == name)
    return found


def _first_change(before: pd.DataFrame, after: pd.DataFrame) -> pd.Timestamp:
    """Return the earliest time whose row is not the same in both."""
    rows = [frame.set_index("timestamp").astype(object) for frame in (before, after)]
    left, right = rows[0].align(rows[1], join="outer")
    same = (left == right) | (left.isna() & right.isna())
    return same.index[~same.all(axis=1).to_numpy(dtype=bool)][0]


def test_the_newest_klines_are_asked_for_again_without_being_told(built):
    """The exchange's last word wins, whether it revised a kline or owed one."""
    whole = frames(built)
    klines = whole["raw/klines"].copy()
    klines.loc[len(klines) - 3, "volume"] += 1.0
    built.rewrite("raw/klines", klines.drop(len(klines) - 5).reset_index(drop=True))
    page = pages(built.run_well())["raw/klines"]
    assert (page["rows_new"], page["rows_changed"]) == (1, 1)
    assert_same(built, whole)


def test_history_may_grow_backwards(tmp_path):
    with (
        open_pipeline(tmp_path / "grown", start=START + timedelta(days=1)) as grown,
        open_pipeline(tmp_path / "whole") as whole,
    ):
        grown.run_well(assets=MATRIX)
        grown.run_well(assets=MATRIX, config={"start": START.isoformat()})
        whole.run_well(assets=MATRIX)
        assert_same(grown, frames(whole, MATRIX))


def test_a_changed_feature_is_computed_anew_from_the_first_row(built, tmp_path):
    wider = brisk(
        feature_sets=[
            {
                "generator": "talib",
                "config": {"columns": ["close"], "functions": ["SMA"], "windows": [3, 6, 9]},
            },
            {"generator": "talib", "config": {"columns": ["close"], "functions": ["RSI"], "windows": [14]}},
            {"generator": "spread", "config": {"windows": [3, 6]}},
        ]
    )
    changed = built.with_strategies(wider, steady())
    made = pages(changed.run_well())
    for asset in ("processed/features", "labeled/matrix"):
        assert made[asset]["rows_computed"] == 1152
    assert made["processed/data"]["rows_computed"] == 0
    with open_pipeline(tmp_path / "new", wider, steady()) as new:
        new.run_well(assets=MATRIX)
        assert_same(changed, frames(new, MATRIX))


def test_a_changed_signal_rule_leaves_scores_alone(built):
    version = built.manifest("predictions/brisk").version
    rule = {
        "generator": "combine",
        "config": {
            "columns": ["high_020_4_lgbm", "low_020_4_lgbm"],
            "names": "score_brisk",
            "combine": "relative",
        },
    }
    changed = built.with_strategies(brisk(signal_sets=[rule]), steady())
    made = pages(changed.run_well())
    assert made["predictions/brisk"]["rows_computed"] == 0
    assert made["signals/steady"]["rows_computed"] == 0
    assert made["signals/brisk"]["rows_computed"] == built.manifest("predictions/brisk").rows
    assert list(changed.frame("signals/brisk")) == ["timestamp", "close", "sample", "score_brisk"]
    assert built.manifest("predictions/brisk").version == version


def test_a_model_trained_again_replaces_every_score_of_the_old_one(built):
    """Walk-forward windows move on with the data; scores of the model before are nowhere left."""
    before = built.frame("predictions/steady")
    built.at(NOW + timedelta(hours=6)).run_well(retrain=True)
    after = built.frame("predictions/steady")
    assert after["timestamp"].iloc[0] > before["timestamp"].iloc[0]
    tested = after[after["sample"] == "out_of_sample"]
    assert tested["timestamp"].iloc[-1] > before["timestamp"].iloc[-1]
    for label in ("high_020_4", "low_020_12"):
        model = load_model(built.platform, WOLF, ModelName("steady", "logreg", label))
        scores = model.scores.set_index("timestamp")["score"]
        stored = after.set_index("timestamp")[f"{label}_logreg"]
        assert (stored.loc[scores.index] == scores).all()


def test_other_walk_forward_windows_reach_the_predictions_although_the_model_is_the_same(built):
    """The final fit does not depend on the windows: only its scores file tells the two apart."""
    folder = built.platform.layout.model_dir(WOLF, "steady", "logreg", "low_020_12")
    model = (folder / "model.pkl").read_bytes()
    before = built.frame("predictions/steady")
    windows = {"folds": 3, "window_rows": 100, "min_train_rows": 300}
    changed = built.with_strategies(brisk(), steady(walk_forward=windows))
    changed.run_well()
    assert (folder / "model.pkl").read_bytes() == model
    assert len(changed.frame("predictions/steady")) == len(before) + 100


def test_scores_side_by_side_keep_what_each_model_knows(built):
    """Of two models of a variant one is trained again later; no row loses a score, none is doubled."""
    built.at(NOW + 20 * CANDLE).run_well(assets=[*ASSETS, "models/steady/logreg/high_020_4"])
    frame = built.frame("predictions/steady")
    assert frame["timestamp"].is_monotonic_increasing
    assert frame["timestamp"].is_unique
    last = built.manifest("processed/features").last
    ends = {}
    for label in ("high_020_4", "low_020_12"):
        model = load_model(built.platform, WOLF, ModelName("steady", "logreg", label))
        tested = list(model.scores["timestamp"])
        live = list(pd.date_range(model.live_start, last, freq="5min"))
        assert list(frame.loc[frame[f"{label}_logreg"].notna(), "timestamp"]) == tested + live
        assert model.train_end <= tested[-1] + CANDLE < live[0] + CANDLE
        ends[label] = tested[-1]
    assert ends["high_020_4"] - ends["low_020_12"] == (20 + 8) * CANDLE
    tested = frame["timestamp"] <= ends["high_020_4"]
    found = frame["sample"] == tested.map({True: "out_of_sample", False: "live"})
    between = frame["timestamp"].between(ends["low_020_12"] + CANDLE, ends["high_020_4"])
    assert found.all()
    assert frame.loc[between, ["high_020_4_logreg", "low_020_12_logreg"]].notna().all(axis=1).sum() > 10
