"""CUSUM and SPRT: the textbook's paths and bounds, and a state that goes on without a trace."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from drift_making import outcomes
from hypothesis import given
from hypothesis import strategies as st

from itb_assets.domain.drift import SequentialState, WinRateReference, WinRateState, cusum, sprt, watch
from itb_assets.domain.drift.evidence import EvidenceState, evidence_steps, follow
from itb_assets.domain.drift.sequential import sprt_bounds
from itb_assets.errors import DataContractError, InputError

HISTORIES = st.lists(st.booleans(), max_size=120)
RATES = st.sampled_from([(0.58, 0.53), (0.525, 0.475), (0.2, 0.15), (0.99, 0.5)])


def some_outcomes(trades=400, rate=0.5, seed=3):
    return np.random.default_rng(seed).random(trades) < rate


def plain_paths(won, p0, p1):
    """Walk through the trades as the textbook does."""
    ratio, low, both = 0.0, 0.0, []
    for each in won:
        step = math.log(p1 / p0) if each else math.log((1 - p1) / (1 - p0))
        ratio, low = ratio + step, max(0.0, low + step)
        both.append((ratio, low))
    return np.asarray(both).T


def test_the_paths_are_the_textbooks():
    won = some_outcomes()
    ratio, low = plain_paths(won, 0.58, 0.53)
    assert np.allclose(sprt(won, 0.58, 0.53, 0.01, 0.2).path, ratio, atol=1e-9)
    assert np.allclose(cusum(won, 0.58, 0.53, 4.0).path, low, atol=1e-9)


def test_the_bounds_are_walds():
    run = sprt([], 0.58, 0.53, 0.01, 0.2)
    assert run.upper == pytest.approx(math.log(80))
    assert run.lower == pytest.approx(math.log(20 / 99))
    assert (run.state.decision, len(run.path)) == (None, 0)


def test_sprt_decides_at_the_first_crossing_and_keeps_to_it():
    """Losses until drift is decided, then wins that would have decided otherwise."""
    loss, win = math.log(0.47 / 0.42), math.log(0.53 / 0.58)
    losses = math.ceil(math.log(80) / loss)
    run = sprt([False] * losses + [True] * 200, 0.58, 0.53, 0.01, 0.2)
    assert run.path[losses - 2] < run.upper <= run.path[losses - 1]
    assert run.path[-1] == pytest.approx(losses * loss + 200 * win, abs=1e-9)
    assert run.path[-1] < run.lower
    assert (run.state.decision, run.state.decided_at) == ("drift", losses)
    wins = math.ceil(math.log(20 / 99) / win)
    other = sprt([True] * wins + [False] * 300, 0.58, 0.53, 0.01, 0.2)
    assert (other.state.decision, other.state.decided_at) == ("no drift", wins)


def test_cusum_forgets_good_times_and_counts_from_there():
    run = cusum([True] * 50 + [False] * 30, 0.58, 0.53, 3.0)
    assert (run.path[:50] == 0).all()
    assert (run.state.evidence.run_trades, run.state.evidence.run_wins) == (30, 0)
    assert list(np.flatnonzero(run.alarms)) == list(range(50 + math.ceil(3 / math.log(0.47 / 0.42)) - 1, 80))


@given(won=HISTORIES, cuts=st.lists(st.integers(0, 120), max_size=4), rates=RATES)
def test_going_on_equals_starting_over(won, cuts, rates):
    """Cut anywhere, ties included: the path and the state are the same to the last bit."""
    won = np.asarray(won, dtype=np.bool_)
    parts = np.split(won, sorted(min(cut, len(won)) for cut in cuts))
    for whole, go_on in (
        (sprt(won, *rates, 0.05, 0.2), lambda part, state: sprt(part, *rates, 0.05, 0.2, state=state)),
        (cusum(won, *rates, 2.0), lambda part, state: cusum(part, *rates, 2.0, state=state)),
    ):
        state, paths = None, []
        for part in parts:
            run = go_on(part, state)
            state = SequentialState(**vars(run.state))
            paths.append(run.path)
        assert state == whole.state
        assert np.array_equal(np.concatenate(paths), whole.path)


@given(won=HISTORIES, cut=st.integers(0, 120))
def test_a_watch_goes_on_from_what_was_stored(won, cut):
    start = WinRateState(WinRateReference(580, 1000))
    whole = watch(start, outcomes(won))
    stored = json.dumps(watch(start, outcomes(won[:cut])).as_dict())
    assert watch(WinRateState.from_dict(json.loads(stored)), outcomes(won[cut:])) == whole
    assert whole.evidence.trades == len(won)
    assert whole.evidence.wins == sum(won)


def test_many_histories_are_each_as_alone():
    """What the simulations prove of many histories at once holds for one."""
    many = np.stack([some_outcomes(rate=rate, seed=seed) for seed, rate in enumerate((0.4, 0.5, 0.6))])
    start = EvidenceState(10, 5, 3 << 40, 4 << 40, 7, 3, 2 << 40)
    together = follow(many, *evidence_steps(0.58, 0.53), start)
    for number, one in enumerate(many):
        alone = follow(one, *evidence_steps(0.58, 0.53), start)
        for name, values in vars(alone).items():
            assert np.array_equal(values, getattr(together, name)[number]), name


@pytest.mark.parametrize("rates", [(0.5, 0.5), (0.5, 0.6), (1.0, 0.9), (0.5, 0.0), (float("nan"), 0.5)])
def test_impossible_win_rates_are_refused(rates):
    with pytest.raises(InputError, match="expected 0 < p1 < p0 < 1"):
        cusum([True], *rates, 4.0)


@pytest.mark.parametrize("bounds", [(0.0, 0.2), (0.2, 0.0), (0.6, 0.4), (float("nan"), 0.1)])
def test_impossible_error_chances_are_refused(bounds):
    with pytest.raises(InputError, match="a sum below 1"):
        sprt_bounds(*bounds)


def test_a_limit_of_nothing_is_refused():
    with pytest.raises(InputError, match="limit = 0"):
        cusum([True], 0.5, 0.4, 0)


@pytest.mark.parametrize(
    ("given_", "told"),
    [
        ([1, 0, 1], "dtype int64: expected bool"),
        ([1.0, np.nan], "dtype float64"),
        ([True, None], "dtype object"),
        ([[True], [False]], "2 dimensions: expected one history"),
    ],
)
def test_what_is_not_an_outcome_is_refused(given_, told):
    with pytest.raises(DataContractError, match=told):
        sprt(given_, 0.5, 0.4, 0.01, 0.2)


def test_the_state_of_another_question_is_refused():
    state = cusum([True], 0.5, 0.4, 4.0).state
    with pytest.raises(DataContractError, match=r"kept for p0 = 0.5 and p1 = 0.4, asked for 0.6 and 0.5"):
        cusum([True], 0.6, 0.5, 4.0, state=state)


@pytest.mark.parametrize("stored", [{}, {"reference": {"wins": 1}, "evidence": {}}, {"reference": None}])
def test_a_torn_state_is_refused(stored):
    with pytest.raises(DataContractError, match="not a stored watch over a win rate"):
        WinRateState.from_dict(stored)
