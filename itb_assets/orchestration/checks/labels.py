"""Checks of the matrix that models are trained on: labels known in time, every column on its own row.

What a label is belongs to `domain.labels`, how a wrong join is told to `domain.joins`.
"""

from collections.abc import Mapping

import dagster as dg
import pandas as pd

from itb_assets.domain.joins import MAX_SHIFT_ROWS, JoinFault, find_join_faults
from itb_assets.domain.markets import Market
from itb_assets.orchestration.assets.labeled import matrix_digest
from itb_assets.orchestration.checks.base import SAMPLE_ROWS, Verdict, market_check, missing
from itb_assets.orchestration.metadata import table
from itb_assets.orchestration.platform import Platform
from itb_assets.orchestration.updates import rows_before
from itb_assets.storage.files.frames import StoredFrame
from itb_assets.storage.files.manifest import EVERYTHING

DATA, FEATURES = "processed/data", "processed/features"

Sources = Mapping[str, StoredFrame]

MOST_ROWS = 20_000
"""Rows compared after all were made again; after an update those that are new, at least SAMPLE_ROWS."""


@market_check(["labeled", "matrix"], "unknown_tail", blocking=True)
def labels_unknown_tail(platform: Platform, market: Market, stored: StoredFrame) -> Verdict:
    """No label is known before every kline of its horizon has closed."""
    if platform.dialect == "legacy":
        return Verdict(
            passed=True,
            metadata={"skipped": "the legacy dialect labels the last rows False, as the old bot does"},
        )
    early: dict[str, int] = {}
    for group in platform.labels.groups:
        known = stored.tail(group.horizon_rows, list(group.names)).notna().sum()
        early |= {str(name): int(count) for name, count in known.items() if count}
    named = ", ".join(f"{name} in {count} rows" for name, count in early.items())
    return Verdict(
        passed=not early,
        metadata={"labels_known_too_early": early},
        why=f"labels are known before the klines they speak of have closed: {named}; materialize it again",
    )


@market_check(["labeled", "matrix"], "label_join", blocking=True)
def matrix_label_join(platform: Platform, market: Market, stored: StoredFrame) -> Verdict:
    """Each row holds the klines, the features and the labels of its own time, and no label as a feature."""
    data, features = platform.stored(market, DATA), platform.stored(market, FEATURES)
    if data is None or features is None:
        return missing(DATA if data is None else FEATURES)
    sources = {DATA: data, FEATURES: features}
    until = _comparable_until(platform, market, stored, sources)
    frame = stored.tail(_rows_to_compare(market, stored))
    if until is not None:
        frame = frame[frame["timestamp"] < until].reset_index(drop=True)
    if frame.empty:
        words = "its sources were made again since: materialize labeled/matrix, then ask again"
        return Verdict(passed=True, metadata={"skipped": words})
    parts = _parts(platform, market, stored, frame, sources)
    faults = find_join_faults(frame, parts, labels=platform.labels.columns)
    return Verdict(
        passed=not faults,
        metadata={
            "rows": len(frame),
            "first": str(frame["timestamp"].iloc[0]),
            "faults": _fault_table(faults),
        },
        why=(
            f"{len(faults)} of its columns are not those of their row, nothing is trained on them; "
            "materialize processed/features and labeled/matrix again, and take labels out of the features"
            + "".join(f"\n  - {fault}" for fault in faults)
        ),
    )


def _parts(
    platform: Platform, market: Market, stored: StoredFrame, frame: pd.DataFrame, sources: Sources
) -> dict[str, pd.DataFrame]:
    """Read the sources around the rows, and compute their labels again from the klines that gave them."""
    labels = platform.labels
    since = rows_before(market, frame["timestamp"].iloc[0], MAX_SHIFT_ROWS)
    last = rows_before(market, frame["timestamp"].iloc[-1], -labels.horizon_rows)
    klines = sources[DATA].since(rows_before(market, since, labels.lookback_rows))
    klines = klines[klines["timestamp"] <= min(last, stored.last or last)].reset_index(drop=True)
    return {
        DATA: klines,
        FEATURES: sources[FEATURES].since(since),
        "labels computed again": labels.compute(klines),
    }


def _rows_to_compare(market: Market, stored: StoredFrame) -> int:
    changed = stored.manifest.changes[-1].changed_from if stored.manifest.changes else EVERYTHING
    if stored.last is None or changed == EVERYTHING:
        return MOST_ROWS
    fresh = (stored.last - changed) // market.freq_delta + 1
    return int(min(max(fresh, SAMPLE_ROWS), MOST_ROWS))


def _comparable_until(
    platform: Platform, market: Market, stored: StoredFrame, sources: Sources
) -> pd.Timestamp | None:
    """Return the first row whose sources were altered after the matrix was made of them, None for no row."""
    if stored.manifest.digest != matrix_digest(platform):
        return EVERYTHING
    altered = []
    for name, source in sources.items():
        consumed = stored.manifest.sources.get(name)
        changed = EVERYTHING if consumed is None else source.manifest.changed_since(consumed)
        if changed is not None:
            reach = platform.labels.horizon_rows if name == DATA else 0
            altered.append(max(EVERYTHING, rows_before(market, changed, reach)))
    return min(altered, default=None)


def _fault_table(faults: list[JoinFault]) -> dg.MarkdownMetadataValue:
    return table(
        [
            {"column": fault.column, "rows": fault.rows, "shift": fault.shift_rows, "what": str(fault)}
            for fault in faults
        ]
    )
