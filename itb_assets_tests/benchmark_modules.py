"""Modules of `benchmarks/` for tests: imported by their names, forgotten afterwards.

Scripts that run as processes of their own belong to the tests that start them.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture
def modules(repository: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Return what imports a benchmark's module, and forget all of them afterwards."""
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "POLARS_MAX_THREADS"):
        monkeypatch.setenv(name, "1")
    monkeypatch.syspath_prepend(str(repository / "benchmarks"))
    monkeypatch.syspath_prepend(str(repository / "itb_assets_tests"))
    before = set(sys.modules)
    yield __import__
    here = str(repository / "benchmarks")
    for name in set(sys.modules) - before:
        if str(getattr(sys.modules[name], "__file__", None) or "").startswith(here):
            sys.modules.pop(name)
