"""Which rows train and which are scored: windows at the end of history, each behind a purge.

Row numbers only; what a row holds and what is fitted on it belong to `table` and `train`.
"""

from __future__ import annotations

from dataclasses import dataclass

from itb_assets.domain.specs import WalkForwardSpec, mode_problems
from itb_assets.errors import ConfigError, DataContractError

MIN_WINDOW_ROWS = 50
"""A window shrunk below this says nothing: more history is asked for instead."""


@dataclass(frozen=True)
class Window:
    """One fold: rows [train_start, train_end) fit the model that scores rows [score_start, score_end)."""

    fold: int
    train_start: int
    train_end: int
    score_start: int
    score_end: int

    @property
    def purge_rows(self) -> int:
        """Rows left out between training and scoring: a label reaches that far into the future."""
        return self.score_start - self.train_end


def purge_rows(label_horizon: int, label_horizon_rows: int) -> int:
    """Return the rows to leave out before a scored window: the longer horizon plus one, as the legacy bot.

    `label_horizon` is what the strategy states, `label_horizon_rows` what its labels really read.
    """
    if label_horizon < 0 or label_horizon_rows < 0:
        raise ConfigError(
            [f"label horizons are {label_horizon} and {label_horizon_rows} rows: expected 0 or more"]
        )
    return max(label_horizon, label_horizon_rows) + 1


def walk_forward_windows(
    n_rows: int, spec: WalkForwardSpec, purge_rows: int, *, train_length: int | None = None
) -> tuple[Window, ...]:
    """Cut the last `spec.folds` windows off `n_rows` usable rows, oldest first.

    Each model trains on all rows that end `purge_rows` before its window, at most the last `train_length`
    and, in `rolling` mode, the last `spec.train_rows`. With too few rows for `spec.window_rows`, all windows
    shrink alike until the oldest model keeps `spec.min_train_rows`; DataContractError if they would fall
    under MIN_WINDOW_ROWS (or under `spec.window_rows`, if that is smaller).
    """
    _check_spec(spec, purge_rows, train_length)
    longest = train_limit(spec, train_length)
    reserved = purge_rows + spec.min_train_rows
    window_rows = min(spec.window_rows, (n_rows - reserved) // spec.folds)
    least = min(spec.window_rows, MIN_WINDOW_ROWS)
    if window_rows < least:
        raise DataContractError(
            f"{n_rows} usable rows (known label, every feature known): walk-forward expects at least "
            f"{reserved + spec.folds * least}, that is {spec.min_train_rows} to train the oldest model, "
            f"{purge_rows} purged and {spec.folds} windows of {least}; load more history, or lower "
            "min_train_rows or folds in the strategy's walk_forward"
        )
    first = n_rows - spec.folds * window_rows
    windows = []
    for fold in range(spec.folds):
        start = first + fold * window_rows
        train_end = start - purge_rows
        train_start = max(0, train_end - longest) if longest else 0
        windows.append(Window(fold, train_start, train_end, start, start + window_rows))
    return tuple(windows)


def train_limit(spec: WalkForwardSpec, train_length: int | None) -> int | None:
    """Return the most rows any fit takes, the final one too: the shorter of the two limits, None for all."""
    limits = [rows for rows in (spec.train_rows if spec.mode == "rolling" else None, train_length) if rows]
    return min(limits, default=None)


def _check_spec(spec: WalkForwardSpec, purge_rows: int, train_length: int | None) -> None:
    found = {
        "walk_forward.folds": spec.folds,
        "walk_forward.window_rows": spec.window_rows,
        "walk_forward.min_train_rows": spec.min_train_rows,
        "purge rows": purge_rows,
    }
    problems = [f"{name} is {value}: expected at least 1" for name, value in found.items() if value < 1]
    if train_length is not None and train_length < 0:
        problems.append(f"train_length is {train_length}: expected at least 1, or null for no limit")
    problems += [f"walk_forward: {problem}" for problem in mode_problems(spec)]
    if problems:
        raise ConfigError(problems)
