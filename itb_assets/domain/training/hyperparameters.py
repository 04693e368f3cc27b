"""What a strategy's `algorithms` entry may ask for, by algorithm: key, type, range, default.

Fitting does not belong here, and no learning library is imported: checking a strategy must stay quick.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from itb_assets.domain.specs import AlgorithmSpec
from itb_assets.errors import ConfigError

ALGO_ALIASES = {"gb": "lgbm", "lc": "logreg"}
"""The legacy bot's names of the same algorithms."""


@dataclass(frozen=True)
class Option:
    """One key: its canonical name, its type, its inclusive range or its choices, and its default."""

    name: str
    kind: Literal["int", "float", "bool", "choice"]
    default: Any
    low: float = float("-inf")
    high: float = float("inf")
    choices: tuple[str | None, ...] = ()
    aliases: tuple[str, ...] = ()

    @property
    def expected(self) -> str:
        """Say in words what this option accepts."""
        if self.kind == "bool":
            return "true or false"
        if self.kind == "choice":
            return "one of " + ", ".join("null" if c is None else repr(c) for c in self.choices)
        noun = "a whole number" if self.kind == "int" else "a number"
        limits = [f"at least {self.low:g}"] if self.low > float("-inf") else []
        limits += [f"at most {self.high:g}"] if self.high < float("inf") else []
        return " ".join([noun, " and ".join(limits)]).strip()

    def accepts(self, value: object) -> bool:
        """Tell whether `value` has the type and lies in the range."""
        if self.kind == "choice":
            return (value is None or isinstance(value, str)) and value in self.choices
        if self.kind == "bool":
            return isinstance(value, bool)
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            return False
        whole = self.kind == "float" or float(value).is_integer()
        return whole and self.low <= value <= self.high

    def convert(self, value: Any) -> Any:  # noqa: ANN401 - a JSON value, typed by `kind`
        """Return an accepted value in the type of this option."""
        return {"int": int, "float": float}[self.kind](value) if self.kind in ("int", "float") else value


_POSITIVE = 1e-12
_SEED = Option("random_state", "int", None, low=0, high=2**31 - 1, aliases=("seed",))
_BALANCE = Option("class_weight", "choice", None, choices=(None, "balanced"))

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
    Option("objective", "choice", "binary", choices=("binary", "cross_entropy")),
    Option("boosting_type", "choice", "gbdt", choices=("gbdt",), aliases=("boosting",)),
    Option("is_unbalance", "bool", False),  # noqa: FBT003 - a default value, not a flag
    _BALANCE,
    _SEED,
)
"""As the legacy bot: `subsample` has no effect unless `subsample_freq` is above 0 (a rule of LightGBM)."""

LOGREG_OPTIONS = (
    Option("C", "float", 1.0, low=_POSITIVE),
    Option("penalty", "choice", "l2", choices=("l2", "l1", "elasticnet", "none", None)),
    Option("l1_ratio", "float", 0.5, low=0, high=1),
    Option(
        "solver",
        "choice",
        "lbfgs",
        choices=("lbfgs", "liblinear", "newton-cg", "newton-cholesky", "sag", "saga"),
    ),
    Option("max_iter", "int", 100, low=1),
    Option("tol", "float", 1e-4, low=_POSITIVE),
    Option("fit_intercept", "bool", True),  # noqa: FBT003 - a default value, not a flag
    _BALANCE,
    _SEED,
)

OPTIONS: dict[str, tuple[Option, ...]] = {"lgbm": LGBM_OPTIONS, "logreg": LOGREG_OPTIONS}
"""The keys of `train`, by algorithm."""

_WITHOUT_EFFECT = frozenset({"metric", "verbose", "verbosity", "n_jobs", "num_threads"})
"""Accepted, as legacy configs carry them, and dropped: they change no prediction."""

PARAMS = (
    Option("is_scale", "bool", None),
    Option("length", "int", 0, low=0),
    Option("every_nth_row", "int", 1, low=1),
    Option("is_regression", "bool", False),  # noqa: FBT003 - a default value, not a flag
)
"""The keys of `params`, the same for every algorithm; `length` 0 means no limit."""

_L1_SOLVERS = {
    "l1": ("liblinear", "saga"),
    "elasticnet": ("saga",),
    "none": ("lbfgs", "newton-cg", "newton-cholesky", "sag", "saga"),
}


def canonical_algo(algo: str) -> str:
    """Return the registry's name of `algo`, a legacy alias resolved; raise ConfigError if unknown."""
    name = ALGO_ALIASES.get(algo, algo)
    if name not in OPTIONS:
        raise ConfigError([_unknown_algo(algo)])
    return name


def algorithm_problems(spec: AlgorithmSpec) -> tuple[str, ...]:
    """List everything wrong with one `algorithms` entry; empty if it can be trained."""
    name = ALGO_ALIASES.get(spec.algo, spec.algo)
    if name not in OPTIONS:
        return (_unknown_algo(spec.algo),)
    train, problems = _read(spec.train, OPTIONS[name], where="train", dropped=_WITHOUT_EFFECT)
    params, more = _read(spec.params, PARAMS, where="params")
    problems += more
    if params["is_regression"]:
        problems.append("params.is_regression is true: only classification is trained; remove it")
    if name == "lgbm" and train["is_unbalance"] and train["class_weight"]:
        problems.append("train has both is_unbalance and class_weight: keep one, they mean the same")
    if name == "logreg":
        penalty = train["penalty"] or "none"
        solvers = _L1_SOLVERS.get(penalty)
        if solvers and train["solver"] not in solvers:
            problems.append(
                f"train.solver {train['solver']!r} cannot do penalty {penalty!r}: "
                f"expected one of {', '.join(solvers)}"
            )
    return tuple(problems)


def read_algorithm(spec: AlgorithmSpec) -> tuple[str, dict[str, Any], dict[str, Any]]:
    """Return (algo, train, params), aliases resolved, defaults filled; ConfigError lists all problems."""
    problems = algorithm_problems(spec)
    if problems:
        raise ConfigError(problems, origin=f"algorithm {spec.name!r}")
    name = canonical_algo(spec.algo)
    train, _ = _read(spec.train, OPTIONS[name], where="train", dropped=_WITHOUT_EFFECT)
    params, _ = _read(spec.params, PARAMS, where="params")
    return name, train, params


def _unknown_algo(algo: str) -> str:
    known = ", ".join(f"{name} (alias {alias})" for alias, name in ALGO_ALIASES.items())
    return f"algo {algo!r} is not known: expected one of {known}"


def _read(
    given: Mapping[str, Any],
    options: Sequence[Option],
    *,
    where: str,
    dropped: frozenset[str] = frozenset(),
) -> tuple[dict[str, Any], list[str]]:
    """Resolve aliases, convert and fill defaults; every breach becomes one problem."""
    by_key = {key: option for option in options for key in (option.name, *option.aliases)}
    values = {option.name: option.default for option in options}
    problems: list[str] = []
    seen: dict[str, str] = {}
    for key, value in given.items():
        if key in dropped:
            continue
        option = by_key.get(key)
        if option is None:
            known = ", ".join(option.name for option in options)
            problems.append(f"{where}.{key} is not known: expected one of {known}")
        elif option.name in seen:
            problems.append(f"{where}.{key} and {where}.{seen[option.name]} are the same setting: keep one")
        elif not option.accepts(value):
            problems.append(f"{where}.{key} is {value!r}: expected {option.expected}")
        else:
            values[option.name] = option.convert(value)
        if option is not None:
            seen.setdefault(option.name, key)
    return values, problems
