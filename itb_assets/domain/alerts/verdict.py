"""The words in which a decision is given: whether to tell, as what, and why or why not.

How it comes about belongs to `decision`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Kind = Literal["opened", "repeated", "resolved", "report", "test", "alive"]
Why = Literal[
    "new",
    "unsaid",
    "worse",
    "repeat",
    "flapping",
    "over",
    "settled",
    "gone",
    "silenced",
    "inhibited",
    "acknowledged",
    "too soon",
    "too old",
    "never told",
    "not open",
    "told already",
    "no channel",
]


@dataclass(frozen=True)
class Verdict:
    """Whether to tell, as what, and why or why not. `why` of a muted one may name what mutes it in `by`."""

    notify: bool
    why: Why
    kind: Kind = "opened"
    by: str = ""

    @property
    def flapping(self) -> bool:
        """Whether this is the notice that it comes and goes."""
        return self.notify and self.why == "flapping"
