"""Strategies side by side: one name may not mean two things in one set of frames and tables.

What is wrong within one strategy was found when it was loaded.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from itb_assets.domain.strategy.strategy import Strategy
from itb_assets.errors import ConfigError


def check_strategies(strategies: Sequence[Strategy]) -> None:
    """Raise ConfigError when two variants share a name or define one feature or label differently."""
    from itb_assets.domain.features import compile_features  # noqa: PLC0415 - they build on this package's rooms
    from itb_assets.domain.labels import compile_labels  # noqa: PLC0415 - as above

    problems: list[str] = []
    variants: dict[str, str] = {}
    features: dict[str, tuple[str, str]] = {}
    labels: dict[str, tuple[str, str]] = {}
    for item in strategies:
        if item.variant in variants:
            problems.append(f"variant {item.variant!r} comes from {variants[item.variant]} and {item.origin}")
            continue
        variants[item.variant] = item.origin
        of_features = compile_features(item.feature_sets, dialect=item.dialect).definitions
        of_labels = compile_labels(item.label_sets, dialect=item.dialect).definitions
        problems += _differing("feature", item.variant, of_features, features)
        problems += _differing("label", item.variant, of_labels, labels)
    problems += [
        f"{name!r} is a feature in variant {features[name][0]!r} and a label in variant {labels[name][0]!r}: "
        "rename one of them"
        for name in features
        if name in labels
    ]
    if problems:
        raise ConfigError(problems, origin="strategies")


def _differing(
    noun: str, variant: str, definitions: Mapping[str, str], known: dict[str, tuple[str, str]]
) -> Iterator[str]:
    for name, definition in definitions.items():
        other, defined = known.setdefault(name, (variant, definition))
        if defined != definition:
            here, there = f"variant {variant!r}", f"variant {other!r}"
            yield f"{noun} {name!r} means {defined} in {there} and {definition} in {here}: rename one of them"
