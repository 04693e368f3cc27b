"""Which rows train and which are scored: never a row that knows the other."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from itb_assets.domain.specs import WalkForwardSpec
from itb_assets.domain.training.walk_forward import MIN_WINDOW_ROWS, Window, purge_rows, walk_forward_windows
from itb_assets.errors import ConfigError, DataContractError


def test_the_legacy_split():
    """The last 4 x 4,032 of 51,864 rows, each window behind all rows that end 9 before it."""
    windows = walk_forward_windows(51_864, WalkForwardSpec(), purge_rows(8, 4))
    assert windows == (
        Window(0, 0, 35_727, 35_736, 39_768),
        Window(1, 0, 39_759, 39_768, 43_800),
        Window(2, 0, 43_791, 43_800, 47_832),
        Window(3, 0, 47_823, 47_832, 51_864),
    )
    assert {window.purge_rows for window in windows} == {9}


def test_the_longer_horizon_purges():
    assert purge_rows(8, 4) == 9
    assert purge_rows(24, 120) == 121
    assert purge_rows(0, 0) == 1
    with pytest.raises(ConfigError, match="-1 and 4 rows: expected 0 or more"):
        purge_rows(-1, 4)


def test_train_length_keeps_the_newest_rows():
    windows = walk_forward_windows(2000, WalkForwardSpec(2, 100, 500), 5, train_length=300)
    assert [(w.train_start, w.train_end) for w in windows] == [(1495, 1795), (1595, 1895)]


def test_windows_shrink_together_when_history_is_short():
    """The oldest model keeps its rows, the windows give way."""
    windows = walk_forward_windows(2009, WalkForwardSpec(4, 4032, 1000), 9)
    assert [w.score_end - w.score_start for w in windows] == [250] * 4
    assert windows[0].train_end == 1000
    assert windows[-1].score_end == 2009


def test_too_little_history_is_refused_with_the_way_out():
    spec = WalkForwardSpec(4, 4032, 1000)
    least = 1000 + 9 + 4 * MIN_WINDOW_ROWS
    assert walk_forward_windows(least, spec, 9)
    with pytest.raises(
        DataContractError, match=f"{least - 1} usable rows.*at least {least}.*load more history"
    ):
        walk_forward_windows(least - 1, spec, 9)


def test_settings_that_make_no_window_are_refused():
    with pytest.raises(ConfigError) as refused:
        walk_forward_windows(100, WalkForwardSpec(0, 0, 0), 0, train_length=-1)
    assert len(refused.value.problems) == 5


@given(
    n_rows=st.integers(0, 3000),
    folds=st.integers(1, 8),
    window_rows=st.integers(1, 600),
    min_train_rows=st.integers(1, 600),
    purge=st.integers(1, 200),
    train_length=st.one_of(st.none(), st.integers(0, 800)),
)
def test_no_window_is_scored_by_a_model_that_knows_it(
    n_rows, folds, window_rows, min_train_rows, purge, train_length
):
    """Training ends exactly the purge before the window; windows tile the end; or it is refused."""
    spec = WalkForwardSpec(folds, window_rows, min_train_rows)
    try:
        windows = walk_forward_windows(n_rows, spec, purge, train_length=train_length)
    except DataContractError:
        assert n_rows < min_train_rows + purge + folds * min(window_rows, MIN_WINDOW_ROWS)
        return
    assert len(windows) == folds
    assert windows[-1].score_end == n_rows
    assert len({w.score_end - w.score_start for w in windows}) == 1
    for window in windows:
        assert 0 <= window.train_start < window.train_end == window.score_start - purge
        assert window.score_start < window.score_end <= n_rows
        assert window.train_end >= min_train_rows
        assert window.score_end - window.score_start <= window_rows
        if train_length:
            assert window.train_end - window.train_start <= train_length
        else:
            assert window.train_start == 0
    for earlier, later in pairwise(windows):
        assert earlier.score_end == later.score_start


ROLLING = WalkForwardSpec(folds=2, window_rows=100, min_train_rows=300, mode="rolling", train_rows=400)


def test_rolling_windows_train_on_the_newest_rows():
    """Every model trains on as many rows, those just behind its purge."""
    windows = walk_forward_windows(2000, ROLLING, 5)
    assert [(w.train_start, w.train_end, w.score_start) for w in windows] == [
        (1395, 1795, 1800),
        (1495, 1895, 1900),
    ]
    shorter = walk_forward_windows(2000, ROLLING, 5, train_length=350)
    assert [w.train_end - w.train_start for w in shorter] == [350, 350]
    longer = walk_forward_windows(2000, ROLLING, 5, train_length=900)
    assert longer == windows


def test_a_short_history_leaves_the_oldest_rolling_model_fewer_rows():
    windows = walk_forward_windows(520, ROLLING, 5)
    assert [(w.train_start, w.train_end) for w in windows] == [(0, 315), (15, 415)]


@pytest.mark.parametrize(
    ("spec", "told"),
    [
        (WalkForwardSpec(mode="rolling"), "mode is 'rolling' and train_rows is missing"),
        (WalkForwardSpec(train_rows=5000), "train_rows is 5000 and mode 'expanding'"),
        (WalkForwardSpec(mode="rolling", train_rows=999), "train_rows is 999 and min_train_rows 1000"),
    ],
)
def test_a_mode_that_contradicts_itself_is_refused(spec, told):
    with pytest.raises(ConfigError, match=f"walk_forward: {told}"):
        walk_forward_windows(100_000, spec, 9)
