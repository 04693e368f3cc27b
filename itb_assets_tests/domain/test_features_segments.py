"""Columns are cut exactly where a value is missing."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from itb_assets.domain.features.segments import Segments, known_segments

MASKS = st.lists(st.lists(st.booleans(), min_size=12, max_size=12), min_size=1, max_size=3)


@given(MASKS)
def test_segments_hold_exactly_the_rows_in_which_all_columns_are_known(masks):
    columns = [np.where(mask, 1.0, np.nan) for mask in masks]
    segments = known_segments(columns, 12)
    inside = np.zeros(12, dtype=bool)
    for segment in segments:
        inside[segment] = True
    assert (inside == np.all(masks, axis=0)).all()
    assert all(later.start > earlier.stop for earlier, later in pairwise(segments))


def test_infinities_are_unknown_and_sums_that_overflow_are_not():
    columns = {
        "huge": np.full(4, 1e308),
        "infinite": np.array([1.0, np.inf, -np.inf, 1.0]),
        "gappy": np.array([np.nan, 1.0, 1.0, 1.0]),
    }
    segments = Segments(columns, 4)
    with np.errstate(over="ignore", invalid="ignore"):
        assert segments.of(["huge"]) == (slice(0, 4),)
        assert segments.of(["huge", "infinite"]) == (slice(0, 1), slice(3, 4))
        assert segments.of(["infinite", "gappy"]) == (slice(3, 4),)
    assert Segments({}, 0).of([]) == ()
