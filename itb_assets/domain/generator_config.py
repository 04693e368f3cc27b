"""How the config of one generator is read: into a strict pydantic model, with every mistake named at once.

What a key means belongs to the generator; where it stands in its file belongs to `domain.strategy`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from itb_assets.domain.specs import GeneratorSpec
from itb_assets.errors import ConfigError

Name = Annotated[str, Field(min_length=1)]
Number = Annotated[float, Field(allow_inf_nan=False)]
Rows = Annotated[int, Field(ge=1)]


def _listed(value: object) -> object:
    """Wrap a value that stands alone into the list it stands for."""
    return value if isinstance(value, list) else [value]


Numbers = Annotated[list[Number], Field(min_length=1), BeforeValidator(_listed)]
Names = Annotated[list[Name], Field(min_length=1)]
OneOrMoreNames = Annotated[list[Name], Field(min_length=1), BeforeValidator(_listed)]


class GeneratorConfig(BaseModel):
    """Base of every generator's config: no unknown key, no silent conversion, nothing changes later."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


ConfigT = TypeVar("ConfigT", bound=GeneratorConfig)


def read_config(spec: GeneratorSpec, model: type[ConfigT]) -> ConfigT:
    """Return `spec.config` as `model`; raise ConfigError listing every wrong, missing or unknown key."""
    try:
        return model.model_validate(_plain(spec.config))
    except ValidationError as error:
        known = ", ".join(model.model_fields)
        raise ConfigError(
            _problem(spec.generator, dict(item), known) for item in error.errors(include_url=False)
        ) from error


def input_name(spec: GeneratorSpec, column: str) -> str:
    """Name of the frame's column that `column` of the config means: `column_prefix` selects and strips."""
    return f"{spec.column_prefix}_{column}" if spec.column_prefix else column


def output_name(spec: GeneratorSpec, name: str) -> str:
    """Name under which the result `name` of the config is kept: `feature_prefix` is put before it."""
    return f"{spec.feature_prefix}_{name}" if spec.feature_prefix else name


def _problem(generator: str, error: Mapping[str, Any], known: str) -> str:
    """Say where in the config, what was expected and what was found."""
    where = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in error["loc"])
    place = f"{generator}: config{where}"
    if error["type"] == "missing":
        return f"{place} is missing; the keys of this generator are {known}"
    if error["type"] == "extra_forbidden":
        return f"{place} is not a key of this generator; its keys are {known}"
    text = str(error["msg"]).removeprefix("Value error, ")
    found = "" if error["type"] == "value_error" else f", found {error['input']!r}"
    return f"{place}: {text[:1].lower()}{text[1:]}{found}"


def _plain(value: object) -> object:
    """Frozen mappings and tuples become the dicts and lists that strict validation knows."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str | bytes):
        return [_plain(item) for item in value]
    return value
