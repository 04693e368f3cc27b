"""Addresses of databases: what is wrong with one is told without a word of what may be secret in it."""

from __future__ import annotations

import traceback

import pytest

from itb_assets.errors import InputError, ItbError
from itb_assets.storage.tables.database import SqlStore, server_version

SECRET = "s3cr3tPW"  # noqa: S105 - made up
WRONG = [
    f"postgresql://itb:a b@host:{SECRET}/itb",
    f"postgresql://itb:x@{SECRET}:word/itb",
    f"postgres://itb:{SECRET}@host/itb",
    f"postgresql+unknown://itb:{SECRET}@host/itb",
    f"sqlite:///{SECRET}",
    f"itb:{SECRET}",
]
UNREACHABLE = [
    f"postgresql+psycopg2://itb:{SECRET}@127.0.0.1:1/itb",
    f"postgresql+psycopg2:///itb?host=127.0.0.1&port=1&user=itb&password={SECRET}",
    f"postgresql+psycopg2://itb@127.0.0.1:1/itb?sslmode=bad&sslpassword={SECRET}",
    f"postgresql+psycopg2://itb@127.0.0.1:1/itb?option_of_nobody={SECRET}",
]
USES = [server_version, lambda url: SqlStore(url).query("SELECT 1")]


@pytest.mark.parametrize("use", USES, ids=["version", "query"])
@pytest.mark.parametrize("url", WRONG)
def test_a_wrong_address_is_refused_without_repeating_it(url, use):
    with pytest.raises(InputError, match="ITB_DATABASE_URL") as caught:
        use(url)
    assert SECRET not in shown(caught.value)


@pytest.mark.parametrize("use", USES, ids=["version", "query"])
@pytest.mark.parametrize("url", UNREACHABLE)
def test_a_password_in_any_part_of_the_address_stays_secret(url, use):
    with pytest.raises(ItbError, match=r"127\.0\.0\.1") as caught:
        use(url)
    assert SECRET not in shown(caught.value)


def shown(error: BaseException) -> str:
    """Return what a log would show of an error and its causes, without the lines of source."""
    lines = "".join(traceback.format_exception(error)).splitlines()
    return "\n".join(line for line in lines if not line.startswith("  "))
