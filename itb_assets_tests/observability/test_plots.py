"""Every plot is a PNG of one size that shows its data, says so when there is none, and leaves no state."""

from __future__ import annotations

import io
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.image import imread

from itb_assets.observability.plot_data import calibrate, keep_extremes, run_starts
from itb_assets.observability.plots import (
    feature_importance,
    score_calibration,
    walk_forward_auc,
)

BLUE, VERMILION = (0, 0x72, 0xB2), (0xD5, 0x5E, 0)


def pixels(png: bytes) -> np.ndarray:
    """Return the picture as (height, width, rgb) of 0 to 255."""
    assert png.startswith(b"\x89PNG")
    return np.round(imread(io.BytesIO(png), format="png")[:, :, :3] * 255).astype(int)


def ink(png: bytes) -> int:
    """Count the pixels below the title that are neither white nor grid."""
    picture = pixels(png)
    assert picture.shape == (420, 900, 3)
    return int((picture[40:].min(axis=2) < 200).sum())


def painted(png: bytes, colour: tuple[int, int, int]) -> int:
    return int((np.abs(pixels(png) - colour).max(axis=2) < 40).sum())


def bars(png: bytes) -> int:
    """Count the blue bars that begin at the vertical axis."""
    column = np.abs(pixels(png)[:, 250] - BLUE).max(axis=1) < 8
    return int((np.diff(column.astype(int)) == 1).sum())


def prices(rows: int, *, start: str = "2025-02-01") -> pd.DataFrame:
    rng = np.random.default_rng(1)
    times = pd.date_range(start, periods=rows, freq="5min", tz="UTC")
    return pd.DataFrame({"timestamp": times, "close": 90_000 * np.exp(np.cumsum(rng.normal(0, 1e-3, rows)))})


def every(rows: int, step: int) -> np.ndarray:
    return np.arange(rows) % step == 0


def test_score_calibration_shows_and_leaves_out_what_is_unknown():
    rng = np.random.default_rng(2)
    score = pd.Series(rng.random(1000))
    outcome = pd.Series(rng.random(1000) < score, dtype="boolean")
    assert painted(score_calibration(score, outcome), BLUE) > 300
    more = pd.concat([score, pd.Series([np.nan, 0.9])], ignore_index=True)
    longer = pd.concat([outcome, pd.Series([True, None], dtype="boolean")], ignore_index=True)
    assert score_calibration(more, longer) == score_calibration(score, outcome)
    assert ink(score_calibration([0.5], [True])) > 300


def test_walk_forward_auc():
    few = walk_forward_auc([("2024-12-22", 0.77), ("2025-01-05", 0.44), ("x", float("nan"))], 0.6)
    assert painted(few, BLUE) > 100
    assert painted(few, VERMILION) > 300
    assert ink(walk_forward_auc([(str(k), 0.5 + k / 100) for k in range(40)], float("nan"))) > 1000


def test_feature_importance_draws_the_top_ones():
    names = [f"feature_{k}" for k in range(60)]
    twenty = feature_importance(names, list(range(60)))
    five = feature_importance(names, list(range(60)), top=5)
    assert [bars(twenty), bars(five)] == [20, 5]
    assert ink(feature_importance(["a_very_long_name_" * 5], [1.0])) > 1000
    with pytest.raises(ValueError, match="argument 2 is shorter"):
        feature_importance(names, [1.0])


@pytest.mark.parametrize(
    "png",
    [
        lambda: score_calibration([], []),
        lambda: score_calibration([0.5, np.nan], pd.Series([None, True], dtype="boolean")),
        lambda: walk_forward_auc([], 0.5),
        lambda: walk_forward_auc([("a", float("nan"))], float("nan")),
        lambda: feature_importance([], []),
        lambda: feature_importance(["a"], [0.0]),
    ],
)
def test_no_data_gives_a_panel_that_says_so(png):
    """Some words and nothing else: no line, no point, no bar."""
    drawn = png()
    assert 200 < ink(drawn) < 4000
    assert painted(drawn, BLUE) == painted(drawn, VERMILION) == 0


def test_nothing_pays_before_a_plot_is_drawn_or_a_report_written_and_pyplot_is_never_used():
    code = (
        "import sys; from itb_assets.observability import plots, report\n"
        "assert not {'matplotlib', 'jinja2'} & set(sys.modules)\n"
        "assert plots.feature_importance(['a'], [1.0])[:4] == b'\\x89PNG'\n"
        "assert 'matplotlib.pyplot' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@settings(max_examples=60, deadline=None)
@given(
    values=st.lists(st.one_of(st.floats(-10, 10), st.just(float("nan"))), max_size=300),
    most=st.integers(8, 60),
)
def test_downsampling_keeps_the_extremes_and_both_ends(values, most):
    array = np.array(values)
    kept = keep_extremes(array, most)
    assert len(kept) <= most
    assert (np.diff(kept) > 0).all()
    if len(array):
        assert {0, len(array) - 1} <= set(kept.tolist())
    if np.isfinite(array).any():
        assert np.nanmin(array[kept]) == np.nanmin(array)
        assert np.nanmax(array[kept]) == np.nanmax(array)

    flags = np.array([True, True, False, True, False, False, True, True])
    assert run_starts(flags).tolist() == [0, 3, 6]


def test_calibration_bins_hold_equal_scores_together():
    curve = calibrate(np.array([0.1] * 6 + [0.9] * 4), np.array([True] * 3 + [False] * 3 + [True] * 4), 5)
    assert curve.counts.tolist() == [6, 4]
    np.testing.assert_allclose(curve.predicted, [0.1, 0.9])
    np.testing.assert_allclose(curve.observed, [0.5, 1.0])
    assert (curve.low < curve.observed).all()
    assert curve.high[1] == pytest.approx(1.0)
