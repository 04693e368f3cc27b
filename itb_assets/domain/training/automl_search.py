"""A seeded search by Optuna over the family, judged inside the rows it is given, in order of time.

What may be chosen belongs to `automl_family`; the model that results belongs to `automl`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from itb_assets.domain.specs import WalkForwardSpec
from itb_assets.domain.training.automl_family import FAMILY, Range
from itb_assets.domain.training.metrics import ScoredRows, measure, sample_of
from itb_assets.domain.training.protocol import MIN_FIT_ROWS, Bools, Estimator, Floats
from itb_assets.domain.training.walk_forward import Window, walk_forward_windows
from itb_assets.errors import DataContractError

if TYPE_CHECKING:
    import optuna

LESS_IS_BETTER = ("log_loss", "brier")

_HELD_BACK = 0.3
"""The newest share of the training rows, on which trials are judged."""


@dataclass(frozen=True)
class SearchPlan:
    """What may be chosen, how it is judged, and how long; `seconds` None for no limit, else by `clock`."""

    family: tuple[str, ...]
    metric: str
    max_trials: int
    seconds: float | None
    inner_folds: int
    purge_rows: int
    is_scale: bool
    clock: Callable[[], float]


@dataclass(frozen=True)
class Trial:
    """One choice and what it was worth: the mean over the inner windows, None where nothing can be told."""

    number: int
    algo: str
    chosen: Mapping[str, Any]
    value: float | None
    windows: int
    state: str
    seconds: float
    reason: str | None = None

    def estimator(self, plan: SearchPlan) -> Estimator:
        """Return what was tried, not fitted."""
        return FAMILY[self.algo].make(dict(self.chosen), plan.is_scale)


def search(x: Floats, y: Bools, plan: SearchPlan, *, seed: int) -> tuple[Trial, ...]:
    """Try up to `max_trials` choices, every algorithm's first one first; return all tried, best first.

    The same rows, plan and seed try the same choices in the same order; only the time limit, looked at
    between two trials, can end a search elsewhere. DataContractError if no trial could be judged.
    """
    windows = inner_windows(len(y), plan)
    study = _study(plan, seed)
    for algo in plan.family:
        begin = {f"{algo}.{name}": value for name, value in FAMILY[algo].begin.items()}
        study.enqueue_trial({"algo": algo, **begin})
    started, trials = plan.clock(), list[Trial]()
    while len(trials) < plan.max_trials:
        if trials and plan.seconds is not None and plan.clock() - started >= plan.seconds:
            break
        trials.append(_try(study, x, y, windows, plan, seed=seed))
    ranked = sorted(trials, key=lambda trial: _rank(trial, plan.metric))
    if ranked[0].state != "complete":
        raise DataContractError(
            f"automl could judge none of {len(trials)} trials, the first because: {trials[0].reason}; "
            "load more history, or choose the metric log_loss"
        )
    return tuple(ranked)


def inner_windows(n_rows: int, plan: SearchPlan) -> tuple[Window, ...]:
    """Cut windows off the newest 30 % of the rows, each behind a purge; DataContractError if too few."""
    spec = WalkForwardSpec(
        folds=plan.inner_folds,
        window_rows=max(1, int(n_rows * _HELD_BACK) // plan.inner_folds),
        min_train_rows=MIN_FIT_ROWS,
    )
    try:
        return walk_forward_windows(n_rows, spec, plan.purge_rows)
    except DataContractError as error:
        raise DataContractError(
            f"{n_rows} training rows are too few for automl to hold {plan.inner_folds} windows back inside "
            f"them, each {plan.purge_rows} rows behind what it is judged by: load more history, or lower "
            "train.inner_folds"
        ) from error


def _study(plan: SearchPlan, seed: int) -> optuna.Study:
    import optuna  # noqa: PLC0415 - an optional extra, and half a second

    optuna.logging.set_verbosity(optuna.logging.WARNING)  # it announces every study on stderr
    first = min(10, max(2, plan.max_trials // 3))
    return optuna.create_study(
        direction="minimize" if plan.metric in LESS_IS_BETTER else "maximize",
        sampler=optuna.samplers.TPESampler(seed=seed, n_startup_trials=first, multivariate=False),
        pruner=optuna.pruners.MedianPruner(n_startup_trials=max(4, first)),
    )


def _try(
    study: optuna.Study, x: Floats, y: Bools, windows: Sequence[Window], plan: SearchPlan, *, seed: int
) -> Trial:
    """Ask for one choice, judge it window by window, and tell the study; a hopeless one ends early."""
    from optuna.trial import TrialState  # noqa: PLC0415 - as above

    started = plan.clock()
    asked = study.ask()
    algo = asked.suggest_categorical("algo", plan.family)
    chosen = _suggest(asked, algo)
    estimator = FAMILY[algo].make(dict(chosen), plan.is_scale)
    values: list[float] = []
    state, reason = "complete", None
    for step, window in enumerate(windows):
        try:
            value = _judge(estimator, x, y, window, plan.metric, seed=seed)
        except DataContractError as error:
            state, reason = "failed", str(error)
            break
        values += [value] if value is not None else []
        if values:
            asked.report(float(np.mean(values)), step)
        if step + 1 < len(windows) and values and asked.should_prune():
            state = "pruned"
            break
    if state == "complete" and not values:
        state, reason = "failed", f"the rows held back are of one class: they have no {plan.metric}"
    mean = float(np.mean(values)) if values else None
    states = {"complete": TrialState.COMPLETE, "pruned": TrialState.PRUNED, "failed": TrialState.FAIL}
    study.tell(asked, mean if state == "complete" else None, state=states[state])
    return Trial(asked.number, algo, chosen, mean, len(values), state, plan.clock() - started, reason)


def _suggest(trial: optuna.Trial, algo: str) -> dict[str, Any]:
    chosen: dict[str, Any] = {}
    for name, dimension in FAMILY[algo].dimensions.items():
        key = f"{algo}.{name}"
        if not isinstance(dimension, Range):
            chosen[name] = trial.suggest_categorical(key, dimension.words)
        elif dimension.whole:
            chosen[name] = trial.suggest_int(key, int(dimension.low), int(dimension.high), log=dimension.log)
        else:
            chosen[name] = trial.suggest_float(key, dimension.low, dimension.high, log=dimension.log)
    return chosen


def _judge(
    estimator: Estimator, x: Floats, y: Bools, window: Window, metric: str, *, seed: int
) -> float | None:
    """Fit on the rows behind the purge and measure the window's rows."""
    model = estimator.fit(
        x[window.train_start : window.train_end], y[window.train_start : window.train_end], seed=seed
    )
    rows = slice(window.score_start, window.score_end)
    scored = ScoredRows(
        model.predict(x[rows]),
        y[rows],
        sample_of(np.arange(window.score_start, window.score_end), trained_until=window.train_end),
    )
    value: float | None = getattr(measure(scored), metric)
    return value


def _rank(trial: Trial, metric: str) -> tuple[int, float, int]:
    """Order by state, then by worth, then by who came first."""
    worth = 0.0 if trial.value is None else trial.value
    states = ("complete", "pruned", "failed")
    return states.index(trial.state), worth if metric in LESS_IS_BETTER else -worth, trial.number
