"""What a person does about alerts: look, acknowledge, silence, send a test, send again what was given up.

What becomes of an incident belongs to `observability.alerts`; words for the terminal to the command line.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.pool import NullPool

from itb_assets.domain.alerts import Level, Message
from itb_assets.errors import ConfigError, InputError, StorageError
from itb_assets.observability.alerts import outbox
from itb_assets.observability.alerts.config import AlertConfig
from itb_assets.observability.alerts.dispatcher import HEARTBEAT
from itb_assets.observability.alerts.state import beats
from itb_assets.orchestration.alerts.channels import (
    NO_LINKS,
    NONE_SET_UP,
    channel_names,
    channels_of,
    config_of,
)
from itb_assets.orchestration.instance import register_secrets, running_database
from itb_assets.orchestration.schema import known_url
from itb_assets.settings import Settings
from itb_assets.storage.database.errors import database_address, database_errors
from itb_assets.storage.database.migrations import migrate

RULES_HEARTBEAT = "alert_rules"
"""The name under which the rules' loop says that it lives; the dispatcher has its own."""

SILENT_S = 60
"""After so many seconds without a heartbeat the alerter counts as gone."""

_CONNECTION: Mapping[str, str | int] = {
    "connect_timeout": 5,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 10_000,  # milliseconds; the others are seconds
    # The server's side too: it holds the locks of a machine that is gone until it notices.
    "options": "-c tcp_keepalives_idle=10 -c tcp_keepalives_interval=5 -c tcp_keepalives_count=3",
}
_BEAT = sa.text(
    "SELECT CASE count(*) WHEN cardinality(:names) THEN min(at) END FROM heartbeats WHERE name = ANY(:names)"
)
_WHAT_TO_DO = "alerts-what-to-do"
"""The section of the operations page above those of the rules."""
_TOLD = sa.text("SELECT EXISTS (SELECT FROM alert_incidents WHERE rule = :rule)")
_THERE = sa.text("SELECT to_regclass('heartbeats') IS NOT NULL")


@contextmanager
def alerts_engine(settings: Settings) -> Iterator[sa.Engine]:
    """Yield an engine over a deployment's database with its tables; raise ConfigError where none is named."""
    engine = _engine(_url(settings))
    try:
        with database_errors(engine.url):
            migrate(engine)
        yield engine
    finally:
        engine.dispose()


@contextmanager
def alerts_open(settings: Settings) -> Iterator[sa.Connection]:
    """Yield one transaction over the tables of alerts, committed on leaving; an error undoes it."""
    with running_database(settings) as ready:
        register_secrets(ready)
        with alerts_engine(ready) as engine, database_errors(engine.url), engine.begin() as connection:
            yield connection


def _url(settings: Settings) -> sa.URL:
    if settings.database_url is None:
        raise ConfigError(["ITB_DATABASE_URL is not set: alerts need a database"])
    return database_address(settings.database_url.get_secret_value())


def _engine(url: sa.URL) -> sa.Engine:
    return sa.create_engine(url, poolclass=NullPool, connect_args=_CONNECTION, hide_parameters=True)


def rule_known(connection: sa.Connection, config: AlertConfig, matchers: Mapping[str, str]) -> None:
    """Raise InputError for a silence of a rule that does not exist and never told anything."""
    wanted = matchers.get("rule", "*")
    if wanted.endswith("*") or wanted in config.rules.named():
        return
    if not connection.scalar(_TOLD, {"rule": wanted}):
        config.rule(wanted)


def send_test(
    connection: sa.Connection, settings: Settings, text: str, now: datetime, *, channel: str | None = None
) -> list[int]:
    """Put a test into the outbox for every channel that is set up, or for one; return the messages' ids.

    It names an action, so that it shows whether the way to the page that says what to do is known. Raises
    ConfigError where no channel is set up, or one is set up wrong; InputError for one that is not.
    """
    names = tuple(each.name for each in channels_of(settings))
    if not names:
        raise ConfigError([NONE_SET_UP])
    if channel is not None:
        if channel not in names:
            raise InputError(f"--channel {channel!r} is not set up: expected {' or '.join(names)}")
        names = (channel,)
    key = uuid.uuid4().hex
    message = Message(title=text, level=Level.INFO.label, at=now.isoformat(), action=_WHAT_TO_DO)
    made = [
        outbox.enqueue(
            connection,
            outbox.Draft(
                dedup_key=f"{name}:test:{key}",
                channel=name,
                level=Level.INFO,
                kind="test",
                message=message,
            ),
            now=now,
        )
        for name in names
    ]
    return [row for row in made if row is not None]


def alerter_state(settings: Settings) -> str:
    """Say who is told and how long ago the alerter was alive; raise StorageError where it is gone.

    Without a channel nothing is wrong: nobody asked to be told. Raises ConfigError for settings or a file of
    alerts that are wrong.
    """
    config_of(settings)
    channels_of(settings)
    names, age_s = channel_names(settings), heartbeat_age_s(settings)
    heard = "it never ran" if age_s is None else f"last heartbeat {timedelta(seconds=round(age_s))} ago"
    if not names:
        return f"{NONE_SET_UP} ({heard})"
    if age_s is None or age_s > SILENT_S:
        raise StorageError(f"{heard}, so nobody is told over {', '.join(names)}: start `itb alerter`")
    links = "" if settings.docs_url else f"; {NO_LINKS}"
    return f"tells over {', '.join(names)}, {heard}{links}"


def heartbeat_age_s(settings: Settings) -> float | None:
    """Return the seconds since both its loops were alive; None: never, or its database does not run."""
    url = known_url(settings)
    last = None if url is None else _last_beat(url)
    return None if last is None else max(0.0, (datetime.now(UTC) - last).total_seconds())


def silent_s(connection: sa.Connection, now: datetime) -> float | None:
    """Return the seconds since both loops of the alerter were alive; None: one of them never was."""
    found = beats(connection)
    if not {HEARTBEAT, RULES_HEARTBEAT} <= found.keys():
        return None
    return max(0.0, (now - min(found[HEARTBEAT].at, found[RULES_HEARTBEAT].at)).total_seconds())


def _last_beat(url: str) -> datetime | None:
    address = database_address(url)
    with database_errors(address), closing(_engine(address).connect()) as connection:
        if not connection.scalar(_THERE):
            return None
        found: datetime | None = connection.scalar(_BEAT, {"names": [HEARTBEAT, RULES_HEARTBEAT]})
        return found


def matchers_of(words: Sequence[str]) -> dict[str, str]:
    """Read `rule=training_failed`, `symbol=BTC*`; raise InputError for what is none, or named twice."""
    found: dict[str, str] = {}
    for word in words:
        name, sign, value = word.partition("=")
        if not sign or not name or not value or name in found:
            raise InputError(
                f"{word!r}: expected a rule or a label and its value, each once, such as "
                "rule=training_failed or symbol=BTC*"
            )
        found[name] = value
    return found
