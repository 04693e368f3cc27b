"""A cursor over numbers that may be seen out of order forgets none within its window."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from itb_assets.errors import DataContractError
from itb_assets.orchestration.alerts.cursor import Read


def test_a_lower_number_may_come_later():
    read = Read(10).with_read([11, 13], window=5)
    assert read == Read(10, frozenset({11, 13}))
    assert read.after < 12
    assert 12 not in read.seen


def test_what_is_far_below_is_let_go():
    assert Read(0).with_read([1, 2, 100], window=10) == Read(90, frozenset({100}))


def test_what_was_left_is_met_again_however_far_it_is_below():
    read = Read(0).with_read([1, 2, 100], left=[4, 50], window=10)
    assert read == Read(3, frozenset({100}))
    assert read.with_read([4, 50], window=10) == Read(90, frozenset({100}))


def test_nothing_read_moves_nothing():
    assert Read(7).with_read([]) == Read(7)


@given(st.lists(st.lists(st.integers(1, 300), max_size=20), max_size=8), st.integers(1, 50))
def test_it_never_goes_back_and_keeps_what_it_may_meet_again(batches, window):
    read = Read(0)
    for batch in batches:
        before = read
        read = read.with_read([number for number in batch if number > read.after], window=window)
        assert read.after >= before.after
        assert all(number <= read.after or number in read.seen for number in {*batch, *before.seen})
        assert Read.from_text(read.to_text()) == read


@pytest.mark.parametrize("text", ["", "7", "{}", '{"after": "x", "seen": []}', '{"after": 1, "seen": 2}'])
def test_what_is_no_cursor_is_refused(text):
    with pytest.raises(DataContractError, match="ten minutes back"):
        Read.from_text(text)
