"""What the frame store promises: exact round trips, splices that equal rewrites, honest manifests."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from frames_of import NOW, START, frame_of, record, times
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pandas.testing import assert_frame_equal

from itb_assets.errors import DataContractError, StorageError
from itb_assets.storage.disk.digest import BLOCK_BYTES, hash_blocks
from itb_assets.storage.files.frames import EVERYTHING, FrameStore

STORE = FrameStore()
FORMATS = ("csv", "parquet")
ROUND_TRIP = settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)

text = st.text(st.characters(exclude_categories=("Cs", "Cc", "Zl", "Zp")), max_size=8)
rows = st.lists(
    st.tuples(
        st.floats(allow_nan=True, allow_infinity=True),
        st.integers(-(2**63), 2**63 - 1),
        st.one_of(st.none(), st.booleans()),
        st.booleans(),
        st.one_of(st.none(), text),
    ),
    max_size=12,
)


def built(values: list[tuple[object, ...]], gaps: list[int]) -> pd.DataFrame:
    columns = list(zip(*values, strict=True)) if values else [[]] * 5
    offsets = pd.to_timedelta(np.cumsum([0, *gaps])[: len(values)], unit="s").as_unit("ns")
    return pd.DataFrame(
        {
            "timestamp": pd.DatetimeIndex(START.as_unit("ns") + offsets),
            "a": np.array(columns[0], dtype="float64"),
            "b": np.array(columns[1], dtype="int64"),
            "c": pd.array(list(columns[2]), dtype="boolean"),
            "d": np.array(columns[3], dtype=bool),
            "e": np.array(columns[4], dtype=object),
        }
    )


@pytest.fixture(params=FORMATS)
def path(request, tmp_path) -> Path:
    return tmp_path / "BTCUSDT" / "5m" / f"data.{request.param}"


@ROUND_TRIP
@given(values=rows, gaps=st.lists(st.integers(1, 10**6), min_size=12, max_size=12))
def test_reads_back_exactly(path, values, gaps):
    """Any frame of storable dtypes comes back bit for bit, whole, by tail and by time."""
    frame = built(values, gaps)
    STORE.write(path, frame, record=record())
    stored = STORE.open(path)
    assert_frame_equal(stored.read(), frame, check_exact=True)
    assert np.array_equal(np.signbit(stored.read()["a"]), np.signbit(frame["a"])) or frame["a"].isna().any()
    assert_frame_equal(stored.tail(3), frame.tail(3).reset_index(drop=True), check_exact=True)
    if len(frame):
        middle = frame["timestamp"].iloc[len(frame) // 2]
        expected = frame[frame["timestamp"] >= middle].reset_index(drop=True)
        assert_frame_equal(stored.since(middle), expected, check_exact=True)


@ROUND_TRIP
@given(
    before=rows,
    after=rows,
    cut=st.integers(0, 14),
    gaps=st.lists(st.integers(1, 999), min_size=30, max_size=30),
)
def test_a_splice_is_a_rewrite(path, before, after, cut, gaps):
    """Splicing a tail leaves the same bytes, manifest and rows as writing prefix and tail whole."""
    old = built(before, gaps)
    cut = min(cut, len(old))
    start = START + pd.Timedelta(seconds=int(np.cumsum([0, *gaps])[cut]))
    tail = built([*before[:cut], *after], gaps).iloc[cut:].reset_index(drop=True)
    whole = pd.concat([old.iloc[:cut], tail], ignore_index=True) if cut else tail
    STORE.write(path, old, record=record())
    spliced = STORE.splice(path, tail, record=record(), from_time=start)
    assert_frame_equal(STORE.open(path).read(), whole, check_exact=True)
    assert STORE.verify(path) == ()
    other = path.with_name(f"whole{path.suffix}")
    written = STORE.write(other, whole, record=record())
    assert (spliced.rows, spliced.first, spliced.last) == (written.rows, written.first, written.last)
    if path.suffix == ".csv":
        assert path.read_bytes() == other.read_bytes()
        assert spliced.sha256 == written.sha256


def test_csv_is_what_the_planning_document_shows(tmp_path):
    path = tmp_path / "data.csv"
    frame = pd.DataFrame({"timestamp": times(2), "close": [0.1, np.nan]})
    STORE.write(path, frame, record=record())
    assert path.read_text() == "timestamp,close\n2024-09-01 00:00:00+00:00,0.1\n2024-09-01 00:05:00+00:00,\n"
    foreign = pd.read_csv(path, parse_dates=["timestamp"])
    assert_frame_equal(foreign.astype({"timestamp": "datetime64[ns, UTC]"}), frame, check_exact=True)


def test_columns_are_chosen_and_ordered(path):
    frame = frame_of(300)
    STORE.write(path, frame, record=record())
    stored = STORE.open(path)
    wanted = ["trades", "close"]
    assert_frame_equal(stored.read(wanted), frame[wanted], check_exact=True)
    assert_frame_equal(stored.tail(5, wanted), frame[wanted].tail(5).reset_index(drop=True), check_exact=True)
    since = stored.since(frame["timestamp"][290], wanted)
    assert_frame_equal(since, frame[wanted].iloc[290:].reset_index(drop=True), check_exact=True)
    with pytest.raises(StorageError, match="no column volume"):
        stored.read(["volume"])


def test_what_is_read_may_be_changed(path):
    """Frames read back own their memory: a caller that writes into them gets no read-only array."""
    STORE.write(path, frame_of(20), record=record())
    frame = STORE.open(path).read()
    frame.loc[3, "close"] = 1.0
    frame["trades"].to_numpy()[0] = 7
    assert frame["close"][3] == 1.0


def test_a_tail_costs_its_rows(tmp_path):
    """The last rows of a large file are read without touching its beginning."""
    path = tmp_path / "data.csv"
    STORE.write(path, frame_of(5_000), record=record())
    stored = STORE.open(path)
    with path.open("r+b") as file:
        file.seek(len("timestamp,close,trades,high_040_4,buy,sample\n"))
        file.write(b"garbage that no parser takes")
    assert stored.tail(10)["trades"].notna().all()
    assert len(stored.since(stored.last)) == 1


def test_the_manifest_tells_what_is_stored(path):
    frame = frame_of(50)
    written = STORE.write(path, frame, record=record())
    assert STORE.open(path).manifest == written
    assert (written.rows, written.first, written.last) == (50, frame["timestamp"][0], frame["timestamp"][49])
    assert written.bytes == path.stat().st_size
    assert dict(written.columns)["high_040_4"] == "boolean"
    assert (written.run_id, written.written_at, dict(written.sources)) == ("run-1", NOW, {"raw/klines": 1})


def test_the_same_again_is_left_alone(path):
    first = STORE.write(path, frame_of(50), record=record())
    identity = path.stat().st_ino
    again = STORE.write(path, frame_of(50), record=record(run_id="run-2"))
    assert again.unchanged
    assert not first.unchanged
    assert again.version == first.version
    assert path.stat().st_ino == identity
    assert STORE.open(path).manifest.run_id == "run-1"


def test_newer_sources_are_noted_without_a_rewrite(path):
    """Otherwise an unchanged frame would look older than its sources for ever."""
    first = STORE.write(path, frame_of(50), record=record())
    again = STORE.write(path, frame_of(50), record=record(sources={"raw/klines": 2}))
    assert (again.unchanged, again.version) == (True, first.version)
    assert STORE.open(path).manifest.sources == {"raw/klines": 2}
    spliced = STORE.splice(path, STORE.open(path).tail(9), record=record(sources={"raw/klines": 3}))
    assert (spliced.unchanged, spliced.version) == (True, first.version)
    assert STORE.open(path).manifest.sources == {"raw/klines": 3}


def test_another_definition_is_another_version(path):
    first = STORE.write(path, frame_of(50), record=record())
    again = STORE.write(path, frame_of(50), record=record(digest="d2"))
    assert again.version == first.version + 1
    with pytest.raises(StorageError, match="definition 'd2'"):
        STORE.splice(path, frame_of(50).tail(3), record=record(digest="d3"))


def test_changes_say_from_when_on(path):
    """Only what differs counts: an overlap that was computed again to the same values changes nothing."""
    frame = frame_of(100)
    first = STORE.write(path, frame.head(80), record=record())
    second = STORE.splice(path, frame.iloc[70:90].reset_index(drop=True), record=record())
    assert second.version == first.version + 1
    assert second.changed_since(first.version) == frame["timestamp"][80]
    altered = frame.iloc[60:90].reset_index(drop=True)
    altered.loc[5, "close"] = 1.0
    third = STORE.splice(path, altered, record=record())
    assert third.changed_since(second.version) == frame["timestamp"][65]
    assert third.changed_since(first.version) == frame["timestamp"][65]
    assert third.changed_since(third.version) is None
    assert third.changed_since(first.version - 1) is EVERYTHING
    assert third.changed_since(third.version + 1) is EVERYTHING
    whole = STORE.write(path, frame, record=record())
    assert whole.changed_since(third.version) is EVERYTHING


def test_changes_are_bounded(path):
    frame = frame_of(200)
    first = STORE.write(path, frame.head(1), record=record())
    for row in range(1, 70):
        last = STORE.splice(path, frame.iloc[[row]].reset_index(drop=True), record=record())
    assert len(last.changes) == 64
    assert last.changed_since(first.version) is EVERYTHING
    assert last.changed_since(last.version - 1) == frame["timestamp"][69]


def test_a_frame_made_anew_meets_no_version_that_is_known(path):
    first = STORE.write(path, frame_of(5), record=record())
    shutil.rmtree(path.parent)
    later = NOW.replace(hour=13)
    second = STORE.write(path, frame_of(5, seed=1), record=record(written_at=later))
    assert second.changed_since(first.version) is EVERYTHING


def test_a_splice_shortens(path):
    frame = frame_of(40)
    STORE.write(path, frame, record=record())
    cut = STORE.splice(path, frame.head(0), record=record(), from_time=frame["timestamp"][30])
    assert (cut.rows, cut.last) == (30, frame["timestamp"][29])
    empty = STORE.splice(path, frame.head(0), record=record(), from_time=START)
    assert (empty.rows, empty.first, empty.last) == (0, None, None)
    assert STORE.verify(path) == ()
    assert STORE.open(path).read().dtypes.equals(frame.dtypes)
    with pytest.raises(DataContractError, match="from_time"):
        STORE.splice(path, frame.head(0), record=record())
    with pytest.raises(DataContractError, match="hide rows"):
        STORE.splice(path, frame, record=record(), from_time=frame["timestamp"][3])


def test_a_splice_of_other_columns_is_refused(path):
    STORE.write(path, frame_of(40), record=record())
    with pytest.raises(StorageError, match="write the frame whole"):
        STORE.splice(path, frame_of(40).drop(columns="buy"), record=record())
    assert STORE.verify(path) == ()


def test_a_splice_hashes_only_what_it_touches(tmp_path):
    """The tree over blocks equals that of the whole file although the first blocks were not read again."""
    path = tmp_path / "data.csv"
    draw = np.random.default_rng(1)
    frame = pd.DataFrame(
        {"timestamp": times(40_000)} | {f"c{i}": draw.normal(size=40_000) for i in range(12)}
    )
    STORE.write(path, frame.head(39_000), record=record())
    assert path.stat().st_size > 2 * BLOCK_BYTES
    manifest = STORE.splice(path, frame.tail(1_200), record=record())
    assert manifest.blocks == hash_blocks(path)
    assert STORE.verify(path) == ()


@pytest.mark.parametrize("kept", [35, 39, 40])
def test_times_of_regular_rows_are_made_again_instead_of_read(path, kept):
    STORE.write(path, frame_of(40), record=record())
    later = frame_of(30, seed=1, start=times(kept + 1)[-1])
    STORE.splice(path, later, record=record())
    stored = STORE.open(path)
    assert stored.manifest.step_s == 300
    whole = pd.concat([frame_of(40)[:kept], later], ignore_index=True)
    assert_frame_equal(stored.read(), whole, check_exact=True)
    assert_frame_equal(stored.tail(7), whole.tail(7).reset_index(drop=True), check_exact=True)
    assert_frame_equal(stored.read(["close", "timestamp"]), whole[["close", "timestamp"]], check_exact=True)


def test_a_step_is_known_only_where_all_rows_keep_it(path):
    frame = frame_of(40)
    STORE.write(path, frame.drop(index=20).reset_index(drop=True), record=record())
    assert STORE.open(path).manifest.step_s is None
    STORE.write(path, frame, record=record())
    STORE.splice(path, frame_of(5, start=times(50)[-1]), record=record())
    stored = STORE.open(path)
    assert stored.manifest.step_s is None
    assert stored.read()["timestamp"].iloc[-1] == times(54)[-1]


def test_text_that_needs_quotes_comes_back(path):
    frame = frame_of(6).assign(sample=np.array(["a,b", 'say "x"', "", None, "plain", ","], dtype=object))
    STORE.write(path, frame, record=record())
    assert_frame_equal(STORE.open(path).read(), frame, check_exact=True)
