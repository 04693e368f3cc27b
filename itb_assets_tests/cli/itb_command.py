"""The command `itb` as the tests run it, in this process, and what it answered.

Fixtures belong to `conftest`, which may not be imported: every folder of tests has one of that name.
"""

from __future__ import annotations

import io
import json
import os
import sys
from collections.abc import Mapping
from contextlib import chdir, redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest import mock

from itb_assets.cli import main
from itb_assets.demo.market import DEMO_SYMBOLS
from itb_assets.domain.markets import Market
from itb_assets.observability.logs import configure_logging

SMALL_STRATEGIES = Path(__file__).parents[1] / "integration" / "small_strategies"
MARKET = Market(DEMO_SYMBOLS[0], "1h")
WINDOW = ("--start", "2024-02-01", "--end", "2024-05-31")
"""An outage of the invented exchange lies in it."""


@dataclass(frozen=True)
class Said:
    """What a command answered."""

    code: int
    out: str
    err: str

    def json(self) -> Any:
        """Return standard output as strict JSON, which knows no NaN."""
        return json.loads(self.out, parse_constant=_refuse)


def _refuse(word: str) -> None:
    raise AssertionError(f"{word} is not JSON")


@dataclass(frozen=True)
class Itb:
    """The command `itb` in this process, in a folder and an environment of its own."""

    folder: Path
    environment: Mapping[str, str] = field(default_factory=dict)

    @property
    def root(self) -> Path:
        """The data root."""
        return Path(self.environment["ITB_DATA_ROOT"])

    def __call__(self, *arguments: str, **changes: str) -> Said:
        """Run a command; `changes` are settings of this call alone, such as `ITB_PORT`."""
        kept = {
            name: value for name, value in os.environ.items() if not name.startswith(("ITB_", "DAGSTER_"))
        }
        out, err = io.StringIO(), io.StringIO()
        with (
            chdir(self.folder),
            mock.patch.dict(os.environ, kept | dict(self.environment) | changes, clear=True),
            mock.patch.object(sys, "argv", ["itb", *arguments]),
            redirect_stdout(out),
            redirect_stderr(err),
        ):
            code = _exit_code()
        configure_logging("CRITICAL", sink=lambda _: None)
        return Said(code, out.getvalue(), err.getvalue())


def _exit_code() -> int:
    try:
        main()
    except SystemExit as left:
        return int(left.code or 0)
    return 0
