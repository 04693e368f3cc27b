"""Bad input is told clearly on standard error, with an exit code that means something, and stores nothing.

An exchange, a strategy, a model or a database that is wrong belongs to its own `test_bad_...`.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from dagster_postgres.utils import DagsterPostgresException, wait_for_connection
from itb_command import Said
from refusals import BAD, DEAD, LATER, RUN, SECRET, WRONG, contents, refused
from small_disks import small_disk

from itb_assets.errors import DatabaseUnavailable
from itb_assets.orchestration.failures import cause_of


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


@pytest.fixture
def disk(tmp_path) -> Iterator[Path]:
    """Return a folder on a disk of its own, on which klines find room and features do not."""
    with small_disk(tmp_path, "900k") as folder:
        yield folder


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
