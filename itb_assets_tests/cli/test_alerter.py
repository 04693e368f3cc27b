"""`itb alerter` as a real process: what was put in arrives; without a channel it says so and keeps watch."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path

import pytest
from itb_command import Itb
from local_bot import SECRETS, TOKEN, BotApi, counted, deployment, telegram

from itb_assets.storage.server.embedded import EmbeddedPostgres


@pytest.fixture
def bot() -> Iterator[BotApi]:
    """Return the local Bot API."""
    with BotApi(TOKEN) as api:
        yield api


@contextmanager
def working(itb: Itb, said: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Run `itb alerter` for the length of a block, and stop it as a service is stopped."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("ITB_", "DAGSTER_"))}
    with said.open("wb") as out:
        process = subprocess.Popen(
            [Path(sys.executable).with_name("itb"), "alerter"],
            env=kept | dict(itb.environment),
            cwd=itb.folder,
            stdout=out,
            stderr=subprocess.STDOUT,
        )
        try:
            yield process
            process.send_signal(signal.SIGTERM)
            process.wait(60)
        finally:
            process.kill()
            process.wait()


@pytest.mark.slow
def test_a_test_arrives_and_no_secret_is_said(tmp_path, postgres_url, bot):
    """Made before the alerter runs, and while it does; a stop is no failure."""
    itb, said = deployment(tmp_path, postgres_url, **telegram(bot.url)), tmp_path / "said"
    assert itb("alerts", "test", "made before").code == 0
    with working(itb, said) as process:
        bot.wait_for(lambda sent: "made before" in sent.text.lower(), timeout_s=90)
        assert itb("alerts", "test", "made meanwhile").code == 0
        bot.wait_for(lambda sent: "made meanwhile" in sent.text.lower(), timeout_s=90)
        both_loops_beat(itb)
        rows = {row["what"]: row for row in itb("doctor", "--json").json()}
        assert rows["alerts"]["found"].startswith("tells over telegram, last heartbeat 0:00:")
    text = said.read_text("utf-8")
    assert process.returncode == 0, text
    assert "Alerts go to telegram." in text
    assert not [secret for secret in SECRETS if secret in text]


def test_one_round_without_a_channel_keeps_watch(tmp_path, postgres_url):
    itb = deployment(tmp_path, postgres_url)
    assert itb("alerter", "--check", "--json").code == 1
    done = itb("alerter", "--once", "--json")
    assert done.code == 0, done
    assert "no channel is set up, so nobody is told; incidents are kept" in done.err
    assert done.json()[0]["evaluations"] > 10
    assert counted(postgres_url, "alert_outbox") == 0
    rules = {row["rule"]: row["state"] for row in itb("alerts", "rules", "--json").json()}
    assert rules["daily_loss"] == "no_data"
    assert itb("alerter", "--check", "--json").json()[0]["alive"]


def test_a_rule_that_fires_is_told_once_in_the_language_chosen(tmp_path, postgres_url, bot):
    own = tmp_path / "own.toml"
    own.write_text('[rules.dagster_silent]\nexpected = ["dagster_events"]\n')
    itb = deployment(tmp_path, postgres_url, **telegram(bot.url), ITB_ALERTS_FILE=str(own), ITB_LANG="pt")
    done = itb("alerter", "--once", "--json")
    assert (done.code, done.json()[0]["firing"], done.json()[0]["waiting"]) == (0, 1, 0), done
    assert itb("alerter", "--once").code == 0
    assert [text for text in bot.texts if "ERRO" in text] == [bot.texts[0]]
    (incident,) = itb("alerts", "list", "--json").json()
    assert (incident["rule"], incident["level"], incident["times"]) == ("dagster_silent", "error", 1)
    assert [row["rule"] for row in itb("alerts", "rules", "--firing", "--json").json()] == ["dagster_silent"]


def test_one_round_delivers_what_waits(tmp_path, postgres_url, bot):
    """Over the channel that is set up, although the shipped file names the other one."""
    itb = deployment(tmp_path, postgres_url, ITB_SLACK_URL=bot.slack_url)
    assert itb("alerts", "test", "over slack").code == 0
    began = time.monotonic()
    done = itb("alerter", "--once", "--json")
    assert done.code == 0, done
    assert done.json()[0]["waiting"] == 0
    assert time.monotonic() - began < 40
    assert any("over slack" in text.lower() for text in bot.texts)
    assert not [secret for secret in SECRETS if secret in done.out + done.err]


def test_while_dagsters_database_is_away_rules_are_told_all_the_same(tmp_path, postgres_url, bot):
    """Its start too: the alerter is there to tell that others are gone."""
    own = tmp_path / "own.toml"
    own.write_text('[rules.dagster_silent]\nexpected = ["dagster_events"]\n')
    nowhere = "postgresql+psycopg2://nobody:hunter22@127.0.0.1:9/nowhere"
    settings = telegram(bot.url) | {"ITB_ALERTS_FILE": str(own), "ITB_DAGSTER_URL": nowhere}
    done = deployment(tmp_path, postgres_url, **settings)("alerter", "--once", "--json")
    assert (done.code, done.json()[0]["firing"], done.json()[0]["waiting"]) == (0, 1, 0), done
    assert [text for text in bot.texts if "ERROR" in text]
    assert "events of Dagster are read later" in done.err
    assert "hunter22" not in done.out + done.err


@pytest.mark.slow
def test_a_database_that_was_away_for_a_while_costs_nothing(tmp_path, bot):
    """The process stays up, and both of its loops go on."""
    server, said = EmbeddedPostgres(tmp_path / "postgres"), tmp_path / "said"
    server.start()
    try:
        server.ensure_database("test")
        itb = deployment(tmp_path, server.url("test"), **telegram(bot.url))
        with working(itb, said) as process:
            assert itb("alerts", "test", "before").code == 0
            bot.wait_for(lambda sent: "before" in sent.text.lower(), timeout_s=90)
            both_loops_beat(itb)
            server.stop(at_once=True)
            assert itb("alerter", "--check").code != 0
            server.start()
            assert itb("alerts", "test", "afterwards").code == 0
            bot.wait_for(lambda sent: "afterwards" in sent.text.lower(), timeout_s=90)
            assert process.poll() is None
            lost = time.time()
            while (age_s := heartbeat_s(itb)) > time.time() - lost:
                assert age_s < 60, said.read_text("utf-8")
    finally:
        server.stop(at_once=True)
    assert process.returncode == 0, said.read_text("utf-8")
    text = said.read_text("utf-8")
    waits = [line.partition("|")[2] for line in text.splitlines() if "alerts wait for" in line]
    assert all(one != following for one, following in pairwise(waits)), text  # it is tried every second
    assert 1 <= len(waits) <= 10, text  # a server says in a few ways, by turns, that it goes and comes up
    assert "Retrying" not in text


def both_loops_beat(itb: Itb) -> None:
    """Wait until the slower loop has done its first round; fail where it does not."""
    until = time.monotonic() + 60
    while itb("alerter", "--check", "--json").code != 0:
        assert time.monotonic() < until, "one of the loops never beat"


def heartbeat_s(itb: Itb) -> float:
    """Return the age of the heartbeat of the slower loop."""
    return float(itb("alerter", "--check", "--json").json()[0]["heartbeat_age_s"])
