"""An exchange that is away, limits us or sends klines that are wrong is told clearly, and nothing is stored.

Every single fault of a file or an answer belongs to the tests of sources.
"""

from __future__ import annotations

import time
from contextlib import closing

import psycopg2
import pytest
from itb_command import MARKET, WINDOW
from refusals import BAD, LATER, RUN, WRONG, contents, refused

from itb_assets.storage.server.embedded import EmbeddedPostgres

NOBODY_LISTENS = "http://127.0.0.1:9"


def rows_in(server: EmbeddedPostgres) -> int:
    """Return how many rows the tables hold in the database for bad input."""
    folder = server.status().socket_dir
    connected = closing(psycopg2.connect(dbname="bad", user="postgres", host=str(folder)))
    with connected as connection, connection.cursor() as cursor:
        cursor.execute("SELECT to_regclass('manifests') IS NOT NULL")
        if not cursor.fetchone()[0]:
            return 0
        cursor.execute("SELECT (SELECT count(*) FROM ohlcv) + (SELECT count(*) FROM manifests)")
        return int(cursor.fetchone()[0])


def test_a_symbol_the_exchange_does_not_list(itb):
    words = ("NOSUCHUSDT", "is not listed by the exchange", "check the spelling")
    refused(itb("run", "--symbols", "NOSUCHUSDT", "--freqs", "1h", *WINDOW), WRONG, *words)
    refused(itb("symbols", "add", "NOSUCHUSDT"), WRONG, *words)
    assert contents(itb.root) == {}
    followed = [row["symbol"] for row in itb("symbols", "list", "--json").json()]
    assert "NOSUCHUSDT" not in followed


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ("empty", ("-2024-0", "is empty: expected klines of [2024-0", "get a sound copy")),
        ("checksum", ("was published, sha256", "was found", "delete it or get a sound copy")),
        ("no_checksum", ("no readable checksum was published",)),
        ("truncated", ("was published, sha256", "the file is damaged, truncated")),
        ("torn", ("is torn or no zip at all", "get a sound copy")),
        ("nan", ("NaN, infinite or missing value in close at 2024-0", "expected a number in every field")),
        ("duplicate", ("1 duplicate rows, first at 2024-0", "expected open times that rise strictly")),
        ("unsorted", ("1 unsorted rows, first at 2024-0", "expected open times that rise strictly")),
    ],
)
def test_an_archive_that_is_wrong(itb, broken, shared_server, fault, words):
    """There is no REST to stand in: it refuses."""
    broken.faults.archive, broken.faults.rest = fault, "403"
    refused(itb(*RUN), BAD, f"{MARKET}: ", *words)
    assert contents(itb.root) == {}
    assert rows_in(shared_server) == 0


@pytest.mark.parametrize(
    ("fault", "words"), [("nan", "missing value in close"), ("duplicate", "duplicate rows")]
)
def test_rest_klines_that_are_wrong(itb, broken, shared_server, fault, words):
    broken.faults.rest = fault
    refused(itb(*RUN[:5], "--start", str(_days_ago(1))), BAD, "REST klines", words, "get a sound copy")
    assert contents(itb.root) == {}
    assert rows_in(shared_server) == 0


def _days_ago(days: int) -> str:
    return time.strftime("%Y-%m-%d", time.gmtime(time.time() - 86_400 * days))


def test_an_exchange_that_is_down(itb, shared_server):
    said = itb(*RUN, ITB_BINANCE_URL=NOBODY_LISTENS, ITB_BINANCE_ARCHIVE=NOBODY_LISTENS)
    refused(said, LATER, "cannot be reached", "check the network and the host, then run again")
    assert contents(itb.root) == {}
    assert rows_in(shared_server) == 0


def test_an_exchange_that_only_answers_429(itb, broken):
    """The wait it asks for is obeyed, and bounded: `itb` does not sit there for ever, nor ask on and on."""
    broken.faults.rest, broken.faults.archive, broken.faults.retry_after_s = "429", "404", 1
    before, began = len(broken.requests), time.monotonic()
    said = itb(*RUN, ITB_MAX_WAIT_S="1.5")
    refused(said, LATER, "answered 429", "asks for another 1 s", "wait that long")
    assert time.monotonic() - began < 20
    asked = [target for target in broken.requests[before:] if target.startswith("/api/")]
    assert len(asked) == 2
    assert contents(itb.root) == {}
