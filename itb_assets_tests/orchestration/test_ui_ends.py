"""What `itb ui` tells of a server that ended by itself, how long it waits for that, and when rules rest."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from threading import Timer

import pytest
import sqlalchemy as sa
from alert_room import Room

from itb_assets.errors import ProcessEnded
from itb_assets.observability.alerts import store
from itb_assets.observability.alerts.config import load_config
from itb_assets.orchestration.alerts import ui as ui_alerts
from itb_assets.orchestration.alerts.alerter import Alerter
from itb_assets.orchestration.alerts.desk import RULES_HEARTBEAT
from itb_assets.orchestration.alerts.ui import UiAlerts
from itb_assets.orchestration.children import Child

SENT = "UPDATE alert_outbox SET sent_at = now()"


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
    delivered = Timer(0.5, lambda: room.rows(SENT))
    delivered.start()
    assert 0.4 < end(alerts, servers) < ui_alerts.TELL_S / 2
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
    assert end(alerts, servers[:1], last) < ui_alerts.TELL_S / 2
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


def test_rules_rest_until_events_are_read_again(room: Room, alerts: UiAlerts):
    """The last look at them was before the pause; whether there is a new one is asked once a second."""
    assert computed(room)
    room.look()
    alerts.pause_rules()
    alerts.look()
    assert not computed(room)
    room.look()
    alerts.look()
    assert not computed(room)
    until = time.monotonic() + 5
    while not computed(room):
        assert time.monotonic() < until
        alerts.look()


def test_rules_do_not_rest_for_ever(room: Room, alerts: UiAlerts, monkeypatch):
    alerts.pause_rules()
    monkeypatch.setattr(ui_alerts, "QUIET_S", 0.0)
    alerts.look()
    assert computed(room)


def test_nothing_rests_where_nobody_is_told(room: Room, alerts: UiAlerts):
    alerts.names = ()
    alerts.pause_rules()
    assert computed(room)
