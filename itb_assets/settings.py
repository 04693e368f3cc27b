"""The only reader of the environment: every setting has the prefix `ITB_` and a checked type.

Values that are wrong become one ConfigError naming all of them; secrets stay SecretStr.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic_core import ErrorDetails
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from itb_assets.domain.markets import parse_freq, parse_symbol
from itb_assets.errors import ConfigError, InvalidMarket

PUBLIC_REST_URL = "https://data-api.binance.vision"
PUBLIC_ARCHIVE_URL = "https://data.binance.vision"
PUBLIC_TELEGRAM_URL = "https://api.telegram.org"
DEMO_ROOT = Path(".demo")
EARLIEST_YEAR = 2010

_LOGIN = re.compile(r"//[^/@\s]*@")
Names = Annotated[tuple[str, ...], NoDecode]


class Settings(BaseSettings):
    """What a deployment chooses; read once and handed down as a value."""

    model_config = SettingsConfigDict(
        env_prefix="ITB_",
        env_file=".env",
        env_ignore_empty=True,
        extra="ignore",
        frozen=True,
        validate_default=True,
    )

    data_root: Path = Field(Path("data"), description="folder that holds every file this project writes")
    symbols: Names = Field((), description="symbols to follow, comma separated, such as BTCUSDT,ETHUSDT")
    freqs: Names = Field(("5m", "1h"), description="freqs to follow, comma separated")
    start: datetime = Field(datetime(2024, 1, 1, tzinfo=UTC), description="first kline wanted, UTC")
    dialect: Literal["causal", "legacy"] | None = Field(
        None, description="overrides the strategies' own dialect; `legacy` repeats the old bot's faults"
    )
    strategies_dir: Path | None = Field(
        None, description="folder of your own *.jsonc strategies, beside the shipped ones"
    )
    processed_format: Literal["csv", "parquet"] = Field(
        "csv", description="file format of everything but raw klines"
    )
    storage_phase: Literal["files", "dual", "db_read", "db"] | None = Field(
        None,
        description="what is written and read: files, dual, db_read or db; unset: the one last moved to, "
        "at first dual",
    )
    archive_days: int = Field(
        30, ge=0, le=36_500, description="days that archived files are kept, in phase db"
    )
    binance_url: str = Field(PUBLIC_REST_URL, description="REST host for market data")
    binance_archive: str = Field(PUBLIC_ARCHIVE_URL, description="public archive: URL, file:// URL or folder")
    database_url: SecretStr | None = Field(
        None, description="PostgreSQL URL; unset starts the embedded one under the data root"
    )
    dagster_url: SecretStr | None = Field(
        None, description="PostgreSQL URL of Dagster's own storage; unset: the same server as the data"
    )
    database_tier: Literal["postgres", "apache", "community"] | None = Field(
        None,
        description="least that the database has to be, with TimescaleDB by licence; unset: whatever it is",
    )
    admin_database_url: SecretStr | None = Field(
        None,
        description="PostgreSQL URL of an administrator, for `itb db init` alone: set it for that command",
    )
    reader_password: SecretStr | None = Field(
        None, description="password of itb_reader, the role for dashboards; unset: it cannot log in"
    )
    chunk_days: int = Field(90, ge=1, description="days that a chunk spans, with TimescaleDB")
    compress_after_days: int = Field(
        30, ge=0, description="days after its end that a chunk is compressed, with TimescaleDB; 0: never"
    )
    retention_days: Names = Field(
        (), description="days after which rows are dropped, with TimescaleDB, such as signals=365,labels=730"
    )
    model_signing_key: SecretStr | None = Field(
        None, description="if set, models are signed and unsigned ones refused"
    )
    parallel_downloads: int = Field(
        4, ge=1, le=32, description="archive files and REST pages fetched at a time"
    )
    max_wait_s: float = Field(
        300.0, ge=0, description="seconds that one request may wait in all when the exchange asks for pauses"
    )
    threads: int = Field(2, ge=1, le=64, description="model fits at a time, one thread each")
    schedules: Literal["running", "stopped"] = Field(
        "running", description="state of the schedules when the UI first sees them"
    )
    run_retention_days: int = Field(
        30, ge=0, description="days that Dagster keeps finished runs, failed ones 90 at least; 0: for ever"
    )
    seed: int = Field(7, description="seed of every model fit")
    log_level: Literal["TRACE", "DEBUG", "INFO", "WARNING", "ERROR"] = Field(
        "INFO", description="least severe level shown"
    )
    host: str = Field("127.0.0.1", description="address the web UI listens on")
    port: int = Field(3000, ge=1, le=65535, description="port of the web UI")
    ui_url: str | None = Field(
        None, description="where people reach the web UI, for links in alerts; unset: host and port"
    )
    docs_url: str | None = Field(
        None,
        description="address under which people read docs/, such as its folder on the repository's web page, "
        "for links in alerts; unset: the page is named",
    )
    telegram_token: SecretStr | None = Field(
        None, description="token of the Telegram bot that sends alerts, as @BotFather gives it"
    )
    telegram_chat: str | None = Field(
        None, description="chat that the bot sends to: its number, below 0 for a group, or @name"
    )
    telegram_thread: int | None = Field(
        None, ge=1, description="topic of that group, where it has topics; unset: the general one"
    )
    telegram_url: str = Field(PUBLIC_TELEGRAM_URL, description="base URL of Telegram's Bot API")
    slack_url: SecretStr | None = Field(
        None, description="incoming webhook of Slack, for alerts where Telegram does not take them"
    )
    apprise_urls: SecretStr | None = Field(
        None,
        description="addresses of other messengers as Apprise writes them, separated by spaces; needs the "
        "extra apprise",
    )
    metrics_port: int | None = Field(
        None, ge=1, le=65535, description="port on which `itb alerter` serves Prometheus; unset: none"
    )
    metrics_host: str = Field(
        "127.0.0.1", description="address that port is opened on; metrics ask for no password"
    )
    alerts_file: Path | None = Field(
        None, description="TOML file of what your alerts do otherwise than the shipped ones"
    )
    lang: Literal["en", "pt"] | None = Field(
        None, description="language of alerts, en or pt; unset: as the alerts' file says, at first en"
    )

    @field_validator("symbols", "freqs", "retention_days", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        return (
            tuple(part.strip() for part in value.split(",") if part.strip())
            if isinstance(value, str)
            else value
        )

    @field_validator("data_root")
    @classmethod
    def _folder(cls, value: Path) -> Path:
        if value.exists() and not value.is_dir():
            raise ValueError("is a file: expected a folder, there or to be made")
        return value

    @field_validator("symbols")
    @classmethod
    def _symbols(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(_value_error(parse_symbol, name) for name in value)

    @field_validator("freqs")
    @classmethod
    def _freqs(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(_value_error(parse_freq, name) for name in value)

    @field_validator("retention_days")
    @classmethod
    def _retention(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for part in value:
            table, _, days = part.partition("=")
            if not table or not days.isdigit():
                raise ValueError(f"{part!r}: expected a table and a number of days, such as signals=365")
        return value

    @field_validator("docs_url", "ui_url")
    @classmethod
    def _page(cls, value: str | None) -> str | None:
        if value is not None and (problem := _no_page(value)):
            raise ValueError(f"{problem}: expected the address of a page such as https://host/path")
        return value

    @field_validator("start", mode="before")
    @classmethod
    def _iso(cls, value: object) -> object:
        """Read text as ISO alone: to pydantic 20240101 is a number of seconds, a day in 1970."""
        if not isinstance(value, str):
            return value
        try:
            return datetime.fromisoformat(value.strip())
        except ValueError:
            raise ValueError("expected a time in ISO form, such as 2024-01-01 or 2024-01-01T12:00") from None

    @field_validator("start")
    @classmethod
    def _utc(cls, value: datetime) -> datetime:
        if value.year < EARLIEST_YEAR:
            raise ValueError(f"expected {EARLIEST_YEAR} or later: there are no klines before")
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)

    def __repr_args__(self) -> Iterator[tuple[str | None, Any]]:
        """Yield what a repr shows: secrets hide themselves, logins in addresses are hidden here."""
        for name, value in super().__repr_args__():
            yield name, _LOGIN.sub("//***@", value) if isinstance(value, str) else value


def _value_error(parse: object, name: str) -> str:
    try:
        return parse(name)  # type: ignore[operator, no-any-return]
    except InvalidMarket as error:
        raise ValueError(str(error)) from error


def _no_page(address: str) -> str:
    """Return why an address cannot stand in a message that many people read; "" where it can."""
    try:
        parts = urlsplit(address)
        _ = parts.port
    except ValueError:
        return "is no address"
    if "@" in parts.netloc:
        return "holds a login, which every message would show"
    if parts.scheme not in {"http", "https"} or not parts.hostname or re.search(r"[\s\x00-\x1f]", address):
        return "is no address of a page"
    return "has a ? or # in it" if parts.query or parts.fragment else ""


def load_settings(**overrides: object) -> Settings:
    """Read the environment and `.env`; raise ConfigError listing every wrong setting, never a secret."""
    try:
        return Settings(**overrides)  # type: ignore[arg-type]
    except ValidationError as error:
        raise ConfigError(map(_problem, error.errors()), origin="settings") from None


def _problem(item: ErrorDetails) -> str:
    """Say what is wrong with a setting, and its value unless that may be a secret."""
    name = str(item["loc"][0])
    secret = "SecretStr" in str(Settings.model_fields[name].annotation)
    private = isinstance(item["input"], str) and re.search(
        r"[@?]", item["input"]
    )  # a login or a key of a URL
    found = "" if secret or private else f" {item['input']!r}"
    return f"ITB_{name.upper()}{found}: {item['msg'].removeprefix('Value error, ')}"
