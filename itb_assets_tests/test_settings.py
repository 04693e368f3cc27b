"""Settings as people write them: every wrong one is named at once, and no secret is repeated."""

from __future__ import annotations

import re
from datetime import UTC, datetime

import pytest

from itb_assets.errors import ConfigError
from itb_assets.settings import load_settings


@pytest.fixture(autouse=True)
def nowhere(tmp_path, monkeypatch) -> None:
    """Keep the `.env` of whoever runs this out of it."""
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(
    ("text", "start"),
    [
        ("2024-07-01", datetime(2024, 7, 1, tzinfo=UTC)),
        ("20240701", datetime(2024, 7, 1, tzinfo=UTC)),
        ("2024-07-01T12:00Z", datetime(2024, 7, 1, 12, tzinfo=UTC)),
        ("2024-07-01T12:00+03:00", datetime(2024, 7, 1, 9, tzinfo=UTC)),
    ],
)
def test_a_start_is_an_iso_time_in_utc_unless_it_says_otherwise(monkeypatch, text, start):
    """A date without dashes is that day, not so many seconds after 1970."""
    monkeypatch.setenv("ITB_START", text)
    assert load_settings().start == start


@pytest.mark.parametrize("text", ["1719792000", "yesterday", "2024-13-01", "0001-01-01"])
def test_a_start_that_is_none_is_told(monkeypatch, text):
    monkeypatch.setenv("ITB_START", text)
    with pytest.raises(ConfigError, match=f"ITB_START '{text}': expected"):
        load_settings()


def test_wrong_settings_are_listed_together_and_secrets_are_not_shown(monkeypatch):
    monkeypatch.setenv("ITB_FREQS", "5m,7m")
    monkeypatch.setenv("ITB_PORT", "0")
    with pytest.raises(ConfigError) as caught:
        load_settings(database_url=["s3cr3t"], model_signing_key=["s3cr3t"])
    assert len(caught.value.problems) == 4
    assert "s3cr3t" not in str(caught.value)
    monkeypatch.undo()
    assert "s3cr3t" not in repr(load_settings(database_url="s3cr3t", model_signing_key="s3cr3t"))


@pytest.mark.parametrize("name", ["docs_url", "ui_url"])
@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("docs.example.com", "is no address of a page"),
        ("javascript:alert(1)", "is no address of a page"),
        ("ftp://host/docs", "is no address of a page"),
        ("https://", "is no address of a page"),
        ("https://host/a b", "is no address of a page"),
        ("https://host:port/", "is no address"),
        ("https://[host", "is no address"),
        ("https://me:s3cr3t@host/docs", "holds a login"),
        ("https://s3cr3t@host/docs", "holds a login"),
        ("https://host/docs?key=s3cr3t", "has a ? or # in it"),
        ("https://host/docs#part", "has a ? or # in it"),
    ],
)
def test_an_address_that_no_message_may_show_is_refused_by_name(monkeypatch, name, address, said):
    monkeypatch.setenv(f"ITB_{name.upper()}", address)
    with pytest.raises(
        ConfigError, match=f"ITB_{name.upper()}.*: {re.escape(said)}.*: expected the address of"
    ):
        load_settings()
    with pytest.raises(ConfigError) as caught:
        load_settings()
    assert "s3cr3t" not in str(caught.value)


@pytest.mark.parametrize("address", ["https://host/docs", "http://127.0.0.1:8000", "https://host/a/b/"])
def test_an_address_of_a_page_is_taken(monkeypatch, address):
    monkeypatch.setenv("ITB_DOCS_URL", address)
    assert load_settings().docs_url == address


def test_a_login_in_an_address_is_no_part_of_what_settings_show_of_themselves():
    shown = repr(load_settings(telegram_url="https://me:s3cr3t@host/bot", binance_url="https://s3cr3t@host"))
    assert "s3cr3t" not in shown
    assert "telegram_url='https://***@host/bot'" in shown
