"""`itb alerts` shows what is wrong and keeps what a person decides about it; a dry run keeps nothing."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa
from local_bot import SECRETS, TOKEN, connected, counted, deployment, telegram, wrong

from itb_assets.observability.alerts import outbox, state
from itb_assets.orchestration.alerts.records import EVENTS

AWAY = "http://127.0.0.1:9"


@pytest.fixture
def desk(tmp_path, postgres_url):
    """Return the command over an empty database, with Telegram set up."""
    return deployment(tmp_path, postgres_url, **telegram(AWAY))


def test_incidents_are_listed_and_acknowledged(desk, postgres_url):
    number = wrong(postgres_url, "one", symbol="BTCUSDT", freq="5m")
    wrong(postgres_url, "two", symbol="BTCUSDT", freq="5m")
    (row,) = desk("alerts", "list", "--json").json()
    assert (row["id"], row["rule"], row["times"]) == (number, "training_failed", 2)
    assert (row["what"], row["detail"], row["acked_by"]) == ("freq=5m symbol=BTCUSDT", "no rows", None)
    tried = desk("alerts", "ack", str(number), "--who", "maria", "--dry-run", "--json")
    assert tried.json()[0]["acked_by"] == "maria"
    assert desk("alerts", "list", "--json").json() == [row]
    assert desk("alerts", "ack", str(number), "--who", "maria").code == 0
    assert desk("alerts", "list", "--json").json()[0]["acked_by"] == "maria"
    assert "maria" in desk("alerts", "list").out
    refused = desk("alerts", "ack", "999")
    assert refused.code == 2
    assert "no incident 999 is open: `itb alerts list` shows those that are" in refused.err


def test_an_incident_that_nothing_else_ends_is_closed(desk, postgres_url):
    number = wrong(postgres_url, "one", asset="models/gone")
    assert desk("alerts", "close", str(number), "--dry-run").code == 0
    assert len(desk("alerts", "list", "--json").json()) == 1
    (closed,) = desk("alerts", "close", str(number), "--json").json()
    assert closed["resolved_at"]
    assert desk("alerts", "list", "--json").json() == []
    assert counted(postgres_url, "alert_outbox") == 1
    again = desk("alerts", "close", str(number))
    assert again.code == 2
    assert "`itb alerts list` shows those that are" in again.err


def test_a_silence_keeps_quiet_until_it_is_ended(desk, postgres_url):
    asked = ("alerts", "silence", "rule=training_failed", "symbol=BTC*", "--for", "1h", "--why", "moving")
    assert desk(*asked, "--dry-run").code == 0
    assert desk("alerts", "list", "--silences", "--json").json() == []
    (made,) = desk(*asked, "--who", "maria", "--json").json()
    assert (made["what"], made["who"]) == ("rule=training_failed symbol=BTC*", "maria")
    wrong(postgres_url, "silenced", symbol="BTCUSDT")
    assert counted(postgres_url, "alert_outbox") == 0
    wrong(postgres_url, "not silenced", symbol="ETHUSDT")
    assert counted(postgres_url, "alert_outbox") == 1
    assert desk("alerts", "unsilence", str(made["id"]), "--dry-run").code == 0
    assert len(desk("alerts", "list", "--silences", "--json").json()) == 1
    assert desk("alerts", "unsilence", str(made["id"])).code == 0
    assert desk("alerts", "list", "--silences").out == "no silence is in force\n"
    again = desk("alerts", "unsilence", str(made["id"]))
    assert again.code == 2
    assert "is in force" in again.err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("symbol",), "expected a rule or a label and its value"),
        (("symbol=A", "symbol=B"), "each once"),
        (("symbol=A", "--for", "soon"), "--for 'soon': expected a length of time"),
    ],
)
def test_a_silence_that_is_none(desk, words, said):
    refused = desk("alerts", "silence", *words, "--why", "moving")
    assert refused.code == 2
    assert said in refused.err


def test_a_test_is_put_in_once_for_each_channel(desk, postgres_url):
    assert desk("alerts", "test", "--dry-run", "--json").json()[0]["channel"] == "telegram"
    assert counted(postgres_url, "alert_outbox") == 0
    hook = f"{AWAY}/services/T0/B0/abcdefgh"
    rows = desk("alerts", "test", "hello", "--json", ITB_SLACK_URL=hook).json()
    assert [row["channel"] for row in rows] == ["telegram", "slack"]
    with connected(postgres_url) as connection:
        waits = outbox.pending(connection)
    assert {(row.kind, row.message["title"]) for row in waits} == {("test", "hello")}


def test_a_test_goes_over_one_channel_when_asked_to(desk, postgres_url):
    apprise = "json://127.0.0.1:9/zz5ecretPathzz"
    made = desk("alerts", "test", "--channel", "apprise", "--json", ITB_APPRISE_URLS=apprise)
    assert [row["channel"] for row in made.json()] == ["apprise"]
    assert counted(postgres_url, "alert_outbox") == 1
    other = desk("alerts", "test", "--channel", "slack", ITB_APPRISE_URLS=apprise)
    assert other.code == 2
    assert "--channel 'slack' is not set up: expected telegram or apprise" in other.err
    wrong_one = desk("alerts", "test", ITB_APPRISE_URLS=f"{apprise} nothing://zz5ecretPathzz")
    assert wrong_one.code == 2
    assert "address 2 of ITB_APPRISE_URLS is none that Apprise knows (nothing://...)" in wrong_one.err
    assert counted(postgres_url, "alert_outbox") == 1
    for said in (made, other, wrong_one):
        assert "zz5ecretPathzz" not in said.out + said.err


def test_a_test_says_when_messages_have_no_link_to_what_to_do(desk, postgres_url):
    assert "without a link to it: set ITB_DOCS_URL" in desk("alerts", "test", "--json").err
    told = desk("alerts", "test", ITB_DOCS_URL="https://host/docs")
    assert (told.code, told.err) == (0, "")
    refused = desk("alerts", "test", ITB_DOCS_URL="javascript:alert(1)")
    assert refused.code == 2
    assert "ITB_DOCS_URL 'javascript:alert(1)': is no address of a page" in refused.err
    with connected(postgres_url) as connection:
        assert {row.message["action"] for row in outbox.pending(connection)} == {"alerts-what-to-do"}


def test_a_test_without_a_channel_says_what_to_set(desk):
    refused = desk("alerts", "test", ITB_TELEGRAM_TOKEN="", ITB_TELEGRAM_CHAT="")
    assert refused.code == 2
    assert "set ITB_TELEGRAM_TOKEN and ITB_TELEGRAM_CHAT, ITB_SLACK_URL or ITB_APPRISE_URLS" in refused.err
    half = desk("alerts", "test", ITB_TELEGRAM_CHAT="")
    assert half.code == 2
    assert "ITB_TELEGRAM_CHAT is not set, but ITB_TELEGRAM_TOKEN is" in half.err
    assert not [secret for secret in SECRETS if secret in half.out + half.err]


def test_rules_say_what_they_lack(desk, tmp_path):
    rows = {row["rule"]: row for row in desk("alerts", "rules", "--json").json()}
    assert rows["training_failed"]["state"] == "no_data"
    assert rows["daily_loss"]["state"] == "not computed"
    assert rows["win_rate_low_days"]["state"] == "off"
    assert desk("alerts", "rules", "--firing").out == "no rule finds anything wrong\n"
    own = tmp_path / "own.toml"
    own.write_text("[rules.no_such]\nenabled = true\n")
    refused = desk("alerts", "rules", ITB_ALERTS_FILE=str(own))
    assert refused.code == 2
    assert "no_such" in refused.err


EVENT_RULES = {
    "training_failed",
    "pipeline_error",
    "run_failed",
    "check_failed",
    "asset_stale",
    "automation_failed",
    "daemon_error",
    "event_unreadable",
    "rule_broken",
}


def told_by_events(desk):
    """Return state and detail of the rules that events tell."""
    rows = {row["rule"]: row for row in desk("alerts", "rules", "--json").json()}
    return {rule: (rows[rule]["state"], rows[rule]["detail"]) for rule in EVENT_RULES}


def test_a_rule_of_events_says_when_nobody_reads_them(desk, postgres_url):
    """Never read, read and quiet, open, and read too long ago: only the second is near to being fine."""
    assert {state for state, _ in told_by_events(desk).values()} == {"no_data"}
    assert all("itb alerter" in detail for _, detail in told_by_events(desk).values())
    now = datetime.now(UTC)
    with connected(postgres_url) as connection:
        state.move_cursor(connection, EVENTS, "{}", now)
    wrong(postgres_url, "one", asset="models/a")
    rows = told_by_events(desk)
    assert rows["training_failed"] == ("firing", "1 open: `itb alerts list`")
    assert rows["asset_stale"][0] == "no_data"
    assert "policy" in rows["asset_stale"][1]
    assert {rows[rule][0] for rule in EVENT_RULES - {"training_failed", "asset_stale"}} == {"told by events"}
    assert "training_failed" in desk("alerts", "rules", "--firing").out
    with connected(postgres_url) as connection:
        state.move_cursor(connection, EVENTS, "{}", now - timedelta(hours=1))
    rows = told_by_events(desk)
    assert {rows[rule][0] for rule in EVENT_RULES - {"training_failed"}} == {"not computed"}


def test_what_a_rule_said_yesterday_is_not_shown_as_of_now(desk, postgres_url):
    then = datetime.now(UTC) - timedelta(days=1)
    labels = {"process": "trading"}
    with connected(postgres_url) as connection:
        state.note_state(
            connection, rule="trading_halted", labels=labels, state="ok", value=1.0, detail="fine", now=then
        )
    rows = {row["rule"]: row for row in desk("alerts", "rules", "--json").json()}
    assert rows["trading_halted"]["state"] == "not computed"
    assert f"not since {then:%Y-%m-%d %H:%M:%S}" in rows["trading_halted"]["detail"]


def test_without_an_alerter_a_list_that_is_empty_says_so(desk):
    said = desk("alerts", "list")
    assert said.out == "no incident is open\n"
    assert "`itb alerter` never ran" in said.err


def test_many_incidents_with_any_words_fit_into_a_terminal(desk, postgres_url, monkeypatch):
    """Brackets are no markup, an escape moves no cursor, and more than are shown are said to be there."""
    asset = "models/" + "x" * 90
    for number in range(3):
        wrong(postgres_url, f"e{number}", asset=f"{asset}{number}", account="binance_spot main")
    with connected(postgres_url) as connection:
        connection.execute(
            sa.text("UPDATE alert_incidents SET detail = :said"), {"said": "[/tmp] [red] \x1b[2J"}
        )
    shown = desk("alerts", "list", "--newest", "2", COLUMNS="80").out
    assert max(map(len, shown.splitlines())) <= 150
    assert "[/tmp] [red]" in shown
    assert "\x1b" not in shown
    assert "account=binance_spot main" in shown
    assert "there are more than 2: --newest 20 shows more" in shown
    assert (
        desk("alerts", "list", "--newest", "2", "--json").json()[0]["labels"]["account"]
        == "binance_spot main"
    )


def test_a_silence_of_no_rule_is_refused_and_one_says_what_it_fits(desk, postgres_url):
    refused = desk("alerts", "silence", "rule=trainning_failed", "--why", "moving")
    assert refused.code == 2
    assert "did you mean training_failed?" in refused.err
    wrong(postgres_url, "one", symbol="BTCUSDT")
    wrong(postgres_url, "two", symbol="ETHUSDT")
    (made,) = desk("alerts", "silence", "rule=train*", "symbol=BTC*", "--why", "moving", "--json").json()
    assert made["open_now"] == 1


def test_the_doctor_misses_an_alerter_and_shows_no_secret(desk):
    for form in ((), ("--json",)):
        hooks = {
            "ITB_SLACK_URL": f"{AWAY}/services/T0/B0/abcdefgh",
            "ITB_APPRISE_URLS": "json://host/ijklmnop",
        }
        said = desk("doctor", *form, **hooks)
        hidden = (*SECRETS, TOKEN, "abcdefgh", "ijklmnop")
        assert not [secret for secret in hidden if secret in said.out + said.err]
    rows = {row["what"]: row for row in said.json()}
    assert (rows["alerts"]["state"], rows["ITB_TELEGRAM_TOKEN"]["state"]) == ("missing", "set")
    assert "over telegram, slack, apprise: start `itb alerter`" in rows["alerts"]["found"]
