"""`kill -9` at any moment of `itb run`: nothing is torn, and the next run completes."""

from __future__ import annotations

import json
import os
import random
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pandas as pd
import pytest
from kill_watch import Sights, database_of, leftovers
from pydantic import SecretStr

from itb_assets.demo.exchange import DemoExchange
from itb_assets.demo.faults import Faults
from itb_assets.demo.market import DEMO_SYMBOLS, demo_klines
from itb_assets.domain.markets import Market
from itb_assets.domain.trading.paper import simulate
from itb_assets.domain.trading.performance import daily_by_sample
from itb_assets.orchestration.build import build_platform
from itb_assets.orchestration.platform import Platform
from itb_assets.orchestration.status import gap_rows
from itb_assets.orchestration.verify import verify
from itb_assets.settings import Settings
from itb_assets.storage.server.embedded import EmbeddedPostgres

pytestmark = pytest.mark.slow

HERE = Path(__file__).parent
MARKET = Market(DEMO_SYMBOLS[0], "1h")
START = datetime(2024, 2, 1, tzinfo=UTC)
FIRST_END = START + timedelta(days=120)
KILLS = 30
SIGHTED = 10
"""So many of the kills fall at the sight of a write, the others at random moments."""

ALL = ("--full-refresh", "--retrain")
KINDS: dict[tuple[str, ...], float] = {(): 0.6, ("--retrain",): 0.8, ("--full-refresh",): 0.7, ALL: 1.0}
"""Options of a run, and how long it takes, the longest being 1."""

MODEL_FILES = {"model.pkl", "metadata.json", "metrics.json", "scores.parquet"}


@dataclass
class Itb:
    """One data root, and a process whose forks are the `itb` commands on it."""

    root: Path
    server: subprocess.Popen[str]
    pace_s: float = 0.0
    """How long the longest kind of run takes just now."""
    days: int = 0

    @property
    def end(self) -> datetime:
        """Time up to which klines were asked for last."""
        return FIRST_END + timedelta(days=self.days)

    @property
    def output(self) -> str:
        """What the commands printed last."""
        return (self.root / "output.log").read_text()[-4000:]

    def start(self, *arguments: str) -> int:
        """Start a command and return its process id."""
        print(json.dumps(arguments), file=self.server.stdin, flush=True)
        return self._answer()

    def ended(self) -> int:
        """Wait for the command to end and return its exit code, negative where a signal ended it."""
        return self._answer()

    def start_run(self, *options: str) -> int:
        """Start a run that has a day more to load than the one before."""
        self.days += 1
        times = ("--start", START.isoformat(), "--end", self.end.isoformat())
        return self.start("run", "--symbols", MARKET.symbol, "--freqs", MARKET.freq, *times, *options)

    def call(self, *arguments: str) -> None:
        """Run a command to its end, which must be a good one."""
        self.start(*arguments)
        assert self.ended() == 0, self.output

    def run(self, *options: str) -> None:
        """Run to the end and note how long that takes."""
        began = time.monotonic()
        self.start_run(*options)
        assert self.ended() == 0, self.output
        self.pace_s = (time.monotonic() - began) / KINDS[options]

    def kill_run(self, moment: float | Callable[[], bool], *options: str) -> bool:
        """Start a run and kill it after a part of its time, or when it is due; False: it ended first."""
        began = time.monotonic()
        pid = self.start_run(*options)
        if isinstance(moment, float):
            deadline = began + moment * self.pace_s * KINDS[options]
            due: Callable[[], bool] = lambda: time.monotonic() >= deadline  # noqa: E731
        else:
            due = moment
        while not due() and not has_ended(pid):
            time.sleep(0.001)
        with suppress(ProcessLookupError):
            os.killpg(pid, signal.SIGKILL)
        code = self.ended()
        assert code in (0, -signal.SIGKILL), self.output
        if code == 0:
            self.pace_s = (time.monotonic() - began) / KINDS[options]
        return code != 0

    def _answer(self) -> int:
        assert self.server.stdout is not None
        return int(self.server.stdout.readline())


def has_ended(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):  # the latter where it goes between open and read
        return True


@pytest.fixture(scope="module")
def exchange() -> Iterator[DemoExchange]:
    """Return an exchange whose answers take long enough for a download to be killed."""
    with DemoExchange(faults=Faults(delay_s=0.01)) as exchange:
        yield exchange


@pytest.fixture(scope="module")
def itb(exchange, tmp_path_factory) -> Iterator[Itb]:
    """Return a data root with a database that is left running, and two complete runs behind it."""
    root = tmp_path_factory.mktemp("root")
    environment = {name: value for name, value in os.environ.items() if not name.startswith("ITB_")} | {
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
        "ITB_DATA_ROOT": str(root),
        "ITB_BINANCE_URL": exchange.url,
        "ITB_BINANCE_ARCHIVE": exchange.url,
        "ITB_STORAGE_PHASE": "dual",
        "ITB_STRATEGIES_DIR": str(HERE / "small_strategies"),
        "ITB_THREADS": "1",
    }
    command = [sys.executable, str(HERE / "itb_server.py"), str(root / "output.log")]
    with subprocess.Popen(
        command, env=environment, cwd=root, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as server:
        itb = Itb(root, server)
        try:
            itb.call("db", "start")
            itb.run()
            itb.run(*ALL)
            yield itb
        finally:
            server.kill()
            EmbeddedPostgres(root / ".itb" / "postgres").stop(at_once=True)


@pytest.fixture(scope="module")
def platform(itb, exchange) -> Iterator[Platform]:
    """Return what reads the same data root from here."""
    server = EmbeddedPostgres(itb.root / ".itb" / "postgres")
    settings = Settings(
        data_root=itb.root,
        binance_url=exchange.url,
        binance_archive=exchange.url,
        strategies_dir=HERE / "small_strategies",
        database_url=SecretStr(server.url("itb")),
    )
    platform = build_platform(settings)
    yield platform
    platform.close()


def check_whole(platform: Platform, *, complete: bool = False) -> set[str]:
    """Check all that is stored; return the tables that are ahead of their file, which a kill may leave."""
    found = list(verify(platform))
    stored = {item.what for item in found if not re.search(" version [0-9]+$", item.what)}
    assert stored == set(platform.asset_names())
    ahead = set()
    for item in found:
        if item.problem.startswith("the database holds version") and not complete:
            ahead.add(item.what)
            recorded = platform.database.recorded(item.what, MARKET)
            assert recorded.version >= platform.stored(MARKET, item.what).manifest.version, item
        else:
            assert not item.problem, item
    for folder in platform.layout.root.glob("models/*/*/*/*/[!.]*"):
        assert {file.name for file in folder.iterdir()} == MODEL_FILES
    gap_rows(platform, closed=True)
    return ahead


def test_thirty_kills(itb, platform, record_property):
    """Kills spread over runs of every kind, a third of them at the sight of a write, leave whole files."""
    dice = random.Random(20240601)  # noqa: S311 - a moment needs no secrecy
    spread = KILLS - SIGHTED
    with closing(Sights(itb.root, MARKET)) as sights:
        moments: list[float | str] = [(slot + dice.random()) / spread for slot in range(spread)]
        moments += [sights.names[number % len(sights.names)] for number in range(SIGHTED)]
        dice.shuffle(moments)
        killed: list[float | str] = []
        left: set[str] = set()
        for attempt in range(3 * KILLS):
            if len(killed) == KILLS:
                break
            moment = moments[len(killed)]
            options = ALL if isinstance(moment, str) else list(KINDS)[attempt % len(KINDS)]
            if itb.kill_run(sights.look_for(moment) if isinstance(moment, str) else moment, *options):
                killed.append(moment)
                left |= {*leftovers(itb.root, MARKET)} | check_whole(platform)
    record_property("left behind", sorted(left))
    assert len(killed) == KILLS
    assert left, "no kill fell into a write: they are not where they should be"
    itb.run("--retrain")
    itb.call("verify")
    assert leftovers(itb.root, MARKET) == []
    assert check_whole(platform, complete=True) == set()


def test_what_is_there_in_the_end(itb, platform):
    """After all those kills the data is what one undisturbed run would have made."""
    klines = platform.stored(MARKET, "raw/klines").read()
    expected = demo_klines(MARKET, *(int(time.timestamp() * 1000) for time in (START, itb.end)))
    pd.testing.assert_frame_equal(klines, expected)
    table = platform.database.read("ohlcv", MARKET)
    pd.testing.assert_frame_equal(table[list(klines.columns)], klines, check_dtype=False)
    data = platform.stored(MARKET, "processed/data").read()
    features = platform.stored(MARKET, "processed/features").read()
    pd.testing.assert_frame_equal(features, platform.features.compute(data), rtol=1e-9)
    labels = platform.labels.compute(data)
    matrix = platform.stored(MARKET, "labeled/matrix").read()
    pd.testing.assert_frame_equal(matrix[list(labels.columns)], labels)
    table = platform.database.read("signals", MARKET)
    for variant in ("aggressive", "conservative"):
        signals = platform.stored(MARKET, f"signals/{variant}")
        predictions = platform.stored(MARKET, f"predictions/{variant}")
        assert (table["variant"] == variant).sum() == signals.rows == predictions.rows
        assert signals.last == klines["timestamp"].iloc[-1]
    table = platform.database.read("trades", MARKET)
    for variant in ("aggressive", "conservative"):
        trades, signals = (
            platform.stored(MARKET, f"{stage}/{variant}").read() for stage in ("trades", "signals")
        )
        rule = platform.trading_rule(variant)
        since = data[data["timestamp"] >= signals["timestamp"].iloc[0]].reset_index(drop=True)
        pd.testing.assert_frame_equal(trades, simulate(signals, since, rule, MARKET).trades)
        assert (table["account"] == variant).sum() == len(trades)
        days = platform.stored(MARKET, f"performance/{variant}").read()
        pd.testing.assert_frame_equal(days, daily_by_sample(trades, MARKET, model_name=variant))


def test_a_killed_run_is_not_under_way(itb):
    """Dagster does not go on calling a killed run started: the schedule of its market would wait for it."""
    with closing(database_of(itb.root, "dagster")) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT status, count(*) FROM runs GROUP BY status")
        found = dict(cursor.fetchall())
    assert found.keys() == {"SUCCESS", "FAILURE"}
