"""Commands about archived files: `list`, `restore` and `prune` of `itb storage archive`.

What an archive is belongs to the storage; what is archived and when, to the storage phases.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from itb_assets.cli.output import JsonOption, console, emit, errors, tell_error
from itb_assets.domain.markets import parse_freq, parse_symbol
from itb_assets.errors import InputError, ItbError, StorageError
from itb_assets.settings import load_settings
from itb_assets.storage.disk.locks import LOCK_WAIT_S, market_lock
from itb_assets.storage.files.archive import (
    MAX_KEEP_DAYS,
    Archived,
    archived,
    check_archived,
    damaged_archives,
    prune_archives,
    restore_frame,
)
from itb_assets.storage.layout import Layout
from itb_assets.storage.phases import recorded_phase

archive_app = typer.Typer(
    no_args_is_help=True, help="Files that the database has taken over: compressed, kept for a while."
)

Symbols = Annotated[str, typer.Option(help="Only these symbols, comma separated.")]
Freqs = Annotated[str, typer.Option(help="Only these freqs.")]
Assets = Annotated[str, typer.Option(help="Only these assets, such as processed/features.")]
Day = Annotated[str, typer.Option("--date", help="Only what was archived on this day in UTC: 2025-03-01.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would be done, and change nothing.")]


@archive_app.command("list")
def archive_list(
    *,
    symbol: Symbols = "",
    freq: Freqs = "",
    asset: Assets = "",
    day: Day = "",
    check: Annotated[bool, typer.Option("--check", help="Also read every file through.")] = False,
    as_json: Annotated[bool, JsonOption] = False,
) -> None:
    """List what is archived, the newest last; exit code 1 when anything in the archive is damaged.

    Example: `itb storage archive list --symbol BTCUSDT --check`
    """
    settings = load_settings()
    layout = Layout(settings.data_root)
    found = _selected(layout, symbol, freq, asset, day)
    problems = [*damaged_archives(layout), *(_damage(found) if check else ())]
    keep = timedelta(days=settings.archive_days)
    rows = [_row(frame) | {"kept_until": str((frame.archived_at + keep).date())} for frame in found]
    emit(rows, title="Archive", as_json=as_json, empty=f"nothing in {layout.archive_dir} matches")
    for problem in problems:
        tell_error(problem)
    if problems:
        raise typer.Exit(1)


@archive_app.command("restore")
def archive_restore(
    *,
    symbol: Symbols = "",
    freq: Freqs = "",
    asset: Assets = "",
    day: Day = "",
    to: Annotated[
        Path | None, typer.Option(help="Folder to put them below; without it, back where they were.")
    ] = None,
    replace: Annotated[bool, typer.Option("--replace", help="Replace frames that are there.")] = False,
    dry_run: DryRun = False,
    as_json: Annotated[bool, JsonOption] = False,
) -> None:
    """Put archived frames back with their manifests, of each its newest copy; the archive keeps them.

    Example: `itb storage archive restore --symbol BTCUSDT --freq 5m --to /tmp/before`

    A frame that is there is not replaced without `--replace`; the others are restored all the same.
    """
    layout = Layout(load_settings().data_root)
    newest = {frame.original: frame for frame in _selected(layout, symbol, freq, asset, day)}
    if not newest:
        raise InputError(
            f"nothing in {layout.archive_dir} matches: `itb storage archive list` shows what there is"
        )
    rows: list[dict[str, Any]] = []
    failed: list[ItbError] = []
    for frame in _shown([newest[original] for original in sorted(newest)], "restoring"):
        path = (to or layout.root) / frame.original
        try:
            state = _plan(path, replace=replace) if dry_run else _restore(layout, frame, to, replace=replace)
        except ItbError as error:
            failed.append(error)
            state = "failed"
        rows.append(_row(frame) | {"to": str(path), "state": state})
    emit(rows, title="Would restore" if dry_run else "Restored", as_json=as_json, empty="")
    for refused in failed:
        tell_error(str(refused))
    if to is None and not as_json and recorded_phase(layout) == "db":
        console.print(
            "The data root is in phase db, in which files are not read: `itb storage phase` moves it."
        )
    if failed:
        raise typer.Exit(max(refused.exit_code for refused in failed))


@archive_app.command("prune")
def archive_prune(
    *,
    keep_days: Annotated[
        int | None,
        typer.Option(min=0, max=MAX_KEEP_DAYS, help="Days to keep; without it, ITB_ARCHIVE_DAYS."),
    ] = None,
    dry_run: DryRun = False,
    as_json: Annotated[bool, JsonOption] = False,
) -> None:
    """Remove for good what was archived longer ago, and list it.

    Example: `itb storage archive prune --keep-days 90 --dry-run`
    """
    settings = load_settings()
    layout = Layout(settings.data_root)
    days = settings.archive_days if keep_days is None else keep_days
    removed = prune_archives(layout, keep_days=days, now=datetime.now(UTC), dry_run=dry_run)
    emit(
        [_row(frame, there=dry_run) for frame in removed],
        title="Would remove" if dry_run else "Removed",
        as_json=as_json,
        empty=f"nothing was archived more than {days} days ago",
    )


def _selected(layout: Layout, symbol: str, freq: str, asset: str, day: str) -> tuple[Archived, ...]:
    """Return what matches every filter that is set; raise InputError for a value that is not one."""
    symbols = [parse_symbol(part) for part in _parts(symbol)]
    freqs = [parse_freq(part) for part in _parts(freq)]
    assets, on = _parts(asset), _day(day)
    return tuple(
        frame
        for frame in archived(layout)
        if (not symbols or frame.market.symbol in symbols)
        and (not freqs or frame.market.freq in freqs)
        and (not assets or frame.asset in assets)
        and on in (None, frame.archived_at.date())
    )


def _parts(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


def _day(text: str) -> date | None:
    try:
        return date.fromisoformat(text) if text else None
    except ValueError:
        raise InputError(f"date {text!r} is not valid: expected a day such as 2025-03-01") from None


def _row(frame: Archived, *, there: bool = True) -> dict[str, Any]:
    row: dict[str, Any] = {
        "archived_at": frame.archived_at.isoformat(sep=" ", timespec="seconds"),
        "symbol": frame.market.symbol,
        "freq": frame.market.freq,
        "asset": frame.asset,
        "rows": frame.rows,
        "bytes": frame.size,
    }
    return row | ({"compressed": frame.file.stat().st_size} if there else {}) | {"file": str(frame.file)}


def _damage(frames: Sequence[Archived]) -> Iterator[str]:
    for frame in _shown(frames, "reading"):
        try:
            check_archived(frame)
        except StorageError as error:
            yield str(error)


def _plan(path: Path, *, replace: bool) -> str:
    if not path.exists():
        return "new"
    return "replaces what is there" if replace else "is there: needs --replace unless it is the same"


def _restore(layout: Layout, frame: Archived, to: Path | None, *, replace: bool) -> str:
    lock = market_lock(layout.market_lock(frame.market), wait_s=LOCK_WAIT_S)
    with nullcontext() if to else lock:
        restore_frame(layout, frame, to=to, replace=replace)
    return "restored"


def _shown(frames: Sequence[Archived], what: str) -> Iterator[Archived]:
    """Yield the frames, with a bar on a terminal."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=errors, transient=True, disable=not errors.is_terminal) as progress:
        task = progress.add_task(what, total=len(frames))
        for frame in frames:
            progress.update(task, description=f"{what} {frame.market}  {frame.asset}")
            yield frame
            progress.advance(task)
