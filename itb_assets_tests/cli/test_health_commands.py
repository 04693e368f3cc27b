"""The commands `itb verify`, `itb doctor` and `itb db`: what they find, what they do not show.

What is compared value by value belongs to the tests of orchestration.
"""

from __future__ import annotations

import shutil

from itb_command import MARKET, Itb
from refusals import SECRET

from itb_assets.storage.server.embedded import EmbeddedPostgres


def test_verify(built, empty):
    said = built("verify")
    assert said.code == 0
    assert "frames and models are whole" in said.out
    assert built("verify", "--json").json() == []
    found = built("verify", "--all", "--json").json()
    assert {row["what"] for row in found} >= {"raw/klines", "models/aggressive/lgbm/high_040_4"}
    assert empty("verify").out.startswith("nothing is stored in ")
    assert list(empty.folder.iterdir()) == []


def test_verify_names_what_differs(built, empty):
    shutil.copytree(built.root / MARKET.symbol, empty.root / MARKET.symbol)
    file = empty.root / MARKET.symbol / MARKET.freq / "processed" / "features.csv"
    content = bytearray(file.read_bytes())
    content[5000] ^= 1
    file.write_bytes(content)
    said = empty("verify", "--json", ITB_STORAGE_PHASE="files", ITB_DATABASE_URL=url_of(built))
    assert said.code == 1
    assert [row["what"] for row in said.json()] == ["processed/features"]


def url_of(built: Itb, name: str = "itb") -> str:
    return EmbeddedPostgres(built.root / ".itb" / "postgres").url(name)


def test_doctor(built):
    rows = {row["what"]: row for row in built("doctor", "--json").json()}
    assert {rows[name]["state"] for name in ("strategies", "database", "exchange", "archive")} == {"ok"}
    assert rows["ITB_THREADS"]["found"] == "1"
    assert rows["ITB_DATABASE_URL"]["state"] == "not set"
    assert rows["database"]["found"] == "embedded PostgreSQL, running"


def test_doctor_shows_no_secret(built):
    """A secret is set or not set; what is missing is told with what to do, and makes the exit code 1."""
    url = f"postgresql+psycopg2://me:{SECRET}@127.0.0.1:9/itb"
    settings = {"ITB_DATABASE_URL": url, "ITB_DAGSTER_URL": url, "ITB_MODEL_SIGNING_KEY": SECRET}
    for form in ((), ("--json",)):
        said = built(
            "doctor", *form, **settings, ITB_BINANCE_URL="http://127.0.0.1:9", ITB_BINANCE_ARCHIVE="nosuch"
        )
        assert said.code == 1
        assert SECRET not in said.out + said.err
    rows = {row["what"]: row for row in said.json()}
    assert {rows[name]["state"] for name in settings} == {"set"}
    assert {rows[name]["state"] for name in ("database", "exchange", "archive")} == {"missing"}
    assert "correct ITB_DATABASE_URL" in rows["database"]["found"]
    assert "check the address and the network" in rows["exchange"]["found"]
    assert "point ITB_BINANCE_ARCHIVE" in rows["archive"]["found"]


def test_the_database_is_stopped_by_who_started_it(built):
    assert built("db", "status", "--json").json()["running"] is True
    assert built("db", "start").out.startswith("was running already")
    assert built("db", "stop").out == "stopped\n"
    try:
        assert built("db", "stop").out == "was not running\n"
        assert built("db", "status").out.startswith("not running; its data lies in ")
        assert any(stopped_after_use(built) for _ in range(3)), "it was left running each time"
    finally:
        assert built("db", "start").out.startswith("started: running (process ")


def stopped_after_use(built: Itb) -> bool:
    """Tell whether a command stopped the server that it started; one that was left running is stopped.

    A busy server that still counts a session which has ended, and for longer than is waited, is left running.
    """
    assert built("symbols", "list").code == 0
    stopped = built("db", "status", "--json").json()["running"] is False
    built("db", "stop")
    return stopped
