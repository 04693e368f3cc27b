"""Log lines carry their context, obey their level, and never show a secret."""

from __future__ import annotations

import io
import json
import subprocess
import sys

import pytest
from loguru import logger

from itb_assets.errors import ConfigError
from itb_assets.observability import logs
from itb_assets.observability.logs import configure_logging, get_logger, redact, register_secret

HUSH = "s3cr3t/tok en+€"


@pytest.fixture
def stream(monkeypatch):
    """Give a stream that gets INFO and above; leave no secret and no stream of a test behind."""
    monkeypatch.setattr(logs, "_secrets", [])
    lines = io.StringIO()
    configure_logging("INFO", sink=lines)
    yield lines
    configure_logging("INFO", sink=sys.__stderr__)


def fail(error: Exception) -> None:
    raise error


def last_json(stream: io.StringIO) -> dict:
    return json.loads(stream.getvalue().splitlines()[-1])


def test_context_is_bound_once_and_shown_on_each_line(stream):
    log = get_logger(run_id="r1", symbol="BTCUSDT", freq="5m")
    log.info("klines stored")
    log.bind(rows=12).warning("gap found")
    first, second = stream.getvalue().splitlines()
    assert first.endswith("| INFO     | klines stored run_id=r1 symbol=BTCUSDT freq=5m")
    assert second.endswith("| WARNING  | gap found run_id=r1 symbol=BTCUSDT freq=5m rows=12")


@pytest.mark.parametrize("level", ["debug", "INFO", " Warning "])
def test_levels_are_obeyed(stream, level):
    configure_logging(level, sink=stream)
    for name in ("debug", "info", "warning"):
        getattr(get_logger(), name)(f"a {name} line")
    shown = [line.rsplit("a ", 1)[1] for line in stream.getvalue().splitlines()]
    expected = ["debug line", "info line", "warning line"]
    assert shown == expected[["debug", "info", "warning"].index(level.strip().lower()) :]


def test_an_unknown_level_is_refused(stream):
    with pytest.raises(ConfigError, match="'loud' is not known: use one of TRACE, DEBUG"):
        configure_logging("loud")


def test_configuring_again_replaces_its_own_sink_and_no_other(stream):
    other = io.StringIO()
    handler = logger.add(other, format="{message}")
    try:
        fresh = io.StringIO()
        configure_logging("INFO", sink=fresh)
        get_logger().info("once")
        assert (stream.getvalue(), other.getvalue()) == ("", "once\n")
        assert fresh.getvalue().count("once") == 1
    finally:
        logger.remove(handler)


@pytest.mark.parametrize("as_json", [False, True])
def test_a_registered_secret_reaches_no_output(stream, as_json):
    """In messages, extras at any depth, objects, exception chains and tracebacks; also URL-quoted."""
    register_secret(HUSH)
    configure_logging("DEBUG", sink=stream, as_json=as_json)
    other = io.StringIO()
    handler = logger.add(other, diagnose=False, format="{message} {extra}")

    class Holder:
        def __repr__(self) -> str:
            return f"Holder({HUSH})"

    try:
        log = get_logger(url=f"https://host/bot{HUSH}/send", nested={"a": [HUSH, ("x", HUSH)]})
        log.bind(holder=Holder(), error=ValueError(HUSH)).info(f"sent {HUSH}")
        log.info("quoted s3cr3t%2Ftok%20en%2B%E2%82%AC and s3cr3t%2Ftok+en%2B%E2%82%AC")
        try:
            try:
                fail(ValueError(f"inner {HUSH}"))
            except ValueError as inner:
                raise RuntimeError(f"outer {HUSH}") from inner
        except RuntimeError:
            log.exception("it failed")
    finally:
        logger.remove(handler)
    for written in (stream.getvalue(), other.getvalue()):
        assert "s3cr3t" not in written
        assert "\\u20ac" not in written
        assert "***" in written
        assert "RuntimeError: outer ***" in written
        assert "ValueError: inner ***" in written


def test_the_password_of_a_url_is_hidden_without_being_registered(stream):
    get_logger(dsn="postgresql+psycopg2://itb:hunter2@db:5432/itb").info(
        "connected to redis://:p@ss/w0rd@h/0"
    )
    try:
        fail(ConnectionError("cannot reach postgresql://itb:hunter2@db/itb"))
    except ConnectionError:
        get_logger().exception("no database")
    written = stream.getvalue()
    assert "hunter2" not in written
    assert "ss/w0rd" not in written
    assert "postgresql+psycopg2://itb:***@db:5432/itb" in written
    assert "ConnectionError: cannot reach postgresql://itb:***@db/itb" in written


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("GET /order?symbol=X&signature=abc123&t=1", "GET /order?symbol=X&signature=***&t=1"),
        ("host=db password=pw1 user=me", "host=db password=*** user=me"),
        ("{'api_key': 'k1', 'rows': 3}", "{'api_key': '***', 'rows': 3}"),
        ("model signature: does not match", "model signature: does not match"),
        ("http://localhost:3000/runs", "http://localhost:3000/runs"),
        ("mail me@host at 10:30", "mail me@host at 10:30"),
    ],
)
def test_values_named_like_secrets_are_hidden_and_the_rest_stays(stream, text, expected):
    assert redact(text) == expected


def test_an_extra_named_like_a_secret_is_hidden(stream):
    get_logger(password="pw", BINANCE_API_KEY="k", db={"token": 5}, tokens=3).info("x")  # noqa: S106
    assert stream.getvalue().endswith("x password=*** BINANCE_API_KEY=*** db=\"{'token': '***'}\" tokens=3\n")


def test_an_ordinary_exception_keeps_its_traceback_but_shows_no_variables(stream):
    shown_nowhere = "value-of-a-variable"
    try:
        int(shown_nowhere[:0] or "x")
    except ValueError:
        get_logger().exception("bad number")
    written = stream.getvalue()
    assert "ValueError: invalid literal for int()" in written
    assert "test_logs.py" in written
    assert "value-of-a-variable" not in written


def test_text_is_never_taken_for_a_format_or_a_colour(stream):
    get_logger(payload="{x} <red>hot</red> a < b\nnext", empty="").info("{'a': 1} <blue>{0}</blue>")
    line = stream.getvalue()
    assert "{'a': 1} <blue>{0}</blue>" in line
    assert 'payload="{x} <red>hot</red> a < b\\nnext" empty=""\n' in line
    assert line.count("\n") == 1


def test_a_value_that_cannot_print_itself_breaks_nothing(stream):
    class Broken:
        def __repr__(self) -> str:
            raise RuntimeError

    get_logger(value=Broken()).info("still here")
    assert 'still here value="<unprintable Broken>"' in stream.getvalue()


def test_json_lines_are_flat_and_valid(stream):
    configure_logging("INFO", sink=stream, as_json=True)
    get_logger(run_id="r1", auc=float("nan"), level="mine", rows=3).info("Olá {not a field}")
    line = last_json(stream)
    assert line.pop("time").endswith("+00:00")
    assert line == {
        "level": "INFO",
        "message": "Olá {not a field}",
        "logger": __name__,
        "run_id": "r1",
        "auc": "nan",
        "extra_level": "mine",
        "rows": 3,
    }
    try:
        fail(KeyError("gone"))
    except KeyError:
        get_logger().exception("missing")
    assert last_json(stream)["exception"].endswith("KeyError: 'gone'")


def test_a_callable_sink_gets_finished_lines(stream):
    lines: list[str] = []
    configure_logging("INFO", sink=lines.append)
    get_logger(a=1).info("hello")
    assert [line.split(" | ")[2] for line in lines] == ["hello a=1\n"]


def test_a_short_secret_is_not_registered(stream):
    register_secret("abc")
    assert redact("abc abcd") == "abc abcd"


def test_standard_error_is_the_default_sink():
    code = (
        "from itb_assets.observability.logs import *; configure_logging('INFO'); get_logger(a=1).info('hi')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == ""
    assert done.stderr.endswith("| INFO     | hi a=1\n")
