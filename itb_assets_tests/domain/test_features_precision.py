"""Features are kept to nine significant digits: hardly changed, rounded once, legacy ones not at all."""

from __future__ import annotations

import numpy as np
from feature_making import aggressive, make_data
from hypothesis import given
from hypothesis import strategies as st

from itb_assets.domain.features import compile_features
from itb_assets.domain.features.precision import KEPT_BITS, round_in_place

FINITE = st.floats(allow_nan=False, allow_infinity=False, allow_subnormal=False).filter(
    lambda x: abs(x) < 1e300
)
DROPPED = np.int64((1 << (52 - KEPT_BITS)) - 1)


def rounded(values: list[float]) -> np.ndarray:
    """Return a rounded copy."""
    array = np.array(values, dtype=np.float64)
    round_in_place(array)
    return array


@given(st.lists(FINITE, min_size=1, max_size=50))
def test_no_value_changes_by_more_than_half_a_kept_bit(values):
    """The change is at most 2^-31 of the value, so well under 1e-9, and zero keeps its sign."""
    after, before = rounded(values), np.array(values)
    assert (np.abs(after - before) <= np.abs(before) * 2.0**-31).all()
    assert (np.signbit(after) == np.signbit(before)).all()
    assert not (after.view(np.int64) & DROPPED).any()


@given(st.lists(st.floats(), max_size=50))
def test_rounding_twice_is_rounding_once(values):
    """What was rounded stays, NaN stays NaN and infinities stay infinite."""
    once = rounded(values)
    assert np.array_equal(rounded(list(once)).view(np.int64), once.view(np.int64))
    assert np.array_equal(np.isnan(once), np.isnan(np.array(values)))


def test_long_columns_are_rounded_to_their_end():
    """Every row is rounded, however many blocks the column has."""
    values = np.random.default_rng(1).normal(size=40_001)
    assert not (rounded(list(values)).view(np.int64) & DROPPED).any()


def test_causal_features_are_rounded_and_legacy_ones_are_not():
    """The legacy dialect repeats the old bot to the bit; the causal one differs from it by the rounding."""
    data = make_data(400)
    before = data.copy()
    causal = compile_features(aggressive(), dialect="causal").compute(data).drop(columns="timestamp")
    legacy = compile_features(aggressive(), dialect="legacy").compute(data).drop(columns="timestamp")
    assert not (causal.to_numpy().view(np.int64) & DROPPED).any()
    assert (legacy.to_numpy().view(np.int64) & DROPPED).any()
    assert data.equals(before)


def test_the_rounding_is_part_of_the_definition():
    """Features stored before they were rounded are made again."""
    plan = compile_features(aggressive(), dialect="causal")
    assert all(f'"bits":{KEPT_BITS}' in text for text in plan.definitions.values())
