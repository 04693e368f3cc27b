"""`kill -9` of the database server, or of a writer, loses nothing stored, and `itb verify --repair` mends."""

from __future__ import annotations

import json
import multiprocessing
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from endurance_frames import PRELOADED, SOURCES, Chain, assert_same, chain, generation_of, keeper_of
from endurance_writer import MOMENTS, Events, Job, journal_of, kill_server, write_for_ever
from pydantic import SecretStr

from itb_assets.domain.markets import Market
from itb_assets.orchestration.build import build_platform
from itb_assets.orchestration.verify import verify
from itb_assets.settings import Settings
from itb_assets.storage.files.stored_frame import StoredFrame
from itb_assets.storage.keeper import FrameKeeper
from itb_assets.storage.phases import Phase
from itb_assets.storage.server.embedded import EmbeddedPostgres

pytestmark = pytest.mark.slow

HERE = Path(__file__).parent
MARKET = Market("BTCUSDT", "5m")
WAIT_S = 60
MADE_OF_OTHERS = ("processed/data", "labeled/matrix")


@dataclass
class Itb:
    """A process whose forks are the `itb` commands on a data root."""

    process: subprocess.Popen[str]
    log: Path

    def __call__(self, *arguments: str) -> tuple[int, str]:
        """Run a command; return its exit code and what it said."""
        self.log.write_text("")
        print(json.dumps(arguments), file=self.process.stdin, flush=True)
        assert self.process.stdout is not None
        self.process.stdout.readline()
        return int(self.process.stdout.readline()), self.log.read_text()


@dataclass
class Endurance:
    """A data root in one phase, its server, the writers on it and what became of them."""

    root: Path
    phase: Phase
    server: EmbeddedPostgres
    context: Any
    itb: Itb
    next: int = 0
    """The first generation that nobody has tried to write."""
    mended: list[str] = field(default_factory=list)

    @property
    def url(self) -> str:
        """Where the tables are."""
        return self.server.url("itb")

    def start(self, *, moment: str = "", call: int = 0, server: bool = False) -> tuple[Any, Events]:
        """Start a writer that goes on from where all before it ended."""
        make = self.context
        events = Events(make.Event(), make.Event(), make.Event(), make.SimpleQueue())
        job = Job(self.root, self.phase, self.url, MARKET, self.next, moment, call, server)
        writer = make.Process(target=write_for_ever, args=(job, events))
        writer.start()
        return writer, events

    def kill_writer(self, moment: float | str, call: int = 0) -> None:
        """Let a writer be killed after some seconds of work, or before a step of its own."""
        chosen = isinstance(moment, str)
        writer, events = self.start(moment=str(moment) if chosen else "", call=call)
        if not isinstance(moment, str):
            assert events.stored.wait(WAIT_S)
            time.sleep(moment)
            writer.kill()
        ended(writer, events)
        self.check()

    def kill_server(self, moment: float | str, call: int = 0) -> None:
        """Let the server be killed under a writer, which goes on once it is back."""
        chosen = isinstance(moment, str)
        writer, events = self.start(moment=str(moment) if chosen else "", call=call, server=True)
        if not isinstance(moment, str):
            assert events.stored.wait(WAIT_S)
            time.sleep(moment)
            kill_server(self.root)
        assert events.resting.wait(WAIT_S), events.failure
        assert self.server.start()
        self.check()
        events.go.set()
        assert events.stored.wait(WAIT_S), "the writer did not go on"
        writer.kill()
        ended(writer, events)
        self.check()

    def check(self) -> None:
        """Compare what is there with what was acknowledged: each frame's file and table are that or later."""
        acknowledged = self.acknowledged()
        keeper = keeper_of(self.root, self.phase, self.url)
        with closing(keeper.database):
            for asset in SOURCES:
                sides = self.sides(keeper, asset)
                for what, stored in sides.items():
                    if stored is None:
                        assert asset not in acknowledged, (asset, what)
                        continue
                    found = generation_of(stored.manifest)
                    assert found >= acknowledged.get(asset, 0), (asset, what)
                    self.next = max(self.next, found + 1)
                    if what == "file" or asset not in MADE_OF_OTHERS or self.is_current(keeper, asset):
                        assert_same(stored.read(), chain(MARKET, found)[asset], f"{asset} {what}")

    def is_current(self, keeper: FrameKeeper, asset: str) -> bool:
        """Tell whether what a frame in the database is made of is still there as it was then."""
        manifest = keeper.database.recorded(asset, MARKET)
        return all(
            keeper.database.recorded(source, MARKET).version == version and self.is_current(keeper, source)
            for source, version in manifest.sources.items()
        )

    def sides(self, keeper: FrameKeeper, asset: str) -> dict[str, StoredFrame | None]:
        """Return a frame as it lies in each place that the phase writes."""
        table = keeper.database.find(asset, MARKET)
        return (
            {"table": table} if self.phase == "db" else {"file": keeper.file(MARKET, asset), "table": table}
        )

    def acknowledged(self) -> dict[str, int]:
        """Return the last generation of each asset that was noted as stored."""
        journal = journal_of(self.root, MARKET)
        lines = journal.read_text().splitlines() if journal.exists() else []
        return {line["asset"]: line["generation"] for line in map(json.loads, lines)}

    def move(self, phase: Phase) -> None:
        """Move the data root to a phase by the command."""
        code, said = self.itb("storage", "phase", phase)
        assert code == 0, said
        self.phase = phase

    def repair(self) -> None:
        """Mend by the command, after which another look finds file and table the same in every frame."""
        code, said = self.itb("verify", "--repair", "--json")
        assert code == 0, said
        self.mended += [f"{row['what']}: {row['mended']}" for row in json.loads(said)]
        code, said = self.itb("verify", "--all", "--json")
        assert code == 0, said
        whole = [row["what"] for row in json.loads(said) if not row["problem"]]
        assert set(self.acknowledged()) <= set(whole)
        self.check()


def ended(writer: Any, events: Events) -> None:
    writer.join(WAIT_S)
    said = [] if events.failure.empty() else events.failure.get()
    assert writer.exitcode == -signal.SIGKILL, said


@pytest.fixture(scope="module")
def context():
    """Return what starts writers in milliseconds, the package already imported."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOADED)
    return context


@pytest.fixture(scope="module")
def endurance(context) -> Iterator[Endurance]:
    """Return a data root with a server of its own, to which a killed writer has written."""
    root = Path(tempfile.mkdtemp(prefix="itb endurance "))
    server = EmbeddedPostgres(root / ".itb" / "postgres")
    server.start()
    server.ensure_database("itb")
    try:
        with running_itb(root, server.url("itb")) as itb:
            endurance = Endurance(root, "dual", server, context, itb)
            endurance.kill_writer(0.5)
            yield endurance
    finally:
        server.stop(at_once=True)
        shutil.rmtree(root)


@contextmanager
def running_itb(root: Path, url: str) -> Iterator[Itb]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("ITB_")} | {
        "OMP_NUM_THREADS": "1",
        "ITB_DATA_ROOT": str(root),
        "ITB_DATABASE_URL": url,
        "ITB_STRATEGIES_DIR": str(HERE / "small_strategies"),
    }
    log = root / "output.log"
    command = [sys.executable, str(HERE / "itb_server.py"), str(log)]
    with subprocess.Popen(
        command, env=environment, cwd=root, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            yield Itb(process, log)
        finally:
            process.kill()


@pytest.mark.parametrize(("phase", "kills"), [("dual", 10), ("db_read", 4), ("db", 4)])
def test_nothing_stored_is_lost_by_kills(endurance, phase, kills, record_property):
    """So many of writers and of the server, half at random moments, half before a step; phase after phase."""
    endurance.move(phase)
    dice = random.Random(f"kills in {phase}")  # noqa: S311 - a moment needs no secrecy
    moments = [name for name in MOMENTS if phase != "db" or "rename" not in name]
    plan: list[tuple[str, float | str]] = []
    for kind in ("writer", "server"):
        plan += [(kind, dice.uniform(0, 0.4)) for _ in range(kills // 2)]
        plan += [(kind, moments[number % len(moments)]) for number in range(kills // 2)]
    dice.shuffle(plan)
    for number, (kind, moment) in enumerate(plan, start=1):
        strike = endurance.kill_writer if kind == "writer" else endurance.kill_server
        strike(moment, dice.randrange(1, 10))
        if number % 4 == 0:
            endurance.repair()
    record_property("mended", endurance.mended)
    assert endurance.mended or phase == "db", "no kill left anything to mend"


def test_frames_of_older_klines_do_not_differ(postgres_url, tmp_path):
    """A run that ended after the klines leaves frames that are made of those before: nothing to mend."""
    settings = Settings(
        data_root=tmp_path / "data",
        database_url=SecretStr(postgres_url),
        strategies_dir=HERE / "small_strategies",
    )
    with closing(build_platform(settings)) as platform:
        written = Chain(platform.keeper, MARKET)
        assert [asset for asset, _ in written.write(0)] == list(SOURCES)
        next(written.write(1))
        assert [finding for finding in verify(platform) if finding.problem] == []
