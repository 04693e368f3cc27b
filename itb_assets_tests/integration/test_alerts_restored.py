"""A backup that is put back sends nothing old as news, loses nothing silently, and takes nobody for dead."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa
from outages import (
    REPEAT,
    TOKEN,
    BotApi,
    all_sent,
    asked,
    cases,
    cause,
    dispatching,
    rows,
    slack,
    telegram,
    told,
)
from pydantic import SecretStr

from itb_assets.domain.alerts import Level
from itb_assets.observability.alerts import outbox
from itb_assets.observability.alerts.config import load_config
from itb_assets.observability.alerts.escalation import escalate
from itb_assets.observability.alerts.rules import evaluate_all, tell
from itb_assets.observability.alerts.state import beat, move_cursor, states
from itb_assets.orchestration.alerts.restore import settle_dagsters, settle_ours
from itb_assets.settings import Settings
from itb_assets.storage.backups.backup import back_up
from itb_assets.storage.backups.restore import restore

AGO = timedelta(hours=6)


@pytest.fixture
def bot() -> Iterator[BotApi]:
    with BotApi(TOKEN) as running:
        yield running


@pytest.fixture
def settings(tmp_path, postgres_url) -> Settings:
    return Settings(_env_file=None, data_root=tmp_path / "data", database_url=SecretStr(postgres_url))


def put_back(file: Path, engine: sa.Engine, postgres, settings: Settings) -> None:
    """Restore over what is there, as the command does."""
    engine.dispose()
    admin = sa.make_url(postgres.url("postgres")).update_query_dict({"user": "postgres"})
    restore(
        file,
        engine.url.render_as_string(hide_password=False),
        admin_url=admin.render_as_string(hide_password=False),
        replace=True,
        settle=lambda connection, found: settle_ours(connection, settings, found.made_at),
    )


def backed_up(engine: sa.Engine, tmp_path: Path) -> Path:
    file = tmp_path / "itb.dump"
    made_at = datetime.now(UTC) - AGO
    back_up(engine.url.render_as_string(hide_password=False), file, kind="itb", now=made_at)
    return file


@pytest.mark.parametrize("lang", ["en", "pt"])
def test_what_waited_in_it_is_one_summary_and_kept(lang, engine, postgres, tmp_path, bot, settings):
    settings = settings.model_copy(update={"lang": lang})
    then = datetime.now(UTC) - AGO
    for number in range(5):
        level = Level.CRITICAL if number < 2 else Level.WARNING
        told(engine, cause(number, then, level=level), then)
    with engine.begin() as connection:
        assert escalate(connection, to="slack", after_s=15, now=then + timedelta(minutes=1)) == 2
    file = backed_up(engine, tmp_path)
    with dispatching(engine, telegram(bot), slack(bot.slack_url)):
        all_sent(engine)
    assert len(bot.sent) == 7
    put_back(file, engine, postgres, settings)
    with dispatching(engine, telegram(bot), slack(bot.slack_url), escalate_to="slack"):
        all_sent(engine)
    (summary,) = bot.texts[7:]
    count, levels = {
        "en": ("5 alerts of before the backup were not sent", "2 CRITICAL, 3 WARNING"),
        "pt": ("5 alertas anteriores ao backup não foram enviados", "2 CRÍTICO, 3 ATENÇÃO"),
    }[lang]
    assert count in summary
    assert levels in summary
    assert not cases(summary)
    with engine.begin() as connection:
        dead = outbox.dead_letters(connection)
        assert len(dead) == 7
        assert {row.last_error for row in dead} == {dead[0].last_error}
        assert f"the backup of {then:%Y-%m-%d}" in str(dead[0].last_error)
        critical = next(row for row in dead if row.level is Level.CRITICAL)
        outbox.replay(connection, [critical.id], datetime.now(UTC))
    with dispatching(engine, telegram(bot), slack(bot.slack_url)):
        all_sent(engine)
    assert cases(bot.texts[-1]) == cases(str(critical.message["title"]))


def test_where_nothing_waited_nothing_is_said(engine, postgres, tmp_path, bot, settings):
    file = backed_up(engine, tmp_path)
    put_back(file, engine, postgres, settings)
    assert rows(engine) == []


def test_what_happened_since_the_backup_may_be_a_repeat(engine, postgres, tmp_path, bot, settings):
    """Read again from where the backup's cursor stood, it may or may not have been told: both are said."""
    put_back(backed_up(engine, tmp_path), engine, postgres, settings)
    now = datetime.now(UTC)
    told(engine, cause(1, now - AGO / 2), now)
    told(engine, cause(2, now), now)
    with dispatching(engine, telegram(bot)):
        all_sent(engine)
    assert [(cases(text), REPEAT in text) for text in bot.texts] == [({"case-1"}, True), ({"case-2"}, False)]


def test_a_database_without_alerts_is_put_back_as_ever(postgres, postgres_url, tmp_path, settings):
    engine = sa.create_engine(postgres_url, poolclass=sa.NullPool)
    asked(engine, "CREATE TABLE old (a int)")
    put_back(backed_up(engine, tmp_path), engine, postgres, settings)
    assert asked(engine, "SELECT count(*) FROM old") == [(0,)]


def firing(engine: sa.Engine, now: datetime) -> set[tuple[str, str]]:
    """Compute the rules at a time and return what fires."""
    config = load_config()
    with engine.begin() as connection:
        tell(connection, evaluate_all(connection, config, now), config, now)
        return {
            (each.rule, " ".join(each.labels.values()))
            for each in states(connection)
            if each.state == "firing"
        }


def test_heartbeats_of_a_backup_are_waited_for(engine, postgres, tmp_path, settings):
    """Nobody is called dead at the first look, however late that is; who stays silent is, in his time."""
    then = datetime.now(UTC) - AGO
    with engine.begin() as connection:
        for name in ("trading:main", "trading:other", "orderbook:BTCUSDT", "dagster_events"):
            beat(connection, name, then)
        beat(connection, "trading:halted", then, {"halted": "by hand"})
        beat(connection, "api:exchange", then, {"auth_error": "401"})
        beat(connection, "log_delivery", then, {"oldest_s": 1})
    put_back(backed_up(engine, tmp_path), engine, postgres, settings)
    first = datetime.now(UTC) + timedelta(minutes=30)
    assert firing(engine, first) == set()
    assert firing(engine, first + timedelta(seconds=4)) == set()
    later = first + timedelta(seconds=200)
    with engine.begin() as connection:
        beat(connection, "trading:main", later)
    assert firing(engine, later) == {
        ("trading_halted", "trading:other"),
        ("trading_halted", "trading:halted"),
        ("orderbook_stopped", "BTCUSDT"),
        ("dagster_silent", "dagster_events"),
    }
    assert firing(engine, later + timedelta(hours=1)) >= {("log_delivery_lagging", "log_delivery")}
    with engine.begin() as connection:
        beat(connection, "api:exchange", later + timedelta(hours=1), {"auth_error": "401"})
    assert ("api_authentication_failed", "exchange") in firing(engine, later + timedelta(hours=1, seconds=9))


def test_an_incident_that_was_open_is_not_over_because_nobody_lives_yet(engine, postgres, tmp_path, settings):
    then = datetime.now(UTC) - AGO
    with engine.begin() as connection:
        beat(connection, "trading:main", then, {"halted": "by hand"})
    assert firing(engine, then) == {("trading_halted", "trading:main")}
    put_back(backed_up(engine, tmp_path), engine, postgres, settings)
    assert firing(engine, datetime.now(UTC)) == set()
    assert asked(engine, "SELECT count(*) FROM alert_incidents WHERE resolved_at IS NULL") == [(1,)]
    assert asked(engine, "SELECT kind FROM alert_outbox WHERE dead_at IS NULL") == [("report",)]


def test_dagsters_records_put_back_are_read_anew(engine, settings):
    with engine.begin() as connection:
        for name in ("event_logs", "job_ticks", "lane:telegram"):
            move_cursor(connection, name, "{}", datetime.now(UTC))
    settle_dagsters(settings)
    assert asked(engine, "SELECT name FROM alert_cursors") == [("lane:telegram",)]
