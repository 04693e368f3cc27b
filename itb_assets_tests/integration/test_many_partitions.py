"""Many markets written at once by processes and threads: no deadlock, few connections, the right rows."""

from __future__ import annotations

import multiprocessing
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import psycopg2
import pytest
import sqlalchemy as sa
from endurance_frames import DEFINITIONS, FEATURES, PRELOADED, SOURCES, Chain, assert_same, chain, keeper_of
from partition_writer import Share, write_share

from itb_assets.domain.markets import Market
from itb_assets.storage.phases import Phase
from itb_assets.storage.tables.columns_catalogue import sql_name

pytestmark = pytest.mark.slow

SYMBOLS = ("BTCUSDT", "ETHUSDT", "SOLUSDT", "XRPUSDT")
FREQS = ("1m", "5m", "1h", "4h")
PROCESSES = 4
CONNECTIONS = 3 * PROCESSES
"""A process keeps one for rows and one for queries, and opens one more for a moment; markets add none."""
AT_MOST = CONNECTIONS + 2 * PROCESSES
"""The server forgets late what was closed. One kept for each market would be more still."""
DEADLOCKS = "SELECT deadlocks FROM pg_stat_database WHERE datname = 'test'"
OPEN = """
SELECT count(*) AS open FROM pg_stat_activity
WHERE datname = 'test' AND backend_type = 'client backend' AND pid <> pg_backend_pid()
"""
FORGOTTEN_S = 30.0


@pytest.fixture(scope="module")
def context():
    """Return what starts processes in milliseconds, the package already imported."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOADED)
    return context


@pytest.fixture
def few_connections(postgres, postgres_url):
    """Let the server refuse more connections than the processes need, those that it has yet to forget too."""
    role = sa.make_url(postgres_url).query["user"]
    with closing(psycopg2.connect(dbname="test", user="postgres", host=_host(postgres))) as connection:
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute(f"ALTER ROLE {role} CONNECTION LIMIT {AT_MOST}")
            yield cursor
            cursor.execute(f"ALTER ROLE {role} CONNECTION LIMIT -1")


def _host(server) -> str:
    return str(server.status().socket_dir)


def share_of(root: Path, phase: Phase, url: str, number: int, generation: int) -> Share:
    """Return what one of the processes writes: its freq of every symbol, and features of its own."""
    own = tuple(f"own_{number}_{generation}_{count}" for count in range(10))
    shared = FEATURES if generation == 0 else (*FEATURES, *(f"later_{count}" for count in range(10)))
    # each names what all have in an order of its own
    features = (*own, *(shared[number * 7 :] + shared[: number * 7]))
    markets = tuple(Market(symbol, FREQS[number]) for symbol in SYMBOLS)
    definitions = {"features": {name: f"definition of {name}" for name in features}} | {
        "labels": dict(DEFINITIONS["labels"])
    }
    return Share(root, phase, url, markets, features, definitions, generation)


def write_at_once(context, shares: list[Share]) -> list[str]:
    """Write each share in a process of its own; return what went wrong in each."""
    barrier, answers = context.Barrier(len(shares)), context.SimpleQueue()
    processes = [context.Process(target=write_share, args=(share, barrier, answers)) for share in shares]
    for process in processes:
        process.start()
    said = [answers.get() for _ in processes]
    for process in processes:
        process.join()
    return said


def assert_stored(share: Share) -> None:
    """Compare every frame of a share, as file and as table, with what it should be."""
    keeper = keeper_of(share.root, share.phase, share.url, share.definitions)
    with closing(keeper.database):
        for market in share.markets:
            expected = chain(market, share.generation, features=share.features)
            for asset in SOURCES:
                table = keeper.database.find(asset, market)
                assert_same(table.read(), expected[asset], f"table of {asset} of {market}")
                if share.phase != "db":
                    file = keeper.file(market, asset)
                    assert_same(file.read(), expected[asset], f"file of {asset} of {market}")


@pytest.mark.parametrize("phase", ["dual", "db"])
def test_sixteen_partitions_in_four_processes(context, few_connections, postgres_url, tmp_path, phase):
    """From an empty database on: migrations, new columns and first rows all race; then upserts with more."""
    few_connections.execute(DEADLOCKS)
    before = few_connections.fetchone()
    for generation in (0, 3):
        shares = [
            share_of(tmp_path / "data", phase, postgres_url, number, generation)
            for number in range(PROCESSES)
        ]
        assert write_at_once(context, shares) == [""] * PROCESSES
        for share in shares:
            assert_stored(share)
    few_connections.execute(DEADLOCKS)
    assert few_connections.fetchone() == before


def test_four_threads_of_one_process(postgres_url, tmp_path):
    """They share a store, which connects and migrates once, and take turns on its connection."""
    keeper = keeper_of(tmp_path / "data", "dual", postgres_url)
    markets = [Market(symbol, "5m") for symbol in SYMBOLS]
    together = threading.Barrier(len(markets))

    def write(number: int, generation: int) -> None:
        together.wait(30)
        own = (*FEATURES[number:], *FEATURES[:number], f"own_{number}")
        for _ in Chain(keeper, markets[number], own).write(generation):
            pass
        keeper.database.query("SELECT count(*) FROM manifests")

    with closing(keeper.database), ThreadPoolExecutor(len(markets)) as threads:
        for generation in (0, 2):
            list(threads.map(write, range(len(markets)), [generation] * len(markets)))
        until = time.monotonic() + FORGOTTEN_S
        while (found := keeper.database.query(OPEN)[0]["open"]) > 4:
            assert time.monotonic() < until, f"{found} connections stay open"
            time.sleep(0.05)
        for number, market in enumerate(markets):
            own = (*FEATURES[number:], *FEATURES[:number], f"own_{number}")
            for asset, expected in chain(market, 2, features=own).items():
                assert_same(keeper.database.find(asset, market).read(), expected, f"{asset} of {market}")
        names = {column.column for column in keeper.database.columns() if column.table == "features"}
        assert {sql_name(name) for name in FEATURES} < names
