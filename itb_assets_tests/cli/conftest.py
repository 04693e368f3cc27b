"""What the tests of the command line share: the command, an exchange, a data root with its database."""

from __future__ import annotations

import io
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import chdir, redirect_stderr, redirect_stdout
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

from itb_assets.cli import main
from itb_assets.demo.exchange import DemoExchange
from itb_assets.demo.faults import Faults
from itb_assets.demo.market import DEMO_SYMBOLS
from itb_assets.domain.markets import Market
from itb_assets.observability.logs import configure_logging
from itb_assets.storage.embedded import EmbeddedPostgres

SMALL_STRATEGIES = Path(__file__).parents[1] / "integration" / "small_strategies"
MARKET = Market(DEMO_SYMBOLS[0], "1h")
WINDOW = ("--start", "2024-02-01", "--end", "2024-05-31")
"""An outage of the invented exchange lies in it."""


@dataclass(frozen=True)
class Said:
    """What a command answered."""

    code: int
    out: str
    err: str

    def json(self) -> Any:
        """Return standard output as strict JSON, which knows no NaN."""
        return json.loads(self.out, parse_constant=_refuse)


def _refuse(word: str) -> None:
    raise AssertionError(f"{word} is not JSON")


@dataclass(frozen=True)
class Itb:
    """The command `itb` in this process, in a folder and an environment of its own."""

    folder: Path
    environment: Mapping[str, str] = field(default_factory=dict)

    @property
    def root(self) -> Path:
        """The data root."""
        return Path(self.environment["ITB_DATA_ROOT"])

    def __call__(self, *arguments: str, **changes: str) -> Said:
        """Run a command; `changes` are settings of this call alone, such as `ITB_PORT`."""
        kept = {
            name: value for name, value in os.environ.items() if not name.startswith(("ITB_", "DAGSTER_"))
        }
        out, err = io.StringIO(), io.StringIO()
        with (
            chdir(self.folder),
            mock.patch.dict(os.environ, kept | dict(self.environment) | changes, clear=True),
            mock.patch.object(sys, "argv", ["itb", *arguments]),
            redirect_stdout(out),
            redirect_stderr(err),
        ):
            code = _exit_code()
        configure_logging("CRITICAL", sink=lambda _: None)
        return Said(code, out.getvalue(), err.getvalue())


def _exit_code() -> int:
    try:
        main()
    except SystemExit as left:
        return int(left.code or 0)
    return 0


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
