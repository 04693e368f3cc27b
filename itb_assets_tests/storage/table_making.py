"""Frames of every asset for the tests of the tables, and how two of them are compared: bit for bit."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
import psycopg2
import sqlalchemy as sa
from frames_of import NOW, START
from hypothesis import strategies as st

from itb_assets.domain.klines import KLINE_COLUMNS, to_grid
from itb_assets.domain.markets import Market
from itb_assets.domain.trading.trades import empty_trades, trade_ids
from itb_assets.storage.files.frames import FrameStore, Record
from itb_assets.storage.files.manifest import FrameManifest
from itb_assets.storage.tables.database import SqlStore

BTC = Market("BTCUSDT", "5m")
FRAMES = FrameStore()
FLOATS = st.floats() | st.sampled_from([0.0, -0.0, float("inf"), 5e-324, 1.7976931348623157e308, 0.1, 1e22])
EXACT = FLOATS.map(lambda value: value + 0.0)
"""Numbers without -0.0, which NUMERIC and jsonb do not know."""
FINITE = st.floats(allow_nan=False, allow_infinity=False).map(lambda value: value + 0.0)
TEXTS = st.none() | st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="\n\r\0"))
ODD = [
    "close_SMA_5",
    "time",
    "a b",
    "naïve",
    "it's",
    "back\\slash",
    "%(x)s",
    "x" * 70,
    "x" * 71,
    "5m",
]
SAMPLES = st.sampled_from(["out_of_sample", "live"])


@dataclass
class Pair:
    """A file and a database that are written together, as the pipeline does."""

    folder: Path
    database: SqlStore
    market: Market = BTC
    versions: dict[str, int] = field(default_factory=dict)

    def path(self, asset: str) -> Path:
        """Return where an asset's file lies."""
        return self.folder / f"{asset}.parquet"

    def record(self, asset: str, digest: str = "d1", sources: tuple[str, ...] = ()) -> Record:
        """Return what a caller says of a write."""
        consumed = {source: self.versions[source] for source in sources}
        return Record(asset, self.market.symbol, self.market.freq, "run-1", NOW, digest, consumed)

    def write(
        self,
        asset: str,
        frame: pd.DataFrame,
        *,
        start: pd.Timestamp | None = None,
        sources: tuple[str, ...] = (),
        digest: str = "d1",
    ) -> FrameManifest:
        """Write rows to both."""

        def rows(manifest: FrameManifest) -> None:
            assert self.database.replace(asset, self.market, frame, manifest=manifest, from_time=start)

        told = self.record(asset, digest, sources)
        if start is None:
            manifest = FRAMES.write(self.path(asset), frame, record=told, before_commit=rows)
        else:
            manifest = FRAMES.splice(
                self.path(asset), frame, record=told, from_time=start, before_commit=rows
            )
        self.versions[asset] = manifest.version
        return manifest

    def check(self, asset: str) -> None:
        """Compare whole, in parts and by columns what both give back."""
        stored, found = FRAMES.open(self.path(asset)), self.database.find(asset, self.market)
        assert found is not None
        assert found.manifest.columns == stored.manifest.columns
        assert_same(found.read(), stored.read())
        middle = stored.read(["timestamp"])["timestamp"].iloc[stored.rows // 2 :].min()
        names = list(stored.manifest.columns)
        for columns in (None, names[:1], names[::-1], names[-2:]):
            assert_same(found.tail(2, columns), stored.tail(2, columns))
            if stored.rows:
                assert_same(found.since(middle, columns), stored.since(middle, columns))


@contextmanager
def in_use(url: str, statement: str) -> Iterator[None]:
    """Hold a table as another process' transaction does."""
    address = sa.make_url(url)
    words = address.translate_connect_args(username="user", database="dbname") | dict(address.query)
    with closing(psycopg2.connect(**words)) as other, other.cursor() as cursor:
        cursor.execute(statement)
        yield
        other.rollback()


def assert_same(found: pd.DataFrame, expected: pd.DataFrame) -> None:
    """Compare columns, dtypes, and the bits of every value."""
    assert list(found.columns) == list(expected.columns)
    assert found.dtypes.to_dict() == expected.dtypes.to_dict()
    assert len(found) == len(expected)
    for name in expected.columns:
        left, right = found[name], expected[name]
        if left.dtype == "float64":
            left, right = left.to_numpy().view("int64"), right.to_numpy().view("int64")
            assert np.array_equal(left, right), name
        else:
            assert left.astype(object).where(left.notna(), None).tolist() == (
                right.astype(object).where(right.notna(), None).tolist()
            ), name


@st.composite
def open_times(draw: st.DrawFn, *, smallest: int = 0, regular: bool = False) -> pd.DatetimeIndex:
    """Return up to twelve times on a grid of five minutes, with holes unless `regular`."""
    first = draw(st.integers(0, 3))
    rows = draw(st.integers(smallest, 12))
    places = np.arange(first, first + rows)
    if not regular and rows > 2:
        kept = draw(st.lists(st.booleans(), min_size=rows, max_size=rows))
        places = places[np.array(kept) | (np.arange(rows) == 0)]
    return pd.DatetimeIndex(START.value + places * BTC.freq_ms * 1_000_000, tz="UTC")


def column(draw: st.DrawFn, values: st.SearchStrategy[object], rows: int) -> list[object]:
    """Return one value a row; mostly few different ones, so that rewrites leave rows as they are."""
    few = draw(st.lists(values, min_size=1, max_size=3))
    return [
        few[place % len(few)] for place in draw(st.lists(st.integers(0, 2), min_size=rows, max_size=rows))
    ]


def texts(values: list[object]) -> np.ndarray:
    """Return texts as a column."""
    found = np.empty(len(values), dtype=object)
    found[:] = values
    return found


def flags(draw: st.DrawFn, rows: int) -> pd.arrays.BooleanArray:
    """Return a column of true, false and unknown."""
    return pd.array(column(draw, st.sampled_from([True, False, pd.NA]), rows), dtype="boolean")


@st.composite
def klines(draw: st.DrawFn, *, smallest: int = 0) -> pd.DataFrame:
    """Return klines with gaps, of any numbers."""
    times = draw(open_times(smallest=smallest))
    frame = pd.DataFrame({"timestamp": times})
    for name in KLINE_COLUMNS[1:]:
        whole = name in ("close_time", "trades")
        values = st.integers(-(2**63), 2**63 - 1) if whole else st.floats(allow_nan=False)
        frame[name] = np.array(column(draw, values, len(times)), dtype="int64" if whole else "float64")
    return frame


@st.composite
def features(draw: st.DrawFn, times: pd.DatetimeIndex | None = None) -> pd.DataFrame:
    """Return features with odd names."""
    times = draw(open_times()) if times is None else times
    names = draw(st.lists(st.sampled_from(ODD), min_size=1, max_size=4, unique=True))
    columns = {name: np.array(column(draw, FLOATS, len(times)), dtype="float64") for name in names}
    return pd.DataFrame({"timestamp": times, **columns})


@st.composite
def predictions(draw: st.DrawFn) -> pd.DataFrame:
    """Return scores of one to three models."""
    times = draw(open_times())
    names = draw(
        st.lists(st.sampled_from(["high_040_4_lgbm", "low_lgbm", "it's_logreg"]), min_size=1, unique=True)
    )
    frame = pd.DataFrame({"timestamp": times, "sample": texts(column(draw, SAMPLES, len(times)))})
    for name in names:
        frame[name] = np.array(column(draw, FLOATS, len(times)), dtype="float64")
    return frame


@st.composite
def signals(draw: st.DrawFn) -> pd.DataFrame:
    """Return signals whose outputs have odd names and every dtype."""
    times = draw(open_times())
    rows = len(times)
    frame = pd.DataFrame({"timestamp": times})
    frame["close"] = np.array(column(draw, FLOATS, rows), dtype="float64")
    frame["sample"] = texts(column(draw, SAMPLES, rows))
    for name in draw(st.lists(st.sampled_from(ODD), max_size=3, unique=True)):
        frame[name] = np.array(column(draw, EXACT, rows), dtype="float64")
    if draw(st.booleans()):
        frame["buy"] = np.array(column(draw, st.booleans(), rows), dtype=bool)
        frame["sell"] = flags(draw, rows)
        frame["count"] = np.array(column(draw, st.integers(-(2**63), 2**63 - 1), rows), dtype="int64")
        frame["why"] = texts(column(draw, TEXTS, rows))
    return frame


@st.composite
def trades(draw: st.DrawFn) -> pd.DataFrame:
    """Return trades of any numbers, as far as the table's words go."""
    times = draw(open_times())
    rows = len(times)
    columns: dict[str, object] = {"timestamp": times, "trade_id": trade_ids(times.asi8)}
    words = {"side": ["BUY", "SELL"], "status": ["OPEN", "CLOSED"], "exit_reason": [None, "time_limit"]}
    for name, dtype in empty_trades().dtypes.items():
        if name in columns:
            continue
        if name == "sample":
            columns[name] = texts(column(draw, SAMPLES, rows))
        elif name in words:
            columns[name] = texts(column(draw, st.sampled_from(words[name]), rows))
        elif name == "exit_time_ms":
            whole = st.integers(0, 4_000_000_000_000).map(float) | st.just(float("nan"))
            columns[name] = np.array(column(draw, whole, rows), dtype="float64")
        else:
            values = FINITE if name in ("entry_price", "quantity") else EXACT
            columns[name] = np.array(column(draw, values, rows), dtype=dtype)
    return pd.DataFrame(columns)


@st.composite
def summaries(draw: st.DrawFn) -> pd.DataFrame:
    """Return rows of texts, JSON among them, and numbers."""
    times = draw(open_times())
    rows = len(times)
    return pd.DataFrame(
        {
            "timestamp": times,
            "verdict": texts(column(draw, TEXTS, rows)),
            "alarms": np.array(column(draw, st.integers(-(2**63), 2**63 - 1), rows), dtype="int64"),
            "evaluations": texts(column(draw, st.just('[{"a": "it\'s \\\\ 1e5", "b": null}]'), rows)),
            "total_pnl": np.array(column(draw, FLOATS, rows), dtype="float64"),
        }
    )


@st.composite
def chain(draw: st.DrawFn) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Return klines, their grid, features and a matrix of one market."""
    raw = draw(klines(smallest=1))
    data = to_grid(raw, BTC)
    times = pd.DatetimeIndex(data["timestamp"])
    own = draw(features(times))
    matrix = pd.concat([data, own.drop(columns="timestamp")], axis=1)
    for name in draw(st.lists(st.sampled_from(["high_4", "high_4_tie", "low/10"]), unique=True)):
        matrix[name] = flags(draw, len(times))
    return raw, data, own, matrix
