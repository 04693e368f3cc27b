"""Little room: a disk of some bytes where we may mount one, a limit on the size of files everywhere.

What a write does there belongs to the tests of it.
"""

from __future__ import annotations

import os
import resource
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


@contextmanager
def small_disk(parent: Path, size: str, *, required_on_ci: bool = False) -> Iterator[Path]:
    """Give a folder on a disk of its own, of a size such as 900k or 120m; skip where we may not mount one."""
    folder = parent / "small disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "none", str(folder)]
    if os.geteuid() or subprocess.run(command, capture_output=True, check=False).returncode:
        on_ci = os.environ.get("CI", "").lower() in {"true", "1"}
        missing = pytest.fail if required_on_ci and on_ci else pytest.skip
        missing("mounting a small tmpfs needs root; a limit on the size of files covers an ordinary user")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


@contextmanager
def largest_file(size: int) -> Iterator[None]:
    """Let no file of this process grow beyond some bytes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
