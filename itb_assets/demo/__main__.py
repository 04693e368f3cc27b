"""`python -m itb_assets.demo`: the demo exchange by itself, until interrupted.

Everything it does belongs to `exchange`.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from itb_assets.demo.exchange import DEMO_429_EVERY, DemoExchange, serve
from itb_assets.demo.faults import Faults
from itb_assets.errors import ItbError


def main(arguments: list[str] | None = None) -> int:
    """Serve until interrupted; return an exit code."""
    parser = argparse.ArgumentParser(prog="python -m itb_assets.demo", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on")
    parser.add_argument("--port", type=int, default=8787, help="port to listen on; 0 takes a free one")
    parser.add_argument(
        "--recorded", type=Path, help="serve the archives in this folder, not invented markets"
    )
    parser.add_argument(
        "--every-429", type=int, default=DEMO_429_EVERY, help="refuse one API request in so many; 0 for none"
    )
    chosen = parser.parse_args(arguments)
    try:
        serve(
            chosen.host,
            chosen.port,
            recorded=chosen.recorded,
            faults=Faults(every_429=chosen.every_429),
            ready=_tell,
        )
    except ItbError as error:
        print(f"error: {error}", file=sys.stderr)  # noqa: T201 - a program speaks here
        return error.exit_code
    return 0


def _tell(exchange: DemoExchange) -> None:
    print(f"demo exchange at {exchange.url}; stop it with Ctrl-C", flush=True)  # noqa: T201 - its address


if __name__ == "__main__":
    sys.exit(main())
