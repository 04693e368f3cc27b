"""Which label generators there are, by the names configs use for them.

A `module:function` of a config is a name like any other here: nothing is imported because a file says so.
"""

from __future__ import annotations

from collections.abc import Callable

from itb_assets.domain.labels.crossing import parse_aggressive, parse_crossing
from itb_assets.domain.labels.group import LabelGroup
from itb_assets.domain.labels.highlow import parse_highlow
from itb_assets.domain.labels.topbot import parse_topbot, parse_topbot2
from itb_assets.domain.specs import GeneratorSpec
from itb_assets.errors import ConfigError

_PARSERS: dict[str, Callable[[GeneratorSpec], LabelGroup]] = {
    "highlow": parse_highlow,
    "highlow2": parse_crossing,
    "topbot": parse_topbot,
    "topbot2": parse_topbot2,
    "common.gen_labels_aggressive:generate_labels_aggressive": parse_aggressive,
}


def generator_names() -> tuple[str, ...]:
    """Return the names that `generator` may have in label_sets."""
    return tuple(_PARSERS)


def parse(spec: GeneratorSpec) -> LabelGroup:
    """Return the labels that one entry of label_sets asks for; raise ConfigError listing every mistake."""
    parser = _PARSERS.get(spec.generator)
    if parser is None:
        raise ConfigError(
            [f"label generator {spec.generator!r} is not known; use one of {', '.join(_PARSERS)}"]
        )
    return parser(spec)


def output_names(spec: GeneratorSpec) -> tuple[str, ...]:
    """Return the label columns of one entry of label_sets; raise ConfigError listing every mistake."""
    return parse(spec).names
