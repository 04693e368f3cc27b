"""A file of executed trades read as a whole: its format told from its content, all bad lines at once.

How a line of a format is read belongs to `legacy` and `binance_csv`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import BinaryIO, Literal

from itb_assets.domain.executed import Fill
from itb_assets.errors import DataContractError, InputError
from itb_assets.sources.trades.binance_csv import ExportRows, Header, parse_header
from itb_assets.sources.trades.legacy import parse_record
from itb_assets.sources.trades.lines import Line, numbered_lines

_SHOWN = 100
_PEEK = 4
_JSON_SUFFIXES = {".jsonl", ".ndjson", ".json"}
_NOT_TEXT = {
    b"PK\x03\x04": "a zip or .xlsx file: unpack it, or choose CSV when exporting",
    b"\x1f\x8b": "gzip: unpack it",
    b"\xff\xfe": "UTF-16 text: save it as UTF-8",
    b"\xfe\xff": "UTF-16 text: save it as UTF-8",
    b"PAR1": "a parquet file: give the JSON lines or the CSV export",
}


@dataclass(frozen=True, slots=True)
class BadLine:
    """A line that could not be read, by its number from 1 on, and everything that is wrong with it."""

    number: int
    problem: str

    def __str__(self) -> str:
        """Say it as people read it."""
        return f"line {self.number}: {self.problem}"


@dataclass(frozen=True, slots=True)
class FillFile:
    """What a file held: its fills in its own order and the lines that were skipped."""

    format: Literal["legacy_jsonl", "binance_csv"]
    fills: tuple[Fill, ...]
    bad_lines: tuple[BadLine, ...] = ()


def read_fills(path: Path, *, account: str = "main", skip_bad: bool = False) -> FillFile:
    """Return the executed fills of a file: the old bot's JSON lines or Binance's spot trade history as CSV.

    `account` names whose trades an export holds; JSON lines say it themselves. Raises InputError for a file
    that cannot be read or is of no known format, and, unless `skip_bad`, one that lists every bad line.
    """
    try:
        with path.open("rb") as file:
            found = _read(file, account, jsonl=path.suffix.lower() in _JSON_SUFFIXES)
    except OSError as error:
        reason = error.strerror or str(error)
        raise InputError(f"{path} cannot be read: {reason}; give a file of executed trades") from error
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
    if found.bad_lines and not skip_bad:
        raise InputError(_refusal(path, found))
    return found


def _read(file: BinaryIO, account: str, *, jsonl: bool) -> FillFile:
    start = file.read(_PEEK)
    file.seek(0)
    for magic, what in _NOT_TEXT.items():
        if start.startswith(magic):
            raise InputError(f"it is {what}")
    lines = numbered_lines(file)
    first = next(lines, None)
    if first is None:
        raise InputError("it is empty: expected executed trades")
    if jsonl or first.text.lstrip().startswith("{"):
        fills, bad = _collect(chain([first], lines), parse_record)
        return FillFile("legacy_jsonl", fills, bad)
    if first.problem:
        raise InputError(f"line {first.number}: {first.problem}")
    fills, bad = _collect(lines, ExportRows(_header_of(first), account).parse)
    return FillFile("binance_csv", fills, bad)


def _header_of(line: Line) -> Header:
    try:
        return parse_header(line.text)
    except ValueError as error:
        raise InputError(f"line {line.number}: {error}") from error


def _collect(
    lines: Iterator[Line], parse: Callable[[str], Fill]
) -> tuple[tuple[Fill, ...], tuple[BadLine, ...]]:
    fills, bad = [], []
    for line in lines:
        if line.problem:
            bad.append(BadLine(line.number, line.problem))
            continue
        try:
            fills.append(parse(line.text))
        except (ValueError, DataContractError) as error:
            bad.append(BadLine(line.number, str(error)))
        except RecursionError:
            bad.append(BadLine(line.number, "it is nested too deeply to be a trade"))
    return tuple(fills), tuple(bad)


def _refusal(path: Path, found: FillFile) -> str:
    bad = found.bad_lines
    shown = "\n".join(f"  - {line}" for line in bad[:_SHOWN])
    more = f"\n  - and {len(bad) - _SHOWN} more lines" if len(bad) > _SHOWN else ""
    return (
        f"{path}: {len(bad)} bad line{'s' if len(bad) != 1 else ''} beside {len(found.fills)} good, nothing "
        f"was imported: correct the file, or skip what is bad\n{shown}{more}"
    )
