"""The algorithm that chooses an algorithm: a search inside the training rows, then one fit of the winner.

How it searches belongs to `automl_search`, among what to `automl_family`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from itb_assets.domain.training.automl_search import SearchPlan, Trial, search
from itb_assets.domain.training.lgbm import LgbmModel, load_lgbm
from itb_assets.domain.training.logreg import load_logreg
from itb_assets.domain.training.nn import load_nn
from itb_assets.domain.training.protocol import (
    Bools,
    FitContext,
    FittedModel,
    Floats,
    check_training_rows,
    payload_field,
)
from itb_assets.errors import ModelRejected

ALGO = "automl"

_LOADERS: Mapping[str, Callable[[Mapping[str, Any]], FittedModel]] = {
    "lgbm": load_lgbm,
    "logreg": load_logreg,
    "nn": load_nn,
}


@dataclass(frozen=True)
class AutomlEstimator:
    """A search with the settings of one strategy entry, defaults filled in.

    `max_trials` decides how long it searches. `time_budget_s` is a cap in CPU seconds of the searching thread
    (`clock`), which other programs on the machine do not use up, shared alike by the `context.n_fits`
    searches of a label; it is looked at between trials: a search runs over by one trial and the winner's fit.
    """

    train: Mapping[str, Any]
    is_scale: bool = True
    context: FitContext = field(default_factory=FitContext)
    clock: Callable[[], float] = time.thread_time

    @property
    def algo(self) -> str:
        """The registry's name of the algorithm."""
        return ALGO

    def hyperparameters(self, seed: int) -> dict[str, Any]:
        """Return the settings of the search; a `random_state` in the strategy wins over `seed`."""
        own_seed = self.train["random_state"]
        return {
            **self.train,
            "family": list(self.train["family"]),
            "is_scale": self.is_scale,
            "purge_rows": self.context.purge_rows,
            "random_state": seed if own_seed is None else own_seed,
        }

    def fit_many(self, x: Floats, labels: Sequence[Bools], *, seed: int) -> tuple[AutomlModel, ...]:
        """Search for one label after the other."""
        return tuple(self.fit(x, y, seed=seed) for y in labels)

    def fit(self, x: Floats, y: Bools, *, seed: int) -> AutomlModel:
        """Search within these rows and fit the winner on all of them; DataContractError on too few rows."""
        check_training_rows(x, y)
        seed = self.hyperparameters(seed)["random_state"]
        plan = self._plan()
        trials = search(x, y, plan, seed=seed)
        best = trials[0]
        return AutomlModel(
            model=best.estimator(plan).fit(x, y, seed=seed),
            choice=best.algo,
            chosen=dict(best.chosen),
            leaderboard=tuple(_entry(rank, trial, plan.metric) for rank, trial in enumerate(trials, 1)),
            missed_trials=plan.max_trials - len(trials),
        )

    def _plan(self) -> SearchPlan:
        budget = self.train["time_budget_s"]
        return SearchPlan(
            family=tuple(self.train["family"]),
            metric=self.train["metric"],
            max_trials=self.train["max_trials"],
            seconds=None if budget is None else budget / self.context.n_fits,
            inner_folds=self.train["inner_folds"],
            purge_rows=self.context.purge_rows,
            is_scale=self.is_scale,
            clock=self.clock,
        )


@dataclass(frozen=True, eq=False)
class AutomlModel:
    """The winner of a search; the leaderboard and `missed_trials` are not kept in the payload."""

    model: FittedModel
    choice: str
    chosen: dict[str, Any]
    leaderboard: tuple[dict[str, Any], ...] = ()
    missed_trials: int = 0

    @property
    def algo(self) -> str:
        """The registry's name of the algorithm."""
        return ALGO

    @property
    def n_features(self) -> int:
        """How many columns `predict` expects."""
        return self.model.n_features

    @property
    def note(self) -> str | None:
        """Whether the winner ignores its inputs, and whether time ended the search.

        A winner that stopped before it converged was judged as it stopped: no word of that.
        """
        notes = [self.model.note] if isinstance(self.model, LgbmModel) and self.model.note else []
        if self.missed_trials:
            done = len(self.leaderboard)
            notes.append(
                f"time_budget_s ended the search after {done} of {done + self.missed_trials} trials: another "
                "run may end it elsewhere and score differently; raise time_budget_s or lower max_trials"
            )
        return "; ".join(notes) or None

    def predict(self, x: Floats, *, threads: int = 1) -> Floats:
        """Return one probability a row, NaN for a row with an unknown feature."""
        return self.model.predict(x, threads=threads)

    def to_payload(self) -> dict[str, Any]:
        """Return what was chosen beside the winner's own payload."""
        return {
            "algo": ALGO,
            "choice": self.choice,
            "chosen": dict(self.chosen),
            "model": self.model.to_payload(),
        }

    def feature_importance(self) -> Floats:
        """Return the winner's."""
        return self.model.feature_importance()


def load_automl(payload: Mapping[str, Any]) -> AutomlModel:
    """Rebuild a winner from its payload; ModelRejected if it is not one of the family."""
    inner = payload_field(payload, "model", dict)
    algo = inner.get("algo")
    if not isinstance(algo, str) or algo not in _LOADERS:
        raise ModelRejected(
            f"automl payload holds a model of algo {algo!r}: expected one of {', '.join(_LOADERS)}; "
            "train again"
        )
    return AutomlModel(
        model=_LOADERS[algo](inner),
        choice=payload_field(payload, "choice", str),
        chosen=payload_field(payload, "chosen", dict),
    )


def _entry(rank: int, trial: Trial, metric: str) -> dict[str, Any]:
    """Describe a trial as plain data."""
    return {
        "rank": rank,
        "trial": trial.number,
        "algo": trial.algo,
        "params": dict(trial.chosen),
        "metric": metric,
        "value": trial.value,
        "windows": trial.windows,
        "state": trial.state,
        "seconds": round(trial.seconds, 3),
        **({"reason": trial.reason} if trial.reason else {}),
    }
