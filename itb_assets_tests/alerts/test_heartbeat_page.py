"""The page on heartbeats: what it shows runs as it stands, and the rules understand what is written so."""

from __future__ import annotations

import re
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg2.errors
import pytest
import sqlalchemy as sa
from databases import on_one_engine

from itb_assets.observability.alerts.config import load_config
from itb_assets.observability.alerts.rules import evaluate_all
from itb_assets.observability.alerts.state import beat, beats
from itb_assets.storage.database.migrations import migrate

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "heartbeats.md").read_text("utf-8")


def blocks(language):
    return re.findall(rf"^```{language}\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)


def example(language, of):
    (found,) = [block for block in blocks(language) if of in block]
    return found


def run(connection, block):
    """Run the statements of a block; return the rows of each that has some."""
    done = [connection.execute(sa.text(each)) for each in block.split(";\n") if each.strip()]
    return [result.mappings().all() for result in done if result.returns_rows]


def states_of(engine, tmp_path, at=None):
    """Return what the rules say of what was written."""
    own = tmp_path / "own.toml"
    own.write_text("[budget]\nUSD = 300\n")
    with engine.begin() as connection:
        found = evaluate_all(connection, load_config(own), at or datetime.now(UTC), due_only=False)
    return {
        (each.rule, *each.labels.values()): each.state
        for each in found.evaluations
        if any(each.rule in line for line in PAGE.splitlines() if line.startswith("| `"))
    }


def test_the_statements_write_what_rules_understand(alerts_engine, tmp_path):
    with alerts_engine.begin() as connection:
        run(connection, example("sql", "trading:main"))
        run(connection, example("sql", "log_delivery"))
    found = states_of(alerts_engine, tmp_path)
    assert found[("trading_halted", "trading:main")] == "firing"
    for fine in (("api_latency", "binance"), ("api_authentication_failed", "binance")):
        assert found[fine] == "ok"
    assert found[("log_delivery_lagging", "log_delivery")] == "ok"
    assert found[("orderbook_stopped",)] == "no_data"


def test_a_late_writer_does_not_put_the_time_back(alerts_engine):
    later = datetime.now(UTC) + timedelta(seconds=30)
    with alerts_engine.begin() as connection:
        beat(connection, "trading:main", later)
        run(connection, example("sql", "trading:main"))
        assert (beats(connection)["trading:main"].at, beats(connection)["trading:main"].detail) == (later, {})


def test_what_is_retired_is_missed_no_more(alerts_engine, tmp_path):
    with alerts_engine.begin() as connection:
        beat(connection, "trading:retired", datetime.now(UTC) - timedelta(days=1))
    assert states_of(alerts_engine, tmp_path)[("trading_halted", "trading:retired")] == "firing"
    with alerts_engine.begin() as connection:
        run(connection, example("sql", "trading:retired"))
    assert states_of(alerts_engine, tmp_path)[("trading_halted",)] == "no_data"


def test_the_program_writes_all_that_the_page_names(alerts_engine, tmp_path):
    (program,) = blocks("python")
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={"ITB_DATABASE_URL": alerts_engine.url.render_as_string(hide_password=False)},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    found = states_of(alerts_engine, tmp_path)
    assert found[("trading_halted", "trading:main")] == "ok"
    assert found[("trading_halted", "trading:spot")] == "firing"
    assert found[("orderbook_stopped", "BTCUSDT")] == "ok"
    assert found[("api_latency", "binance")] == "ok"
    assert found[("api_latency", "broker")] == "insufficient"
    assert found[("api_authentication_failed", "broker")] == "firing"
    assert found[("log_delivery_lagging", "log_delivery")] == "ok"
    assert found[("cloud_cost_over_budget", "USD")] == "firing"
    assert "no_data" not in {state for (rule, *_), state in found.items() if rule != "dagster_silent"}
    with alerts_engine.begin() as connection:
        ages, _ = run(connection, example("sql", "heartbeat_ages"))
    kinds = {row["name"].partition(":")[0] for row in ages}
    named = set(re.findall(r"^\| `(\w+)", PAGE, re.MULTILINE))
    assert kinds == named - {"alerter", "alert_rules", "dagster_events"}


def test_a_database_that_is_away_stops_no_trade():
    (program,) = blocks("python")
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={"ITB_DATABASE_URL": "postgresql+psycopg2://nobody@127.0.0.1:9/itb"},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (done.returncode, set(done.stdout.splitlines())) == (0, {"no heartbeat: OperationalError"})


@on_one_engine("postgres", because="roles and their rights are those of PostgreSQL")
def test_the_role_writes_heartbeats_and_reads_nothing_else(database_url):
    url = sa.make_url(database_url)
    owner = sa.create_engine(url, poolclass=sa.NullPool)
    migrate(owner)
    root = sa.create_engine(url.update_query_dict({"user": "postgres"}), poolclass=sa.NullPool)
    made = example("sql", "CREATE ROLE").replace("DATABASE itb ", f"DATABASE {url.database} ")
    with root.begin() as connection:
        connection.execute(sa.text("DROP ROLE IF EXISTS itb_beating"))
        run(connection, made)
    try:
        writer = sa.create_engine(url.update_query_dict({"user": "itb_beating"}), poolclass=sa.NullPool)
        with writer.begin() as connection:
            run(connection, example("sql", "trading:main"))
            beat(connection, "orderbook:BTCUSDT", datetime.now(UTC))
        for refused in (
            "SELECT * FROM alert_incidents",
            "DELETE FROM heartbeats",
            "CREATE TABLE mine (a int)",
        ):
            with pytest.raises(sa.exc.ProgrammingError) as caught, writer.begin() as connection:
                connection.execute(sa.text(refused))
            assert isinstance(caught.value.orig, psycopg2.errors.InsufficientPrivilege)
    finally:
        with root.begin() as connection:
            connection.execute(sa.text("DROP OWNED BY itb_beating; DROP ROLE itb_beating"))
