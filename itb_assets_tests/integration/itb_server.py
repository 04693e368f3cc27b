"""Runs `itb` commands in forked children, so that one of them starts in milliseconds and not in seconds.

Each line on standard input is a JSON list of arguments. The process id of the child is printed, then, when it
has ended, its exit code (negative: the signal that ended it). Run as a script; its argument is a log file.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
from pathlib import Path

from itb_assets.cli import main

LATE = (
    "alembic.command",
    "dagster_postgres",
    "lightgbm",
    "matplotlib.axes",
    "matplotlib.backends.backend_agg",
    "matplotlib.figure",
    "sklearn.linear_model",
    "sqlalchemy.dialects.postgresql.psycopg2",
)
"""What a run imports on its way, for seconds. No more is done: pools of threads do not survive a fork."""


def run(arguments: list[str], log: Path) -> int:
    """Be the command, in a session of its own, and return its exit code."""
    os.setsid()
    output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    nothing = os.open(os.devnull, os.O_RDONLY)
    for descriptor, place in ((nothing, 0), (output, 1), (output, 2)):
        os.dup2(descriptor, place)
    sys.argv = ["itb", *arguments]
    try:
        main()
    except SystemExit as left:
        return int(left.code or 0)
    return 0


def serve(log: Path) -> None:
    """Run one command after the other until the input ends."""
    for name in LATE:
        importlib.import_module(name)
    for line in sys.stdin:
        child = os.fork()
        if not child:
            code = run(json.loads(line), log)
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)
        tell(child)
        tell(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))


def tell(number: int) -> None:
    """Print a number."""
    sys.stdout.write(f"{number}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    serve(Path(sys.argv[1]))
