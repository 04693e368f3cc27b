"""The Dagster instance and the database behind it: started when needed, stopped by who started them.

Which assets run on it belongs to the runner.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path

import dagster as dg
from pydantic import SecretStr

from itb_assets.observability.logs import get_logger, register_secret
from itb_assets.settings import Settings
from itb_assets.storage.atomic import ensure_folder, write_whole
from itb_assets.storage.embedded import EmbeddedPostgres
from itb_assets.storage.layout import Layout

DAGSTER_URL = "ITB_DAGSTER_URL"
DATABASES = ("itb", "dagster")


def embedded_server(settings: Settings) -> EmbeddedPostgres:
    """Return the embedded PostgreSQL of a data root, started or not."""
    return EmbeddedPostgres(Layout(settings.data_root).postgres_dir)


@contextmanager
def running_database(settings: Settings) -> Iterator[Settings]:
    """Yield settings that name a database that answers.

    With no `ITB_DATABASE_URL` the embedded server is started, and stopped again by whoever started it,
    unless another client is still connected.
    """
    if settings.database_url is not None:
        yield settings
        return
    server = embedded_server(settings)
    started = server.start()
    try:
        for name in DATABASES:
            server.ensure_database(name)
        yield settings.model_copy(
            update={
                "database_url": SecretStr(server.url("itb")),
                "dagster_url": SecretStr(server.url("dagster")),
            }
        )
    finally:
        if started and not server.has_clients():
            server.stop()
        elif started:
            get_logger().info(
                "embedded database left running: others are connected; stop it by `itb db stop`"
            )


def dagster_environment(settings: Settings) -> dict[str, str]:
    """Return the variables that a Dagster process of this deployment needs beside its own `ITB_` ones."""
    home = _dagster_home(settings)
    url = settings.dagster_url or settings.database_url
    return {
        "DAGSTER_HOME": str(home),
        DAGSTER_URL: url.get_secret_value() if url else "",
        "ITB_DATABASE_URL": settings.database_url.get_secret_value() if settings.database_url else "",
        "ITB_DATA_ROOT": str(settings.data_root.resolve()),
        "ITB_BINANCE_URL": settings.binance_url,
        "ITB_BINANCE_ARCHIVE": settings.binance_archive,
        "ITB_FREQS": ",".join(settings.freqs),
        "ITB_START": settings.start.isoformat(),
        "ITB_SCHEDULES": settings.schedules,
    }


def _dagster_home(settings: Settings) -> Path:
    home = Layout(settings.data_root).dagster_home.resolve()
    ensure_folder(home)
    text = files("itb_assets.orchestration").joinpath("dagster.yaml").read_bytes()
    config = home / "dagster.yaml"
    if not config.exists() or config.read_bytes() != text:
        write_whole(config, text)
    return home


@contextmanager
def running_instance(settings: Settings) -> Iterator[tuple[Settings, dg.DagsterInstance]]:
    """Yield settings with a database that answers, and the Dagster instance stored in it."""
    with running_database(settings) as ready:
        for secret in (ready.database_url, ready.dagster_url):
            if secret is not None:
                register_secret(secret.get_secret_value())
        os.environ.update(dagster_environment(ready))  # dagster.yaml names the variable, Dagster reads it
        with dg.DagsterInstance.from_config(os.environ["DAGSTER_HOME"]) as instance:
            yield ready, instance
