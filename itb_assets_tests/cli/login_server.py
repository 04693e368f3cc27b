"""A PostgreSQL that is reached over loopback with passwords, as a database elsewhere is.

What is asked of it belongs to the tests.
"""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg2
from free_ports import free_port

from itb_assets.storage.server.embedded import EmbeddedPostgres
from itb_assets.storage.server.process import launch, server_user

LOGINS = (
    "local all postgres trust\nhost shut all 127.0.0.1/32 reject\nhost all all 127.0.0.1/32 scram-sha-256\n"
)


@dataclass(frozen=True)
class LoginServer:
    """A running server; `run` speaks to it as an administrator."""

    folder: Path
    port: int

    def run(self, *statements: str, database: str = "postgres") -> list[tuple]:
        """Run statements and return the rows of the last, where it has any."""
        connected = psycopg2.connect(dbname=database, user="postgres", host=str(self.folder), port=self.port)
        with closing(connected) as connection:
            connection.autocommit = True
            with connection.cursor() as cursor:
                for statement in statements:
                    cursor.execute(statement)
                return cursor.fetchall() if cursor.description else []

    def url(self, user: str, password: str, database: str) -> str:
        """Return the address as settings name it."""
        return f"postgresql+psycopg2://{user}:{password}@127.0.0.1:{self.port}/{database}"


@contextmanager
def login_server() -> Iterator[LoginServer]:
    """Start a server on a free port, and remove it in the end."""
    above = Path(tempfile.mkdtemp(prefix="itb login "))
    server = EmbeddedPostgres(above / "postgres")
    server.start()
    server.stop()
    folder = server.data_dir
    (folder / "pg_hba.conf").write_text(LOGINS)
    port = free_port()
    options = {"listen_addresses": "127.0.0.1", "port": port, "unix_socket_directories": f'"{folder}"'}
    words = [word for name, value in options.items() for word in ("-c", f"{name}={value}")]
    launch(server_user(folder), folder / "server.log", "postgres", "-D", str(folder), *words)
    try:
        found = LoginServer(folder, port)
        _wait(found)
        yield found
    finally:
        server.stop(at_once=True)
        shutil.rmtree(above)


def _wait(server: LoginServer) -> None:
    deadline = time.monotonic() + 60
    while True:
        try:
            server.run("SELECT 1")
        except psycopg2.OperationalError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)
        else:
            return
