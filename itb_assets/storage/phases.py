"""The storage phase of a data root: which of file and table is written, and which is read.

Moving from one phase to another belongs to `orchestration.storage_phase`.
"""

from __future__ import annotations

import json
from datetime import datetime
from typing import Literal, get_args

from itb_assets.errors import ConfigError, StorageError
from itb_assets.storage.disk.atomic import ensure_folder, storage_errors, write_whole
from itb_assets.storage.layout import Layout

Phase = Literal["files", "dual", "db_read", "db"]
PHASES: tuple[Phase, ...] = get_args(Phase)
DEFAULT_PHASE: Phase = "dual"
MEANING: dict[Phase, str] = {
    "files": "write and read files; no database for market data",
    "dual": "write files and tables, read files",
    "db_read": "write files and tables, read tables",
    "db": "write and read tables; the files are archived",
}


def reads_tables(phase: Phase) -> bool:
    """Return whether frames are read from the database."""
    return phase in ("db_read", "db")


def recorded_phase(layout: Layout) -> Phase | None:
    """Return the phase that the data root was moved to, or None where it never was."""
    try:
        content = layout.phase_file.read_text("utf-8")
    except FileNotFoundError:
        return None
    try:
        phase: object = json.loads(content)["phase"]
    except (ValueError, KeyError, TypeError):
        phase = None
    for known in PHASES:
        if phase == known:
            return known
    raise StorageError(
        f"{layout.phase_file} does not name a storage phase: expected one of {', '.join(PHASES)}; "
        "move the data root to one by `itb storage phase`"
    )


def record_phase(layout: Layout, phase: Phase, *, now: datetime) -> None:
    """Note which phase the data root was moved to; whole or not at all."""
    with storage_errors(layout.phase_file):
        ensure_folder(layout.phase_file.parent)
        write_whole(
            layout.phase_file, json.dumps({"phase": phase, "since": now.isoformat()}).encode() + b"\n"
        )


def phase_of(layout: Layout, wanted: Phase | None) -> Phase:
    """Return the phase in force: what is set, else what was recorded, else the default.

    Into `db` and out of it a data root is moved by a command alone, which compares, archives or restores:
    raises ConfigError where the setting says otherwise.
    """
    recorded = recorded_phase(layout)
    phase = wanted or recorded or DEFAULT_PHASE
    if phase == recorded or "db" not in (phase, recorded):
        return phase
    if phase == "db" and not layout.markets():
        return phase
    said = (
        f"the data root {layout.root} is in phase db, its files archived, but ITB_STORAGE_PHASE is {phase}"
        if recorded == "db"
        else f"ITB_STORAGE_PHASE is db, but the data root {layout.root} was not moved to it"
    )
    raise ConfigError([f"{said}; `itb storage phase {phase}` moves it"], origin="storage phase")
