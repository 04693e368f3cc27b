"""The Dagster instance and the database behind it: started when needed, stopped by who started them.

Which assets run on it belongs to the runner.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import replace
from importlib.resources import files
from pathlib import Path
from urllib.parse import unquote, urlsplit

import dagster as dg
from pydantic import SecretStr

from itb_assets.errors import DatabaseUnavailable
from itb_assets.observability.alerts.apprise_channel import hide_addresses
from itb_assets.observability.alerts.slack import hide_webhook
from itb_assets.observability.logs import get_logger, register_secret
from itb_assets.orchestration.build import build_platform
from itb_assets.orchestration.kept_connections import kept_connections
from itb_assets.orchestration.killed_runs import fail_killed
from itb_assets.orchestration.platform import Platform
from itb_assets.settings import Settings
from itb_assets.storage.disk.atomic import ensure_folder, storage_errors, write_whole
from itb_assets.storage.layout import Layout
from itb_assets.storage.phases import reads_tables
from itb_assets.storage.server.embedded import EmbeddedPostgres
from itb_assets.storage.tables.database import server_version

DAGSTER_URL = "ITB_DAGSTER_URL"
DATABASES = ("itb", "dagster")


def embedded_server(settings: Settings) -> EmbeddedPostgres:
    """Return the embedded PostgreSQL of a data root, started or not."""
    return EmbeddedPostgres(Layout(settings.data_root).postgres_dir)


@contextmanager
def running_database(settings: Settings) -> Iterator[Settings]:
    """Yield settings that name a database that answers; raise DatabaseUnavailable where none does.

    With no `ITB_DATABASE_URL` the embedded server is started, and stopped again by whoever started it,
    unless another client is still connected.
    """
    if settings.database_url is not None:
        for url in (settings.database_url, settings.dagster_url):
            if url is not None:
                server_version(url.get_secret_value())
        yield settings
        return
    server = embedded_server(settings)
    started = not server.status().running  # also when it is interrupted before it says so
    try:
        started = server.start()
        for name in DATABASES:
            server.ensure_database(name)
        yield settings.model_copy(
            update={
                "database_url": SecretStr(server.url("itb")),
                "dagster_url": settings.dagster_url or SecretStr(server.url("dagster")),
            }
        )
    finally:
        if started:
            _stop_unless_used(server)


def _stop_unless_used(server: EmbeddedPostgres) -> None:
    try:
        used = server.has_clients()
    except DatabaseUnavailable:  # it is not up yet, or not any more
        used = False
    if used:
        get_logger().info("embedded database left running: others are connected; stop it by `itb db stop`")
    else:
        server.stop()


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
    text = files("itb_assets.orchestration").joinpath("dagster.yaml").read_bytes()
    config = home / "dagster.yaml"
    with storage_errors(config):
        ensure_folder(home)
        if not config.exists() or config.read_bytes() != text:
            write_whole(config, text)
    return home


def register_secrets(settings: Settings) -> None:
    """Have every secret of the settings hidden in logs and messages, passwords in addresses too."""
    for url in (settings.database_url, settings.dagster_url, settings.admin_database_url):
        if url is not None:
            register_secret(url.get_secret_value())
            password = urlsplit(url.get_secret_value()).password
            register_secret(unquote(password) if password else "")
    for secret in (settings.model_signing_key, settings.reader_password, settings.telegram_token):
        if secret is not None:
            register_secret(secret.get_secret_value())
    if settings.telegram_token is not None:
        register_secret(settings.telegram_token.get_secret_value().partition(":")[2])
    if settings.slack_url is not None:
        hide_webhook(settings.slack_url)
    if settings.apprise_urls is not None:
        hide_addresses(settings.apprise_urls)


@contextmanager
def running_instance(settings: Settings) -> Iterator[tuple[Settings, dg.DagsterInstance]]:
    """Yield settings with a database that answers, and the Dagster instance stored in it."""
    with running_database(settings) as ready:
        register_secrets(ready)
        with opened_instance(ready) as instance:
            fail_killed(instance)
            yield ready, instance


@contextmanager
def opened_instance(ready: Settings) -> Iterator[dg.DagsterInstance]:
    """Yield the Dagster instance of a database that runs; raise what Dagster raises where it does not."""
    with (
        _environment(dagster_environment(ready)) as variables,
        dg.DagsterInstance.from_config(variables["DAGSTER_HOME"]) as instance,
        kept_connections(instance),
    ):
        yield instance


@contextmanager
def opened_platform(settings: Settings) -> Iterator[Platform]:
    """Yield a platform to read from; its database runs where the storage phase reads tables."""
    platform = build_platform(settings)
    with ExitStack() as opened:
        if reads_tables(platform.phase):
            ready = opened.enter_context(running_database(settings))
            register_secrets(ready)
            platform = replace(platform, settings=ready)
        yield opened.enter_context(closing(platform))


@contextmanager
def _environment(variables: dict[str, str]) -> Iterator[dict[str, str]]:
    """Set variables for a while: dagster.yaml names them, Dagster reads them."""
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield variables
    finally:
        for name, value in before.items():
            os.environ.pop(name) if value is None else os.environ.update({name: value})
