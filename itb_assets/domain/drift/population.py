"""How far values have moved from where they were: bins frozen with the model, PSI, and what chance gives.

Verdicts over many features together belong to `evaluate`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.special import stdtr

from itb_assets.domain.drift.rows import Floats, Ints
from itb_assets.errors import DataContractError

BINS = 10
SHARE_FLOOR = 1e-4
"""An empty bin counts as this share, or its logarithm would be infinite."""

MIN_WINDOWS = 5
"""Windows of the history that fit beside each other; fewer cannot say how far such windows lie apart."""

_MOST_WINDOWS = 2000
_PSI_FLOOR = 1e-6
_ROUNDING = 1e-9


@dataclass(frozen=True)
class ReferenceBins:
    """Where values were: bin k holds `edges[k-1] < value <= edges[k]`, the outer two are open.

    `shares` and `n` are of known values, `unknown_share` is that of NaN among all rows.
    """

    edges: tuple[float, ...]
    shares: tuple[float, ...]
    n: int
    unknown_share: float

    def __post_init__(self) -> None:
        """Raise DataContractError for edges that do not ascend or shares that do not fit them."""
        problems = []
        if not np.isfinite(self.edges).all() or (np.diff(self.edges) <= 0).any():
            problems.append(f"edges {self.edges}: expected finite and ascending")
        if len(self.shares) != len(self.edges) + 1:
            problems.append(
                f"{len(self.shares)} shares for {len(self.edges)} edges: expected one more than edges"
            )
        if min(self.shares, default=-1.0) < 0 or abs(sum(self.shares) - 1) > _ROUNDING:
            problems.append(f"shares {self.shares}: expected none negative and a sum of 1")
        if problems:
            raise DataContractError("reference bins: " + "; ".join(problems))

    def as_dict(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        return asdict(self) | {"edges": list(self.edges), "shares": list(self.shares)}

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> ReferenceBins:
        """Read what `as_dict` gave; raise DataContractError for anything else."""
        try:
            return cls(
                edges=tuple(float(edge) for edge in stored["edges"]),
                shares=tuple(float(share) for share in stored["shares"]),
                n=int(stored["n"]),
                unknown_share=float(stored["unknown_share"]),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise DataContractError(
                f"not stored reference bins ({error!r}): freeze the bins again"
            ) from error


def freeze_bins(values: npt.ArrayLike, *, bins: int = BINS) -> ReferenceBins:
    """Return bins of about equal shares of the known values; fewer where values repeat.

    A value that fills several bins gets one. A constant gets a bin of its own between two empty ones:
    any other value shows. Without a known value there is one bin and n = 0; inf raises DataContractError.
    """
    given = _finite_or_nan(values)
    known = np.sort(given[~np.isnan(given)])
    n = len(known)
    unknown_share = 1 - n / len(given) if len(given) else 0.0
    if n == 0:
        return ReferenceBins((), (1.0,), 0, unknown_share)
    ranks = np.ceil(np.arange(1, bins) / bins * n).astype(np.int64) - 1
    edges = np.unique(known[ranks])
    if known[0] == known[-1]:
        edges = np.asarray([np.nextafter(known[0], -np.inf), known[0]])
    elif edges[-1] == known[-1]:
        edges = edges[:-1]  # nothing lies above the maximum
    shares = _counts(edges, known) / n
    return ReferenceBins(tuple(edges.tolist()), tuple(shares.tolist()), n, unknown_share)


def psi(reference: ReferenceBins, values: npt.ArrayLike) -> float:
    """Return the population stability index of the known values against the reference; NaN of none.

    The sum of (share - reference share) x log(share / reference share) over the bins: 0 is no difference, and
    n independent rows without drift give about (bins - 1) / n. inf raises DataContractError.
    """
    given = _finite_or_nan(values)
    counts = _counts(np.asarray(reference.edges), given[~np.isnan(given)])
    if reference.n == 0 or not counts.any():
        return float("nan")
    return float(_psi(counts / counts.sum(), np.asarray(reference.shares)))


def psi_of_windows(reference: ReferenceBins, history: npt.ArrayLike, rows: int) -> Floats:
    """Return the PSI of windows of `rows` rows of the history, each against the rest of that history.

    These show how far windows of such a length lie apart while nothing has changed, however much neighbouring
    rows resemble each other. Windows with more than half of their values unknown are left out.
    """
    given = _finite_or_nan(history)
    if rows < 1 or rows >= len(given):
        return np.empty(0)
    n_bins = len(reference.edges) + 1
    bin_of = np.where(np.isnan(given), -1, np.searchsorted(reference.edges, given, side="left"))
    before = np.zeros((n_bins, len(given) + 1), dtype=np.int64)
    np.cumsum(bin_of == np.arange(n_bins)[:, None], axis=1, out=before[:, 1:])
    starts = np.unique(np.linspace(0, len(given) - rows, _MOST_WINDOWS).astype(np.int64))
    inside = (before[:, starts + rows] - before[:, starts]).T
    rest = before[:, -1] - inside
    enough = (2 * inside.sum(axis=1) >= rows) & (rest.sum(axis=1) > 0)
    inside, rest = inside[enough], rest[enough]
    return _psi(inside / inside.sum(axis=1, keepdims=True), rest / rest.sum(axis=1, keepdims=True))


def chance_of(value: float, null: Floats, *, windows: int) -> float | None:
    """Return how likely a window without drift has a PSI this large: a t-test of its logarithm among `null`.

    `windows` is how many windows fit beside each other in the history: overlapping ones tell nothing more,
    so it gives the degrees of freedom. None below MIN_WINDOWS of them.
    """
    if windows < MIN_WINDOWS or len(null) < MIN_WINDOWS:
        return None
    logs = np.log(np.maximum(null, _PSI_FLOOR))
    spread = float(logs.std()) * np.sqrt(windows / (windows - 1)) * np.sqrt(1 + 1 / windows)
    distance = float(np.log(max(value, _PSI_FLOOR)) - logs.mean())
    if spread < _ROUNDING:  # a constant: any other value is a change
        return 0.0 if distance > _ROUNDING else 1.0
    return float(stdtr(windows - 1, -distance / spread))


def holm(p_values: npt.ArrayLike) -> Floats:
    """Return the p-values adjusted for there being several of them (Holm 1979), in the order given.

    >>> holm([0.01, 0.04, 0.03]).round(3).tolist()
    [0.03, 0.06, 0.06]
    """
    given = np.asarray(p_values, dtype=np.float64)
    order = np.argsort(given, kind="stable")
    factors = np.arange(len(given), 0, -1)
    adjusted = np.empty_like(given)
    adjusted[order] = np.minimum(np.maximum.accumulate(given[order] * factors), 1.0)
    return adjusted


def _finite_or_nan(values: npt.ArrayLike) -> Floats:
    given = np.asarray(values, dtype=np.float64)
    if given.ndim != 1:
        raise DataContractError(f"values of {given.ndim} dimensions: expected one column")
    if infinite := int(np.isinf(given).sum()):
        raise DataContractError(
            f"{infinite} of {len(given)} values are inf: expected numbers, NaN for unknown"
        )
    return given


def _counts(edges: Floats, known: Floats) -> Ints:
    return np.bincount(np.searchsorted(edges, known, side="left"), minlength=len(edges) + 1).astype(np.int64)


def _psi(shares: Floats, reference: Floats) -> Floats:
    now, then = np.maximum(shares, SHARE_FLOOR), np.maximum(reference, SHARE_FLOOR)
    return np.asarray(((now - then) * np.log(now / then)).sum(axis=-1), dtype=np.float64)
