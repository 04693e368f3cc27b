"""Commands on a data root that a real run has made: what they show, to people and to machines.

Help and JSON of all of them belong to `test_every_command`, health to `test_health_commands`.
"""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd
import pytest
from itb_command import MARKET, SMALL_STRATEGIES, Itb
from refusals import RUN

from itb_assets.demo.exchange import DemoExchange
from itb_assets.demo.faults import Faults
from itb_assets.storage.files.frames import FrameStore, Record
from itb_assets.storage.server.embedded import EmbeddedPostgres

ROWS = 120 * 24 - 3
"""Klines of the window; the invented outage takes three."""

MODEL = f"{MARKET.symbol}/{MARKET.freq}/aggressive/lgbm/high_040_4"


def digests(folder: Path, *, without: str = "postgres") -> dict[str, str]:
    """Return the digest of every file."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file() and without not in path.parts
    }


def test_status(built):
    said = built("status")
    assert said.code == 0
    assert MARKET.symbol in said.out
    assert f"{ROWS:,}" in said.out
    (row,) = built("status", "--json").json()
    assert (row["symbol"], row["freq"], row["rows"]) == (MARKET.symbol, MARKET.freq, ROWS)
    assert (row["first_kline"], row["last_kline"]) == ("2024-02-01 00:00", "2024-05-30 23:00")
    assert (row["gaps"], row["missing_rows"], row["models"]) == (1, 3, "2 of 2")
    assert row["freshness"].startswith("late by ")


def test_a_second_run_finds_nothing_to_do(built):
    before = digests(built.root / MARKET.symbol)
    said = built(*RUN, "--json")
    (row,) = said.json()
    assert (row["market"], row["result"], row["new_klines"]) == (str(MARKET), "ok", 0)
    after = digests(built.root / MARKET.symbol)
    assert {name for name in after if after[name] != before[name]} <= {f"{MARKET.freq}/raw/gaps.json"}


def test_a_dry_run_changes_nothing(built, empty):
    before = digests(built.root)
    said = built(*RUN, "--dry-run", "--json")
    (row,) = said.json()
    assert (row["market"], row["rows_stored"], row["models_to_train"]) == (str(MARKET), ROWS, 0)
    assert (row["klines_from"], row["klines_until"]) == ("2024-05-31 00:00", "2024-05-31 00:00")
    (row,) = built(*RUN, "--dry-run", "--retrain", "--full-refresh", "--json").json()
    assert (row["klines_from"], row["models_to_train"]) == ("2024-02-01 00:00", 2)
    assert digests(built.root) == before
    assert empty(*RUN, "--dry-run").code == 0
    assert list(empty.folder.iterdir()) == []


def test_symbols(built):
    def followed() -> list[str]:
        return [row["symbol"] for row in built("symbols", "list", "--json").json()]

    assert followed() == [MARKET.symbol]
    added = built("symbols", "add", "DEMOLYNXUSDT", MARKET.symbol, "--no-check")
    assert (added.code, added.out) == (0, "added: DEMOLYNXUSDT\n")
    assert followed() == ["DEMOLYNXUSDT", MARKET.symbol]
    assert "DEMOLYNXUSDT" in built("symbols", "list").out
    removed = built("symbols", "remove", "DEMOLYNXUSDT", "NOSUCHUSDT")
    assert removed.code == 0
    assert removed.out.startswith("removed: DEMOLYNXUSDT;")
    assert followed() == [MARKET.symbol]
    assert built("symbols", "add", MARKET.symbol).out == "added: nothing new\n"
    assert (built.root / MARKET.symbol).is_dir()


def test_gaps_list(built):
    (gap,) = built("gaps", "list", "--json").json()
    assert (gap["symbol"], gap["rows"], gap["state"]) == (MARKET.symbol, 3, "open")
    assert gap["first_missing"] in built("gaps", "list").out


def test_gaps_repair(built):
    """What the exchange has comes back, with all that is computed from it; what it never had stays a gap."""
    path, frames = built.root / MARKET.symbol / MARKET.freq / "raw" / "klines.parquet", FrameStore()
    whole, last = frames.open(path).read(), frames.open(path).manifest
    about = Record(last.asset, last.symbol, last.freq, "test", datetime.now(UTC), last.digest)
    frames.write(path, whole.drop(index=range(1000, 1005)).reset_index(drop=True), record=about)
    assert built(*RUN).code == 0
    assert [gap["rows"] for gap in built("gaps", "list", "--json").json()] == [5, 3]
    said = built("gaps", "repair", "--symbol", MARKET.symbol)
    assert said.code == 0, said
    assert "1 gaps filled, 1 still open" in said.out
    pd.testing.assert_frame_equal(frames.open(path).read()[: len(whole)], whole)
    assert [gap["state"] for gap in built("gaps", "list", "--all", "--json").json()].count("closed") == 1
    assert built("verify").code == 0


def test_gaps_repair_has_nothing_to_do(empty):
    said = empty("gaps", "repair")
    assert (said.code, said.out) == (0, "no gap is recorded: nothing to repair\n")
    assert empty("gaps", "repair", "--json").json() == []


def test_models(built):
    rows = {row["model"]: row for row in built("models", "list", "--json").json()}
    assert MODEL in rows
    assert len(rows) == 2
    assert {row["state"] for row in rows.values()} == {"whole"}
    assert 0 < rows[MODEL]["auc"] < 1
    said = built("models", "list")
    assert MODEL in said.out
    shown = built("models", "show", MODEL, "--json").json()
    assert shown["metadata"]["features"] == ["close_SMA_3", "close_SMA_12", "close_RSI_14"]
    assert shown["metrics"]["overall"]["auc"] == rows[MODEL]["auc"]
    assert "Walk-forward windows" in built("models", "show", MODEL).out
    missing = built("models", "show", MODEL.replace("high_040_4", "high_999_4"))
    assert missing.code == 4
    assert "no model at" in missing.err


def test_strategies(built, repository):
    rows = built("strategies", "list", "--json").json()
    assert [(row["variant"], row["algos"]) for row in rows] == [
        ("aggressive", "lgbm"),
        ("conservative", "logreg"),
    ]
    shipped = repository / "itb_assets" / "strategies"
    for file in (*shipped.glob("*.jsonc"), *SMALL_STRATEGIES.glob("*.jsonc")):
        said = built("strategies", "check", str(file))
        assert said.code == 0, said
        assert f"{file}: ok." in said.out
        assert built("strategies", "check", str(file), "--json").json()[0]["variant"] == file.stem


@pytest.mark.slow
def test_a_run_that_is_interrupted(empty):
    """While its database starts or while it downloads: it says so, and leaves no server that it started."""
    server = EmbeddedPostgres(empty.root / ".itb" / "postgres")
    with DemoExchange(faults=Faults(delay_s=0.3)) as exchange:
        urls = {"ITB_BINANCE_URL": exchange.url, "ITB_BINANCE_ARCHIVE": exchange.url}
        itb = replace(empty, environment={**empty.environment, **urls})

        def interrupt(number: int, due: Callable[[], bool]) -> bool:
            code, err = interrupted(itb, number, due)
            assert code == 130, err
            assert err == "stopped; what was finished is kept, run the same command to go on\n"
            return not server.status().running

        assert once_of_three(server, lambda: interrupt(signal.SIGTERM, lambda: server.status().running))

        def downloading() -> bool:
            asked = len(exchange.requests)
            return interrupt(signal.SIGINT, lambda: len(exchange.requests) > asked)

        assert once_of_three(server, downloading)


def once_of_three(server: EmbeddedPostgres, stopped: Callable[[], bool]) -> bool:
    """Tell whether a server was stopped by who started it, in one of three tries.

    A busy server that still counts a session which has ended, and for longer than is waited, is left running.
    """
    for _ in range(3):
        if stopped():
            return True
        server.stop()
    return False


def interrupted(itb: Itb, number: int, due: Callable[[], bool]) -> tuple[int, str]:
    """Start a run, send it a signal when it is due, and return its exit code and what it said."""
    with subprocess.Popen(
        [Path(sys.executable).with_name("itb"), *RUN],
        env={**os.environ, **itb.environment},
        cwd=itb.folder,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        give_up = time.monotonic() + 120
        while not due() and process.poll() is None and time.monotonic() < give_up:
            time.sleep(0.01)
        process.send_signal(number)
        _, err = process.communicate(timeout=120)
    return process.returncode, err
