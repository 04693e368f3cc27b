"""Turning the outputs of one function into ratios or differences of one another, percent, logarithm.

The parameters are the legacy config's; which outputs stand in the list belongs to the generators.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from pydantic import model_validator

from itb_assets.domain.features.steps import Array
from itb_assets.domain.generator_config import GeneratorConfig
from itb_assets.domain.specs import Dialect


class RelativeParameters(GeneratorConfig):
    """`parameters` of a talib or itbstats config.

    With `rel_base` next or prev an output is set against its neighbour in the list, with last or first
    against the end of the list; the base itself stays as it is.
    """

    rel_base: Literal["next", "last", "prev", "first", False, ""] | None = None
    rel_func: Literal["rel", "diff", "rel_diff", False, ""] | None = None
    percentage: bool = False
    log: bool = False

    @model_validator(mode="after")
    def _base_needs_function(self) -> RelativeParameters:
        if self.rel_base and not self.rel_func:
            raise ValueError("rel_base needs rel_func: one of rel, diff, rel_diff")
        return self

    def base_of(self, position: int, count: int, dialect: Dialect) -> int | None:
        """Position of the output that the one at `position` is set against, or None where it stays.

        In `legacy` the base "first" is the last output, as the old bot had it.
        """
        if not self.rel_base:
            return None
        at_end = position == (count - 1 if self.rel_base in {"next", "last"} else 0)
        if at_end:
            return None
        first = count - 1 if dialect == "legacy" else 0
        return {"next": position + 1, "last": count - 1, "prev": position - 1, "first": first}[self.rel_base]

    def apply(self, outputs: Sequence[Array], dialect: Dialect) -> list[Array]:
        """Return the outputs as the parameters want them; unchanged ones are passed through."""
        results = [self._against(outputs, position, dialect) for position in range(len(outputs))]
        if self.percentage:
            results = [result * 100.0 for result in results]
        return [np.log(result) for result in results] if self.log else results

    def describe(self, definitions: Sequence[dict[str, Any]], dialect: Dialect) -> list[dict[str, Any]]:
        """Add to each output's definition what `apply` does to it."""
        described = []
        for position, definition in enumerate(definitions):
            base = self.base_of(position, len(definitions), dialect)
            extra: dict[str, Any] = {}
            if base is not None:
                extra["relative"] = {"function": self.rel_func, "to": definitions[base]}
            extra |= {key: True for key in ("percentage", "log") if getattr(self, key)}
            described.append({**definition, **extra})
        return described

    def _against(self, outputs: Sequence[Array], position: int, dialect: Dialect) -> Array:
        base_position = self.base_of(position, len(outputs), dialect)
        if base_position is None:
            return outputs[position]
        output, base = outputs[position], outputs[base_position]
        if self.rel_func == "rel":
            return output / base
        if self.rel_func == "diff":
            return output - base
        return (output - base) / base
