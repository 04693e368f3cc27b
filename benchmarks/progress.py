"""What a benchmark says while it runs.

Its results go to standard output and belong to the scripts.
"""

from __future__ import annotations

import sys


def say(line: str) -> None:
    """Print a line for whoever waits, beside the results."""
    print(line, file=sys.stderr, flush=True)
