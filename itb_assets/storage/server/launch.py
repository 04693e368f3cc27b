"""Starts a program as another user and apart from whoever started it; run as a script, not imported.

Only the standard library is used, so that it starts in milliseconds. What is started belongs to `embedded`.

Arguments: uid, gid, `detach` or `wait`, then the program and its arguments. With `detach` the program's
process id is printed and the program lives in a session of its own.
"""

from __future__ import annotations

import ctypes
import os
import sys

_PR_SET_KEEPCAPS = 8
_PR_CAP_AMBIENT = 47
_PR_CAP_AMBIENT_RAISE = 2
_CAPABILITY_VERSION_3 = 0x20080522
_CAP_DAC_OVERRIDE = 1
_CAP_DAC_READ_SEARCH = 2


class _Header(ctypes.Structure):
    _fields_ = (("version", ctypes.c_uint32), ("pid", ctypes.c_int))


class _Sets(ctypes.Structure):
    _fields_ = (
        ("effective", ctypes.c_uint32),
        ("permitted", ctypes.c_uint32),
        ("inheritable", ctypes.c_uint32),
    )


def become(uid: int, gid: int) -> None:
    """Turn root into an ordinary user that may still pass through folders closed to others.

    PostgreSQL refuses to run as root. The data root or the installation may lie below a folder such as /root;
    opening that folder to everybody would be worse than one capability for one process.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    header = _Header(_CAPABILITY_VERSION_3, 0)
    sets = (_Sets * 2)()
    capable = sys.platform.startswith("linux") and not libc.capget(ctypes.byref(header), sets)
    kept = next(
        (c for c in (_CAP_DAC_READ_SEARCH, _CAP_DAC_OVERRIDE) if capable and sets[0].permitted & (1 << c)),
        None,
    )
    if kept is not None:
        libc.prctl(_PR_SET_KEEPCAPS, 1, 0, 0, 0)
    os.setgroups([])
    os.setgid(gid)
    os.setuid(uid)
    if kept is not None:
        mask = 1 << kept
        sets[0] = _Sets(mask, mask, mask)
        sets[1] = _Sets(0, 0, 0)
        libc.capset(ctypes.byref(header), sets)
        libc.prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_RAISE, kept, 0, 0)


def main(arguments: list[str]) -> None:
    """Become the user, detach if asked to, and become the program."""
    uid, gid, mode, *command = arguments
    if mode == "detach":
        os.setsid()
        child = os.fork()
        if child:
            os.write(1, f"{child}\n".encode())
            return
        os.dup2(2, 1)
    if os.geteuid() == 0 and int(uid):
        become(int(uid), int(gid))
    os.execv(command[0], command)  # noqa: S606 - a shell is what this avoids


if __name__ == "__main__":
    main(sys.argv[1:])
