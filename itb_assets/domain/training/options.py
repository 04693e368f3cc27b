"""The keys of a strategy's `algorithms` entry, by algorithm: name, type, range, default.

Reading an entry belongs to `hyperparameters`, fitting to the algorithm's own module.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Literal


@dataclass(frozen=True)
class Option:
    """One key: canonical name, type, inclusive range, default, and the words it takes.

    A `choice` takes one of `words`, `choices` a list of different ones, `ints` one whole number or a list of
    them; a number takes any of `words` besides.
    """

    name: str
    kind: Literal["int", "float", "bool", "choice", "choices", "ints"]
    default: Any
    low: float = float("-inf")
    high: float = float("inf")
    words: tuple[str | None, ...] = ()
    aliases: tuple[str, ...] = ()

    @property
    def expected(self) -> str:
        """Say in words what this option accepts."""
        words = ", ".join("null" if word is None else repr(word) for word in self.words)
        if self.kind in ("choice", "choices"):
            return f"{'one' if self.kind == 'choice' else 'a list of some'} of {words}"
        if self.kind == "bool":
            return "true or false"
        noun = {"int": "a whole number", "float": "a number", "ints": "a list of whole numbers, each"}[
            self.kind
        ]
        limits = [f"at least {self.low:g}"] if self.low > float("-inf") else []
        limits += [f"at most {self.high:g}"] if self.high < float("inf") else []
        said = " ".join([noun, " and ".join(limits)]).strip()
        return f"{said}, or {words}" if words else said

    def accepts(self, value: object) -> bool:
        """Tell whether `value` has the type and lies in the range."""
        if self.kind == "choices":
            return isinstance(value, list) and bool(value) and self._are_different_words(value)
        if self.kind == "ints":
            values = value if isinstance(value, list) else [value]
            return bool(values) and all(self._is_number(item) for item in values)
        if self.kind == "bool":
            return isinstance(value, bool)
        if (value is None or isinstance(value, str)) and value in self.words:
            return True
        return self.kind != "choice" and self._is_number(value)

    def convert(self, value: Any) -> Any:  # noqa: ANN401 - a JSON value, typed by `kind`
        """Return an accepted value in the type of this option."""
        if self.kind == "ints":
            return [int(item) for item in (value if isinstance(value, list) else [value])]
        if self.kind in ("int", "float") and value not in self.words:
            return int(value) if self.kind == "int" else float(value)
        return value

    def _is_number(self, value: object) -> bool:
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            return False
        whole = self.kind == "float" or float(value).is_integer()
        return whole and self.low <= value <= self.high

    def _are_different_words(self, values: list[Any]) -> bool:
        return all(isinstance(item, str) and item in self.words for item in values) and len(values) == len(
            set(values)
        )


ALGO_ALIASES = {"gb": "lgbm", "lc": "logreg"}
"""The legacy bot's names of the same algorithms."""

_POSITIVE = 1e-12
_SEED = Option("random_state", "int", None, low=0, high=2**31 - 1, aliases=("seed",))
_BALANCE = Option("class_weight", "choice", None, words=(None, "balanced"))

LGBM_OPTIONS = (
    Option("n_estimators", "int", 100, low=1, aliases=("num_boost_round", "num_iterations")),
    Option("num_leaves", "int", 31, low=2, high=131_072),
    Option("learning_rate", "float", 0.05, low=_POSITIVE, aliases=("eta",)),
    Option("max_depth", "int", -1, low=-1),
    Option("min_child_samples", "int", 20, low=0, aliases=("min_data_in_leaf",)),
    Option("min_child_weight", "float", 1e-3, low=0, aliases=("min_sum_hessian_in_leaf",)),
    Option("min_split_gain", "float", 0.0, low=0, aliases=("min_gain_to_split",)),
    Option("subsample", "float", 1.0, low=_POSITIVE, high=1, aliases=("bagging_fraction",)),
    Option("subsample_freq", "int", 0, low=0, aliases=("bagging_freq",)),
    Option("colsample_bytree", "float", 1.0, low=_POSITIVE, high=1, aliases=("feature_fraction",)),
    Option("reg_alpha", "float", 0.0, low=0, aliases=("lambda_l1",)),
    Option("reg_lambda", "float", 0.0, low=0, aliases=("lambda_l2",)),
    Option("max_bin", "int", 255, low=2),
    Option("objective", "choice", "binary", words=("binary", "cross_entropy")),
    Option("boosting_type", "choice", "gbdt", words=("gbdt",), aliases=("boosting",)),
    Option("is_unbalance", "bool", False),  # noqa: FBT003 - a default value, not a flag
    _BALANCE,
    _SEED,
)
"""As the legacy bot: `subsample` has no effect unless `subsample_freq` is above 0 (a rule of LightGBM)."""

LOGREG_OPTIONS = (
    Option("C", "float", 1.0, low=_POSITIVE),
    Option("penalty", "choice", "l2", words=("l2", "l1", "elasticnet", "none", None)),
    Option("l1_ratio", "float", 0.5, low=0, high=1),
    Option(
        "solver",
        "choice",
        "lbfgs",
        words=("lbfgs", "liblinear", "newton-cg", "newton-cholesky", "sag", "saga"),
    ),
    Option("max_iter", "int", 100, low=1),
    Option("tol", "float", 1e-4, low=_POSITIVE),
    Option("fit_intercept", "bool", True),  # noqa: FBT003 - a default value, not a flag
    _BALANCE,
    _SEED,
)

SVC_OPTIONS = (
    Option("C", "float", 1.0, low=_POSITIVE),
    Option("kernel", "choice", "rbf", words=("rbf", "linear", "poly", "sigmoid")),
    Option("gamma", "float", "scale", low=_POSITIVE, words=("scale", "auto")),
    Option("degree", "int", 3, low=1),
    Option("coef0", "float", 0.0),
    Option("shrinking", "bool", True),  # noqa: FBT003 - a default value, not a flag
    Option("tol", "float", 1e-3, low=_POSITIVE),
    Option("max_iter", "int", -1, low=-1),
    Option("cache_size", "float", 200.0, low=1),
    Option("calibration_folds", "int", 5, low=2),
    _BALANCE,
    _SEED,
)
"""`cache_size` in MB a fit; `random_state` is accepted without effect: nothing in the fit is drawn."""

NN_OPTIONS = (
    Option("hidden_layer_sizes", "ints", None, low=1, high=100_000, aliases=("layers",)),
    Option("activation", "choice", "logistic", words=("logistic", "tanh", "relu", "identity")),
    Option("solver", "choice", "adam", words=("adam", "sgd")),
    Option("learning_rate_init", "float", 1e-3, low=_POSITIVE, aliases=("learning_rate",)),
    Option("max_iter", "int", 100, low=1, aliases=("n_epochs", "epochs")),
    Option("batch_size", "int", 200, low=1, aliases=("bs",)),
    Option("alpha", "float", 1e-4, low=0),
    Option("tol", "float", 1e-5, low=0),
    Option("n_iter_no_change", "int", 5, low=1),
    _SEED,
)
"""As the legacy bot: one hidden layer of a quarter of the features, sigmoids, Adam, patience of 5 epochs."""

AUTOML_FAMILY = ("lgbm", "extra_trees", "logreg", "nn")
"""What an automl search may choose from."""

AUTOML_OPTIONS = (
    Option("family", "choices", AUTOML_FAMILY, words=AUTOML_FAMILY),
    Option("metric", "choice", "auc", words=("auc", "average_precision", "log_loss", "brier")),
    Option("max_trials", "int", 30, low=1),
    Option("time_budget_s", "float", 600.0, low=_POSITIVE, words=(None,), aliases=("time_budget",)),
    Option("inner_folds", "int", 3, low=1),
    _SEED,
)
"""`time_budget_s` is CPU seconds for all the searches of one label's training; null for no limit."""

OPTIONS: Mapping[str, tuple[Option, ...]] = MappingProxyType(
    {
        "lgbm": LGBM_OPTIONS,
        "logreg": LOGREG_OPTIONS,
        "svc": SVC_OPTIONS,
        "nn": NN_OPTIONS,
        "automl": AUTOML_OPTIONS,
    }
)
"""The keys of `train`, by algorithm."""

_EVERYWHERE = frozenset({"metric", "verbose", "verbosity", "n_jobs", "num_threads"})
WITHOUT_EFFECT = {algo: _EVERYWHERE | ({"probability"} if algo == "svc" else set()) for algo in OPTIONS}
"""Accepted where the algorithm has no such option, as legacy configs carry them, and dropped."""

SVC_LENGTH = 10_000
"""Rows a support vector machine is fitted on unless `params.length` says otherwise: its time grows with the
square of the rows, about 5 CPU-seconds a fit at this length and 2 minutes at 50,000."""


def params_options(algo: str) -> tuple[Option, ...]:
    """Return the keys of `params`; `length` 0 means no limit."""
    return (
        Option("is_scale", "bool", None),
        Option("length", "int", SVC_LENGTH if algo == "svc" else 0, low=0),
        Option("every_nth_row", "int", 1, low=1),
        Option("is_regression", "bool", False),  # noqa: FBT003 - a default value, not a flag
        *((Option("layers", "ints", None, low=1, high=100_000),) if algo == "nn" else ()),
    )
