"""One process that migrates, from when a file is there, so that several start at once; says what it did."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import sqlalchemy as sa

from itb_assets.storage.database.migrations import migrate
from itb_assets.storage.database.timescale import Policies

if __name__ == "__main__":
    url, gate = sys.argv[1], Path(sys.argv[2])
    engine = sa.create_engine(url, poolclass=sa.NullPool)
    print("ready", flush=True)  # noqa: T201 - to who started it
    while not gate.exists():
        time.sleep(0.001)
    print(*migrate(engine, policies=Policies()))  # noqa: T201
