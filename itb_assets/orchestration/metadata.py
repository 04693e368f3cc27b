"""What a person wants to see on an asset's page: rows, times, gaps, files and plots.

Drawing belongs to `observability.plots`; the numbers belong to whoever computed them.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from typing import Any

import dagster as dg
import pandas as pd

from itb_assets.domain.gaps import Gap
from itb_assets.storage.files.manifest import FrameManifest

_COLUMN_TYPES = {
    "datetime64[ns, UTC]": "timestamp",
    "float64": "double",
    "int64": "bigint",
    "boolean": "boolean",
    "str": "text",
}


def frame_metadata(manifest: FrameManifest, place: str, told: Mapping[str, Any]) -> dict[str, Any]:
    """Describe a stored frame: how much from when to when, what its asset told, then where it lies."""
    columns = [
        dg.TableColumn(name, type=_COLUMN_TYPES.get(dtype, dtype)) for name, dtype in manifest.columns.items()
    ]
    return {
        "dagster/row_count": manifest.rows,
        "first": _time(manifest.first),
        "last": _time(manifest.last),
        **told,
        "dagster/uri": place,
        "dagster/column_schema": dg.TableSchema(columns=columns),
        "size_mb": round(manifest.bytes / 1e6, 2),
        "version": manifest.version,
        "sha256": manifest.sha256,
    }


def _time(time: pd.Timestamp | None) -> str:
    return "none" if time is None else f"{time:%Y-%m-%d %H:%M} UTC"


def pictures(plots: Mapping[str, bytes]) -> dg.MarkdownMetadataValue:
    """Embed PNGs or SVGs, each under its title, in one entry of an asset's page.

    The UI folds an entry of more than a thousand characters behind a link, so all are in one.
    """
    images = (
        f"![{title}](data:image/{'svg+xml' if plot.startswith(b'<svg') else 'png'};base64,"
        f"{base64.b64encode(plot).decode()})"
        for title, plot in plots.items()
    )
    return dg.MetadataValue.md("\n\n".join(images))


def table(rows: Sequence[Mapping[str, Any]]) -> dg.MarkdownMetadataValue:
    """Show a few rows as a Markdown table; an empty sequence says so."""
    if not rows:
        return dg.MetadataValue.md("none")
    names = list(rows[0])
    lines = ["| " + " | ".join(names) + " |", "|" + " --- |" * len(names)]
    lines += ["| " + " | ".join(_cell(row[name]) for name in names) + " |" for row in rows]
    return dg.MetadataValue.md("\n".join(lines))


def _cell(value: object) -> str:
    return f"{value:.4f}" if isinstance(value, float) else str(value)


def gap_table(gaps: Sequence[Gap], limit: int = 20) -> dg.MarkdownMetadataValue:
    """Show the newest gaps of a market."""
    return table(
        [
            {
                "first missing": _time(gap.first_missing),
                "last missing": _time(gap.last_missing),
                "rows": gap.missing_rows,
                "reason": gap.reason,
                "state": gap.state,
            }
            for gap in sorted(gaps, key=lambda gap: gap.first_missing, reverse=True)[:limit]
        ]
    )
