"""What Prometheus is given in deploy/prometheus: it loads, fires and stays quiet, and names what exists.

The figures themselves are tested with the alerts, serving them with the command line.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
import yaml
from prometheus_client import CollectorRegistry, generate_latest

from itb_assets.observability.alerts.dispatcher import HEARTBEAT
from itb_assets.observability.alerts.metrics import AlertMetrics
from itb_assets.orchestration.alerts.desk import RULES_HEARTBEAT
from itb_assets.orchestration.alerts.metrics import METRICS
from itb_assets.orchestration.alerts.reading import HEARTBEAT as READER
from itb_assets.storage.database.migrations import migrate

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "deploy" / "prometheus"


def read(name: str) -> Any:
    return yaml.safe_load((FOLDER / name).read_text("utf-8"))


def rules() -> dict[str, str]:
    """Return every alert and its expression."""
    return {
        rule["alert"]: rule["expr"]
        for group in read("itb_alerts.rules.yml")["groups"]
        for rule in group["rules"]
    }


def promtool(*arguments: str, given: str | None = None) -> str:
    """Run promtool, and fail where it finds something; skip where it is not there."""
    program = shutil.which("promtool")
    if program is None:
        pytest.skip("no promtool here: apt-get install prometheus")
    done = subprocess.run(
        [program, *arguments],
        cwd=FOLDER,
        input=given,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.fixture(scope="module")
def exposition(postgres) -> str:
    """Return what an alerter with a channel and its heartbeats answers."""
    postgres.ensure_database("scraped")
    engine = sa.create_engine(postgres.url("scraped"), poolclass=sa.NullPool)
    migrate(engine)
    registry = CollectorRegistry()
    registry.register(AlertMetrics(engine.connect, lambda: datetime.now(UTC), channels=("telegram",)))
    return generate_latest(registry).decode()


def test_the_example_and_the_rules_are_valid():
    assert "7 rules found" in promtool("check", "config", "prometheus.yml")


def test_the_rules_fire_and_stay_quiet_as_their_tests_say():
    assert "SUCCESS" in promtool("test", "rules", "itb_alerts.test.yml")


def test_metrics_are_as_prometheus_wants_them(exposition):
    """Names, units, HELP and TYPE, by its own judge."""
    assert promtool("check", "metrics", given=exposition) == ""


def test_every_alert_has_a_case_that_fires_and_one_that_does_not():
    cases = [case for test in read("itb_alerts.test.yml")["tests"] for case in test["alert_rule_test"]]
    assert {case["alertname"] for case in cases if case.get("exp_alerts")} == set(rules())
    assert {case["alertname"] for case in cases if not case.get("exp_alerts")} == set(rules())


def test_the_rules_name_metrics_labels_and_heartbeats_that_exist(exposition):
    named = set(re.findall(r"itb_\w+(?=\{)", " ".join(rules().values())))
    assert named
    assert named <= set(re.findall(r"^# TYPE (\w+)", exposition, re.MULTILINE))
    beats = set(re.findall(r'name="(\w+)"', " ".join(rules().values())))
    either = re.findall(r'name=~"([\w|]+)"', " ".join(rules().values()))
    assert beats | {name for names in either for name in names.split("|")} == {
        HEARTBEAT,
        RULES_HEARTBEAT,
        READER,
    }


def test_the_example_asks_the_job_and_the_port_that_the_rules_and_compose_have():
    config = read("prometheus.yml")
    (job,) = config["scrape_configs"]
    assert set(re.findall(r'job="(\w+)"', " ".join(rules().values()))) == {job["job_name"]}
    assert job.get("metrics_path", "/metrics") == METRICS
    assert [name for name in config["rule_files"] if not (FOLDER / name).is_file()] == []
    compose = yaml.safe_load((ROOT / "docker-compose.yml").read_text("utf-8"))
    port = job["static_configs"][0]["targets"][0].rpartition(":")[2]
    assert (
        compose["services"]["alerter"]["environment"]["ITB_METRICS_PORT"] == f"${{ITB_METRICS_PORT:-{port}}}"
    )


def test_compose_serves_metrics_in_its_network_and_nowhere_else():
    services = yaml.safe_load((ROOT / "docker-compose.yml").read_text("utf-8"))["services"]
    alerter = services["alerter"]
    assert alerter["environment"]["ITB_METRICS_HOST"] == "0.0.0.0"  # noqa: S104 - of the container
    assert "ports" not in alerter
    assert "network_mode" not in alerter
    missing = services["daemon"]["environment"].keys() - alerter["environment"].keys()
    assert missing == set()
    assert [
        name for name in services if name != "alerter" and "ITB_METRICS_HOST" in str(services[name])
    ] == []
