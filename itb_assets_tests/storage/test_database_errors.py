"""Every refusal of a database becomes one of our errors, with what to do, through either driver."""

from __future__ import annotations

import pytest
from databases import on_one_engine

from itb_assets.errors import DatabaseRefused, DatabaseUnavailable, StorageError, StorageFull

pytestmark = on_one_engine("postgres", because="what is told apart is the code, which both engines hand over")


@pytest.mark.parametrize(
    ("code", "kind", "words"),
    [
        ("28P01", DatabaseRefused, "correct user and password in ITB_DATABASE_URL"),
        ("28000", DatabaseRefused, "let it in from here by pg_hba.conf"),
        ("3D000", DatabaseRefused, "make it by `itb db init`"),
        ("42501", DatabaseRefused, "the role has to own the database and its tables"),
        ("25006", DatabaseRefused, "name the primary server and a role that may write"),
        ("53100", StorageFull, "free space on the disk of the database"),
        ("53300", DatabaseUnavailable, "raise max_connections"),
        ("53200", DatabaseUnavailable, "cannot be reached"),
        ("54000", StorageError, "let strategies name fewer features"),
        ("54011", StorageError, "use a database of its own"),
        ("55P03", DatabaseUnavailable, "pg_stat_activity shows who"),
        ("57014", DatabaseUnavailable, "raise statement_timeout"),
        ("57P03", DatabaseUnavailable, "wait until it has, then run again"),
        ("58P01", StorageError, "install the extension that it belongs to again"),
        ("40001", DatabaseUnavailable, "met another writer"),
        ("40P01", DatabaseUnavailable, "met another writer"),
        ("22012", StorageError, "refused"),
    ],
)
def test_what_a_code_becomes(database, code, kind, words):
    """What passes by itself is transient, and nothing else is: a run would try it again."""
    raised = f"DO $$ BEGIN RAISE EXCEPTION 'it is so' USING ERRCODE = '{code}'; END $$"
    for ask in (lambda: database.query(raised), lambda: through_adbc(database, raised)):
        with pytest.raises(kind, match="it is so") as caught:
            ask()
        assert type(caught.value) is kind
        assert words in str(caught.value)
        assert str(caught.value).startswith("the database postgresql+psycopg2://")


def through_adbc(database, statement: str) -> None:
    with database._connections.writing() as cursor:
        cursor.execute(statement)
