"""Cutting columns at gaps, so that no window and no recursion reaches from one side of a gap to the other.

What is computed within a stretch belongs to the steps; what a gap is belongs to `domain.gaps`.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from itb_assets.domain.features.steps import TIMESTAMP, Array, Columns, Step


def known_segments(columns: Sequence[Array], rows: int) -> tuple[slice, ...]:
    """Return the unbroken stretches of rows in which every column is finite."""
    broken = [column for column in columns if not np.isfinite(column).all()]
    if not broken:
        return (slice(0, rows),) if rows else ()
    known = np.isfinite(broken[0])
    for column in broken[1:]:
        known &= np.isfinite(column)
    edges = np.flatnonzero(np.diff(known.astype(np.int8), prepend=0, append=0))
    return tuple(slice(int(start), int(stop)) for start, stop in zip(edges[::2], edges[1::2], strict=True))


def run_step(step: Step, columns: Columns, segments: tuple[slice, ...], rows: int) -> list[Array]:
    """Run `step` and return its outputs: NaN outside `segments` and in each one's warm-up, never infinite."""
    whole = not step.by_segment or segments == (slice(0, rows),)
    if whole and rows:
        outputs = [np.asarray(out, dtype=np.float64) for out in step.kernel(columns)]
        _forget_warmup(outputs, slice(0, rows), step.warmup_rows)
    else:
        outputs = [np.full(rows, np.nan) for _ in step.outputs]
        for segment in segments if step.by_segment else ():
            parts = step.kernel({name: column[segment] for name, column in columns.items()})
            for output, part in zip(outputs, parts, strict=True):
                output[segment] = part
            _forget_warmup(outputs, segment, step.warmup_rows)
    if not step.stays_finite:
        for output in outputs:
            _drop_infinities(output)
    return outputs


def value_inputs(step: Step) -> tuple[str, ...]:
    """Return the inputs that can be unknown: all but the time of a row."""
    return tuple(name for name in step.inputs if name != TIMESTAMP)


def _forget_warmup(outputs: Sequence[Array], segment: slice, warmup_rows: int) -> None:
    if warmup_rows:
        for output in outputs:
            output[segment.start : min(segment.start + warmup_rows, segment.stop)] = np.nan


def _drop_infinities(output: Array) -> None:
    infinite = np.isinf(output)
    if infinite.any():
        output[infinite] = np.nan
