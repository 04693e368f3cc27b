"""Moving a data root from one storage phase to another, and loading files into the tables.

What each phase writes and reads belongs to `storage.keeper`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, replace

from itb_assets.domain.markets import Market
from itb_assets.errors import InputError, StorageError
from itb_assets.orchestration.platform import Platform
from itb_assets.orchestration.verify import Finding, verify_frame
from itb_assets.storage.disk.locks import LOCK_WAIT_S, market_lock
from itb_assets.storage.files.archive import archive_frame
from itb_assets.storage.phases import MEANING, PHASES, Phase, reads_tables, record_phase, recorded_phase


@dataclass(frozen=True)
class Step:
    """What was done, or would be, to one frame."""

    market: str
    what: str
    action: str
    rows: int
    bytes: int = 0


def phase_rows(platform: Platform) -> list[dict[str, object]]:
    """List the four phases, which of them is in force and what says so."""
    setting, recorded = platform.settings.storage_phase, recorded_phase(platform.layout)
    origin = "ITB_STORAGE_PHASE" if setting else "itb storage phase" if recorded else "default"
    return [
        {
            "phase": phase,
            "in force": origin if phase == platform.phase else "",
            "what it does": MEANING[phase],
        }
        for phase in PHASES
    ]


def parse_phase(text: str) -> Phase:
    """Return the phase that a text names; raise InputError for another."""
    for phase in PHASES:
        if text == phase:
            return phase
    raise InputError(f"{text!r} is not a storage phase: expected one of {', '.join(PHASES)}")


def check_setting(platform: Platform, target: Phase) -> None:
    """Refuse to move where the setting would say otherwise afterwards."""
    setting = platform.settings.storage_phase
    if setting not in (None, target):
        raise InputError(
            f"ITB_STORAGE_PHASE={setting} is set and would win over {target}: unset it, or set it to "
            f"{target}, and run this again"
        )


def differences(platform: Platform) -> Iterator[Finding]:
    """Compare every frame's file and table before a move; yields what is whole, too."""
    with closing(replace(platform, moving_in="dual")) as both:
        for market in both.markets():
            for asset in both.frame_names():
                yield from verify_frame(both, market, asset)


def needs_comparing(current: Phase, target: Phase) -> bool:
    """Return whether a move is safe only where files and tables are the same."""
    return target != current and reads_tables(target) and current != "db"


def move(platform: Platform, target: Phase) -> Iterator[Step]:
    """Move the data root; what is compared beforehand belongs to the caller.

    Into `db` the phase is recorded before files are archived, out of it after they are back: killed in
    between, every frame is still read from where it is whole, and the same move goes on.
    """
    layout, now = platform.layout, platform.clock()
    if target == "db":
        record_phase(layout, target, now=now)
        yield from _archived(platform)
        return
    if platform.phase == "db":
        yield from _restored(platform)
    record_phase(layout, target, now=now)


def planned(platform: Platform, target: Phase) -> Iterator[Step]:
    """Say what `move` would do to which frame."""
    if target == "db":
        for market, asset in _files(platform):
            path = platform.frame_path(market, asset)
            yield Step(
                str(market), asset, "archive the file", _rows(platform, market, asset), path.stat().st_size
            )
    elif platform.phase == "db":
        for market in platform.markets():
            for asset in platform.frame_names():
                stored = platform.stored(market, asset)
                if stored is not None:
                    yield Step(str(market), asset, "write the file", stored.rows)


def backfill(platform: Platform, *, dry_run: bool = False) -> Iterator[Step]:
    """Load every file whose rows the tables lack, upstream first; raise StorageError without a database."""
    if platform.database is None:
        raise StorageError(
            "storage phase files has no database to load: move to dual by `itb storage phase dual` first"
        )
    for market, asset in _files(platform):
        file = platform.keeper.file(market, asset)
        if file is None:
            continue
        if dry_run:
            action = "load" if platform.keeper.lacks_rows(market, asset) else "nothing to do"
        else:
            with market_lock(platform.layout.market_lock(market), wait_s=LOCK_WAIT_S):
                action = "loaded" if platform.keeper.level_table(market, asset) else "was complete"
        yield Step(str(market), asset, action, file.rows, file.manifest.bytes)


def _archived(platform: Platform) -> Iterator[Step]:
    for market, asset in reversed(_files(platform)):  # klines last: by them a market is found again
        path = platform.frame_path(market, asset)
        with market_lock(platform.layout.market_lock(market), wait_s=LOCK_WAIT_S):
            rows = _rows(platform, market, asset)
            size = path.stat().st_size
            archive_frame(platform.layout, path, now=platform.clock())
        yield Step(str(market), asset, "archived", rows, size)


def _restored(platform: Platform) -> Iterator[Step]:
    for market in platform.markets():
        for asset in platform.frame_names():
            with market_lock(platform.layout.market_lock(market), wait_s=LOCK_WAIT_S):
                stored = platform.stored(market, asset)
                if stored is None:
                    continue
                manifest = platform.keeper.adopt(market, asset, stored)
            yield Step(str(market), asset, "file written", stored.rows, manifest.bytes)


def _files(platform: Platform) -> list[tuple[Market, str]]:
    """List every frame that has a file, upstream first."""
    return [
        (market, asset)
        for market in platform.layout.markets()
        for asset in platform.frame_names()
        if platform.frame_path(market, asset).exists()
    ]


def _rows(platform: Platform, market: Market, asset: str) -> int:
    file = platform.keeper.file(market, asset)
    return 0 if file is None else file.rows
