"""A matrix whose columns are not those of their row, or that tells a label beforehand, is found and named."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from itb_assets.domain.joins import MAX_SHIFT_ROWS, find_join_faults

ROWS, AROUND = 400, MAX_SHIFT_ROWS
LABELS = ("high", "high_tie")


def make_parts(seed: int = 0) -> dict[str, pd.DataFrame]:
    """Return klines, features and labels with unknown values, some rows before and after the matrix too."""
    rows = ROWS + 2 * AROUND
    rng = np.random.default_rng(seed)
    times = pd.date_range("2024-03-01", periods=rows, freq="5min", tz="UTC")
    close = 100 + np.cumsum(rng.normal(0, 0.1, rows))
    close[rng.random(rows) < 0.02] = np.nan
    label = pd.array(rng.random(rows) < 0.3, dtype="boolean")
    label[rng.random(rows) < 0.05] = pd.NA
    tie = pd.array(rng.random(rows) < 0.02, dtype="boolean")
    regime = np.repeat(rng.integers(0, 2, rows // 20 + 1), 20)[:rows].astype(float)
    return {
        "data": pd.DataFrame({"timestamp": times, "close": close, "ignore": 0.0}),
        "features": pd.DataFrame({"timestamp": times, "sma": close + 1, "regime": regime}),
        "labels": pd.DataFrame({"timestamp": times, "high": label, "high_tie": tie}),
    }


def joined(parts: dict[str, pd.DataFrame]) -> pd.DataFrame:
    """Return the matrix of the middle rows, put together as it should be."""
    frames = [next(iter(parts.values())), *(part.drop(columns="timestamp") for part in parts.values())]
    matrix = pd.concat([frames[0][["timestamp"]], *frames[1:]], axis=1)
    return matrix.iloc[AROUND : AROUND + ROWS].reset_index(drop=True)


PARTS = make_parts()
MATRIX = joined(PARTS)


def found(matrix, parts=PARTS):
    return find_join_faults(matrix, parts, labels=LABELS)


def shifted(column: str, rows: int, parts=PARTS) -> pd.DataFrame:
    """Return the matrix with a column that holds the values of so many rows later."""
    part = next(part for part in parts.values() if column in part.columns)
    moved = part[column].iloc[AROUND + rows : AROUND + rows + ROWS].reset_index(drop=True)
    return joined(parts).assign(**{column: moved})


@given(st.integers(0, 2**32 - 1))
def test_an_honest_matrix_has_no_fault(seed):
    parts = make_parts(seed)
    before = joined(parts)
    assert found(before, parts) == []
    pd.testing.assert_frame_equal(before, joined(parts))


def test_no_rows_have_no_fault():
    assert found(MATRIX.head(0)) == []


@pytest.mark.parametrize("column", ["close", "sma", "high"])
@pytest.mark.parametrize("rows", [1, -1, 3, -12, MAX_SHIFT_ROWS])
def test_a_shifted_column_is_named_with_its_shift(column, rows):
    (fault,) = found(shifted(column, rows))
    assert (fault.column, fault.shift_rows, fault.label) == (column, rows, None)
    assert fault.compared == ROWS
    assert 0 < fault.rows <= ROWS
    way = "later" if rows > 0 else "earlier"
    assert f"it holds the values of {abs(rows)} row{'s' if abs(rows) > 1 else ''} {way}" in str(fault)


@given(st.integers(1, MAX_SHIFT_ROWS), st.booleans(), st.integers(0, 2**32 - 1))
def test_any_shift_of_a_label_is_found(rows, earlier, seed):
    parts = make_parts(seed)
    (fault,) = found(shifted("high", -rows if earlier else rows, parts), parts)
    assert (fault.column, fault.shift_rows) == ("high", -rows if earlier else rows)


def test_rows_joined_to_the_wrong_times_name_every_column():
    """The times are moved: each row holds what is of the next one."""
    late = MATRIX.assign(timestamp=MATRIX["timestamp"] - pd.Timedelta(minutes=5))
    faults = {fault.column: fault.shift_rows for fault in found(late)}
    assert faults == dict.fromkeys(("close", "sma", "high", "high_tie", "regime"), 1)


def test_times_that_a_part_does_not_have_are_named():
    off = MATRIX.assign(timestamp=MATRIX["timestamp"] + pd.Timedelta(minutes=1))
    faults = found(off)
    assert {fault.column for fault in faults} == {"timestamp"}
    assert [fault.rows for fault in faults] == [ROWS] * len(PARTS)
    assert "not a time of labels" in str(faults[-1])


def test_a_shift_from_a_row_on_is_told_from_there():
    """As where two stretches were put together one row apart."""
    whole = shifted("high", 2)
    (fault,) = found(MATRIX.assign(high=MATRIX["high"].where(MATRIX.index < 300, whole["high"])))
    assert fault.shift_rows == 2
    assert fault.rows <= 100
    assert fault.first_time >= MATRIX["timestamp"].iloc[300]


def test_single_wrong_values_are_counted_and_their_first_time_is_told():
    sma = MATRIX["sma"].copy()
    sma.iloc[[7, 300]] += 1e-12
    sma.iloc[20] = np.nan
    (fault,) = found(MATRIX.assign(sma=sma))
    assert (fault.column, fault.rows, fault.shift_rows) == ("sma", 3, None)
    assert fault.first_time == MATRIX["timestamp"].iloc[7]
    assert str(fault).startswith("sma: not what features holds at the same time, 3 of 400 rows")


def test_known_where_it_should_be_unknown_is_a_difference():
    (fault,) = found(MATRIX.assign(high=MATRIX["high"].fillna(value=False)))
    assert (fault.column, fault.rows) == ("high", int(MATRIX["high"].isna().sum()))


@pytest.mark.parametrize("invert", [False, True])
def test_a_label_in_the_place_of_a_feature_is_named(invert):
    told = MATRIX["high"].astype("Float64").to_numpy(np.float64, na_value=np.nan)
    (fault,) = found(MATRIX.assign(sma=7 - told if invert else told))
    assert (fault.column, fault.label) == ("sma", "high")
    assert str(fault).endswith("it is the label high")


def test_a_feature_that_is_a_label_is_named_even_where_both_frames_agree():
    told = PARTS["labels"]["high"].astype("Float64").to_numpy(np.float64, na_value=np.nan)
    parts = PARTS | {"features": PARTS["features"].assign(sure=told)}
    (fault,) = found(joined(parts), parts)
    assert (fault.column, fault.label, fault.rows) == ("sure", "high", ROWS)
    assert "it tells what comes later" in str(fault)


def test_a_feature_of_two_values_is_not_blamed_for_a_label_that_hardly_changes():
    """A regime that happened to turn with a label three times proves nothing."""
    rows = len(PARTS["labels"])
    flag = np.arange(rows) // (rows // 4) % 2
    parts = {
        **PARTS,
        "features": PARTS["features"].assign(regime=flag.astype(float)),
        "labels": PARTS["labels"].assign(high=pd.array(flag.astype(bool), dtype="boolean")),
    }
    assert found(joined(parts), parts) == []


def test_columns_too_few_and_too_many_are_named():
    faults = {fault.column: str(fault) for fault in found(MATRIX.drop(columns="sma").assign(own=1.0))}
    assert set(faults) == {"sma", "own"}
    assert "it is missing" in faults["sma"]
    assert "it is in none of data, features, labels" in faults["own"]
