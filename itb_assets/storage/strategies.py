"""Strategy files: those that ship with the package and those in the user's own folder.

What a strategy may say does not belong here (`domain.strategy`).
"""

from __future__ import annotations

from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path

from itb_assets.domain.strategy import Strategy, load_strategy
from itb_assets.errors import ConfigError

_SUFFIX = ".jsonc"


def read_strategies(folder: Path | None = None) -> tuple[Strategy, ...]:
    """Return the shipped strategies and those of `folder`, in order of their variants.

    A file in `folder` with the name of a shipped variant takes its place. Raise ConfigError listing the
    problems of all files.
    """
    files = {file.name: file for file in _files(resources.files("itb_assets") / "strategies")}
    if folder is not None:
        if not folder.is_dir():
            raise ConfigError([f"{folder} is not a folder: expected one that holds *{_SUFFIX} files"])
        files |= {file.name: file for file in _files(folder)}
    found: list[Strategy] = []
    problems: list[str] = []
    for _, file in sorted(files.items()):
        try:
            found.append(read_strategy(file))
        except ConfigError as error:
            problems += [f"{error.origin or file}: {problem}" for problem in error.problems]
    if problems:
        raise ConfigError(problems, origin="strategies")
    return tuple(found)


def read_strategy(file: Path | Traversable) -> Strategy:
    """Read one strategy file, its variant named by the file; raise ConfigError when it is not one."""
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
        raise ConfigError([f"cannot be read: {reason}"], origin=str(file)) from error
    return load_strategy(text, origin=str(file), variant=file.name.removesuffix(_SUFFIX))


def _files(folder: Path | Traversable) -> list[Path | Traversable]:
    return [
        file for file in folder.iterdir() if file.name.endswith(_SUFFIX) and not file.name.startswith(".")
    ]
