"""`itb alerts replay` reaches every message that was given up, and brings each back once unless asked."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
import sqlalchemy as sa
from local_bot import connected, counted, deployment, telegram

from itb_assets.observability.alerts import outbox

MANY = """
INSERT INTO alert_outbox (dedup_key, channel, level, kind, message, created_at, next_at, dead_at, last_error)
SELECT 'k' || n, 'telegram', 40, 'opened', '{}', at, at, CASE WHEN :dead THEN at END, '403'
FROM generate_series(1, 1002) AS n, LATERAL (SELECT CAST('2026-01-01Z' AS timestamptz) + n * interval '1 s')
    AS t (at)
"""


@pytest.fixture
def desk(tmp_path, postgres_url):
    """Return the command over an empty database, with Telegram set up."""
    return deployment(tmp_path, postgres_url, **telegram("http://127.0.0.1:9"))


def many(url: str, *, dead: bool) -> None:
    """Put 1,002 messages in, the oldest first, which were given up or wait."""
    with connected(url) as connection:
        connection.execute(sa.text(MANY), {"dead": dead})


def test_what_was_given_up_is_sent_again(desk, postgres_url):
    (made,) = desk("alerts", "test", "--json").json()
    with connected(postgres_url) as connection:
        outbox.dead(connection, [made["id"]], "the chat is gone", datetime.now(UTC))
    (row,) = desk("alerts", "replay", "--json").json()
    assert (row["id"], row["why"]) == (made["id"], "the chat is gone")
    assert desk("alerts", "replay", str(made["id"]), "--dry-run").code == 0
    assert counted(postgres_url, "alert_outbox") == 1
    assert desk("alerts", "replay", str(made["id"])).code == 0
    assert counted(postgres_url, "alert_outbox") == 2
    assert desk("alerts", "replay", "999").code == 2


def test_every_message_that_was_given_up_can_be_sent_again(desk, postgres_url):
    """The newest are listed, any is reached by its number, and --all takes them all."""
    assert desk("alerts", "replay").out == "no message was given up\n"
    many(postgres_url, dead=True)
    listed = desk("alerts", "replay")
    assert listed.out.endswith("\n2 more than are listed\n")
    as_json = desk("alerts", "replay", "--json")
    assert (len(as_json.json()), as_json.err) == (1000, "2 more than are listed\n")
    oldest = desk("alerts", "replay", "1")
    assert oldest.code == 0, oldest
    assert oldest.out.endswith("\n1 go out again\n")
    refused = desk("alerts", "replay", "2", "--all")
    assert (refused.code, counted(postgres_url, "alert_outbox")) == (2, 1003)
    tried = desk("alerts", "replay", "--all", "--dry-run")
    assert tried.out.startswith("1,001 given up\nWould send again")
    assert tried.out.endswith("\n1,001 would go out again\n1 more than are listed\n")
    assert counted(postgres_url, "alert_outbox") == 1003
    sent = desk("alerts", "replay", "--all")
    assert sent.out.startswith("1,001 given up\nSent again")
    assert sent.out.endswith("\n1,001 go out again\n1 more than are listed\n")
    assert desk("alerts", "replay", "--all", "--json").json() == []
    assert counted(postgres_url, "alert_outbox") == 2004
    assert desk("alerts", "replay", "2", "--json").json()[0]["id"] == 2
    assert counted(postgres_url, "alert_outbox") == 2005


def test_a_number_beyond_all_numbers_was_not_given_up(desk):
    refused = desk("alerts", "replay", "41", str(10**30))
    assert refused.code == 2
    assert "no message 41 was given up: `itb alerts replay` lists those that were" in refused.err


def test_a_test_is_shown_behind_however_many_wait(desk, postgres_url):
    assert desk("alerts", "replay").code == 0
    many(postgres_url, dead=False)
    assert [row["id"] for row in desk("alerts", "test", "--json").json()] == [1003]
