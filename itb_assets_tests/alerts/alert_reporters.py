"""A process of its own that reports: `python alert_reporters.py URL NAME REPORTS`.

With `hang` for REPORTS it stays in the transaction of one, to be killed there.
"""

from __future__ import annotations

import random
import sys
import time
from datetime import timedelta

import sqlalchemy as sa
from alert_making import ROUTING, START, occurrence

from itb_assets.observability.alerts import store

ASSETS = 5


def main(url: str, name: str, reports: str) -> None:
    """Report `reports` times, three identities a transaction, each cause twice and in any order."""
    engine = sa.create_engine(url)
    if reports == "hang":
        with engine.begin() as connection:
            store.report(connection, occurrence("hung", at=START), now=START, routing=ROUTING)
            print("reported", flush=True)  # noqa: T201 - the test waits for it
            time.sleep(60)
    draw = random.Random(name)  # noqa: S311 - which order
    for turn in range(int(reports)):
        assets = draw.sample(range(ASSETS), 3)
        told = [
            occurrence(f"{name}-{turn}-{asset}", labels={"asset": str(asset)}, at=START) for asset in assets
        ]
        now = START + timedelta(seconds=turn)
        for _ in range(2):
            with engine.begin() as connection:
                store.report_all(connection, told, now=now, routing=ROUTING)


if __name__ == "__main__":
    main(*sys.argv[1:])
