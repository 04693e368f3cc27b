"""Two `itb run` at once, two markets each, on one database and one Dagster: none is in the way of another."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path

import pandas as pd
import pytest
from kill_watch import database_of
from pydantic import SecretStr

from itb_assets.demo.exchange import DemoExchange
from itb_assets.demo.faults import Faults
from itb_assets.demo.market import DEMO_SYMBOLS, demo_klines
from itb_assets.domain.markets import Market
from itb_assets.orchestration.build import build_platform
from itb_assets.settings import Settings
from itb_assets.storage.server.embedded import EmbeddedPostgres

pytestmark = pytest.mark.slow

ITB = Path(sys.executable).with_name("itb")
STRATEGIES = Path(__file__).parent / "small_strategies"
START, END = (pd.Timestamp(day, tz="UTC") for day in ("2024-02-01", "2024-04-15"))
SHARES = (DEMO_SYMBOLS[:2], DEMO_SYMBOLS[2:4])


@pytest.fixture
def environment() -> Iterator[Mapping[str, str]]:
    """Return the environment of a data root whose server runs, nothing stored in it yet."""
    root = Path(tempfile.mkdtemp(prefix="itb at once "))
    server = EmbeddedPostgres(root / ".itb" / "postgres")
    with DemoExchange(faults=Faults()) as exchange:
        environment = {name: value for name, value in os.environ.items() if not name.startswith("ITB_")} | {
            "OMP_NUM_THREADS": "1",
            "ITB_DATA_ROOT": str(root),
            "ITB_BINANCE_URL": exchange.url,
            "ITB_BINANCE_ARCHIVE": exchange.url,
            "ITB_STRATEGIES_DIR": str(STRATEGIES),
            "ITB_THREADS": "1",
            "ITB_LOG_LEVEL": "WARNING",
        }
        server.start()
        try:
            yield environment
        finally:
            server.stop(at_once=True)
            shutil.rmtree(root)


def test_two_runs_of_two_markets_each(environment):
    """Migrations, new columns and first rows race; what verify compares afterwards is all there and whole."""
    window = ("--start", str(START.date()), "--end", str(END.date()))
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    runs = [
        subprocess.Popen(
            [ITB, "run", "--symbols", ",".join(symbols), "--freqs", "1h", *window], env=environment, **pipes
        )
        for symbols in SHARES
    ]
    said = [run.communicate(timeout=300) for run in runs]
    assert [run.returncode for run in runs] == [0, 0], said
    root = Path(environment["ITB_DATA_ROOT"])
    command = [ITB, "verify", "--all", "--json"]
    verified = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert verified.returncode == 0, verified
    found = [(row["market"], row["what"]) for row in json.loads(verified.stdout)]
    markets = [Market(symbol, "1h") for symbols in SHARES for symbol in symbols]
    settings = Settings(
        data_root=root,
        strategies_dir=STRATEGIES,
        database_url=SecretStr(EmbeddedPostgres(root / ".itb" / "postgres").url("itb")),
    )
    with closing(build_platform(settings)) as platform:
        assert {(str(market), name) for market in markets for name in platform.asset_names()} <= set(found)
        for market in markets:
            klines = platform.database.find("raw/klines", market).read()
            times = (int(time.timestamp() * 1000) for time in (START, END))
            pd.testing.assert_frame_equal(klines, demo_klines(market, *times), check_exact=True)
    with closing(database_of(root, "itb")) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT sum(deadlocks) FROM pg_stat_database")
        assert cursor.fetchone() == (0,)
