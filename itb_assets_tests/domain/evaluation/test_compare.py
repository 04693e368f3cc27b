"""One model against another: worse when it is, rarely when it is not, never on rows nobody may measure."""

from __future__ import annotations

import json
import time
from collections import Counter

import numpy as np
import pandas as pd
import pytest
from evaluation_making import scored_frame, two_models
from sklearn.metrics import log_loss, roc_auc_score

from itb_assets.domain.evaluation.compare import compare_scores
from itb_assets.errors import DataContractError


def verdicts(noise, *, n=4000, runs=60):
    return Counter(compare_scores(*two_models(seed, n, noise=noise)).verdict for seed in range(runs))


def test_of_equal_models_the_candidate_is_rarely_called_worse():
    """About once in twenty, as stated, though scores and outcomes remember their past."""
    told = verdicts((0.4, 0.4), runs=200)
    assert told["worse"] / 200 <= 0.08
    assert told["better"] / 200 <= 0.08
    assert told["insufficient data"] == 0


def test_a_worse_candidate_is_called_worse_and_a_better_one_better():
    assert verdicts((0.3, 0.9))["worse"] >= 55
    assert verdicts((0.9, 0.3))["better"] >= 55


def test_the_numbers_are_those_of_common_rows():
    promoted, candidate = two_models(0, 3000)
    told = compare_scores(promoted.iloc[:2500], candidate.iloc[500:].sample(frac=1, random_state=0))
    rows = slice(500, 2500)
    label = promoted["outcome"][rows].to_numpy(bool)
    ours, theirs = promoted["score"][rows], candidate["score"][rows]
    assert (told.rows, told.positives) == (2000, label.sum())
    assert told.log_loss_promoted == pytest.approx(log_loss(label, ours))
    assert told.log_loss_candidate == pytest.approx(log_loss(label, theirs))
    assert told.log_loss_difference == pytest.approx(log_loss(label, theirs) - log_loss(label, ours))
    assert told.auc_promoted == pytest.approx(roc_auc_score(label, ours))
    assert told.auc_candidate == pytest.approx(roc_auc_score(label, theirs))
    assert told.log_loss_low < told.log_loss_difference < told.log_loss_high
    assert told.auc_low < told.auc_difference < told.auc_high
    assert told.p_worse + told.p_better == pytest.approx(1, abs=0.01)


def test_the_same_rows_give_the_same_comparison():
    pair = two_models(1, 2000)
    assert compare_scores(*pair) == compare_scores(*pair)
    assert json.loads(json.dumps(compare_scores(*pair).as_dict())) == compare_scores(*pair).as_dict()
    assert compare_scores(*pair).log_loss_low != compare_scores(*pair, seed=1).log_loss_low


def test_a_model_is_not_worse_than_itself():
    promoted, _ = two_models(2, 2000)
    told = compare_scores(promoted, promoted)
    assert told.verdict == "not worse"
    assert (told.log_loss_low, told.log_loss_high, told.auc_low, told.auc_high) == (0, 0, 0, 0)
    assert (told.p_worse, told.p_better) == (1, 1)


def few_rows():
    return [frame.iloc[:499] for frame in two_models(0, 600, memory=0)]


def few_positives():
    pair = two_models(0, 2000, memory=0)
    return [frame.assign(outcome=pd.array([True] * 19 + [False] * 1981, dtype="boolean")) for frame in pair]


def long_memory():
    return two_models(0, 600, memory=0.99)


def no_rows():
    promoted, candidate = two_models(0, 600)
    return [promoted, candidate.assign(timestamp=candidate["timestamp"] + pd.Timedelta(days=99))]


@pytest.mark.parametrize("pair", [few_rows, few_positives, long_memory, no_rows])
def test_little_data_gives_no_verdict(pair):
    told = compare_scores(*pair())
    assert told.verdict == "insufficient data"
    assert (told.log_loss_low, told.p_worse, told.auc_high, told.block_rows) == (None,) * 4


def test_fewer_rows_may_be_asked_for():
    assert compare_scores(*few_rows(), min_rows=400).verdict != "insufficient data"


def test_unknown_scores_and_outcomes_are_left_out():
    promoted, candidate = two_models(0, 1000)
    promoted.loc[:9, "score"] = np.nan
    candidate.loc[10:29, "outcome"] = pd.NA
    assert compare_scores(promoted, candidate).rows == 970


def test_each_model_keeps_its_sample():
    """A live model may be held against a candidate's walk-forward: neither saw the rows."""
    promoted, candidate = two_models(0, 1000)
    told = compare_scores(promoted.assign(sample="live"), candidate)
    assert (told.promoted_sample, told.candidate_sample) == ("live", "out_of_sample")


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"sample": "in_sample"}, "1000 of 1000 rows are in_sample"),
        ({"sample": ["live"] * 400 + ["out_of_sample"] * 600}, "samples are mixed"),
        ({"score": 1.5}, "1000 scores of candidate are outside 0 to 1"),
        ({"score": np.inf}, "1000 of 1000 scores of candidate are NaN or inf"),
        ({"timestamp": pd.Timestamp("2024-01-01", tz="UTC")}, "999 timestamps of candidate are there twice"),
        ({"outcome": True}, "outcomes differ between promoted and candidate"),
    ],
)
def test_rows_that_must_not_be_compared_are_refused(change, told):
    promoted, candidate = two_models(0, 1000)
    with pytest.raises(DataContractError, match=told):
        compare_scores(promoted, candidate.assign(**change))


def test_missing_columns_are_named():
    promoted, candidate = two_models(0, 1000)
    with pytest.raises(DataContractError, match="scores of promoted lack outcome, sample"):
        compare_scores(promoted.drop(columns=["outcome", "sample"]), candidate)


def test_inputs_are_not_changed():
    pair = two_models(0, 1000)
    copies = [frame.copy() for frame in pair]
    compare_scores(*pair)
    for frame, copy in zip(pair, copies, strict=True):
        pd.testing.assert_frame_equal(frame, copy)


def test_a_million_rows_are_compared_in_seconds():
    """The bound is several times what it takes."""
    rng = np.random.default_rng(0)
    outcome = rng.uniform(size=1_000_000) < 0.3
    pair = [scored_frame(rng.uniform(size=1_000_000), outcome) for _ in range(2)]
    began = time.process_time()
    compare_scores(*pair)
    assert time.process_time() - began < 6
