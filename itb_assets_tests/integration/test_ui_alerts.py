"""`itb ui` and alerts: what is open has a page, what ends by itself is told, what is stopped is not."""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import psutil
import pytest
import sqlalchemy as sa
from playwright.sync_api import expect
from ui_browser import opened_browser, shown, watched_page
from ui_process import START_S, STOP_S, Ui, make_demo_root, wait_for

from itb_assets.demo.market import DEMO_SYMBOLS
from itb_assets.domain.alerts import Level, Occurrence
from itb_assets.domain.markets import Market
from itb_assets.observability.alerts import store
from itb_assets.observability.alerts.config import load_config
from itb_assets.orchestration.alerts.desk import RULES_HEARTBEAT
from itb_assets.orchestration.alerts.reading import HEARTBEAT
from itb_assets.storage.disk.locks import market_lock
from itb_assets.storage.layout import Layout
from itb_assets.storage.server.embedded import EmbeddedPostgres

sys.path.append(str(Path(__file__).parents[1] / "alerts"))

from bot_api import BotApi

pytestmark = pytest.mark.slow

TOKEN = "123456:AAEhBP0av28fKAuFJ5Xc5i2zqmL7wTestOnly"  # noqa: S105 - of no bot
MARKET = Market(DEMO_SYMBOLS[0], "1h")
RUN = "6f1c9e52-7a40-4c0e-9d43-0f3c1f8a2b11"
PAGE = "/assets/alerts/incidents?view=checks&checkDetail=none_open"
TITLE = "models/aggressive/lgbm/high_040_4: training failed"
RULE_S = 8.0
"""Longer than the rule of a silent Dagster waits between two looks, and the alerter between two rounds."""


@pytest.fixture(scope="module")
def bot() -> Iterator[BotApi]:
    """Return the local Bot API."""
    with BotApi(TOKEN) as api:
        yield api


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> Path:
    """Return a data root that one UI after the other serves."""
    return make_demo_root(tmp_path_factory.mktemp("ui alerts") / "data", days=2)


@contextmanager
def serving(root: Path, bot: BotApi) -> Iterator[Ui]:
    """Start a UI whose alerts go to the bot; it may not be up yet."""
    settings = {"ITB_TELEGRAM_TOKEN": TOKEN, "ITB_TELEGRAM_CHAT": "42", "ITB_TELEGRAM_URL": bot.url}
    running = Ui.start(root, **settings)
    try:
        yield running
    finally:
        if running.process.poll() is None:
            running.stop()


@contextmanager
def tables(root: Path) -> Iterator[sa.Connection]:
    """Yield a transaction over the tables of alerts, whose server runs."""
    engine = sa.create_engine(EmbeddedPostgres(Layout(root).postgres_dir).url("itb"), poolclass=sa.NullPool)
    with engine.begin() as connection:
        yield connection


def make_silent(root: Path) -> None:
    """Have Dagster's events been read last an hour ago."""
    with tables(root) as connection:
        statement = "UPDATE heartbeats SET at = at - interval '1 hour' WHERE name = :name"
        assert connection.execute(sa.text(statement), {"name": HEARTBEAT}).rowcount == 1


def beat_of(root: Path, name: str) -> datetime:
    """Return when a process of the alerts was alive."""
    with tables(root) as connection:
        return store.beats(connection)[name].at


def started(ui: Ui, name: str) -> psutil.Process | None:
    """Return one of the servers once it is there."""
    try:
        return ui.child(name)
    except StopIteration:
        return None


def alarms(bot: BotApi) -> list[str]:
    """Return what told of something wrong, neither of an end of it nor of the day."""
    return [text for text in bot.texts if any(sign in text for sign in ("ERROR", "CRITICAL", "WARNING"))]


@pytest.mark.browser
def test_what_is_open_is_a_table_and_a_server_that_ends_is_told(root, bot, chromium, tmp_path):
    """The daemon is killed: the message is there before the command has ended, with what became of it."""
    with serving(root, bot) as ui:
        ui.ready()
        assert "Alerts go to telegram." in ui.said
        training_failed(ui)
        bot.wait_for(lambda sent: "Training failed" in sent.text, timeout_s=START_S)
        for child in ("itb alerter", "api grpc"):  # both write links to runs
            assert ui.child(child).environ()["ITB_PORT"] == str(ui.port)
        assert "Alerts go to telegram" in ui.log("alerter")
        with opened_browser(chromium) as browser, watched_page(browser, tmp_path / "page.png") as page:
            page.goto(ui.url + PAGE)
            shown(page, "1 incident is open", "error", f"{TITLE}: no rows", "acknowledged")
            link = page.get_by_role("cell").get_by_role("link", name="open")
            expect(link).to_have_attribute("href", f"{ui.url}/runs/{RUN}")
        ui.child("dagster-daemon").kill()
        assert ui.process.wait(STOP_S) == 4
        told = [text for text in alarms(bot) if "Training failed" not in text]
        assert len(told) == 1, told
        assert "the daemon ended by itself with exit code -9, and so everything was stopped" in told[0]
    wait_for(lambda: not ui.processes(), 60, "every process has ended")


def training_failed(ui: Ui) -> None:
    """Report what somebody is to see."""
    now = datetime.now(UTC)
    occurrence = Occurrence(
        event_id=f"{now}",
        rule="training_failed",
        level=Level.ERROR,
        labels={"asset": "models/aggressive/lgbm/high_040_4"},
        title=TITLE,
        detail="no rows",
        url=f"{ui.url}/runs/{RUN}",
        at=now,
    )
    with tables(ui.root) as connection:
        store.report(connection, occurrence, now=now, routing=load_config().routing)


def test_neither_a_start_nor_a_stop_is_a_silence(root, bot):
    """Heartbeats are old and the daemon is late; at the end one server takes its time, and a run is cut."""
    server = EmbeddedPostgres(Layout(root).postgres_dir)
    server.start()
    make_silent(root)
    server.stop()
    began, before = datetime.now(UTC), len(alarms(bot))
    with serving(root, bot) as ui:
        daemon = wait_for(lambda: started(ui, "dagster-daemon"), START_S, "the daemon starts")
        daemon.suspend()  # nothing is read for a while
        ui.ready()
        bot.wait_for(lambda sent: "RESOLVED" in sent.text and "daemon" in sent.text, timeout_s=START_S)
        time.sleep(RULE_S)
        assert beat_of(root, RULES_HEARTBEAT) < began
        daemon.resume()
        wait_for(lambda: beat_of(root, RULES_HEARTBEAT) > began, START_S, "rules are computed again")
        assert beat_of(root, HEARTBEAT) > began
        ui.add_symbol(MARKET.symbol)
        web = ui.child("dagster-webserver")
        with market_lock(Layout(root).market_lock(MARKET)):  # the run cannot end before it is cut
            cut = ui.launch("build_market", f"1h|{MARKET.symbol}")
            wait_for(lambda: ui.runs(runIds=[cut], statuses=["STARTED"]), START_S, "the run begins")
            web.suspend()
            ui.process.send_signal(signal.SIGINT)
            daemon.wait(60)
            make_silent(root)
            time.sleep(RULE_S)
            web.resume()
            assert ui.process.wait(STOP_S) == 0
    assert alarms(bot)[before:] == []
    wait_for(lambda: not ui.processes(), 60, "every process has ended")


def test_half_a_channel_is_refused_before_anything_is_started(tmp_path):
    root = make_demo_root(tmp_path / "data", days=1)
    refused = Ui.start(root, ITB_TELEGRAM_TOKEN=TOKEN)
    assert refused.process.wait(START_S) == 2
    assert "ITB_TELEGRAM_CHAT is not set, but ITB_TELEGRAM_TOKEN is" in refused.said
    assert TOKEN.partition(":")[2] not in refused.said
    assert [path.name for path in (root / ".itb").iterdir()] == ["demo.json"]
