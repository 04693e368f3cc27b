"""Gaps: found exactly, told apart by evidence, remembered, and closed only by klines that came late."""

from __future__ import annotations

import random
from dataclasses import replace

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from kline_making import make_klines, recorded_klines, without

from itb_assets.domain.gaps import Gap, find_gaps, gaps_from_json, gaps_to_json, merge_catalogue
from itb_assets.domain.klines import empty_klines
from itb_assets.domain.markets import Market
from itb_assets.errors import DataContractError

MARKET = Market("BTCUSDT", "5m")
WHOLE = make_klines(MARKET, 40)
MONDAY, TUESDAY, WEDNESDAY = (pd.Timestamp(f"2024-01-0{day}", tz="UTC") for day in (1, 2, 3))


def gaps_without(*rows: int) -> tuple[Gap, ...]:
    return find_gaps(without(WHOLE, *rows), MARKET)


def spans(gaps: tuple[Gap, ...], state: str) -> list[list[int]]:
    """Name each gap of a state by the row numbers it lacks."""
    row_of = {time: row for row, time in WHOLE["timestamp"].items()}
    return [
        [row_of[gap.first_missing], row_of[gap.last_missing], gap.missing_rows]
        for gap in gaps
        if gap.state == state
    ]


def test_klines_on_every_open_time_have_no_gap() -> None:
    assert gaps_without() == ()
    assert find_gaps(empty_klines(), MARKET) == ()
    assert find_gaps(WHOLE.iloc[:1], MARKET) == ()


def test_each_gap_says_its_first_and_last_missing_kline() -> None:
    gaps = gaps_without(5, 6, 7, 20)
    assert spans(gaps, "open") == [[5, 7, 3], [20, 20, 1]]
    assert {gap.reason for gap in gaps} == {"unknown"}
    assert gaps[0].first_missing == WHOLE["timestamp"][5]


@pytest.mark.parametrize(("column", "change"), [("close_time", -60_000), ("volume", None)])
def test_a_cut_or_silent_kline_before_the_gap_is_evidence_of_an_outage(
    column: str, change: int | None
) -> None:
    klines = without(WHOLE, 9, 20)
    klines.loc[8, column] = 0 if change is None else klines.loc[8, column] + change
    assert [gap.reason for gap in find_gaps(klines, MARKET)] == ["exchange_outage", "unknown"]


@pytest.mark.data
def test_recorded_hours_of_2023_lack_exactly_one() -> None:
    klines = recorded_klines("1h", [f"2023-0{month}" for month in range(1, 6)])
    (gap,) = find_gaps(klines, Market("BTCUSDT", "1h"))
    missing = pd.Timestamp("2023-03-24 13:00", tz="UTC")
    assert gap == Gap(missing, missing, 1, "exchange_outage")


def test_a_gap_is_sighted_once_for_each_time_it_is_seen() -> None:
    found = gaps_without(5, 6)
    (gap,) = merge_catalogue((), found, MONDAY)
    assert (gap.sightings, gap.first_seen, gap.last_seen) == (1, MONDAY, MONDAY)
    assert merge_catalogue([gap], found, MONDAY) == (gap,)
    (later,) = merge_catalogue([gap], found, TUESDAY)
    assert (later.sightings, later.first_seen, later.last_seen) == (2, MONDAY, TUESDAY)


def test_late_klines_close_the_gap_and_keep_its_history() -> None:
    known = merge_catalogue((), gaps_without(5, 20), MONDAY)
    after = merge_catalogue(known, gaps_without(20), TUESDAY)
    assert spans(after, "closed") == [[5, 5, 1]]
    assert spans(after, "open") == [[20, 20, 1]]
    closed = after[0]
    assert (closed.sightings, closed.last_seen, closed.closed_at) == (1, MONDAY, TUESDAY)
    assert merge_catalogue(after, gaps_without(20), WEDNESDAY)[0] == closed


def test_a_gap_filled_in_the_middle_splits() -> None:
    known = merge_catalogue((), gaps_without(5, 6, 7, 8, 9, 10), MONDAY)
    after = merge_catalogue(known, gaps_without(5, 9, 10), TUESDAY)
    assert spans(after, "open") == [[5, 5, 1], [9, 10, 2]]
    assert spans(after, "closed") == [[6, 8, 3]]
    assert {gap.first_seen for gap in after} == {MONDAY}
    assert [gap.sightings for gap in after if gap.state == "open"] == [2, 2]


def test_a_gap_filled_at_both_ends_shrinks() -> None:
    known = merge_catalogue((), gaps_without(5, 6, 7, 8), MONDAY)
    after = merge_catalogue(known, gaps_without(6, 7), TUESDAY)
    assert spans(after, "open") == [[6, 7, 2]]
    assert spans(after, "closed") == [[5, 5, 1], [8, 8, 1]]


def test_the_rest_of_an_outage_is_still_an_outage() -> None:
    klines = without(WHOLE, 6, 7)
    klines.loc[5, "volume"] = 0
    known = merge_catalogue((), find_gaps(klines, MARKET), MONDAY)
    after = merge_catalogue(known, gaps_without(7), TUESDAY)
    assert [gap.reason for gap in after] == ["exchange_outage", "exchange_outage"]


def test_gaps_that_grow_together_are_one_with_the_older_history() -> None:
    known = merge_catalogue(merge_catalogue((), gaps_without(5), MONDAY), gaps_without(5, 7), TUESDAY)
    (gap,) = merge_catalogue(known, gaps_without(5, 6, 7, 8), WEDNESDAY)
    assert (gap.missing_rows, gap.first_seen, gap.sightings, gap.state) == (4, MONDAY, 3, "open")


def test_a_gap_that_opens_again_is_a_new_entry() -> None:
    known = merge_catalogue((), gaps_without(5), MONDAY)
    closed = merge_catalogue(known, (), TUESDAY)
    again = merge_catalogue(closed, gaps_without(5), WEDNESDAY)
    assert [(gap.state, gap.first_seen) for gap in again] == [("closed", MONDAY), ("open", WEDNESDAY)]


missing_sets = st.sets(st.integers(1, 38))


@given(first=missing_sets, second=missing_sets, third=missing_sets)
def test_the_catalogue_accounts_for_every_kline_and_reads_back(
    first: set[int], second: set[int], third: set[int]
) -> None:
    """Open gaps are exactly what is missing now; closed ones what came back; order never matters."""
    catalogue: tuple[Gap, ...] = ()
    came_back: list[int] = []
    before: set[int] = set()
    for missing, day in ((first, MONDAY), (second, TUESDAY), (third, WEDNESDAY)):
        found = list(gaps_without(*missing))
        shuffled = random.Random(1).sample(catalogue, len(catalogue))  # noqa: S311 - an order, no secret
        catalogue = merge_catalogue(catalogue, found, day)
        assert merge_catalogue(shuffled, found[::-1], day)[: len(catalogue)] == catalogue
        came_back += sorted(before - missing)
        before = missing
    rows_of = {
        state: sorted(row for a, b, _ in spans(catalogue, state) for row in range(a, b + 1))
        for state in ("open", "closed")
    }
    assert rows_of == {"open": sorted(third), "closed": sorted(came_back)}
    assert all(b - a + 1 == n for state in rows_of for a, b, n in spans(catalogue, state))
    assert gaps_from_json(gaps_to_json(catalogue)) == catalogue


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        '{"gaps": [{}]}',
        '{"gaps": [3]}',
        gaps_to_json(gaps_without(5)).replace('"open"', '"ajar"'),
        gaps_to_json(gaps_without(5)).replace("+00:00", ""),
        gaps_to_json([replace(gaps_without(5)[0], missing_rows=0)]),
        gaps_to_json(gaps_without(5)).replace('"reason"', '"because"'),
    ],
)
def test_a_catalogue_that_is_not_one_is_refused(text: str) -> None:
    with pytest.raises(DataContractError, match="gap catalogue cannot be read"):
        gaps_from_json(text)
