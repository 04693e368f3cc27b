"""The PostgreSQL that comes as a Python wheel: made, started and stopped below a data root.

It listens on a Unix socket in a folder only its owner may enter, and lives on when who started it ends.
Tables and queries belong to `database`.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import psutil
import psycopg2

from itb_assets.errors import DatabaseUnavailable, InputError, StorageError
from itb_assets.storage.disk.atomic import ensure_folder, storage_errors
from itb_assets.storage.disk.locks import LockTaken, held_lock
from itb_assets.storage.server.process import (
    ServerUser,
    has_backends,
    has_ended,
    is_alive,
    is_server,
    launch,
    private_folder,
    run,
    server_user,
)
from itb_assets.storage.server.roles import ensure_owned

MAX_SOCKET_BYTES = 107
"""Longest path of a Unix socket on Linux; elsewhere it is a few bytes shorter."""

USER = "postgres"
_SOCKET_NAME = ".s.PGSQL.5432"
_START_WAIT_S = 120.0
_STOP_WAIT_S = 30.0
_POLL_S = 0.05
_LOG_BYTES = 10_000_000
_NAME = re.compile(r"[a-z][a-z0-9_]{0,30}")
# Durable: fsync and synchronous_commit stay on, as they are by default.
_SETTINGS = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "max_connections": "100",
    "shared_buffers": "128MB",
    "max_wal_size": "2GB",
    "timezone": "UTC",
    "jit": "off",
}

_FORGETS_WITHIN_S = 1.0


@dataclass(frozen=True)
class ServerStatus:
    """What is known of a server; `pid` is None when it does not run."""

    data_dir: Path
    socket_dir: Path
    pid: int | None

    @property
    def running(self) -> bool:
        """Whether it runs."""
        return self.pid is not None


class EmbeddedPostgres:
    """One server over one data folder; any number of processes may hold such an object.

    `runtime_dir` is where a short socket folder is made when the data folder's path is too long for one.
    """

    def __init__(self, data_dir: Path, *, runtime_dir: Path | None = None) -> None:
        """Remember where it lies; nothing is made or started."""
        self.data_dir = data_dir.absolute()
        self._runtime_dir = runtime_dir or Path("/tmp")  # noqa: S108 - the folder in it is ours alone, checked

    def start(self) -> bool:
        """Make the data folder if there is none and start the server; return whether this call started it.

        Raises DatabaseUnavailable when it does not come up, StorageError when the folder is not usable.
        """
        if self.status().running and self._answers():
            return False
        with self._alone():
            if not self.status().running:
                user = server_user(self.data_dir)
                if (socket_dir := self._planned_socket_dir()) != self.data_dir:
                    private_folder(socket_dir, user)
                self._initialise(user)
                self._launch(user)
                return True
            self._wait_until_ready(self._pid())
            return False

    def stop(self, *, at_once: bool = False) -> bool:
        """Stop the server, ending its connections; return whether one ran.

        `at_once` skips writing everything back, which the next start then makes up for.
        """
        with self._alone():
            pid = self._pid()
            if pid is None:
                return False
            for how in (signal.SIGQUIT,) if at_once else (signal.SIGINT, signal.SIGQUIT):
                with suppress(ProcessLookupError):
                    os.kill(pid, how)
                if has_ended(pid, _STOP_WAIT_S):
                    return True
            raise DatabaseUnavailable(f"the database server {pid} did not stop: end process {pid} by hand")

    def status(self) -> ServerStatus:
        """Return whether it runs, and where its socket is."""
        return ServerStatus(self.data_dir, self._socket_dir(), self._pid())

    def has_clients(self) -> bool:
        """Return whether anybody but the caller of this is connected to it.

        The server takes a moment to forget a closed connection: a yes is asked again for a while.
        """
        deadline = time.monotonic() + _FORGETS_WITHIN_S
        while self._counts_clients():
            if time.monotonic() > deadline:
                return True
            time.sleep(0.05)
        return False

    def _counts_clients(self) -> bool:
        asked = (
            "SELECT count(*) FROM pg_stat_activity "
            "WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"
        )
        connection = self._connect("postgres")
        try:
            with connection.cursor() as cursor:
                cursor.execute(asked)
                row = cursor.fetchone()
        finally:
            connection.close()
        return bool(row and row[0])

    def url(self, database: str) -> str:
        """Return the SQLAlchemy URL of a database as the role that owns it; there is no password."""
        name = _checked(database)
        return f"postgresql+psycopg2:///{name}?host={quote(str(self._socket_dir()))}&user={name}"

    def ensure_database(self, name: str) -> None:
        """Create a database and the role of its name, which owns it, unless they are there."""
        ensure_owned(self._connect, _checked(name))

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Hold the lock under which a server is started or stopped."""
        try:
            with held_lock(self.data_dir.with_name(f".{self.data_dir.name}.lock"), wait_s=_START_WAIT_S):
                yield
        except LockTaken as taken:
            raise DatabaseUnavailable(
                f"process {taken.holder} has been starting or stopping the database for {_START_WAIT_S:.0f} s"
            ) from None

    def _initialise(self, user: ServerUser) -> None:
        if (self.data_dir / "PG_VERSION").exists():
            return
        fresh = self.data_dir.with_name(f".{self.data_dir.name}.new")
        with storage_errors(self.data_dir, needed=50_000_000):
            shutil.rmtree(fresh, ignore_errors=True)
            if self.data_dir.exists():
                self.data_dir.rmdir()
            ensure_folder(fresh.parent)
            fresh.mkdir(mode=0o700)
            user.own(fresh)
            options = ("-U", USER, "--auth=trust", "-E", "UTF8", "--no-locale", "--no-instructions")
            run(user, "initdb", "-D", str(fresh), *options)
            # the only door: the socket, in a folder that only the owner may enter
            (fresh / "pg_hba.conf").write_text("local all all trust\n")
            fresh.rename(self.data_dir)

    def _launch(self, user: ServerUser) -> None:
        self._clear_dead_server()
        socket_dir = self._planned_socket_dir()
        log = self.data_dir / "server.log"
        if log.exists() and log.stat().st_size > _LOG_BYTES:
            log.unlink()
        quoted = '"' + str(socket_dir).replace('"', '""') + '"'
        settings = _SETTINGS | {"unix_socket_directories": quoted}
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        self._wait_until_ready(launch(user, log, "postgres", "-D", str(self.data_dir), *options))

    def _clear_dead_server(self) -> None:
        """Let the backends of a killed server end, and remove its lock files if its process id is taken.

        PostgreSQL tells a dead server by its process id alone: it would not start over the files of one whose
        id another program has now, or that nobody has collected yet.
        """
        lines = self._pid_file()
        if not lines or not lines[0].strip().isdigit() or self._pid() is not None:
            return
        deadline = time.monotonic() + _STOP_WAIT_S
        while has_backends(self.data_dir):
            if time.monotonic() > deadline:
                raise DatabaseUnavailable(f"processes of a killed server still use {self.data_dir}: end them")
            time.sleep(_POLL_S)
        if psutil.pid_exists(int(lines[0])):
            (self.data_dir / "postmaster.pid").unlink(missing_ok=True)
            (self._planned_socket_dir() / f"{_SOCKET_NAME}.lock").unlink(missing_ok=True)

    def _wait_until_ready(self, pid: int | None) -> None:
        deadline = time.monotonic() + _START_WAIT_S
        while pid is not None and is_alive(pid) and time.monotonic() < deadline:
            if self._pid() == pid and self._answers():
                return
            time.sleep(_POLL_S)
        log = self.data_dir / "server.log"
        raise DatabaseUnavailable(
            f"the embedded database did not start; the end of {log} says:\n{_last_lines(log)}"
        )

    def _answers(self) -> bool:
        try:
            self._connect("postgres").close()
        except DatabaseUnavailable:
            return False
        return True

    def _connect(self, database: str) -> psycopg2.extensions.connection:
        try:
            return psycopg2.connect(
                dbname=database, user=USER, host=str(self._socket_dir()), connect_timeout=10
            )
        except psycopg2.OperationalError as error:
            raise DatabaseUnavailable(
                f"the embedded database below {self.data_dir} does not answer; start it by `itb db start`"
            ) from error

    def _pid(self) -> int | None:
        """Return the running server's process id; the file that names it may be a dead one's."""
        lines = self._pid_file()
        if not lines or not lines[0].strip().isdigit():
            return None
        pid = int(lines[0])
        return pid if is_server(pid, self.data_dir) else None

    def _pid_file(self) -> list[str]:
        try:
            return (self.data_dir / "postmaster.pid").read_text().splitlines()
        except FileNotFoundError:
            return []
        except PermissionError as error:
            raise StorageError(
                f"{self.data_dir} belongs to another user: run as that user, or choose another ITB_DATA_ROOT"
            ) from error

    def _socket_dir(self) -> Path:
        """Return where the socket is; a running server says so itself."""
        lines = self._pid_file()
        socket_line = 4
        if len(lines) > socket_line and lines[socket_line] and self._pid() is not None:
            return Path(lines[socket_line])
        return self._planned_socket_dir()

    def _planned_socket_dir(self) -> Path:
        if len(os.fsencode(self.data_dir / _SOCKET_NAME)) <= MAX_SOCKET_BYTES:
            return self.data_dir
        name = hashlib.sha256(os.fsencode(self.data_dir.resolve())).hexdigest()[:16]
        return self._runtime_dir / f"itb-{name}"


def _checked(database: str) -> str:
    if not _NAME.fullmatch(database):
        raise InputError(f"database {database!r} is not valid: expected a name that matches {_NAME.pattern}")
    return database


def _last_lines(log: Path, count: int = 10) -> str:
    try:
        return "\n".join(log.read_text(errors="replace").splitlines()[-count:])
    except FileNotFoundError:
        return "(no log)"
