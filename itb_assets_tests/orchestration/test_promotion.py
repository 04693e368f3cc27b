"""A model that is trained takes the place of the one in use unless it is worse, and says so either way."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pandas as pd
import pytest
from pipeline_making import NOW, WOLF, Pipeline, open_pipeline, pages, problems
from quick_strategies import brisk, steady

from itb_assets.observability.logs import configure_logging
from itb_assets.orchestration.model_versions import promote, roll_back
from itb_assets.orchestration.models import load_model, needs_training, train
from itb_assets.orchestration.platform import ModelName
from itb_assets.orchestration.promotion import decide, keep_model

NAME = ModelName("brisk", "lgbm", "low_020_4")
MODEL = "/".join(NAME.key)
WINDOWS = {"folds": 4, "window_rows": 700, "min_train_rows": 300}
"""Long enough for the test to tell models apart."""

OVERFITTED = [
    {
        "name": "lgbm",
        "algo": "lgbm",
        "train": {
            "n_estimators": 150,
            "num_leaves": 63,
            "learning_rate": 0.6,
            "min_child_samples": 2,
            "feature_fraction": 0.1,
        },
    }
]


@pytest.fixture(scope="module")
def long_root(tmp_path_factory) -> Path:
    """Return a data root of sixteen days with one strategy; to be copied."""
    root = tmp_path_factory.mktemp("long") / "data"
    with open_pipeline(root, brisk(walk_forward=WINDOWS), start=NOW - timedelta(days=16)) as pipeline:
        pipeline.run_well()
    return root


@pytest.fixture
def long(long_root, tmp_path) -> Iterator[Pipeline]:
    """Return a pipeline on a copy of it."""
    shutil.copytree(long_root, tmp_path / "data")
    with open_pipeline(tmp_path / "data", brisk(walk_forward=WINDOWS)) as pipeline:
        yield pipeline


def worse(pipeline: Pipeline) -> Pipeline:
    """Ask for trees that learn the noise by heart."""
    return pipeline.with_strategies(brisk(walk_forward=WINDOWS, algorithms=OVERFITTED))


def states(pipeline: Pipeline, name: ModelName = NAME) -> list[str]:
    return [item.state for item in pipeline.platform.registry.versions(name.at(WOLF))]


def last_promotion(pipeline: Pipeline, name: ModelName = NAME) -> str:
    events = pipeline.platform.registry.events(name.at(WOLF))
    return [event for event in events if event.kind == "promoted"][-1].reason


def predictions(pipeline: Pipeline, variant: str = "brisk") -> bytes:
    return pipeline.platform.frame_path(WOLF, f"predictions/{variant}").read_bytes()


def scored(pipeline: Pipeline) -> pd.Series:
    """Return the stored scores of the model."""
    return pipeline.frame("predictions/brisk").set_index("timestamp")[NAME.score]


def test_the_first_model_is_used(built):
    for name in built.platform.model_names():
        (only,) = built.platform.registry.versions(name.at(WOLF))
        assert (only.number, only.state, only.error) == (1, "promoted", "")
        assert only.metadata["comparison"]["verdict"] == "first"
        assert only.metadata["run_id"]


def test_trained_twice_on_the_same_data_predictions_are_the_same_bytes(built, fresh):
    """In the same data root, where nothing is written again, and in another one."""
    before = {variant: predictions(built, variant) for variant in ("brisk", "steady")}
    versions = {variant: built.manifest(f"predictions/{variant}").version for variant in before}
    built.run_well(retrain=True)
    fresh.run_well()
    for variant, content in before.items():
        assert predictions(built, variant) == predictions(fresh, variant) == content
        assert built.manifest(f"predictions/{variant}").version == versions[variant]
    for name in built.platform.model_names():
        assert states(built, name) == ["previous", "promoted"]
        ours, theirs = (
            platform.layout.promoted_dir(name.at(WOLF)) for platform in (built.platform, fresh.platform)
        )
        assert (ours / "model.pkl").read_bytes() == (theirs / "model.pkl").read_bytes()
        assert (ours / "scores.parquet").read_bytes() == (theirs / "scores.parquet").read_bytes()


def test_a_worse_model_is_kept_and_not_used(long):
    """It is a candidate; page, log and check say so with the numbers; its scores reach nothing."""
    lines: list[str] = []
    before = scored(long)
    configure_logging("INFO", sink=lines.append, as_json=True)
    try:
        result = worse(long).run_well()
    finally:
        configure_logging("ERROR")
    assert states(long) == ["promoted", "candidate"]
    assert scored(long).equals(before)
    page = pages(result)[MODEL]
    assert page["version"] == 2
    assert page["in_use"].startswith("version 1, not this one: worse than version 1: log loss 1.")
    assert f"itb models promote {WOLF.symbol}/5m/brisk/lgbm/low_020_4 2 --reason" in page["in_use"]
    assert page["path"].endswith("0002")
    told = [json.loads(line) for line in lines if "not promoted" in line and MODEL in line]
    assert [(line["level"], line["asset"], line["in_use"]) for line in told] == [("WARNING", MODEL, 1)]
    recorded = [entry.user_message for entry in long.instance.all_logs(result.run_id)]
    assert any(
        message.startswith("model not promoted version=2 in_use=1 reason=worse") for message in recorded
    )
    (check,) = [
        item
        for item in result.get_asset_check_evaluations()
        if (item.check_name, "/".join(item.asset_key.path)) == ("promoted", MODEL)
    ]
    assert not check.passed
    assert check.severity.value == "WARN"
    numbers = {key: entry.value for key, entry in check.metadata.items()}
    assert numbers["log_loss_candidate"] > numbers["log_loss_promoted"]
    assert numbers["p_worse"] < 0.05
    assert "itb models promote" in numbers["kept_back"]


def test_a_model_kept_back_is_not_trained_again_at_every_run(long):
    changed = worse(long)
    changed.run_well()
    assert not needs_training(changed.platform, WOLF, NAME)
    result = changed.at(NOW + timedelta(minutes=15)).run_well()
    assert MODEL not in pages(result)
    assert states(long) == ["promoted", "candidate"]
    assert not needs_training(long.platform, WOLF, NAME), "the definition before is that of the model in use"


def test_a_person_may_use_it_all_the_same_and_go_back(long):
    """Predictions follow with the next run, and are those of the version in use."""
    before = scored(long)
    changed = worse(long)
    changed.run_well()
    address = NAME.at(WOLF)
    promote(changed.platform, address, 2, reason="to see", by="ana")
    outdated = changed.check("predictions/brisk", "out_of_sample")
    assert (outdated.passed, outdated.severity.value) == (False, "WARN")
    assert "not in use any more" in outdated.metadata["found"].value
    changed.run_well()
    assert changed.check("predictions/brisk", "out_of_sample").passed
    assert not scored(changed).equals(before)
    score = scored(changed)
    tested = load_model(changed.platform, WOLF, NAME).scores.set_index("timestamp")["score"]
    assert (score.loc[tested.index] == tested).all()
    assert changed.check(MODEL, "promoted").passed
    roll_back(changed.platform, address, reason="seen", by="ana")
    changed.run_well()
    assert scored(changed).equals(before)


def test_another_definition_is_used_at_once_however_good(long):
    """Its results answer another question: they are not compared."""
    features = ["close_SMA_3", "close_RSI_14"]
    changed = long.with_strategies(
        brisk(walk_forward=WINDOWS, algorithms=OVERFITTED, train_features=features)
    )
    changed.run_well()
    assert states(long) == ["previous", "promoted"]
    reason = last_promotion(long)
    assert reason.startswith("another definition than version 1: features removed: close_SMA_6, spread_pct_3")
    assert changed.check(MODEL, "promoted").passed


def test_a_label_that_changed_is_not_compared(built):
    used = built.platform.registry.load_version(NAME.at(WOLF), 1)
    other = dict(used.metadata) | {"label_definition": "another"}
    decision = decide(used, 1, other, used.scores())
    assert decision.promote
    assert decision.reason == "another definition than version 1: the label; not compared"


def test_outcomes_that_changed_are_not_compared(long):
    """Klines were repaired: the rows no longer say the same."""
    used = long.platform.registry.load_version(NAME.at(WOLF), 1)
    scores = used.scores()
    decision = decide(used, 1, used.metadata, scores.assign(outcome=~scores["outcome"]))
    assert decision.promote
    assert decision.verdict == "not comparable"
    assert "outcomes differ" in decision.reason


def test_too_few_common_rows_do_not_hold_a_model_back(built):
    built.run_well(retrain=True)
    assert last_promotion(built).startswith("too few rows, or too dependent ones, to tell from version 1: ")


def test_a_model_in_use_that_is_refused_is_replaced(built):
    folder = built.platform.layout.promoted_dir(NAME.at(WOLF))
    content = (folder / "metrics.json").read_bytes()
    (folder / "metrics.json").unlink()
    (folder / "metrics.json").write_bytes(content[:-9])
    assert not needs_training(built.platform, WOLF, NAME), "training again is a person's choice"
    built.run_well(retrain=True)
    assert last_promotion(built).startswith("the model before is refused: ")
    assert load_model(built.platform, WOLF, NAME).stored.metadata["version"] == 2


def test_predictions_ask_for_the_features_of_the_model_in_use_in_its_own_order(built):
    """The strategy now lists them the other way round; what is used was trained before that."""
    before = predictions(built)
    features = ["spread_pct_6", "spread_pct_3", "close_RSI_14", "close_SMA_6", "close_SMA_3"]
    built.platform.frame_path(WOLF, "predictions/brisk").unlink()
    changed = built.with_strategies(brisk(train_features=features), steady())
    changed.run_well(assets=["predictions/brisk"])
    assert predictions(changed) == before


def test_features_that_are_no_longer_computed_are_named(built):
    """The version rolled back to needs one that the strategy has dropped since."""
    dropped = {
        "feature_sets": [{"generator": "spread", "config": {"windows": [3, 6]}}],
        "train_features": ["spread_pct_3", "spread_pct_6"],
    }
    changed = built.with_strategies(brisk(**dropped), steady())
    changed.run_well()
    roll_back(changed.platform, NAME.at(WOLF), reason="a mistake", by="ana")
    result = changed.run()
    assert set(problems(result)) == {"predictions__brisk"}
    said = problems(result)["predictions__brisk"]
    for name in ("close_SMA_6", "close_RSI_14"):
        assert f"feature {name!r} is missing from the rows" in said
    assert "close_SMA_3" not in said.split("expected exactly")[0], "it is still computed for another strategy"


def test_a_version_is_kept_by_the_run_that_made_it(built):
    """The numbers of the test lie in its metadata, and the model before is still whole."""
    stored = built.platform.stored(WOLF, "labeled/matrix")
    update = train(built.platform, WOLF, NAME, stored)
    kept = keep_model(built.platform, WOLF, replace(update), run_id="r1")
    assert kept.promoted
    metadata = kept.version.metadata
    assert (metadata["version"], metadata["run_id"]) == (2, "r1")
    assert metadata["comparison"]["compared_with"] == 1
    assert built.platform.registry.load_version(NAME.at(WOLF), 1).metrics["overall"]
