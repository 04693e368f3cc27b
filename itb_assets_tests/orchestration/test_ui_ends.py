"""What `itb ui` tells of a server that ended by itself, how long it waits for that, and when rules rest."""

from __future__ import annotations

import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from threading import Event, Timer

import pytest
import sqlalchemy as sa
from alert_room import Room
from pipeline_making import settings_of
from pydantic import SecretStr

from itb_assets.errors import ConfigError, PortInUse, ProcessEnded
from itb_assets.observability.alerts import store
from itb_assets.observability.alerts.config import load_config
from itb_assets.orchestration import web
from itb_assets.orchestration.alerts import ui as ui_alerts
from itb_assets.orchestration.alerts.alerter import Alerter
from itb_assets.orchestration.alerts.desk import RULES_HEARTBEAT
from itb_assets.orchestration.alerts.ui import UiAlerts
from itb_assets.orchestration.children import Child

SENT = "UPDATE alert_outbox SET sent_at = now()"


def delivering(room: Room) -> Timer:
    """Have what waits be sent from half a second on, as soon as it is there."""

    def deliver() -> None:
        while not room.rows(f"{SENT} WHERE sent_at IS NULL RETURNING id"):
            time.sleep(0.05)

    delivery = Timer(0.5, deliver)
    delivery.start()
    return delivery


def child(name: str, code: str = "import time; time.sleep(60)") -> Child:
    """Start a program that stands for a server."""
    return Child(name, subprocess.Popen([sys.executable, "-c", code]), None)


@pytest.fixture
def servers() -> Iterator[list[Child]]:
    """Return a daemon that has ended and an alerter that works."""
    made = [child("daemon", "raise SystemExit(7)"), child("alerter")]
    made[0].process.wait(20)
    yield made
    for each in made:
        each.process.kill()
        each.process.wait()


@pytest.fixture
def alerts(room: Room) -> UiAlerts:
    """Return the alerts of a UI whose channel is set up."""
    return UiAlerts(room.engine, load_config(), ("telegram",))


def end(alerts: UiAlerts, servers: Sequence[Child], last: Child | None = None) -> float:
    """Have the UI end as a whole; return how long that was kept up."""
    began = time.monotonic()
    with pytest.raises(ProcessEnded), alerts.telling_ends(servers, lambda: last):
        servers[0].check()
    return time.monotonic() - began


def test_it_waits_until_the_alerter_has_delivered_and_no_longer(room: Room, alerts: UiAlerts, servers):
    delivered = delivering(room)
    assert 0.4 < end(alerts, servers) < ui_alerts.TELL_S
    delivered.join()
    found = room.only()
    assert (found.rule, found.labels) == ("daemon_error", {"server": "daemon"})
    assert found.detail == "the daemon ended by itself with exit code 7, and so everything was stopped"
    alerts.over(["daemon", "web server"])
    assert room.incidents() == []
    assert len(room.rows("SELECT event_id FROM alert_events WHERE event_id LIKE 'ui:%'")) == 2


def test_what_nobody_delivers_is_waited_for_so_long_and_kept(
    room: Room, alerts: UiAlerts, servers, monkeypatch
):
    monkeypatch.setattr(ui_alerts, "TELL_S", 0.5)
    assert 0.4 < end(alerts, servers) < 5
    assert room.rows("SELECT id FROM alert_outbox WHERE sent_at IS NULL")


def test_without_the_alerter_another_delivers_and_is_ended(room: Room, alerts: UiAlerts, servers):
    last = child("last", "import time; time.sleep(0.5)")
    assert end(alerts, servers[:1], last) < ui_alerts.TELL_S
    assert last.process.poll() is not None
    waiting = child("last")
    room.rows(SENT)
    end(alerts, servers[:1], waiting)
    assert waiting.process.poll() is not None


def test_a_database_that_is_away_keeps_nobody(servers):
    engine = sa.create_engine("postgresql+psycopg2://nobody@127.0.0.1:9/nowhere")
    away = UiAlerts(engine, load_config(), ("telegram",))
    assert end(away, servers) < 5
    away.pause_rules()
    away.look()
    away.over(["daemon"])
    away.resume_rules()


def computed(room: Room) -> bool:
    """Have an alerter do a round; return whether it was let."""
    now = datetime.now(UTC)
    Alerter(room.engine, load_config(), ()).round(now)
    with room.engine.begin() as connection:
        beat = store.beats(connection).get(RULES_HEARTBEAT)
    return beat is not None and beat.at == now


def test_rules_rest_until_events_are_read_again(room: Room, alerts: UiAlerts, monkeypatch):
    """The last look at them was before the pause; whether there is a new one is asked now and then."""
    assert computed(room)
    room.look()
    alerts.pause_rules()
    alerts.look()
    assert not computed(room)
    monkeypatch.setattr(ui_alerts, "_LOOK_S", 3600.0)
    room.look()
    alerts.look()
    assert not computed(room)
    monkeypatch.setattr(ui_alerts, "_LOOK_S", 0.0)
    alerts.look()
    assert computed(room)


def test_rules_do_not_rest_for_ever(room: Room, alerts: UiAlerts, monkeypatch):
    alerts.pause_rules()
    monkeypatch.setattr(ui_alerts, "QUIET_S", 0.0)
    alerts.look()
    assert computed(room)


def test_nothing_rests_where_nobody_is_told(room: Room, alerts: UiAlerts):
    alerts.names = ()
    alerts.pause_rules()
    assert computed(room)


TELEGRAM = {
    "telegram_token": SecretStr("123456:AAEhBP0av28fKAuFJ5Xc5i2zqmL7wTestOnly"),
    "telegram_chat": "42",
}

STARTED = "it was started"


@pytest.fixture
def port() -> Iterator[int]:
    """Return a port that somebody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        yield taken.getsockname()[1]


def refusal(tmp_path, monkeypatch, **changes: object) -> str:
    """Return why a UI is not started, STARTED where it is."""

    def started(_: object) -> None:
        raise ProcessEnded(STARTED)

    monkeypatch.setattr(web, "running_instance", started)
    settings = settings_of(tmp_path / "data", "http://127.0.0.1:9").model_copy(update={"port": 0} | changes)
    with (
        pytest.raises((ConfigError, PortInUse, ProcessEnded)) as caught,
        web.running_ui(settings, stop=Event()),
    ):
        pass
    return str(caught.value)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"alerts_file": Path("nowhere.toml")}, "nowhere.toml"),
        (TELEGRAM | {"telegram_token": SecretStr("no token")}, "the token of Telegram"),
        ({"slack_url": SecretStr("no address")}, "Slack"),
        (TELEGRAM | {"port": 8, "metrics_port": 8}, "ITB_METRICS_PORT 8 is the port of the UI"),
    ],
)
def test_alerts_that_are_set_up_wrongly_are_refused_before_anything_starts(
    tmp_path, monkeypatch, changes: dict[str, object], said: str
):
    monkeypatch.setattr(web, "_refuse_taken", lambda *_: None)
    assert said in refusal(tmp_path, monkeypatch, **changes)


def test_so_are_addresses_of_apprise_without_its_package(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "apprise", None)
    assert "itb-assets[apprise]" in refusal(tmp_path, monkeypatch, apprise_urls=SecretStr("json://127.0.0.1"))


def test_so_is_a_port_of_the_metrics_that_somebody_has(tmp_path, monkeypatch, port: int):
    said = refusal(tmp_path, monkeypatch, **TELEGRAM, metrics_port=port)
    assert re.match(f"port {port} of 127.0.0.1 is in use.*ITB_METRICS_PORT", said)


def test_that_port_is_nothing_to_a_ui_without_an_alerter(tmp_path, monkeypatch, port: int):
    assert refusal(tmp_path, monkeypatch, metrics_port=port) == STARTED
