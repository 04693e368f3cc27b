"""A fresh database that takes the name of another in one transaction, and the checks before that.

What fills the fresh one belongs to `restore`.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

import sqlalchemy as sa

from itb_assets.errors import DatabaseUnavailable, InputError, StorageError
from itb_assets.storage.backups.manifest import BackupManifest, table_owners
from itb_assets.storage.backups.tools import connected, server_major
from itb_assets.storage.database.timescale import EXTENSION, Tier, probe_tier

_RELEASE_WAIT_S = 10.0
_POLL_S = 0.2
_WORKERS = "SELECT _timescaledb_functions.{}_background_workers()"


class DatabaseSwap:
    """The database, the fresh one that is to take its name, and the old one after that."""

    def __init__(self, server: sa.Connection, admin: sa.URL, target: sa.URL) -> None:
        """Take an administrator's connection in AUTOCOMMIT, the way to the same server, and the target."""
        self.name = str(target.database)
        self.fresh, self.old = f"{self.name}_restoring", f"{self.name}_replaced"
        self.owner = str(target.username or target.query.get("user") or admin.username)
        self._server, self._admin = server, admin
        self._role = str(server.execute(sa.text("SELECT current_user")).scalar_one())

    def address(self, name: str) -> sa.URL:
        """Return the administrator's way into one of them."""
        return self._admin.set(database=name)

    def exists(self, name: str) -> bool:
        """Return whether there is such a database."""
        return self._asked("SELECT count(*) FROM pg_database WHERE datname = :name", name=name) > 0

    def check(self, manifest: BackupManifest, *, replace: bool) -> None:
        """Raise InputError or StorageError where this backup cannot be put here; nothing was touched yet."""
        may = self._asked(
            "SELECT (rolsuper::int * 2 + rolcreatedb::int) FROM pg_roles WHERE rolname = current_user"
        )
        least = 2 if manifest.extension else 1
        if may < least:
            needed = "a superuser, which TimescaleDB asks for" if least > 1 else "one that may make databases"
            raise InputError(
                f"the role {self._role} may not restore: expected {needed}; set "
                "ITB_ADMIN_DATABASE_URL for this command"
            )
        if (major := server_major(self._server)) < manifest.server:
            raise StorageError(
                f"the backup is of PostgreSQL {manifest.server}, the server is {major}: restore it into "
                f"PostgreSQL {manifest.server} or newer"
            )
        wanted = {self.owner, *(manifest.owners if manifest.extension else ())}
        known = set(self._server.execute(sa.text("SELECT rolname FROM pg_roles")).scalars())
        if unknown := sorted(wanted - known):
            raise StorageError(
                f"there is no role {', '.join(unknown)}, to whom the tables are to belong: `itb db init` "
                "makes those of ITB_DATABASE_URL and ITB_DAGSTER_URL, then restore again"
            )
        self._check_extension(manifest)
        if self.exists(self.name):
            self._check_old(replace=replace)

    def _check_extension(self, manifest: BackupManifest) -> None:
        if manifest.extension is None:
            return
        offered = set(
            self._server.execute(
                sa.text("SELECT version FROM pg_available_extension_versions WHERE name = :name"),
                {"name": EXTENSION},
            ).scalars()
        )
        if manifest.extension not in offered:
            raise StorageError(
                f"the backup is of TimescaleDB {manifest.extension}, the server offers "
                f"{', '.join(sorted(offered)) or 'none'}: restore it into a server with that version, then "
                "update the extension there"
            )

    def _check_old(self, *, replace: bool) -> None:
        self._refuse_used(self.name)
        with connected(self.address(self.name)) as connection:
            tables = table_owners(connection)
        if tables and not replace:
            raise InputError(
                f"the database {self.name} is not empty: it has {len(tables)} tables; back it up first, then "
                "restore with --replace, which drops it in the end"
            )

    def make_fresh(self) -> None:
        """Make an empty database, in the place of what a killed restore left."""
        self.drop(self.fresh)
        self.drop(self.old)
        self._run(
            f"CREATE DATABASE {_quoted(self.fresh)} TEMPLATE template0 ENCODING 'UTF8' "
            f"OWNER {_quoted(self.owner)}"
        )

    def exchange(self, manifest: BackupManifest) -> None:
        """Give the fresh database the name, in one transaction with taking it from the old one."""
        names = [name for name in (self.name, self.fresh) if self.exists(name)]
        with self._workers_stopped(names, manifest):
            deadline = time.monotonic() + _RELEASE_WAIT_S
            while self._clients(names) and time.monotonic() < deadline:
                time.sleep(_POLL_S)
            for name in names:
                self._refuse_used(name)
            renamed = [f"ALTER DATABASE {_quoted(self.fresh)} RENAME TO {_quoted(self.name)}"]
            if self.name in names:
                self._take_over()
                renamed.insert(0, f"ALTER DATABASE {_quoted(self.name)} RENAME TO {_quoted(self.old)}")
            self._run("; ".join(renamed))  # sent together they are one transaction

    def drop(self, name: str) -> None:
        """Drop a database that is in the way or not needed any more; whoever is in it is sent away."""
        self._run(f"DROP DATABASE IF EXISTS {_quoted(name)} WITH (FORCE)")

    def _take_over(self) -> None:
        """Give the fresh database the rights and settings of the old one."""
        grants = self._server.execute(
            sa.text(
                "SELECT privilege_type AS right, CASE grantee WHEN 0 THEN 'PUBLIC' "
                "ELSE quote_ident(pg_get_userbyid(grantee)) END AS who "
                "FROM pg_database, aclexplode(coalesce(datacl, acldefault('d', datdba))) "
                "WHERE datname = :name"
            ),
            {"name": self.name},
        ).all()
        fresh = _quoted(self.fresh)
        self._run(f"REVOKE ALL ON DATABASE {fresh} FROM PUBLIC")
        for grant in grants:
            self._run(f"GRANT {grant.right} ON DATABASE {fresh} TO {grant.who}")
        settings = self._server.execute(
            sa.text(
                "SELECT unnest(setconfig) AS pair FROM pg_db_role_setting JOIN pg_database d "
                "ON d.oid = setdatabase WHERE setrole = 0 AND datname = :name"
            ),
            {"name": self.name},
        ).scalars()
        for name, _, value in (str(pair).partition("=") for pair in settings.all()):
            if name != f"{EXTENSION}.restoring":
                self._server.execute(sa.text("SELECT set_config(:n, :v, false)"), {"n": name, "v": value})
                self._run(f"ALTER DATABASE {fresh} SET {name} FROM CURRENT")

    @contextmanager
    def _workers_stopped(self, names: list[str], manifest: BackupManifest) -> Iterator[None]:
        """Keep TimescaleDB's workers out of the databases: each holds a connection, and none may be left."""
        if manifest.extension is None and not self._has_workers():
            yield
            return
        for name in names:
            self._tell_workers(name, "stop")
        try:
            yield
        finally:
            self._tell_workers(self.name, "start")

    def _has_workers(self) -> bool:
        with connected(self.address(self.name)) as connection:
            return probe_tier(connection) > Tier.POSTGRES

    def _tell_workers(self, name: str, what: str) -> None:
        if not self.exists(name):
            return
        with connected(self.address(name), autocommit=True) as connection:
            if probe_tier(connection) > Tier.POSTGRES:
                connection.exec_driver_sql(_WORKERS.format(what))

    def _clients(self, names: list[str]) -> list[str]:
        found = self._server.execute(
            sa.text(
                "SELECT pid || ' ' || coalesce(nullif(application_name, ''), usename, backend_type) "
                "FROM pg_stat_activity WHERE datname = ANY(:names) ORDER BY pid"
            ),
            {"names": names},
        ).scalars()
        return [str(client) for client in found]

    def _refuse_used(self, name: str) -> None:
        deadline = time.monotonic() + 1.0  # a closed connection takes a moment to be forgotten
        while clients := self._clients([name]):
            clients = [client for client in clients if "TimescaleDB" not in client]
            if not clients:
                return
            if time.monotonic() > deadline:
                raise DatabaseUnavailable(
                    f"the database {name} is in use by {len(clients)} connections "
                    f"({', '.join(clients[:5])}): stop `itb ui`, the daemon, runs and dashboards, then "
                    "restore again"
                )
            time.sleep(_POLL_S)

    def _asked(self, statement: str, **values: str) -> int:
        return int(self._server.execute(sa.text(statement), values).scalar_one())

    def _run(self, statement: str) -> None:
        self._server.exec_driver_sql(statement.replace("%", "%%"))  # a lone % would be a parameter


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
