"""Bad input is told clearly on standard error, with an exit code that means something, and stores nothing."""

from __future__ import annotations

import hashlib
import json
import os
import pickle
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import psycopg2
import pytest
from conftest import MARKET, WINDOW, Itb, Said
from dagster_postgres.utils import DagsterPostgresException, wait_for_connection
from refusals import BAD, LATER, RUN, SECRET, WRONG, contents, refused

from itb_assets.demo.exchange import DemoExchange
from itb_assets.demo.faults import Faults
from itb_assets.errors import DatabaseUnavailable
from itb_assets.orchestration.failures import cause_of
from itb_assets.storage.embedded import EmbeddedPostgres

NOBODY_LISTENS = "http://127.0.0.1:9"


@pytest.fixture(scope="module")
def broken() -> Iterator[DemoExchange]:
    """Return an exchange that a test breaks as it likes."""
    with DemoExchange(faults=Faults()) as exchange:
        yield exchange


@pytest.fixture(scope="module")
def server(built) -> EmbeddedPostgres:
    """Return the server, with a database in which nothing must ever be stored."""
    server = EmbeddedPostgres(built.root / ".itb" / "postgres")
    server.ensure_database("bad")
    return server


@pytest.fixture
def itb(built, broken, server, tmp_path) -> Itb:
    """Return the command on an empty data root."""
    for name, value in vars(Faults()).items():
        setattr(broken.faults, name, value)
    return Itb(
        tmp_path,
        {
            **built.environment,
            "ITB_DATA_ROOT": str(tmp_path / "data root"),
            "ITB_DATABASE_URL": server.url("bad"),
            "ITB_DAGSTER_URL": server.url("dagster"),
            "ITB_BINANCE_URL": broken.url,
            "ITB_BINANCE_ARCHIVE": broken.url,
        },
    )


@pytest.fixture
def copied(itb, built) -> Itb:
    """Return the command on a copy of the data root that was built, without a database for it."""
    for name in (MARKET.symbol, "models"):
        shutil.copytree(built.root / name, itb.root / name)
    return replace(itb, environment={**itb.environment, "ITB_STORAGE_PHASE": "files"})


def rows_in(server: EmbeddedPostgres) -> int:
    """Return how many rows the tables hold in the database for bad input."""
    folder = server.status().socket_dir
    connected = closing(psycopg2.connect(dbname="bad", user="postgres", host=str(folder)))
    with connected as connection, connection.cursor() as cursor:
        cursor.execute("SELECT to_regclass('manifests') IS NOT NULL")
        if not cursor.fetchone()[0]:
            return 0
        cursor.execute("SELECT (SELECT count(*) FROM ohlcv) + (SELECT count(*) FROM manifests)")
        return int(cursor.fetchone()[0])


def test_a_symbol_that_is_a_path(itb):
    for command in (("run", "--symbols", "../x"), ("symbols", "add", "../x"), ("symbols", "remove", "../x")):
        refused(itb(*command), WRONG, "symbol '../x' is not valid", "expected 2 to 20 upper-case letters")
    refused(itb("run", ITB_SYMBOLS="../x"), WRONG, "ITB_SYMBOLS", "symbol '../x' is not valid")
    refused(
        itb("models", "show", "../x/1h/aggressive/lgbm/high_040_4"), WRONG, "is not valid: expected SYMBOL"
    )
    assert list(itb.folder.iterdir()) == []


def test_a_freq_that_no_exchange_has(itb):
    refused(itb("run", "--symbols", "BTCUSDT", "--freqs", "7m"), WRONG, "freq '7m'", "expected one of 1m, 3m")
    assert list(itb.folder.iterdir()) == []


def test_a_symbol_the_exchange_does_not_list(itb, server):
    words = ("NOSUCHUSDT", "is not listed by the exchange", "check the spelling")
    refused(itb("run", "--symbols", "NOSUCHUSDT", "--freqs", "1h", *WINDOW), WRONG, *words)
    refused(itb("symbols", "add", "NOSUCHUSDT"), WRONG, *words)
    assert contents(itb.root) == {}
    followed = [row["symbol"] for row in itb("symbols", "list", "--json").json()]
    assert "NOSUCHUSDT" not in followed


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--start", "nonsense"), "start 'nonsense' is not a time: expected ISO, such as 2024-07-01T12:00"),
        (("--end", "31.12.2024"), "end '31.12.2024' is not a time"),
        (("--start", "2024-05-01", "--end", "2024-04-01"), "end 2024-04-01 is not after start 2024-05-01"),
    ],
)
def test_times_that_are_none(itb, options, words):
    refused(itb("run", "--symbols", "BTCUSDT", *options), WRONG, words)
    assert list(itb.folder.iterdir()) == []


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ("empty", ("-2024-0", "is empty: expected klines of [2024-0", "get a sound copy")),
        ("checksum", ("was published, sha256", "was found", "delete it or get a sound copy")),
        ("no_checksum", ("no readable checksum was published",)),
        ("truncated", ("was published, sha256", "the file is damaged, truncated")),
        ("torn", ("is torn or no zip at all", "get a sound copy")),
        ("nan", ("NaN, infinite or missing value in close at 2024-0", "expected a number in every field")),
        ("duplicate", ("1 duplicate rows, first at 2024-0", "expected open times that rise strictly")),
        ("unsorted", ("1 unsorted rows, first at 2024-0", "expected open times that rise strictly")),
    ],
)
def test_an_archive_that_is_wrong(itb, broken, server, fault, words):
    """There is no REST to stand in: it refuses."""
    broken.faults.archive, broken.faults.rest = fault, "403"
    refused(itb(*RUN), BAD, f"{MARKET}: ", *words)
    assert contents(itb.root) == {}
    assert rows_in(server) == 0


@pytest.mark.parametrize(
    ("fault", "words"), [("nan", "missing value in close"), ("duplicate", "duplicate rows")]
)
def test_rest_klines_that_are_wrong(itb, broken, server, fault, words):
    broken.faults.rest = fault
    refused(itb(*RUN[:5], "--start", str(_days_ago(1))), BAD, "REST klines", words, "get a sound copy")
    assert contents(itb.root) == {}
    assert rows_in(server) == 0


def _days_ago(days: int) -> str:
    return time.strftime("%Y-%m-%d", time.gmtime(time.time() - 86_400 * days))


def test_an_exchange_that_is_down(itb, server):
    said = itb(*RUN, ITB_BINANCE_URL=NOBODY_LISTENS, ITB_BINANCE_ARCHIVE=NOBODY_LISTENS)
    refused(said, LATER, "cannot be reached", "check the network and the host, then run again")
    assert contents(itb.root) == {}
    assert rows_in(server) == 0


def test_an_exchange_that_only_answers_429(itb, broken):
    """The wait it asks for is obeyed, and bounded: `itb` does not sit there for ever, nor ask on and on."""
    broken.faults.rest, broken.faults.archive, broken.faults.retry_after_s = "429", "404", 1
    before, began = len(broken.requests), time.monotonic()
    said = itb(*RUN, ITB_MAX_WAIT_S="1.5")
    refused(said, LATER, "answered 429", "asks for another 1 s", "wait that long")
    assert time.monotonic() - began < 20
    asked = [target for target in broken.requests[before:] if target.startswith("/api/")]
    assert len(asked) == 2
    assert contents(itb.root) == {}


DEAD = f"postgresql+psycopg2://me:{SECRET}@127.0.0.1:9/itb"


@pytest.mark.parametrize("command", [RUN, ("symbols", "list"), ("ui",)], ids=lambda words: words[0])
def test_a_database_that_is_down(itb, command):
    said = itb(*command, ITB_DATABASE_URL=DEAD)
    refused(said, LATER, "me:***@127.0.0.1:9/itb cannot be reached", "start it, or correct ITB_DATABASE_URL")
    assert contents(itb.folder) == {}


def test_a_database_url_that_is_none(itb):
    for url in (f"mysql://me:{SECRET}@host/itb", f"{SECRET} in words"):
        refused(itb(*RUN, ITB_DATABASE_URL=url), WRONG, "expected postgresql", "correct ITB_DATABASE_URL")


def test_a_database_that_is_lost_under_a_run():
    """What Dagster says of its own storage then is told in our words too."""
    with pytest.raises(DagsterPostgresException) as raised:
        wait_for_connection(DEAD, retry_limit=0)
    error = cause_of(raised.value)
    assert isinstance(error, DatabaseUnavailable)
    assert "was lost: connection to server" in str(error)
    assert SECRET not in str(error)


def test_settings_that_are_wrong(itb):
    """Every wrong setting is listed, with what was found; a secret is never shown."""
    wrong = {
        "ITB_PORT": "abc",
        "ITB_FREQS": "7m",
        "ITB_START": "soon",
        "ITB_THREADS": "0",
        "ITB_DIALECT": "x",
    }
    said = itb("status", **wrong, ITB_MODEL_SIGNING_KEY=SECRET)
    refused(
        said, WRONG, "settings: 5 problems found", *(f"{name} '{value}': " for name, value in wrong.items())
    )
    assert "valid integer" in said.err


def test_a_data_root_that_is_a_file(itb):
    itb.root.touch()
    for command in (RUN, ("status",)):
        refused(itb(*command), WRONG, "ITB_DATA_ROOT", "is a file: expected a folder")


def test_nothing_to_run(itb):
    refused(itb("run"), WRONG, "no symbol given: pass --symbols BTCUSDT or set ITB_SYMBOLS")


FIVE_MISTAKES = """{
  "label_horizon": "four",
  "colour": "red",
  "feature_sets": [
    { "generator": "talib", "config": { "columns": ["close"], "functions": ["NOSUCH"], "windows": [3] } },
    { "generator": "talib", "config": { "columns": ["close"], "functions": ["SMA"], "windows": [3] } }
  ],
  "label_sets": [
    { "generator": "highlow2", "config": { "columns": ["close", "high", "low"], "function": "sideways",
      "thresholds": [0.4], "tolerance": 0.05, "horizon": 4, "names": ["high_040_4"] } }
  ],
  "train_features": ["close_SMA_3", "close_RSI_14"],
  "labels": ["high_040_4"],
  "algorithms": [ { "name": "lgbm", "algo": "lgbm", "train": {} } ]
}
"""
FIVE_LINES = (
    "2:20: label_horizon: expected a valid integer, found text",
    "3:3: unknown key 'colour'",
    "5:5: talib: NOSUCH is not a function of TA-Lib",
    "9:5: highlow2: config.function: input should be 'high' or 'low', found 'sideways'",
    "12:37: no feature_sets entry makes feature 'close_RSI_14'",
)


def test_a_strategy_with_five_mistakes(itb):
    """All five are told at once, each with its line, whoever reads the file."""
    folder = itb.folder / "strategies"
    folder.mkdir()
    (folder / "mine.jsonc").write_text(FIVE_MISTAKES)
    for said in (
        itb("strategies", "check", str(folder / "mine.jsonc")),
        itb(*RUN, ITB_STRATEGIES_DIR=str(folder)),
        itb("status", ITB_STRATEGIES_DIR=str(folder)),
    ):
        refused(said, WRONG, "mine.jsonc", "5 problems found")
        for line in FIVE_LINES:
            assert line in said.err, said
    assert not itb.root.exists()


def test_a_strategies_folder_that_cannot_be_read(itb):
    folder = itb.folder / "strategies"
    refused(
        itb(*RUN, ITB_STRATEGIES_DIR=str(folder)), WRONG, "is not a folder: expected one that holds *.jsonc"
    )
    (folder / "a_folder.jsonc").mkdir(parents=True)
    (folder / "latin.jsonc").write_bytes('{"description": "ação"}'.encode("latin-1"))
    said = itb(*RUN, ITB_STRATEGIES_DIR=str(folder))
    refused(said, WRONG, "a_folder.jsonc: cannot be read", "latin.jsonc: cannot be read: not UTF-8 text")
    assert not itb.root.exists()


def model_folder(itb: Itb) -> Path:
    return itb.root / "models" / MARKET.symbol / MARKET.freq / "aggressive" / "lgbm" / "high_040_4"


def name_of_model() -> str:
    return f"{MARKET.symbol}/{MARKET.freq}/aggressive/lgbm/high_040_4"


def test_a_model_that_was_tampered_with(copied):
    file = model_folder(copied) / "model.pkl"
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)
    before = contents(copied.root)
    words = ("model.pkl is not the file that was saved", "train the model again")
    refused(copied("models", "show", name_of_model()), BAD, *words)
    refused(copied(*RUN), BAD, *words)
    listed = copied("models", "list", "--json")
    assert {row["model"]: row["state"] for row in listed.json()}[name_of_model()] == "ModelRejected"
    assert listed.code == 0
    found = copied("verify", "--json")
    assert found.code == 1
    assert [words[0] in row["problem"] for row in found.json()] == [True]
    assert contents(copied.root) == before
    assert copied(*RUN, "--retrain").code == 0
    assert copied("verify").code == 0


class Hostile:
    """A pickle that touches a file when it is read."""

    def __init__(self, path: Path) -> None:
        """Name the file."""
        self.path = path

    def __reduce__(self):
        """Say what is to be called."""
        return os.system, (f"touch '{self.path}'",)


def test_a_hostile_pickle(copied):
    """Whoever writes the pickle writes its digest too: what stands in the way is what may be unpickled."""
    folder, mark = model_folder(copied), copied.folder / "it ran"
    content = pickle.dumps(Hostile(mark))
    (folder / "model.pkl").write_bytes(content)
    metadata = json.loads((folder / "metadata.json").read_text())
    metadata["sha256"]["model.pkl"] = hashlib.sha256(content).hexdigest()
    (folder / "metadata.json").write_text(json.dumps(metadata))
    before = contents(copied.root)
    words = ("asks for posix.system", "a model is plain data and names no code", "delete it and train again")
    for command in (("models", "show", name_of_model()), RUN):
        refused(copied(*command), BAD, *words)
    assert copied("verify").code == 1
    assert contents(copied.root) == before
    pickle.loads(content)  # noqa: S301 - shows that it would have run
    assert mark.exists()


@pytest.fixture
def disk(tmp_path) -> Iterator[Path]:
    """Return a folder on a disk of its own, on which klines find room and features do not."""
    folder = tmp_path / "small disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=900k", "none", str(folder)]
    if os.geteuid() or subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("mounting a small tmpfs needs root")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def test_a_disk_that_is_full(itb, disk):
    root = disk / "data root"
    said = itb(*RUN, ITB_DATA_ROOT=str(root), ITB_STORAGE_PHASE="files")
    refused(said, BAD, "no space left", "unchanged", "Free space")
    names = [path.name for path in root.rglob("*") if ".itb" not in path.parts and path.is_file()]
    assert not [name for name in names if "tmp" in name]
    assert "klines.parquet" in names
    assert "matrix.csv" not in names
    assert itb("verify", ITB_DATA_ROOT=str(root), ITB_STORAGE_PHASE="files").code == 0
    subprocess.run(["mount", "-o", "remount,size=50m", str(disk)], check=True)
    assert itb(*RUN, ITB_DATA_ROOT=str(root), ITB_STORAGE_PHASE="files").code == 0


def test_a_port_in_use(itb):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        said = itb("ui", "--port", str(port))
    refused(said, BAD, f"127.0.0.1:{port} cannot be listened on", "pass another --port")
    assert contents(itb.folder) == {}


def test_the_program_itself(itb):
    """A shell sees the same: the message on standard error, nothing else, and the exit code."""
    done = subprocess.run(
        [Path(sys.executable).with_name("itb"), "symbols", "list"],
        env={**os.environ, **itb.environment, "ITB_DATABASE_URL": DEAD},
        cwd=itb.folder,
        capture_output=True,
        text=True,
        check=False,
    )
    refused(Said(done.returncode, done.stdout, done.stderr), LATER, "cannot be reached")
    assert done.stdout == ""
