"""An order-book collector as far as alerts see it: a heartbeat every second, until it is killed.

Arguments are the database's URL and the symbol. What watches the heartbeat belongs to the alerts.
"""

from __future__ import annotations

import sys
import time
from datetime import UTC, datetime

import sqlalchemy as sa

from itb_assets.observability.alerts.state import beat

EVERY_S = 1.0


def main(url: str, symbol: str) -> None:
    """Beat for ever; the first beat is said on standard output."""
    engine = sa.create_engine(url)
    batches = 0
    while True:
        with engine.begin() as connection:
            beat(connection, f"orderbook:{symbol}", datetime.now(UTC), {"batches": batches})
        if not batches:
            sys.stdout.write("beating\n")
            sys.stdout.flush()
        batches += 1
        time.sleep(EVERY_S)


if __name__ == "__main__":
    main(*sys.argv[1:])
