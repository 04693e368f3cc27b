"""What the TimescaleDB of the tests needs is found or installed once, or what is missing is said.

How it serves belongs to `test_timescale_server`.
"""

from __future__ import annotations

import shutil
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from timescaledb.server import Node, NotAvailable, find_node, packages


def test_a_machine_without_node_is_told_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("timescaledb.server.find_spec", lambda _: None)
    with pytest.raises(
        NotAvailable, match=r"there is no node\. Install node 20 or newer with npm, or the wheel"
    ):
        find_node()
    old = tmp_path / "node"
    old.write_text("#!/bin/sh\necho v18.20.4\n")
    old.chmod(0o755)
    shutil.copy(old, tmp_path / "npm")
    with pytest.raises(NotAvailable, match=r"node 18 is too old.*ITB_TEST_TIMESCALEDB"):
        find_node()


def test_an_installation_that_fails_leaves_nothing_and_says_why(tmp_path):
    npm = (sys.executable, "-c", "import sys; sys.exit('getaddrinfo EAI_AGAIN')")
    with pytest.raises(NotAvailable, match="npm ci failed with exit code 1: getaddrinfo EAI_AGAIN"):
        packages(Node(Path("node"), npm), tmp_path / "kept")
    assert [path.name for path in (tmp_path / "kept").iterdir()] == [".lock"]


def test_processes_that_install_at_once_install_once(tmp_path):
    """Workers of one test run start together on a machine that has nothing yet."""
    install = (
        "import pathlib, time\nfolder = pathlib.Path('node_modules'); folder.mkdir(); time.sleep(0.2)\n"
        f"open({str(tmp_path / 'calls')!r}, 'a').write('x')"
    )
    node = Node(Path("node"), (sys.executable, "-c", install))
    with ThreadPoolExecutor(4) as pool:
        found = set(pool.map(lambda _: packages(node, tmp_path / "kept"), range(4)))
    assert len(found) == 1
    assert (found.pop() / "node_modules").is_dir()
    assert (tmp_path / "calls").read_text() == "x"
