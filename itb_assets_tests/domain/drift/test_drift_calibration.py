"""Calibration: numbers that other libraries confirm, alarms that chance does not cause, no other samples."""

from __future__ import annotations

import json

import numpy as np
import pytest
from drift_making import forecasts, true_forecasts
from scipy.stats import t as students_t
from scipy.stats import ttest_ind
from sklearn.metrics import brier_score_loss

from itb_assets.domain.drift import CalibrationSummary, Forecasts, evaluate_calibration, summarise_calibration
from itb_assets.errors import DataContractError, InputError

BLOCK = 100


def summary(rows=3000, seed=0, **how):
    return summarise_calibration(true_forecasts(rows, seed=seed, **how), block_rows=BLOCK)


def look(live, reference=None):
    brier, gap = evaluate_calibration("high", live, reference or summary())
    assert (brier.metric, gap.metric) == ("brier:high", "calibration_gap:high")
    return brier, gap


def test_the_brier_score_is_the_usual_one():
    rows = true_forecasts(2050)
    found = summarise_calibration(rows, block_rows=BLOCK)
    assert found.brier.mean == pytest.approx(brier_score_loss(rows.label, rows.score))
    assert found.gap.mean == pytest.approx(rows.score.mean() - rows.label.mean())
    assert (found.n, found.blocks, found.base_rate) == (2050, 20, rows.label.mean())


def test_a_torn_block_joins_the_last_whole_one():
    rows = forecasts([0.0] * 7, [False, False, True, True, False, True, True], "out_of_sample")
    found = summarise_calibration(rows, block_rows=2).brier
    assert found.mean == 4 / 7
    assert found.standard_error == pytest.approx(np.std([0, 1, 2 / 3], ddof=1) / np.sqrt(3))


def test_the_threshold_is_welchs():
    """On whole blocks the verdict is that of Welch's t-test of the block means."""
    before, live = true_forecasts(3000), true_forecasts(1500, seed=1, sample="live", overstated=0.05)
    brier, gap = look(live, summarise_calibration(before, block_rows=BLOCK))
    for measure, found, losses in (
        ("brier", brier, lambda rows: (rows.score - rows.label) ** 2),
        ("gap", gap, lambda rows: rows.score - rows.label),
    ):
        means = [losses(rows).reshape(-1, BLOCK).mean(axis=1) for rows in (before, live)]
        test = ttest_ind(*means[::-1], equal_var=False)
        tail = 0.003 if measure == "brier" else 0.0015
        error = (means[1].mean() - means[0].mean()) / test.statistic
        margin = students_t.ppf(1 - tail, test.df) * error
        base = means[0].mean() if measure == "brier" else 0.0
        assert found.threshold == pytest.approx(base + margin)


def test_as_calibrated_as_before_is_ok():
    brier, gap = look(true_forecasts(3000, seed=2, sample="live"))
    assert {brier.verdict, gap.verdict} == {"ok"}
    assert brier.n == gap.n == 3000
    assert "of 3,000 live rows came true" in brier.detail


@pytest.mark.parametrize("overstated", [0.1, -0.1])
def test_probabilities_too_high_or_too_low_warn_by_the_gap(overstated):
    _, gap = look(true_forecasts(3000, seed=3, sample="live", overstated=overstated))
    assert gap.verdict == "warning"
    assert gap.value > gap.threshold
    assert gap.value == pytest.approx(0.1, abs=0.03)


def test_scores_that_say_nothing_any_more_warn_by_the_brier_score():
    """Turned around, the scores have the same mean: no gap, but each is wrong."""
    rng = np.random.default_rng(4)
    chance = rng.uniform(0.1, 0.9, 3000)
    reference = summarise_calibration(
        forecasts(chance, rng.random(3000) < chance, "out_of_sample"), block_rows=BLOCK
    )
    brier, gap = look(forecasts(chance, rng.random(3000) < 1 - chance), reference)
    assert (brier.verdict, gap.verdict) == ("warning", "ok")
    better, _ = look(forecasts(np.round(chance), np.round(chance) == 1), reference)
    assert (better.verdict, better.value) == ("ok", 0.0)


def test_chance_alone_hardly_ever_warns():
    """300 looks at rows of the same kind: 3 in 1,000 each by design."""
    alarms = [
        [one.alarms for one in look(true_forecasts(1000, seed=seed, sample="live"), summary(seed=seed + 500))]
        for seed in range(300)
    ]
    assert np.mean(alarms, axis=0).max() <= 0.02


@pytest.mark.parametrize(
    ("live_rows", "reference_rows", "told"),
    [
        (999, 3000, "live has 999 rows in 9 blocks of 100; both need 500 rows and 10 blocks"),
        (0, 3000, "live has 0 rows in 0 blocks"),
        (3000, 950, "the reference has 950 rows in 9 blocks"),
        (50, 0, "the reference has 0 rows in 0 blocks of 100 and live has 50 rows"),
    ],
)
def test_few_rows_are_insufficient_data(live_rows, reference_rows, told):
    for one in look(true_forecasts(live_rows, sample="live"), summary(reference_rows)):
        assert one.verdict == "insufficient data"
        assert one.n == live_rows
        assert told in one.detail


def test_many_blocks_of_few_rows_are_insufficient_data():
    reference = summarise_calibration(true_forecasts(3000), block_rows=10)
    brier, _ = look(true_forecasts(499, sample="live"), reference)
    assert brier.verdict == "insufficient data"
    assert brier.value is not None


def test_rows_that_never_vary_are_held_to_it():
    sure = forecasts(np.ones(1000), np.ones(1000), "out_of_sample")
    reference = summarise_calibration(sure, block_rows=BLOCK)
    assert look(forecasts(np.ones(1000), np.ones(1000)), reference)[0].verdict == "ok"
    assert look(forecasts(np.ones(1000), np.arange(1000) % 2 == 0), reference)[0].verdict == "warning"
    assert look(forecasts(np.full(1000, 0.9), np.ones(1000)), reference)[0].verdict == "warning"


def test_a_summary_is_read_back_from_json():
    for rows in (0, 150, 3000):
        found = summary(rows)
        assert CalibrationSummary.from_dict(json.loads(json.dumps(found.as_dict()))) == found
    assert summary(150).brier is None


@pytest.mark.parametrize("stored", [{}, {"brier": 3, "gap": None}, {"brier": {"mean": 1}, "gap": None}])
def test_a_torn_summary_is_refused(stored):
    with pytest.raises(DataContractError, match="not a stored summary of calibration"):
        CalibrationSummary.from_dict(stored)


def test_only_live_rows_are_looked_at():
    with pytest.raises(DataContractError, match="the rows of high are out_of_sample: expected live"):
        look(true_forecasts(1000))
    with pytest.raises(DataContractError, match="1000 of 1000 rows are in_sample"):
        true_forecasts(1000, sample="in_sample")


def test_rows_that_are_no_forecasts_are_refused():
    live = np.asarray(["live"] * 2, dtype=object)
    with pytest.raises(DataContractError, match="2 scores, 1 labels and 2 samples"):
        Forecasts(np.asarray([0.1, 0.2]), np.asarray([True]), live)
    for wrong in (np.nan, 1.2, -0.1):
        with pytest.raises(DataContractError, match="1 scores are NaN or outside 0 to 1"):
            Forecasts(np.asarray([0.1, wrong]), np.asarray([True, False]), live)
    mixed = np.asarray(["live", "out_of_sample"], dtype=object)
    with pytest.raises(DataContractError, match="samples are mixed"):
        Forecasts(np.asarray([0.1, 0.2]), np.asarray([True, False]), mixed)
    with pytest.raises(InputError, match="block_rows = 0"):
        summarise_calibration(true_forecasts(10), block_rows=0)
