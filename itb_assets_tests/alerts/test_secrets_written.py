"""Whatever a messenger answers, no part of a token is in what is written: tables, logs, output, errors."""

from __future__ import annotations

import base64
import logging
import re
import threading
from collections.abc import Iterator
from urllib.parse import quote

import pytest
import sqlalchemy as sa
from dispatching import dispatching, eventually, put, real_clock
from exceptions_dug import told_by
from hostile_wire import ANSWERS, each_form_in_turn, hostile, one_form
from loguru import logger
from pydantic import SecretStr

from itb_assets.domain.alerts import Level
from itb_assets.errors import StorageError
from itb_assets.observability.alerts import outbox
from itb_assets.observability.alerts.apprise_channel import Apprise
from itb_assets.observability.alerts.channels import NotSent
from itb_assets.observability.alerts.sessions import in_short
from itb_assets.observability.alerts.slack import Slack
from itb_assets.observability.alerts.telegram import Telegram
from itb_assets.observability.logs import configure_logging, get_logger, redact, register_secret
from itb_assets.storage.database.errors import database_errors
from itb_assets.storage.database.migrations import migrate

BOT_KEY = "AAH-s3cretTokenOfTheBot_xyz"
HOOK_KEY = "zzS3cret+Key~of=the&Hook%2Bzz"
WORD_KEY = "only_small_letters_in_it"
APPRISE_KEY = "zz5ecretPathOfAppriseZz"
LOGIN_KEY = "yy5ecretLoginOfAppriseYy"
PROXY_KEY = "xx5ecretLoginOfTheProxyXx"
KEYS = (BOT_KEY, HOOK_KEY, WORD_KEY, APPRISE_KEY, LOGIN_KEY, PROXY_KEY)
PNG = b"\x89PNG\r\n\x1a\n" + b"\x00" * 40
FAST = (0.3, 0.3)
TABLES = {"alert_incidents", "alert_outbox", "alert_cursors", "alert_states", "heartbeats"}


def forms_of(key: str) -> Iterator[str]:
    """Yield a key in every form in which it must not be seen; made here, not by the code under test."""
    yield key
    yield quote(key, safe="")
    yield re.sub("%[0-9A-F]{2}", lambda found: found[0].lower(), quote(key, safe=""))
    yield quote(quote(key, safe=""), safe="")
    yield "".join(f"\\u{ord(letter):04x}" for letter in key)
    for before in range(3):
        yield base64.b64encode(b"x" * before + key.encode())[4:-4].decode()


FORMS = [form for key in KEYS for form in forms_of(key)]


def found_in(text: str) -> list[str]:
    """Return which forms of which keys a text holds."""
    return [form for form in FORMS if form in text]


def channels(port: int) -> list[Telegram | Slack | Apprise]:
    url = f"http://127.0.0.1:{port}"
    return [
        Telegram(SecretStr(f"987654:{BOT_KEY}"), 42, base_url=url, timeouts_s=FAST),
        Slack(SecretStr(f"{url}/services/T0/B0/{HOOK_KEY}"), timeouts_s=FAST),
        Apprise(SecretStr(f"json://me:{LOGIN_KEY}@127.0.0.1:{port}/{APPRISE_KEY}?cto=0.3&rto=0.3")),
    ]


def dump(engine: sa.Engine) -> str:
    """Return every row of every table of alerts as text."""
    there = "SELECT tablename FROM pg_tables WHERE schemaname = 'public' AND tablename ~ 'alert|heartbeats'"
    with engine.connect() as connection:
        tables = list(connection.scalars(sa.text(there)))
        assert set(tables) >= TABLES
        rows = [
            connection.scalars(sa.text(f"SELECT each::text FROM {table} AS each"))  # noqa: S608 - above
            for table in tables
        ]
        return "\n".join(row for table in rows for row in table)


@pytest.fixture(scope="module")
def alerts_tables(postgres):
    """Return an engine over one database for all answers: making one takes longer than any of them."""
    postgres.ensure_database("secrets_written")
    engine = sa.create_engine(str(postgres.url("secrets_written")), pool_size=20)
    migrate(engine)
    yield engine
    engine.dispose()


@pytest.fixture
def alerts_engine(alerts_tables):
    """Return that engine, with nothing in its tables."""
    with alerts_tables.begin() as connection:
        connection.execute(sa.text(f"TRUNCATE {', '.join(sorted(TABLES))} CASCADE"))
    return alerts_tables


@pytest.fixture
def written(caplog, capfd):
    """Return everything that was written anywhere but in tables: our log, other libraries' logs, output."""
    own: list[str] = []
    configure_logging("TRACE", sink=own.append, as_json=True)
    caplog.set_level(logging.DEBUG)
    yield lambda: "\n".join([*own, caplog.text, *capfd.readouterr()])
    logger.remove()


def outcomes(engine: sa.Engine) -> dict[str, str]:
    """Return what was noted of each channel's message so far."""
    statement = "SELECT channel, coalesce(last_error, receipt) FROM alert_outbox WHERE attempts > 0"
    with engine.connect() as connection:
        noted = connection.execute(sa.text(statement)).all()
    return {channel: word for channel, word in noted if word is not None}


@pytest.mark.parametrize("what", ANSWERS)
def test_no_answer_brings_a_secret_into_anything_that_is_written(alerts_engine, written, what):
    """Through the dispatcher, as it runs: each channel tries once, and its lane goes on after it."""
    with hostile(ANSWERS[what]) as server:
        made = channels(server.port)
        for channel in made:
            put(alerts_engine, what, channel=channel.name, chart=PNG)
        paths = {f"/bot987654:{BOT_KEY}/sendPhoto", f"/services/T0/B0/{HOOK_KEY}", f"/{APPRISE_KEY}"}
        with dispatching(alerts_engine, *made):
            eventually(lambda: len(outcomes(alerts_engine)) == len(made))
            eventually(lambda: paths <= {asked.path.partition("?")[0] for asked in server.asked})
        assert not [asked.path for asked in server.asked if "there" in asked.path], "a redirect was followed"
    everything = written() + dump(alerts_engine)
    assert what in everything
    assert found_in(everything) == []


@pytest.mark.parametrize("what", ANSWERS)
def test_no_answer_brings_a_secret_into_an_exception(what):
    fails = []
    with hostile(ANSWERS[what]) as server:
        for channel in channels(server.port):
            try:
                channel.send("text")
            except NotSent as error:
                fails.append(error)
                assert found_in(f"{channel!r} {vars(channel)!r}") == []
    assert len(fails) >= 2  # Apprise takes every 200 for an arrival
    for error in fails:
        assert found_in(told_by(error)) == []
        assert "\0" not in str(error)
        str(error).encode()


def test_each_way_to_write_an_address_is_known_for_what_it_is(written):
    """Alone, one after the other: what is found because of its neighbour proves nothing."""
    with hostile(each_form_in_turn(400)) as server:
        telegram = channels(server.port)[0]
        words = []
        while len(server.asked) < 12:
            with pytest.raises(NotSent) as raised:
                telegram.send("text")
            words.append(str(raised.value))
        assert len(one_form(server.asked[0])) >= 10
    assert found_in("\n".join(words) + written()) == []
    assert any("***" in word for word in words)
    assert any("its words hold a secret" in word for word in words)


def test_a_key_of_small_letters_is_no_word_of_slack():
    """What reads like one of Slack's own words may be the key itself."""
    with hostile(lambda asked: iter([_plain(400, asked.path.rpartition("/")[2])])) as server:
        slack = Slack(SecretStr(f"http://127.0.0.1:{server.port}/services/T0/B0/{WORD_KEY}"))
        with pytest.raises(NotSent) as raised:
            slack.send("text")
    assert found_in(told_by(raised.value)) == []


def _plain(status: int, text: str) -> bytes:
    return f"HTTP/1.1 {status} Bad\r\nContent-Length: {len(text)}\r\n\r\n{text}".encode()


@pytest.mark.parametrize("alive", [True, False], ids=["that refuses", "that is gone"])
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_proxy_of_the_environment_shows_nothing(monkeypatch, written, alive, scheme):
    register_secret(PROXY_KEY)  # as whoever sets it in an address of the settings would
    with hostile(ANSWERS["407 of a proxy"]) as proxy:
        port = proxy.port if alive else 9
        for name in ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"):
            monkeypatch.setenv(name, f"http://me:{PROXY_KEY}@127.0.0.1:{port}")
        for name in ("NO_PROXY", "no_proxy"):
            monkeypatch.delenv(name, raising=False)
        url = f"{scheme}://api.telegram.invalid"
        telegram = Telegram(SecretStr(f"987654:{BOT_KEY}"), 42, base_url=url, timeouts_s=FAST)
        with pytest.raises(NotSent) as raised:
            telegram.send("text")
        if alive:  # a client may give up before this server's thread notes what it was asked
            eventually(lambda: bool(proxy.asked))
        assert bool(proxy.asked) is alive
    get_logger().opt(exception=raised.value).error("not sent")
    assert found_in(told_by(raised.value) + written()) == []


@pytest.mark.parametrize(
    "url", ["https://127.0.0.1:{port}", "http://no-such-host.invalid", "http://127.0.0.1:9"]
)
def test_nobody_who_answers_shows_nothing(written, url):
    """Another protocol than TLS, a name that is none, a port that nobody listens at."""
    with hostile(ANSWERS["200 and not ok"]) as server:
        telegram = Telegram(
            SecretStr(f"987654:{BOT_KEY}"), 42, base_url=url.format(port=server.port), timeouts_s=FAST
        )
        with pytest.raises(NotSent) as raised:
            telegram.send("text", PNG)
    get_logger().opt(exception=raised.value).error("not sent")
    logging.getLogger("elsewhere").error("not sent", exc_info=raised.value)
    assert raised.value.maybe_sent is False
    assert found_in(told_by(raised.value) + written()) == []


def test_threads_that_wait_for_a_slow_head_end_and_say_nothing(written):
    with hostile(ANSWERS["a slow head"]) as server:
        with pytest.raises(NotSent, match="did not answer in time") as raised:
            channels(server.port)[0].send("text")
        assert raised.value.maybe_sent is True
        waiting = [thread for thread in threading.enumerate() if thread.name == "post"]
    for thread in waiting:
        thread.join(5)
        assert not thread.is_alive()
    assert found_in(written()) == []


def test_an_error_of_the_database_brings_no_secret_into_what_is_written(alerts_tables, written):
    """It names the row that it refuses, and what the statement was given: a message may repeat a secret."""
    register_secret(BOT_KEY)
    said = {"dedup_key": "one", "channel": "", "level": Level.ERROR, "kind": "opened"}
    draft = outbox.Draft(**said, message={"title": BOT_KEY})
    with (
        pytest.raises(StorageError) as raised,
        database_errors(alerts_tables.url),
        alerts_tables.begin() as connection,
    ):
        outbox.enqueue(connection, draft, now=real_clock())
    cause = raised.value.__context__
    assert cause is not None
    assert BOT_KEY in str(cause)
    assert found_in(in_short(cause)) == []
    for error in (cause, raised.value):
        get_logger(error=error, words=str(error)).opt(exception=error).error(f"not put in: {error}")
    everything = written()
    assert "Failing row contains" in everything
    assert found_in(everything) == []
    assert found_in(redact(str(raised.value))) == []


@pytest.mark.parametrize("key", KEYS)
def test_a_registered_key_is_hidden_in_every_form_it_is_logged_in(key):
    register_secret(key)
    for form in [*forms_of(key)][:3]:
        assert found_in(redact(f"a line with {form} in it")) == []
    for before in range(3):
        whole = base64.b64encode(b"x" * before + f"{key} and more".encode()).decode()
        assert found_in(whole) != []
        assert found_in(redact(f"a line with {whole} in it")) == []
