"""Asks everything that a deployment needs whether it is there, and says what to do where it is not.

Nothing is started, made or mended here.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import requests

from itb_assets.errors import ItbError, StorageError
from itb_assets.orchestration.alerts.channels import channel_names
from itb_assets.orchestration.alerts.desk import alerter_state
from itb_assets.orchestration.alerts.pulse import known_pulses
from itb_assets.orchestration.build import build_platform
from itb_assets.orchestration.instance import embedded_server
from itb_assets.orchestration.policies import policies_of
from itb_assets.orchestration.schema import looked_at
from itb_assets.settings import Settings
from itb_assets.sources.http import split_login
from itb_assets.storage.database.schema_report import describe
from itb_assets.storage.database.timescale import Tier, require_tier
from itb_assets.storage.layout import Layout
from itb_assets.storage.phases import phase_of
from itb_assets.storage.tables.database import server_version

TIMEOUT_S = 5
LOW_DISK_GB = 5


@dataclass(frozen=True)
class Diagnosis:
    """One thing looked at: `ok`, `missing`, `silent` or `set`/`not set`, and what to do about it."""

    what: str
    state: str
    found: str
    ok: bool = True


def diagnose(settings: Settings) -> Iterator[Diagnosis]:
    """Look at settings, data root, strategies, database and exchange; never raise for what is missing."""
    yield from _settings(settings)
    for what, look in (
        ("data root", _data_root),
        ("strategies", _strategies),
        ("database", _database),
        ("schema", _schema),
        ("dagster's records", _records),
        ("exchange", _exchange),
        ("archive", _archive),
        ("alerts", alerter_state),
    ):
        yield _asked(what, look, settings)
    yield from _heartbeats(settings)


def _heartbeats(settings: Settings) -> Iterator[Diagnosis]:
    """Look at who says that it is alive; a silent one is wrong where somebody asked to be told."""
    try:
        told, found = bool(channel_names(settings)), known_pulses(settings)
    except (ItbError, OSError) as error:
        yield Diagnosis("heartbeats", "missing", _first_line(error), ok=False)
        return
    for pulse in found:
        wrong = told and pulse.silent
        state = "missing" if wrong else "silent" if pulse.silent else "ok"
        yield Diagnosis(f"heartbeat {pulse.name}", state, pulse.words, ok=not wrong)


def _asked(what: str, look: Callable[[Settings], str], settings: Settings) -> Diagnosis:
    try:
        return Diagnosis(what, "ok", look(settings))
    except (ItbError, OSError) as error:  # an error of requests is an OSError
        return Diagnosis(what, "missing", _first_line(error), ok=False)


def _first_line(error: Exception) -> str:
    if isinstance(error, requests.RequestException):
        status = f"answered {error.response.status_code}" if error.response is not None else "no answer"
        return f"{status} ({type(error).__name__}): check the address and the network"
    return str(error)


def _settings(settings: Settings) -> Iterator[Diagnosis]:
    for name, field in type(settings).model_fields.items():
        value = getattr(settings, name)
        secret = "SecretStr" in str(field.annotation)
        if secret:
            yield Diagnosis(f"ITB_{name.upper()}", "set" if value else "not set", "secret, not shown")
            continue
        state = "default" if value == field.default else "set"
        shown = ",".join(value) if isinstance(value, tuple) else split_login(str(value))[0]
        yield Diagnosis(f"ITB_{name.upper()}", state, shown)


def _data_root(settings: Settings) -> str:
    root = settings.data_root
    existing = next(folder for folder in (root.resolve(), *root.resolve().parents) if folder.exists())
    if not os.access(existing, os.W_OK):
        raise OSError(f"{existing} cannot be written: choose another ITB_DATA_ROOT or change its owner")
    free_gb = shutil.disk_usage(existing).free / 1e9
    if free_gb < LOW_DISK_GB:
        raise OSError(
            f"{existing} has {free_gb:.1f} GB free, less than {LOW_DISK_GB}: free space or move ITB_DATA_ROOT"
        )
    return f"{root} is writable, {free_gb:.0f} GB free" + (
        "" if root.exists() else " (made by the first run)"
    )


def _strategies(settings: Settings) -> str:
    platform = build_platform(settings)
    variants = ", ".join(strategy.variant for strategy in platform.strategies)
    return f"{variants}: {len(platform.features.names)} features, {len(platform.labels.names)} labels"


def _database(settings: Settings) -> str:
    if phase_of(Layout(settings.data_root), settings.storage_phase) == "files":
        return "none: the storage phase is files"
    if settings.database_url is not None:
        return f"answers: PostgreSQL {server_version(settings.database_url.get_secret_value())}"
    running = embedded_server(settings).status().running
    return f"embedded PostgreSQL, {'running' if running else 'started when needed'}"


def _schema(settings: Settings) -> str:
    if phase_of(Layout(settings.data_root), settings.storage_phase) == "files":
        return "none: the storage phase is files"
    found = looked_at(settings)
    if found is None:
        require_tier(Tier.POSTGRES, policies_of(settings).tier)
        return f"plain PostgreSQL, looked at once it runs; therefore {Tier.POSTGRES.missing}"
    if found.role_problem and settings.database_url is not None:
        raise StorageError(found.role_problem)
    return describe(found.database, found.state)


def _records(settings: Settings) -> str:
    if settings.dagster_url is not None:
        return f"answers: PostgreSQL {server_version(settings.dagster_url.get_secret_value())}"
    if settings.database_url is not None:
        return "among the tables of ITB_DATABASE_URL: better in a database of their own, by ITB_DAGSTER_URL"
    return "in a database of their own, on the embedded PostgreSQL"


def _exchange(settings: Settings) -> str:
    _get(f"{settings.binance_url}/api/v3/time").raise_for_status()
    return f"{settings.binance_url} answers"


def _archive(settings: Settings) -> str:
    base = settings.binance_archive
    folder = Path(base.removeprefix("file://"))
    if not base.startswith(("http://", "https://")):
        if not (folder / "data").is_dir():
            raise OSError(
                f"{folder} holds no folder `data`: point ITB_BINANCE_ARCHIVE at the folder above `data/spot`"
            )
        return f"{folder} is a folder of recorded archives"
    answer = _get(base)
    if answer.status_code >= 500:  # noqa: PLR2004 - the class of statuses; its top page itself may be refused
        answer.raise_for_status()
    return f"{base} answers"


def _get(url: str) -> requests.Response:
    with requests.get(url, timeout=TIMEOUT_S, stream=True) as answer:
        return answer
