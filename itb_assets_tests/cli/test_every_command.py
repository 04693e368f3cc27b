"""What holds for every command: help with an example, JSON for machines, words of their own at the top.

What a single command does belongs to its own tests.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from importlib.metadata import version
from typing import Any

import pytest
import typer

from itb_assets.cli import app


def commands(command: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Yield every command with the words it is called by."""
    if not hasattr(command, "commands"):
        yield path, command
        return
    for name, below in command.commands.items():
        yield from commands(below, (*path, name))


COMMANDS = dict(commands(typer.main.get_command(app)))
WITH_JSON = [path for path, command in COMMANDS.items() if any("--json" in p.opts for p in command.params)]


@pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
def test_help_with_an_example(empty, path):
    said = empty(*path, "--help")
    assert said.code == 0
    words = " ".join(said.out.split())
    assert f"Example: itb {' '.join(path)}" in words
    assert said.err == ""
    assert list(empty.folder.iterdir()) == []


def test_the_top(empty):
    said = empty("--help")
    assert said.code == 0
    assert all(path[0] in said.out for path in COMMANDS)
    assert "Exit codes: 0 done" in said.out
    assert empty("--version") == replace(said, out=f"{version('itb-assets')}\n")
    assert empty("nosuch").code == 2
    assert "No such command 'nosuch'" in empty("nosuch").err
    assert empty("run", "--nosuch").code == 2


SHOWN_ELSEWHERE = {
    *{("demo",), ("run",), ("gaps", "repair"), ("models", "show"), ("strategies", "check")},
    *{("models", "versions"), ("models", "promote"), ("models", "rollback"), ("trades", "import")},
    *{("storage", "archive", "restore"), ("db", "restore")},
    *{
        ("alerter",),
        ("alerts", "ack"),
        ("alerts", "close"),
        ("alerts", "silence"),
        ("alerts", "unsilence"),
        ("alerts", "test"),
    },
}


@pytest.mark.parametrize("path", [path for path in WITH_JSON if path not in SHOWN_ELSEWHERE], ids=" ".join)
def test_json_of_every_command(built, path):
    said = built(*path, "--json")
    assert said.code in (0, 1), said
    assert isinstance(said.json(), list | dict)
    assert said.err == ""


def test_commands_for_machines():
    """Whatever lists or reports something does it as JSON too."""
    silent = {("ui",), ("symbols", "add"), ("symbols", "remove"), ("db", "start"), ("db", "stop")}
    assert set(COMMANDS) - set(WITH_JSON) == silent
