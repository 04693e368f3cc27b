"""Executed trades of a data root: imported from files, matched into positions, kept in the table too.

How files spell them belongs to `sources.trades`, which positions they make to `domain.executed`.
"""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

from itb_assets.domain.evaluation.intervals import wilson
from itb_assets.domain.executed import ExecutedTrade, MatchedFills, match_fills
from itb_assets.orchestration.instance import embedded_server
from itb_assets.orchestration.platform import Platform
from itb_assets.settings import Settings
from itb_assets.sources.trades import BadLine, read_fills
from itb_assets.storage.files.executed_trades import ExecutedFills, FillMerge
from itb_assets.storage.layout import Layout
from itb_assets.storage.phases import phase_of
from itb_assets.storage.tables.database import SqlStore


@dataclass(frozen=True)
class Imported:
    """What an import did, or would do: the file's format, its lines, and what became of the fills."""

    format: str
    fills: int
    merge: FillMerge
    bad_lines: tuple[BadLine, ...]


def executed_fills(settings: Settings) -> ExecutedFills:
    """Return the fills of a data root, imported or not."""
    layout = Layout(settings.data_root)
    return ExecutedFills(layout.executed_fills, lock=layout.executed_lock)


def import_fills(
    settings: Settings, path: Path, *, account: str, skip_bad: bool = False, dry_run: bool = False
) -> Imported:
    """Add a file's fills to those stored; the same again changes nothing, and `dry_run` never does.

    Raises InputError for a file that cannot be read or has bad lines, unless `skip_bad`; StorageError,
    StorageFull, and MarketBusy while another process imports.
    """
    found = read_fills(path, account=account, skip_bad=skip_bad)
    stored = executed_fills(settings)
    merge = stored.preview(found.fills) if dry_run else stored.merge(found.fills)
    return Imported(found.format, len(found.fills), merge, found.bad_lines)


def catch_up_table(settings: Settings) -> str:
    """Bring the table to the stored fills where a database runs, and say in words what was done.

    Nothing is started for it: `itb run` catches up later. Raises DatabaseUnavailable and StorageError.
    """
    if phase_of(Layout(settings.data_root), settings.storage_phase) == "files":
        return "not used: the storage phase is files"
    url = settings.database_url.get_secret_value() if settings.database_url else _embedded_url(settings)
    if url is None:
        return "not running: the next `itb run` brings the table up to date"
    with closing(SqlStore(url)) as database:
        changed = database.catch_up_executed(executed_fills(settings))
    return "the table was brought up to date" if changed else "the table was up to date"


def catch_up(platform: Platform) -> None:
    """Bring the table to the stored fills, where there is a database: an import may have gone without."""
    if platform.database is not None:
        platform.database.catch_up_executed(executed_fills(platform.settings))


def _embedded_url(settings: Settings) -> str | None:
    server = embedded_server(settings)
    if not server.status().running:
        return None
    server.ensure_database("itb")
    return server.url("itb")


def matched(settings: Settings) -> MatchedFills:
    """Match all stored fills into positions; raise StorageError for a broken file."""
    return match_fills(executed_fills(settings).read())


def position_rows(found: MatchedFills) -> list[dict[str, Any]]:
    """Describe every position, the newest first; amounts are exact decimals."""
    return [
        {
            "account": f"{trade.source} {trade.account}",
            "symbol": trade.symbol,
            "entered": f"{trade.time:%Y-%m-%d %H:%M}",
            "side": trade.side,
            "quantity": trade.quantity,
            "price": trade.price,
            "left": None if trade.exit_time is None else f"{trade.exit_time:%Y-%m-%d %H:%M}",
            "exit_price": trade.exit_price,
            "fees": trade.fees,
            "pnl": trade.pnl,
            "trade": trade.trade_id,
        }
        for trade in reversed(found.trades)
    ]


def executed_summary(found: MatchedFills) -> list[dict[str, Any]]:
    """Sum up the closed positions of each account and symbol; currencies are never added up together."""
    groups: dict[tuple[str, str, str], list[ExecutedTrade]] = {}
    for trade in found.trades:
        groups.setdefault((trade.source, trade.account, trade.symbol), []).append(trade)
    return [
        {"account": f"{source} {account}", "symbol": symbol} | _totals(trades)
        for (source, account, symbol), trades in groups.items()
    ]


def _totals(trades: list[ExecutedTrade]) -> dict[str, Any]:
    pnl = [trade.pnl for trade in trades if trade.pnl is not None]
    wins = sum(result > 0 for result in pnl)
    low, high = wilson(wins, len(pnl)) if pnl else (None, None)
    closed = [trade for trade in trades if trade.pnl is not None]
    return {
        "closed": len(pnl),
        "open": len(trades) - len(pnl),
        "won_pct": round(wins / len(pnl) * 100, 1) if pnl else None,
        "won_95_pct": None if low is None or high is None else f"{low * 100:.1f} to {high * 100:.1f}",
        "gross_pnl": sum((trade.gross_pnl or Decimal(0) for trade in closed), Decimal(0)),
        "fees": sum((trade.fees for trade in closed), Decimal(0)),
        "pnl": sum(pnl, Decimal(0)),
    }
