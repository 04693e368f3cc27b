"""A data root that lives off the demo exchange: its settings, while the exchange answers on loopback.

What the exchange serves belongs to `demo.exchange`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

from itb_assets.demo.exchange import DemoExchange
from itb_assets.demo.market import InventedVenue
from itb_assets.settings import Settings, load_settings
from itb_assets.storage.disk.atomic import ensure_folder, storage_errors, write_whole

MARKER = Path(".itb") / "demo.json"


def is_demo(data_root: Path) -> bool:
    """Tell whether a data root was made by the demo."""
    return (data_root / MARKER).is_file()


@contextmanager
def demo_settings(data_root: Path, *, symbols: int = 2, days: int = 120) -> Iterator[Settings]:
    """Start the demo exchange and yield settings that lead to it; nothing of the user's own is touched.

    A data root that has had a demo before keeps its start of history, so that a second run is incremental.
    """
    start = _remembered_start(data_root) or _midnight(days)
    _remember(data_root, start)
    with DemoExchange() as exchange:
        yield load_settings(
            data_root=data_root,
            symbols=InventedVenue().symbols[:symbols],
            freqs=("5m", "1h"),
            start=start,
            binance_url=exchange.url,
            binance_archive=exchange.url,
            database_url=None,
            dagster_url=None,
        )


def _midnight(days: int) -> datetime:
    today = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    return today - timedelta(days=days)


def _remembered_start(data_root: Path) -> datetime | None:
    """Return the start of an earlier demo; None where there was none or its note cannot be read."""
    try:
        note = json.loads((data_root / MARKER).read_text("utf-8"))
        return datetime.fromisoformat(note["start"])
    except (FileNotFoundError, ValueError, TypeError, KeyError):
        return None


def _remember(data_root: Path, start: datetime) -> None:
    marker = data_root / MARKER
    with storage_errors(marker):
        ensure_folder(marker.parent)
        write_whole(marker, json.dumps({"start": start.isoformat()}).encode())
