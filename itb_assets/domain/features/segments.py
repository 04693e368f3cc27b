"""Cutting columns at gaps, so that no window and no recursion reaches from one side of a gap to the other.

What is computed within a stretch belongs to the steps; what a gap is belongs to `domain.gaps`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from itb_assets.domain.features.steps import TIMESTAMP, Array, Columns, Step
from itb_assets.errors import DataContractError


class Segments:
    """The unbroken stretches of rows in which columns are finite, each column looked through once."""

    def __init__(self, columns: Mapping[str, Array], rows: int) -> None:
        """Look at `columns` as they are asked for: features may join them in the meantime."""
        self._columns = columns
        self._rows = rows
        self._whole: dict[str, bool] = {}
        self._found: dict[tuple[str, ...], tuple[slice, ...]] = {}

    def of(self, names: Iterable[str]) -> tuple[slice, ...]:
        """Return the stretches in which all of these columns are finite, in order."""
        broken = tuple(sorted(name for name in set(names) if not self._is_whole(name)))
        if broken not in self._found:
            self._found[broken] = known_segments([self._columns[name] for name in broken], self._rows)
        return self._found[broken]

    def _is_whole(self, name: str) -> bool:
        if name not in self._whole:
            column = self._columns[name]
            # a finite sum proves finite terms and costs no array; one that overflowed proves nothing
            self._whole[name] = math.isfinite(column.sum()) or bool(np.isfinite(column).all())
        return self._whole[name]


def known_segments(columns: Sequence[Array], rows: int) -> tuple[slice, ...]:
    """Return the unbroken stretches of rows in which every column is finite."""
    if not columns:
        return (slice(0, rows),) if rows else ()
    known = np.isfinite(columns[0])
    for column in columns[1:]:
        known &= np.isfinite(column)
    if not rows:
        return ()
    changes = (np.flatnonzero(known[1:] != known[:-1]) + 1).tolist()
    edges = [*([0] if known[0] else []), *changes, *([rows] if known[-1] else [])]
    return tuple(slice(start, stop) for start, stop in zip(edges[::2], edges[1::2], strict=True))


def run_step(step: Step, columns: Columns, segments: tuple[slice, ...], rows: int) -> list[Array]:
    """Run `step` and return its outputs: NaN outside `segments` and in each one's warm-up, never infinite.

    The kernel sees read-only views, and no output shares memory with an input. Raises DataContractError
    when a kernel returns another number of columns or rows than it should.
    """
    views = {name: _read_only(column) for name, column in columns.items()}
    whole = not step.by_segment or segments == (slice(0, rows),)
    if whole and rows:
        outputs = _call(step, views, rows)
        _forget_warmup(outputs, slice(0, rows), step.warmup_rows)
    else:
        outputs = [np.empty(rows) for _ in step.outputs]
        _forget_gaps(outputs, segments if step.by_segment else (), rows)
        for segment in segments if step.by_segment else ():
            part = {name: column[segment] for name, column in views.items()}
            for output, values in zip(outputs, _call(step, part, segment.stop - segment.start), strict=True):
                output[segment] = values
            _forget_warmup(outputs, segment, step.warmup_rows)
    if not step.stays_finite:
        for output in outputs:
            _drop_infinities(output)
    return outputs


def value_inputs(step: Step) -> tuple[str, ...]:
    """Return the inputs that can be unknown: all but the time of a row."""
    return tuple(name for name in step.inputs if name != TIMESTAMP)


def _call(step: Step, columns: Columns, rows: int) -> list[Array]:
    outputs = [np.asarray(output, dtype=np.float64) for output in step.kernel(columns)]
    shapes = [output.shape for output in outputs]
    if shapes != [(rows,)] * len(step.outputs):
        raise DataContractError(
            f"the generator of {', '.join(step.outputs)} returned columns of the shapes {shapes}, "
            f"expected {len(step.outputs)} of {rows} rows: mend its kernel"
        )
    return [
        output.copy() if any(np.may_share_memory(output, column) for column in columns.values()) else output
        for output in outputs
    ]


def _read_only(column: Array) -> Array:
    view = column.view()
    view.flags.writeable = False
    return view


def _forget_gaps(outputs: Sequence[Array], segments: tuple[slice, ...], rows: int) -> None:
    """Make the rows outside `segments` unknown; those inside are about to be written."""
    starts = [0, *(segment.stop for segment in segments)]
    stops = [*(segment.start for segment in segments), rows]
    for output in outputs:
        for start, stop in zip(starts, stops, strict=True):
            output[start:stop] = np.nan


def _forget_warmup(outputs: Sequence[Array], segment: slice, warmup_rows: int) -> None:
    if warmup_rows:
        for output in outputs:
            output[segment.start : min(segment.start + warmup_rows, segment.stop)] = np.nan


def _drop_infinities(output: Array) -> None:
    infinite = np.isinf(output)
    if infinite.any():
        output[infinite] = np.nan
