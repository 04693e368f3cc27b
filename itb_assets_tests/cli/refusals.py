"""What a refused command leaves: words, an exit code, and every file as it was."""

from __future__ import annotations

import hashlib
from pathlib import Path

from itb_command import MARKET, WINDOW, Said

WRONG, LATER, BAD = 2, 3, 4
RUN = ("run", "--symbols", MARKET.symbol, "--freqs", MARKET.freq, *WINDOW)
SECRET = "s3cretword"  # noqa: S105 - what must not be shown
DEAD = f"postgresql+psycopg2://me:{SECRET}@127.0.0.1:9/itb"
"""Where no database answers; a password is in it."""


def contents(root: Path) -> dict[str, str]:
    """Return the digest of every file but those that a failed run may change.

    These are logs, locks, downloads, and the catalogue of gaps, which counts how often a gap was seen.
    """
    return {
        str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in root.rglob("*")
        if path.is_file() and path.relative_to(root).parts[0] != ".itb" and path.name != "gaps.json"
    }


def refused(said: Said, code: int, *words: str) -> None:
    """Assert that a command ended with a code and said these words, as people read them."""
    assert said.code == code, said
    assert said.err.startswith("error: "), said
    for word in words:
        assert word in said.err, said
    assert "Traceback" not in said.out + said.err
    assert SECRET not in said.out + said.err
