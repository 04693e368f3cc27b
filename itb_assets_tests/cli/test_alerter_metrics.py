"""`itb alerter` as Prometheus, a probe and `itb doctor` see it: alive, silent, without its database."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest
import requests
import sqlalchemy as sa
import yaml
from free_ports import free_port
from local_bot import SECRETS, TOKEN, connected, deployment, telegram
from prometheus_client.parser import text_string_to_metric_families
from test_alerter import working

from itb_assets.errors import ConfigError, PortInUse
from itb_assets.observability.alerts import state
from itb_assets.orchestration.alerts.metrics import metrics_served
from itb_assets.orchestration.doctor import diagnose
from itb_assets.settings import Settings, load_settings
from itb_assets.storage.database.migrations import migrate
from itb_assets.storage.server.embedded import EmbeddedPostgres

COMPOSE = Path(__file__).resolve().parents[2] / "docker-compose.yml"
ANSWERS_S = 15.0
"""Who gives up on the database answers well within; who waits for it does not answer at all."""


def settings_of(port: int | None, host: str = "127.0.0.1") -> Settings:
    return Settings(_env_file=None, metrics_port=port, metrics_host=host)


@contextmanager
def served(url: str, host: str = "127.0.0.1") -> Iterator[str]:
    """Serve the metrics of a migrated database; yield the base address."""
    engine = sa.create_engine(url, poolclass=sa.NullPool)
    migrate(engine)
    with metrics_served(settings_of(free_port(), host), engine.url, ("telegram",)) as address:
        assert address is not None
        yield address.removesuffix("/metrics")
    engine.dispose()


def get(address: str, **headers: str) -> requests.Response:
    return requests.get(address, timeout=20, headers=headers)


def samples(text: str) -> dict[str, float]:
    return {
        " ".join((sample.name, *sample.labels.values())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def beat(url: str, *names: str, ago_s: float = 0.0) -> None:
    at = datetime.now(UTC) - timedelta(seconds=ago_s)
    with connected(url) as connection:
        for name in names:
            connection.execute(sa.text("DELETE FROM heartbeats WHERE name = :name"), {"name": name})
            state.beat(connection, name, at)


@contextmanager
def hanging(server: EmbeddedPostgres) -> Iterator[None]:
    """Let a server take connections and answer none, for the length of a block."""
    pid = server.status().pid
    assert pid is not None
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def test_prometheus_gets_its_own_formats(postgres_url):
    with served(postgres_url) as base:
        plain = get(f"{base}/metrics")
        assert plain.headers["Content-Type"].startswith("text/plain; version=0.0.4")
        assert samples(plain.text)["itb_database_up"] == 1
        asked = get(f"{base}/metrics?x=1", Accept="application/openmetrics-text;version=1.0.0")
        assert asked.headers["Content-Type"].startswith("application/openmetrics-text; version=1.0.0")
        assert asked.text.endswith("# EOF\n")
        other = get(f"{base}/other")
        assert (other.status_code, other.text) == (404, "there is /metrics and /healthz\n")
        assert "Python" not in plain.headers["Server"]


def test_health_is_that_of_both_loops(postgres_url):
    with served(postgres_url) as base:
        never = get(f"{base}/healthz")
        assert never.status_code == 503
        assert "alerter: never: nothing is delivered: start `itb alerter`" in never.text
        beat(postgres_url, "alerter", "alert_rules", ago_s=3)
        fine = get(f"{base}/healthz")
        assert (fine.status_code, fine.text.count("ago: ")) == (200, 2), fine.text
        for silent, said in (("alerter", "nothing is delivered"), ("alert_rules", "no rule is computed")):
            beat(postgres_url, silent, ago_s=100)
            found = get(f"{base}/healthz")
            assert found.status_code == 503
            ago = re.search(
                rf"^{silent}: 0:0(\d):(\d\d) ago, more than 60 s: {said}", found.text, re.MULTILINE
            )
            assert ago is not None, found.text
            assert 100 <= int(ago[1]) * 60 + int(ago[2]) < 160
            assert probed(base) != 0
            beat(postgres_url, silent)
        assert probed(base) == 0


def probed(base: str) -> int:
    """Return the exit code of the probe of docker compose."""
    compose = yaml.safe_load(COMPOSE.read_text("utf-8"))
    _, program, *arguments = compose["services"]["alerter"]["healthcheck"]["test"]
    assert program == "python"
    environment = {"ITB_METRICS_PORT": base.rpartition(":")[2]}
    return subprocess.run(
        [sys.executable, *arguments], env=environment, stderr=subprocess.DEVNULL, check=False, timeout=60
    ).returncode


def test_without_its_database_it_answers_with_no_old_figure(tmp_path):
    server = EmbeddedPostgres(tmp_path / "postgres")
    server.start()
    try:
        server.ensure_database("test")
        with served(server.url("test")) as base:
            assert samples(get(f"{base}/metrics").text)["itb_incidents_open critical"] == 0
            server.stop(at_once=True)
            gone, health = get(f"{base}/metrics"), get(f"{base}/healthz")
            assert (gone.status_code, samples(gone.text)) == (200, {"itb_database_up": 0})
            assert (health.status_code, health.text) == (503, "the database does not answer\n")
            server.start()
            assert samples(get(f"{base}/metrics").text)["itb_database_up"] == 1
            with hanging(server):
                began = time.monotonic()
                assert samples(get(f"{base}/metrics").text) == {"itb_database_up": 0}
                assert time.monotonic() - began < ANSWERS_S
    finally:
        server.stop(at_once=True)


def test_neither_waits_for_a_table_that_somebody_keeps(postgres_url):
    with served(postgres_url) as base, connected(postgres_url) as connection:
        connection.execute(sa.text("LOCK TABLE heartbeats"))
        began = time.monotonic()
        health = get(f"{base}/healthz")
        assert (health.status_code, health.text) == (503, "the database does not answer\n")
        assert samples(get(f"{base}/metrics").text) == {"itb_database_up": 0}
        assert time.monotonic() - began < ANSWERS_S


def test_a_port_that_somebody_has_is_named(postgres_url):
    url = sa.make_url(postgres_url)
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        port = taken.getsockname()[1]
        with (
            pytest.raises(PortInUse, match=f"port {port} of 127.0.0.1 is in use.*another ITB_METRICS_PORT"),
            metrics_served(settings_of(port), url, ()),
        ):
            pass
    for host in ("192.0.2.1", "no such host"):
        with (
            pytest.raises(
                ConfigError, match=f"ITB_METRICS_HOST '{host}'.*expected an address of this machine"
            ),
            metrics_served(settings_of(free_port(), host), url, ()),
        ):
            pass
    with metrics_served(settings_of(None), url, ()) as address:
        assert address is None


@pytest.mark.parametrize("value", ["0", "70000", "http"])
def test_a_wrong_port_is_refused_by_name(monkeypatch, tmp_path, value):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ITB_METRICS_PORT", value)
    with pytest.raises(ConfigError, match=f"ITB_METRICS_PORT '{value}'"):
        load_settings()


def test_it_ends_at_once_and_gives_the_port_back(postgres_url):
    """Although a client still holds a connection on which it asks nothing."""
    port, url = free_port(), sa.make_url(postgres_url)
    for _ in range(2):
        with metrics_served(settings_of(port), url, ()):
            idle = socket.create_connection(("127.0.0.1", port))
            began = time.monotonic()
        assert time.monotonic() - began < 8, "the client is not waited for, which would be ten seconds"
        idle.close()
    assert not [thread for thread in threading.enumerate() if thread.name == "metrics"]


def test_the_doctor_says_how_old_each_heartbeat_is_and_what_that_means(tmp_path, postgres_url):
    itb = deployment(tmp_path, postgres_url, **telegram("http://127.0.0.1:9"))
    beat(postgres_url, "alerter", "alert_rules")
    beat(postgres_url, "dagster_events", "trading:main", ago_s=300)

    def found(**changes: str) -> dict[str, SimpleNamespace]:
        rows = itb("doctor", "--json", **changes).json()
        return {row["what"].removeprefix("heartbeat "): SimpleNamespace(**row) for row in rows}

    rows = found()
    assert (rows["alerter"].state, rows["alert_rules"].state) == ("ok", "ok")
    assert rows["alerter"].found.endswith(" ago: alerts are delivered")
    assert rows["alert_rules"].found.endswith(" ago: rules are computed")
    assert rows["dagster_events"].state == "missing"
    assert "more than 60 s: the daemon or the code server is gone" in rows["dagster_events"].found
    assert rows["trading:main"].state == "ok"
    assert rows["trading:main"].found.startswith("0:05:")
    assert found(ITB_TELEGRAM_TOKEN="", ITB_TELEGRAM_CHAT="")["dagster_events"].state == "silent"


def test_a_silent_heartbeat_is_a_finding_where_somebody_is_to_be_told(tmp_path, postgres_url, monkeypatch):
    """By it alone the exit code is 1; without a channel, or where no daemon ever ran, it is none."""
    monkeypatch.chdir(tmp_path)
    plain = {"database_url": postgres_url, "data_root": tmp_path / "data", "_env_file": None}
    told = plain | {"telegram_token": TOKEN, "telegram_chat": "42"}

    def wrong(settings: dict[str, object]) -> set[str]:
        found = diagnose(Settings(**settings))
        return {each.what for each in found if not each.ok and each.what.startswith("heartbeat")}

    assert wrong(told) == {"heartbeat alerter", "heartbeat alert_rules"}
    assert wrong(plain) == set()
    (reader,) = [each for each in diagnose(Settings(**told)) if each.what == "heartbeat dagster_events"]
    assert (reader.state, reader.found.partition(" has")[0]) == ("ok", "never: no daemon")
    beat(postgres_url, "alerter", "alert_rules")
    assert wrong(told) == set()
    beat(postgres_url, "alerter", "dagster_events", ago_s=90)
    assert wrong(told) == {"heartbeat alerter", "heartbeat dagster_events"}
    assert wrong(plain) == set()


@pytest.mark.slow
def test_the_command_serves_while_it_works(tmp_path, postgres_url):
    """And says no secret there; when it ends the port is free."""
    port, said = free_port(), tmp_path / "said"
    settings = telegram("http://127.0.0.1:9") | {"ITB_METRICS_PORT": str(port)}
    itb, base, until = (
        deployment(tmp_path, postgres_url, **settings),
        f"http://127.0.0.1:{port}",
        time.monotonic() + 90,
    )
    with working(itb, said):
        while (health := health_of(base)) is None or health.status_code != 200:
            assert time.monotonic() < until, said.read_text("utf-8") if health is None else health.text
            time.sleep(0.2)
        text = get(f"{base}/metrics").text
    found = samples(text)
    assert found["itb_heartbeat_age_seconds alerter"] < 30
    assert found["itb_alerts_sent_total telegram"] == 0
    assert sum(value for name, value in found.items() if name.startswith("itb_rule_state")) > 10
    assert f"Prometheus reads {base}/metrics" in said.read_text("utf-8")
    assert not [secret for secret in SECRETS if secret in text + health.text]
    assert health_of(base) is None


def health_of(base: str) -> requests.Response | None:
    """Return what the probe is told; None where nobody answers."""
    try:
        return get(f"{base}/healthz")
    except requests.ConnectionError:
        return None


def test_one_loop_alone_is_no_alerter(tmp_path, postgres_url):
    """What the other one would do is not done, be it that it never was."""
    itb = deployment(tmp_path, postgres_url)
    for name, code in (("alerter", 1), ("alert_rules", 0)):
        beat(postgres_url, name)
        assert itb("alerter", "--check", "--json").code == code
