"""`itb runs prune` on a data root made by a real run, and where Dagster keeps what it records."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import dagster as dg
import pytest
import sqlalchemy as sa
from dagster._core.storage.event_log.schema import SqlEventLogStorageMetadata
from dagster._core.storage.runs.schema import RunStorageSqlMetadata
from dagster._core.storage.schedules.schema import ScheduleStorageSqlMetadata

from itb_assets.storage.server.embedded import EmbeddedPostgres

DAGSTERS = {
    *SqlEventLogStorageMetadata.tables,
    *RunStorageSqlMetadata.tables,
    *ScheduleStorageSqlMetadata.tables,
}


def server_of(itb: Any) -> EmbeddedPostgres:
    return EmbeddedPostgres(itb.root / ".itb" / "postgres")


def tables(url: str) -> dict[str, int]:
    """Return the tables of a database with their rows."""
    engine = sa.create_engine(url)
    with engine.connect() as connection:
        names = sa.inspect(connection).get_table_names()
        found = {
            name: connection.scalar(sa.select(sa.func.count()).select_from(sa.table(name))) for name in names
        }
    engine.dispose()
    return found


@pytest.fixture
def aged(built, monkeypatch) -> Iterator[str]:
    """Make a run that nothing needs look 40 days old, with all that others left; return its id."""
    server = server_of(built)
    monkeypatch.setenv("ITB_DAGSTER_URL", server.url("dagster"))
    run = dg.DagsterRun(job_name="build_market", status=dg.DagsterRunStatus.SUCCESS)
    with dg.DagsterInstance.from_config(str(built.root / ".itb" / "dagster")) as instance:
        instance.add_run(run)
    engine = sa.create_engine(server.url("dagster"), isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        before = connection.execute(sa.text("SELECT id, update_timestamp FROM runs")).all()
        at = (datetime.now(UTC) - timedelta(days=40)).replace(tzinfo=None)
        connection.execute(sa.text("UPDATE runs SET update_timestamp = :at"), {"at": at})
        yield run.run_id
        connection.execute(sa.text("DELETE FROM runs WHERE run_id = :run"), {"run": run.run_id})
        for key, moment in before:
            statement = sa.text("UPDATE runs SET update_timestamp = :at WHERE id = :id")
            connection.execute(statement, {"at": moment, "id": key})
    engine.dispose()


def run_ids(itb: Any) -> set[str]:
    engine = sa.create_engine(server_of(itb).url("dagster"))
    with engine.connect() as connection:
        found = set(connection.execute(sa.text("SELECT run_id FROM runs")).scalars())
    engine.dispose()
    return found


def test_dagster_keeps_its_records_in_a_database_of_its_own(built):
    """Runs, events and schedules lie in `dagster`, none of their tables in `itb`, and the other way round."""
    server = server_of(built)
    dagster, ours = tables(server.url("dagster")), tables(server.url("itb"))
    assert dagster.keys() >= DAGSTERS
    assert min(dagster[name] for name in ("runs", "event_logs", "asset_check_executions")) > 0
    assert ours.keys() >= {"ohlcv", "predictions", "manifests"}
    assert ours["ohlcv"] > 0
    assert ours.keys() & dagster.keys() == set()


def test_runs_events_and_schedules_have_one_owner_that_is_no_superuser(built, monkeypatch):
    server = server_of(built)
    monkeypatch.setenv("ITB_DAGSTER_URL", server.url("dagster"))
    with dg.DagsterInstance.from_config(str(built.root / ".itb" / "dagster")) as instance:
        for storage in (instance.run_storage, instance.event_log_storage, instance.schedule_storage):
            assert sa.make_url(storage.postgres_url).database == "dagster"
            assert sa.make_url(storage.postgres_url).query["user"] == "dagster"


def test_a_run_that_nothing_needs_is_deleted_and_the_newest_stays(built, aged):
    before = run_ids(built)
    said = built("runs", "prune", "--dry-run", "--json").json()
    assert (said["older_than_days"], said["dry_run"]) == (30, True)
    assert said["runs_deleted"] + said["runs_kept_because_newest"] <= len(before)
    assert said["runs_deleted"] > 0 < said["runs_kept_because_newest"]
    assert run_ids(built) == before
    done = built("runs", "prune")
    assert done.code == 0, done.err
    assert f"{said['runs_deleted']} deleted" in done.out
    assert "kept because they hold the newest of a partition" in done.out
    left = run_ids(built)
    assert aged not in left
    assert len(left) == len(before) - said["runs_deleted"]
    assert built("runs", "prune", "--json").json()["runs_deleted"] == 0


def test_younger_runs_are_not_looked_at(built, aged):
    said = built("runs", "prune", "--older-than", "41", "--dry-run", "--json").json()
    assert (said["older_than_days"], said["runs_looked_at"]) == (41, 0)
    assert "nothing to delete" in built("runs", "prune", "--older-than", "41", "--dry-run").out


def test_kept_for_ever_unless_an_age_is_given(built, aged):
    said = built("runs", "prune", ITB_RUN_RETENTION_DAYS="0")
    assert said.code == 0
    assert "kept for ever" in said.out
    said = built("runs", "prune", "--json", ITB_RUN_RETENTION_DAYS="0").json()
    assert (said["older_than_days"], said["runs_deleted"]) == (0, 0)
    assert aged in run_ids(built)
    assert built("runs", "prune", "--older-than", "30", ITB_RUN_RETENTION_DAYS="0").code == 0
    assert aged not in run_ids(built)


@pytest.mark.parametrize(
    ("arguments", "settings", "word"),
    [
        (("--older-than", "0"), {}, "--older-than"),
        ((), {"ITB_RUN_RETENTION_DAYS": "-1"}, "ITB_RUN_RETENTION_DAYS"),
    ],
)
def test_an_age_that_is_none_is_refused(built, arguments, settings, word):
    said = built("runs", "prune", *arguments, **settings)
    assert said.code == 2
    assert word in said.err
