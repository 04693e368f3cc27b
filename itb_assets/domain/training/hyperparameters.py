"""What a strategy's `algorithms` entry asks for: aliases resolved, defaults filled, every mistake named.

Which keys there are belongs to `options`. No learning library is imported: checking a strategy stays quick.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from importlib.util import find_spec
from typing import Any

from itb_assets.domain.specs import AlgorithmSpec
from itb_assets.domain.training.options import (
    ALGO_ALIASES,
    OPTIONS,
    WITHOUT_EFFECT,
    Option,
    params_options,
)
from itb_assets.errors import ConfigError

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
    """List everything wrong with one `algorithms` entry; empty if it can be trained here."""
    name = ALGO_ALIASES.get(spec.algo, spec.algo)
    if name not in OPTIONS:
        return (_unknown_algo(spec.algo),)
    _, _, problems = _read_entry(name, spec)
    return tuple(problems)


def read_algorithm(spec: AlgorithmSpec) -> tuple[str, dict[str, Any], dict[str, Any]]:
    """Return (algo, train, params), aliases resolved, defaults filled; ConfigError lists all problems."""
    problems = algorithm_problems(spec)
    if problems:
        raise ConfigError(problems, origin=f"algorithm {spec.name!r}")
    name = canonical_algo(spec.algo)
    train, params, _ = _read_entry(name, spec)
    return name, train, params


def default_train(algo: str) -> dict[str, Any]:
    """Return every key of `train` at its default; `algo` is a canonical name."""
    return {option.name: option.default for option in OPTIONS[algo]}


def _read_entry(algo: str, spec: AlgorithmSpec) -> tuple[dict[str, Any], dict[str, Any], list[str]]:
    train, problems = _read(spec.train, OPTIONS[algo], where="train", dropped=WITHOUT_EFFECT[algo])
    params, more = _read(spec.params, params_options(algo), where="params")
    problems += more
    if params["is_regression"]:
        problems.append("params.is_regression is true: only classification is trained; remove it")
    problems += _CHECKS[algo](train, params)
    return train, params, problems


def _lgbm_problems(train: dict[str, Any], _params: dict[str, Any]) -> Iterable[str]:
    if train["is_unbalance"] and train["class_weight"]:
        yield "train has both is_unbalance and class_weight: keep one, they mean the same"


def _logreg_problems(train: dict[str, Any], _params: dict[str, Any]) -> Iterable[str]:
    penalty = train["penalty"] or "none"
    solvers = _L1_SOLVERS.get(penalty)
    if solvers and train["solver"] not in solvers:
        yield (
            f"train.solver {train['solver']!r} cannot do penalty {penalty!r}: "
            f"expected one of {', '.join(solvers)}"
        )


def _nn_problems(train: dict[str, Any], params: dict[str, Any]) -> Iterable[str]:
    """Move the legacy bot's `params.layers` to where this project keeps it."""
    layers = params.pop("layers")
    if layers is not None and train["hidden_layer_sizes"] is not None:
        yield "params.layers and train.hidden_layer_sizes are the same setting: keep one"
    elif layers is not None:
        train["hidden_layer_sizes"] = layers


def _automl_problems(_train: dict[str, Any], _params: dict[str, Any]) -> Iterable[str]:
    if find_spec("optuna") is None:
        yield (
            "algo 'automl' needs the extra `automl`, which is not installed: "
            "run pip install 'itb_assets[automl]'"
        )


def _no_problems(_train: dict[str, Any], _params: dict[str, Any]) -> Iterable[str]:
    return ()


_CHECKS = {
    "lgbm": _lgbm_problems,
    "logreg": _logreg_problems,
    "svc": _no_problems,
    "nn": _nn_problems,
    "automl": _automl_problems,
}


def _unknown_algo(algo: str) -> str:
    aliases = {name: f" (alias {alias})" for alias, name in ALGO_ALIASES.items()}
    known = ", ".join(f"{name}{aliases.get(name, '')}" for name in OPTIONS)
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
        option = by_key.get(key)
        if option is None and key in dropped:
            continue
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
