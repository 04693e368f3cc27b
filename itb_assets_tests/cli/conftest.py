"""What the tests of the command line share: an exchange, a data root with its database, the command on it."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from itb_command import MARKET, SMALL_STRATEGIES, WINDOW, Itb

from itb_assets.demo.exchange import DemoExchange
from itb_assets.demo.faults import Faults
from itb_assets.storage.server.embedded import EmbeddedPostgres


@pytest.fixture(scope="session")
def exchange() -> Iterator[DemoExchange]:
    """Return an exchange that does as it should."""
    with DemoExchange(faults=Faults()) as exchange:
        yield exchange


@pytest.fixture(scope="session")
def built(exchange) -> Iterator[Itb]:
    """Return the command on a data root made by a real run, its embedded database left running."""
    folder = Path(tempfile.mkdtemp(prefix="itb cli "))
    itb = Itb(
        folder,
        {
            "ITB_DATA_ROOT": str(folder / "data root"),
            "ITB_BINANCE_URL": exchange.url,
            "ITB_BINANCE_ARCHIVE": exchange.url,
            "ITB_STRATEGIES_DIR": str(SMALL_STRATEGIES),
            "ITB_THREADS": "1",
            "ITB_LOG_LEVEL": "WARNING",
        },
    )
    try:
        started = itb("db", "start")
        assert started.code == 0, started
        ran = itb("run", "--symbols", MARKET.symbol, "--freqs", MARKET.freq, *WINDOW)
        assert ran.code == 0, ran
        yield itb
    finally:
        EmbeddedPostgres(itb.root / ".itb" / "postgres").stop(at_once=True)
        shutil.rmtree(folder)


@pytest.fixture
def empty(built, tmp_path) -> Itb:
    """Return the command in a folder where nothing is yet."""
    return Itb(tmp_path, {**built.environment, "ITB_DATA_ROOT": str(tmp_path / "data root")})


@pytest.fixture(scope="session")
def broken() -> Iterator[DemoExchange]:
    """Return an exchange that a test breaks as it likes, through `itb`."""
    with DemoExchange(faults=Faults()) as exchange:
        yield exchange


@pytest.fixture(scope="session")
def shared_server(built) -> EmbeddedPostgres:
    """Return the server of the data root that was built, with a database in which nothing is ever stored."""
    server = EmbeddedPostgres(built.root / ".itb" / "postgres")
    server.ensure_database("bad")
    return server


@pytest.fixture
def itb(built, broken, shared_server, tmp_path) -> Itb:
    """Return the command on an empty data root."""
    for name, value in vars(Faults()).items():
        setattr(broken.faults, name, value)
    return Itb(
        tmp_path,
        {
            **built.environment,
            "ITB_DATA_ROOT": str(tmp_path / "data root"),
            "ITB_DATABASE_URL": shared_server.url("bad"),
            "ITB_DAGSTER_URL": shared_server.url("dagster"),
            "ITB_BINANCE_URL": broken.url,
            "ITB_BINANCE_ARCHIVE": broken.url,
        },
    )


@pytest.fixture
def copied(itb, built) -> Itb:
    """Return the command on a copy of the data root that was built, without a database for its rows."""
    for name in (MARKET.symbol, "models"):
        shutil.copytree(built.root / name, itb.root / name)
    return replace(itb, environment={**itb.environment, "ITB_STORAGE_PHASE": "files"})
