"""How far a table of Dagster's was read whose rows may become visible out of order.

A number is taken before its row is committed, so a higher one may be seen first. Where it is kept belongs to
`writer`.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable
from dataclasses import dataclass

from itb_assets.errors import DataContractError

WINDOW = 1_000
"""Numbers below the highest read that are looked at again: far more than a moment's writers take."""


@dataclass(frozen=True)
class Read:
    """Everything up to `after` was read, and of what is above it `seen`."""

    after: int
    seen: frozenset[int] = frozenset()

    def with_read(self, numbers: Iterable[int], *, left: Collection[int] = (), window: int = WINDOW) -> Read:
        """Return it after these numbers were read as well, and some left for the next time.

        What is far below the highest is let go, but nothing that was left.
        """
        seen = self.seen | set(numbers)
        after = max(self.after, min([max(seen, default=self.after) - window, *(n - 1 for n in left)]))
        return Read(after, frozenset(number for number in seen if number > after))

    def to_text(self) -> str:
        """Return it as it is kept."""
        return json.dumps({"after": self.after, "seen": sorted(self.seen)}, separators=(",", ":"))

    @classmethod
    def from_text(cls, text: str) -> Read:
        """Read what `to_text` wrote; raise DataContractError for anything else."""
        try:
            values = json.loads(text)
            return cls(int(values["after"]), frozenset(map(int, values["seen"])))
        except (ValueError, TypeError, KeyError):
            raise DataContractError(
                f"cursor {text[:80]!r} of the alerts is none: expected what this project wrote; delete its "
                "row of alert_cursors to begin ten minutes back"
            ) from None
