"""The file of executed fills: twice is once, in any order, whole after a kill, and nothing is overwritten."""

from __future__ import annotations

import multiprocessing
import random
import shutil
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from decimal import Decimal

import polars as pl
import pytest
from executed_making import BATCH, fill, import_for_ever, store_below
from hypothesis import given, settings
from hypothesis import strategies as st

from itb_assets.domain.executed import FillSource, PositionSide
from itb_assets.errors import MarketBusy, StorageError
from itb_assets.storage.disk.locks import held_lock
from itb_assets.storage.files import executed_trades
from itb_assets.storage.layout import Layout

KILLS = 6


@pytest.fixture
def store(tmp_path):
    return store_below(tmp_path)


def test_nothing_imported_is_no_error(store, tmp_path):
    assert (store.read(), store.exists(), store.sha256()) == ((), False, "")
    assert not (tmp_path / "executed").exists()


def test_all_fields_come_back_exactly(store):
    full = fill(
        1,
        source=FillSource.BINANCE_FUTURES,
        time=datetime(2024, 9, 1, 22, 5, 0, 123_456, tzinfo=UTC),
        position_side=PositionSide.BOTH,
        quantity=Decimal("0.000000000000000000000000000001"),
        price=Decimal("123456789012345678.000000000000000000000000000001"),
        fee=Decimal("-0.1"),
        position_id="p",
        strategy_id="aggressive",
        signal_version="v2",
        model_version="lgbm-3",
        config_hash="abcdef12",
        git_sha="20c482f0",
        leverage=125,
        stop_loss=Decimal(57_900),
        take_profit=Decimal("58355.9"),
        realized_pnl=Decimal(0),
        unrealized_pnl=Decimal("-1.25"),
    )
    least = fill(0, fee=Decimal(0), fee_asset="", order_id=None, raw_data="{}")
    store.merge([full, least])
    assert store.read() == (least, full)


def test_twice_is_once(store):
    fills = [fill(number) for number in range(10)]
    first = store.merge(fills)
    assert (first.added, first.known, first.conflicts, first.total) == (10, 0, (), 10)
    digest = store.sha256()
    again = store.merge(reversed(fills))
    assert (again.added, again.known, again.conflicts, again.total) == (0, 10, (), 10)
    assert store.sha256() == digest
    # a number that is written otherwise, or reported with other words around it, is no other trade
    same = [fill(3, price=Decimal("58124.450"), raw_data='{"from": "another export"}')]
    assert store.merge(same).known == 1
    assert store.sha256() == digest


@settings(max_examples=12)
@given(
    st.lists(st.lists(st.integers(0, 30), max_size=40), min_size=1, max_size=3),
    st.randoms(use_true_random=False),
)
def test_exports_that_overlap_in_any_order_end_the_same(tmp_path_factory, exports, shuffle):
    root = tmp_path_factory.mktemp("root")
    ends = []
    for name in ("one", "other"):
        shuffle.shuffle(exports)
        own = store_below(root / name)
        added = 0
        for numbers in exports:
            shuffle.shuffle(numbers)
            done = own.merge(fill(number) for number in numbers)
            assert done.known == len(numbers) - done.added
            added += done.added
        assert added == len({number for numbers in exports for number in numbers})
        ends.append((own.read(), own.sha256()))
    shutil.rmtree(root)
    assert ends[0] == ends[1]


def test_the_same_trade_with_other_content_is_reported_and_kept_as_it_was(store):
    store.merge([fill(1), fill(2)])
    other = fill(1, price=Decimal(1), order_id=None)
    done = store.merge([other, fill(3)])
    assert (done.added, done.known, done.total) == (1, 0, 3)
    [conflict] = done.conflicts
    assert conflict.key == fill(1).key
    assert str(conflict) == "binance_spot main BTCUSDT trade 1 is stored with another order_id, price"
    assert store.read() == (fill(1), fill(2), fill(3))


def test_one_import_that_contradicts_itself_is_reported(store):
    done = store.merge([fill(1), fill(1, fee=Decimal(5)), fill(1)])
    assert (done.added, done.known, len(done.conflicts)) == (1, 1, 1)
    assert store.read() == (fill(1),)


def test_trades_of_another_symbol_account_or_source_are_others(store):
    others = [fill(1), fill(1, symbol="ETHUSDT"), fill(1, account="b"), fill(1, source=FillSource.SIMULATION)]
    assert store.merge(others).added == 4


def test_an_import_that_fails_adds_nothing(store, monkeypatch):
    """The disk says no after the bytes were written: what was there before is there, and no rubbish."""
    store.merge([fill(1)])
    before = store.sha256()

    def refuse(path):
        raise OSError(28, "No space left on device", str(path))

    with monkeypatch.context() as patched:
        patched.setattr(executed_trades, "sync_file", refuse)
        with pytest.raises(StorageError, match="no space left"):
            store.merge([fill(2)])
    assert store.sha256() == before
    assert [entry.name for entry in store._path.parent.iterdir()] == ["fills.parquet"]
    assert store.merge([fill(2)]).added == 1


@pytest.mark.parametrize("content", [b"", b"PAR1 torn", b"x" * 100])
def test_a_broken_file_is_told_and_left(store, content):
    store._path.parent.mkdir()
    store._path.write_bytes(content)
    for attempt in (store.read, lambda: store.merge([fill(1)])):
        with pytest.raises(StorageError, match=r"fills.parquet cannot be read.*import the exports again"):
            attempt()
    assert store._path.read_bytes() == content


def test_a_file_of_other_columns_or_values_is_told(store):
    store.merge([fill(1)])
    table = pl.read_parquet(store._path)
    table.drop("price").write_parquet(store._path)
    with pytest.raises(StorageError, match=r"has columns .*: expected time"):
        store.read()
    for name, value in (("side", "hold"), ("price", "0"), ("price", "x")):
        table.with_columns(pl.lit(value).alias(name)).write_parquet(store._path)
        with pytest.raises(StorageError, match="holds what is no fill"):
            store.read()


def test_imports_take_turns(store, monkeypatch):
    with ThreadPoolExecutor(4) as pool:
        done = list(pool.map(lambda part: store.merge([fill(n) for n in range(part, part + 30)]), range(8)))
    assert sum(one.added for one in done) == 37
    assert len(store.read()) == 37
    monkeypatch.setattr(executed_trades, "LOCK_WAIT_S", 0.05)
    with held_lock(store._lock, wait_s=0), pytest.raises(MarketBusy, match="is being written by process"):
        store.merge([fill(99)])


def test_killed_at_random_moments(tmp_path):
    """After every `kill -9` the file holds whole imports, all those that were acknowledged among them."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["executed_making"])
    moments = random.Random(7)  # noqa: S311 - a moment needs no secrecy
    known = 0
    for _ in range(KILLS):
        started = context.Event()
        child = context.Process(target=import_for_ever, args=(tmp_path, known // BATCH, started))
        child.start()
        assert started.wait(60)
        time.sleep(moments.uniform(0, 0.03))
        child.kill()
        child.join()
        assert child.exitcode == -signal.SIGKILL
        fills = store_below(tmp_path).read()
        assert fills == tuple(fill(number) for number in range(len(fills)))
        assert len(fills) % BATCH == 0
        assert len(fills) > known
        known = len(fills)
    store_below(tmp_path).merge([fill(known)])
    assert [entry.name for entry in (tmp_path / "executed").iterdir()] == ["fills.parquet"]


def test_the_layout_says_where_it_lies(tmp_path):
    layout = Layout(tmp_path)
    assert layout.executed_fills == tmp_path / "executed" / "fills.parquet"
    assert layout.executed_lock == tmp_path / ".itb" / "locks" / "executed.lock"
    store = executed_trades.ExecutedFills(layout.executed_fills, lock=layout.executed_lock)
    store.merge([fill(1)])
    assert layout.markets() == ()
