"""Models beside each other: on common rows, each against its own outcomes, the best first."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from evaluation_making import scored_frame, two_models
from sklearn.metrics import average_precision_score, brier_score_loss, log_loss, roc_auc_score

from itb_assets.domain.evaluation.leaderboard import LEADERBOARD_COLUMNS, compare_many
from itb_assets.errors import DataContractError


def four_models(n=4000):
    """Return a good, a middling and a worthless model of one label, and one of another label."""
    good, bad = two_models(0, n, noise=(0.2, 1.5))
    rng = np.random.default_rng(1)
    worthless = good.assign(score=rng.uniform(size=n))
    rare = rng.uniform(size=n) < 0.05
    other = scored_frame(0.1 + 0.2 * rare + 0.3 * rng.uniform(size=n), rare)
    return {"bad": bad, "worthless": worthless, "good": good, "other label": other}


def test_the_best_comes_first():
    table = compare_many(four_models())
    assert list(table.columns) == list(LEADERBOARD_COLUMNS)
    assert table["model"].tolist() == ["other label", "good", "bad", "worthless"]
    assert table["rank"].tolist() == [1, 2, 3, 4]
    assert table["auc"].is_monotonic_decreasing
    assert (table["auc_low"] < table["auc"]).all()
    assert (table["auc"] < table["auc_high"]).all()
    assert table["behind_best"].iloc[0] == 0
    assert table["p_behind"].iloc[0] == 1
    assert (table["p_behind"].iloc[1:] < 0.01).all()
    worthless = table.set_index("model").loc["worthless"]
    assert worthless["auc_low"] < 0.5 < worthless["auc_high"]
    assert worthless["log_loss_skill"] < 0 < table.set_index("model").loc["good", "log_loss_skill"]


def test_the_numbers_are_those_of_rows_common_to_all():
    frames = four_models()
    frames["bad"] = frames["bad"].iloc[1000:]
    frames["good"] = frames["good"].iloc[:3000].sample(frac=1, random_state=0)
    table = compare_many(frames).set_index("model")
    assert (table["rows"] == 2000).all()
    for name, frame in frames.items():
        rows = (
            frame.sort_values("timestamp")
            .set_index("timestamp")
            .loc[frames["bad"]["timestamp"].iloc[0] : frames["worthless"]["timestamp"].iloc[2999]]
        )
        label, told = rows["outcome"].to_numpy(bool), table.loc[name]
        assert told["positives"] == label.sum()
        assert told["base_rate"] == label.mean()
        assert told["auc"] == pytest.approx(roc_auc_score(label, rows["score"]))
        assert told["average_precision"] == pytest.approx(average_precision_score(label, rows["score"]))
        assert told["log_loss"] == pytest.approx(log_loss(label, rows["score"]))
        assert told["brier"] == pytest.approx(brier_score_loss(label, rows["score"]))
        base = log_loss(label, np.full(len(label), label.mean()))
        assert told["log_loss_skill"] == pytest.approx(1 - told["log_loss"] / base)


def short():
    return {name: frame.iloc[:300] for name, frame in four_models().items()}


def long_memory():
    return dict(zip("ab", two_models(0, 600, memory=0.99), strict=True))


@pytest.mark.parametrize("little", [short, long_memory])
def test_little_data_is_shown_and_not_ranked(little):
    frames = little()
    table = compare_many(frames)
    assert table["model"].tolist() == list(frames)
    assert table[["rank", "auc_low", "auc_high", "behind_best", "p_behind"]].isna().all(axis=None)
    assert table["auc"].notna().all()


def test_one_model_stands_alone_and_one_class_has_no_auc():
    good = four_models()["good"]
    assert compare_many({"good": good})["rank"].tolist() == [1]
    table = compare_many({"good": good.assign(outcome=pd.array([False] * len(good), dtype="boolean"))})
    assert table[["rank", "auc", "average_precision", "log_loss_skill"]].isna().all(axis=None)
    assert compare_many({"good": good.iloc[:0]})["rows"].tolist() == [0]


def test_equal_models_are_not_told_apart():
    table = compare_many(dict(zip("ab", two_models(3, 4000), strict=True)))
    assert table["p_behind"].iloc[1] > 0.05


def test_rows_that_must_not_be_measured_are_refused_by_name():
    frames = four_models()
    frames["bad"] = frames["bad"].assign(sample="in_sample")
    with pytest.raises(
        DataContractError, match="bad: rows cannot be measured: 4000 of 4000 rows are in_sample"
    ):
        compare_many(frames)


def test_models_without_a_common_row_are_refused():
    frames = four_models()
    frames["bad"] = frames["bad"].assign(timestamp=frames["bad"]["timestamp"] + pd.Timedelta(days=99))
    with pytest.raises(DataContractError, match="no timestamp was scored by all of bad, worthless"):
        compare_many(frames)
    with pytest.raises(DataContractError, match="no model to compare"):
        compare_many({})
