"""A data root built once, pipelines on copies of it, and a Dagster instance on a real PostgreSQL."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import dagster as dg
import pytest
import sqlalchemy as sa
from alert_room import Room
from matplotlib.backends.backend_agg import FigureCanvasAgg
from pipeline_making import Pipeline, open_pipeline
from retention_making import empty

from itb_assets.orchestration.kept_connections import kept_connections
from itb_assets.storage.database.migrations import migrate
from itb_assets.storage.server.embedded import EmbeddedPostgres


@pytest.fixture(scope="session")
def built_root(tmp_path_factory) -> Path:
    """Return a data root on which one market was run up to NOW; to be copied, not changed."""
    root = tmp_path_factory.mktemp("built") / "data"
    with open_pipeline(root) as pipeline:
        result = pipeline.run_well()
        assert all(check.passed for check in result.get_asset_check_evaluations())
    return root


@pytest.fixture
def blank_pictures(monkeypatch) -> None:
    """Lay pictures out without drawing them, a fifth of a run's work: for tests of what is stored."""
    monkeypatch.setattr(FigureCanvasAgg, "draw", FigureCanvasAgg.get_renderer)


@pytest.fixture
def built(built_root, tmp_path) -> Iterator[Pipeline]:
    """Return a pipeline on a copy of the built root, the clock at NOW."""
    shutil.copytree(built_root, tmp_path / "data")
    with open_pipeline(tmp_path / "data") as pipeline:
        yield pipeline


@pytest.fixture
def fresh(tmp_path) -> Iterator[Pipeline]:
    """Return a pipeline on an empty root, the clock at NOW."""
    with open_pipeline(tmp_path / "data") as pipeline:
        yield pipeline


@pytest.fixture(scope="session")
def dagster_server() -> Iterator[EmbeddedPostgres]:
    """Return a PostgreSQL for Dagster alone."""
    folder = Path(tempfile.mkdtemp(prefix="itb keep "))
    server = EmbeddedPostgres(folder / "postgres")
    server.start()
    server.ensure_database("dagster")
    try:
        yield server
    finally:
        server.stop(at_once=True)
        shutil.rmtree(folder)


@pytest.fixture(scope="session")
def dagster_home(tmp_path_factory) -> Path:
    """Return a DAGSTER_HOME whose dagster.yaml leads to where ITB_DAGSTER_URL says."""
    folder: Path = tmp_path_factory.mktemp("home")
    shutil.copy(Path(__file__).parents[2] / "dagster.yaml", folder)
    return folder


@pytest.fixture(scope="session")
def opened_instance(dagster_home, dagster_server) -> Iterator[dg.DagsterInstance]:
    """Return the instance of that home."""
    with ExitStack() as stack:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("ITB_DAGSTER_URL", dagster_server.url("dagster"))
            instance = stack.enter_context(dg.DagsterInstance.from_config(str(dagster_home)))
        stack.enter_context(kept_connections(instance))
        yield instance


@pytest.fixture(scope="session")
def dagster_engine(opened_instance) -> Iterator[sa.Engine]:
    """Return a way into its database past Dagster."""
    url = opened_instance.event_log_storage.postgres_url
    quick = {"options": "-c synchronous_commit=off"}  # nothing here outlives the server
    engine = sa.create_engine(url, isolation_level="AUTOCOMMIT", connect_args=quick)
    yield engine
    engine.dispose()


@pytest.fixture
def kept_instance(opened_instance, dagster_engine, dagster_server, monkeypatch) -> dg.DagsterInstance:
    """Return the instance without a record; for this test alone the environment leads to its server."""
    monkeypatch.setenv("ITB_DAGSTER_URL", dagster_server.url("dagster"))
    empty(dagster_engine)
    return opened_instance


@pytest.fixture(scope="session")
def alerts_url(postgres) -> str:
    """Return the URL of a database whose tables are there."""
    postgres.ensure_database("alerts")
    url = str(postgres.url("alerts"))
    engine = sa.create_engine(url)
    migrate(engine)
    engine.dispose()
    return url


@pytest.fixture
def room(kept_instance, dagster_engine, alerts_url) -> Iterator[Room]:
    """Return an instance without a record, and a reader of its events on a database without an alert."""
    engine = sa.create_engine(alerts_url, poolclass=sa.NullPool)
    with engine.begin() as connection:
        connection.execute(
            sa.text(
                "TRUNCATE alert_incidents, alert_events, alert_outbox, alert_cursors, alert_states, "
                "heartbeats"
            )
        )
    made = Room(kept_instance, dagster_engine, alerts_url)
    yield made
    made.close()
