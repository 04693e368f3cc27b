"""Which names a strategy may put under `generator` in `feature_sets`, and what stands behind each.

A name resolves only if it is registered: built in, or an entry point of the group `itb_assets.features` of an
installed package. No module is ever imported because a config names it.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from importlib.metadata import EntryPoint, entry_points
from types import MappingProxyType

from itb_assets.domain.features.itblib import LibGenerator
from itb_assets.domain.features.itbstats import StatsGenerator
from itb_assets.domain.features.market_state import RegimeGenerator, SpreadGenerator
from itb_assets.domain.features.steps import FeatureGenerator
from itb_assets.domain.features.talib_generator import TalibGenerator
from itb_assets.errors import ConfigError

ENTRY_POINT_GROUP = "itb_assets.features"
"""Where a package registers generators: the name, or its `module:attribute`, is what a config writes."""

BUILT_IN: Mapping[str, FeatureGenerator] = MappingProxyType(
    {
        "talib": TalibGenerator(),
        "itbstats": StatsGenerator(),
        "itblib": LibGenerator(),
        "spread": SpreadGenerator(),
        "regime": RegimeGenerator(),
    }
)
"""Generators that come with the package."""

ALIASES: Mapping[str, str] = MappingProxyType(
    {
        "common.gen_labels_aggressive:add_spread_features": "spread",
        "common.gen_labels_aggressive:add_regime_features": "regime",
    }
)
"""The legacy bot's names of built-in generators."""

REPLACED_BY: Mapping[str, str] = MappingProxyType(
    {
        "tsfresh": "itbstats (pandas_skew, pandas_kurtosis, lsbm, fmax) has the same statistics but msdc",
        "depth": "register a generator of your own for order-book columns",
        "common.gen_features_orderflow:generate_orderflow_features": (
            "register a generator of your own for order-book columns"
        ),
    }
)
"""Legacy generators that are not carried on, and what to do instead."""


@lru_cache(maxsize=1)
def registered_generators() -> Mapping[str, FeatureGenerator]:
    """Return every generator by each name a config may use: built in, legacy alias, entry point.

    Raises ConfigError when an entry point cannot be loaded, is not a FeatureGenerator or takes a name that
    is built in.
    """
    generators = dict(BUILT_IN)
    generators |= {alias: BUILT_IN[name] for alias, name in ALIASES.items()}
    problems: list[str] = []
    for point in entry_points(group=ENTRY_POINT_GROUP):
        if taken := {point.name, point.value} & generators.keys():
            problems.append(
                f"entry point {point.name} takes a name in use: {', '.join(sorted(taken))}; rename it"
            )
            continue
        try:
            generators[point.name] = generators[point.value] = _load(point)
        except ConfigError as error:
            problems += error.problems
    if problems:
        raise ConfigError(problems, origin=f"entry points {ENTRY_POINT_GROUP}")
    return MappingProxyType(generators)


def resolve(name: str, generators: Mapping[str, FeatureGenerator]) -> FeatureGenerator:
    """Return the generator of that name; raise ConfigError saying what there is, or what replaces it."""
    if name in generators:
        return generators[name]
    if name in REPLACED_BY:
        raise ConfigError([f"generator {name} is not supported: {REPLACED_BY[name]}"])
    known = ", ".join(sorted(generators))
    raise ConfigError(
        [f"generator {name} is not known: expected one of {known}, or your own under {ENTRY_POINT_GROUP}"]
    )


def _load(point: EntryPoint) -> FeatureGenerator:
    """Load what an entry point names: an instance, or a class that is made without arguments."""
    try:
        loaded = point.load()
        generator = loaded() if isinstance(loaded, type) else loaded
    except Exception as error:
        raise ConfigError(
            [f"entry point {point.name} = {point.value} cannot be loaded: {type(error).__name__}: {error}"]
        ) from error
    if not isinstance(generator, FeatureGenerator):
        raise ConfigError(
            [f"entry point {point.name} = {point.value} has no steps(spec, dialect): see FeatureGenerator"]
        )
    return generator
