"""One writer a market, whatever becomes of it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from itb_assets.errors import MarketBusy
from itb_assets.storage.disk.locks import market_lock

HOLD = """
import sys, time
from pathlib import Path
from itb_assets.storage.disk.locks import market_lock
with market_lock(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def path(tmp_path):
    return tmp_path / "locks" / "BTCUSDT_5m.lock"


@pytest.fixture
def holder(path):
    with subprocess.Popen([sys.executable, "-c", HOLD, str(path)], stdout=subprocess.PIPE) as process:
        assert process.stdout.readline() == b"held\n"
        yield process
        process.kill()


def test_a_second_writer_is_told_who_holds_it(path, holder):
    with pytest.raises(MarketBusy, match=f"BTCUSDT 5m is being written by process {holder.pid}"):
        market_lock(path).__enter__()


def test_a_killed_holder_lets_go(path, holder):
    os.kill(holder.pid, signal.SIGKILL)
    with market_lock(path, wait_s=5):
        assert path.read_text() == str(os.getpid())


def test_it_may_be_waited_for(path):
    events = []

    def second():
        with market_lock(path, wait_s=5):
            events.append("second")

    with market_lock(path):
        waiting = threading.Thread(target=second)
        waiting.start()
        time.sleep(0.1)
        events.append("first")
    waiting.join()
    assert events == ["first", "second"]


def test_waiting_ends(path, holder):
    started = time.monotonic()
    with pytest.raises(MarketBusy):
        market_lock(path, wait_s=0.1).__enter__()
    assert 0.1 <= time.monotonic() - started < 2


def test_what_fails_under_the_lock_releases_it(path):
    with pytest.raises(ZeroDivisionError), market_lock(path):
        raise ZeroDivisionError
    with market_lock(path):
        pass
