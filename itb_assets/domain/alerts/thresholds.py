"""When a measured value is beyond its threshold, and when it has come back far enough to be called over.

What is measured belongs to the rules; who is told belongs to `incidents`.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from itb_assets.errors import InputError

Direction = Literal["above", "below"]
"""On which side of its threshold a value is bad."""


@dataclass(frozen=True)
class Bound:
    """A threshold, and how far a value has to come back before what was wrong is over.

    A value at the threshold is still good. Between `clear` and the threshold nothing changes, so that a value
    that trembles around the threshold opens one incident and not twenty.
    """

    threshold: float
    clear: float
    direction: Direction = "above"

    def __post_init__(self) -> None:
        """Raise InputError for a `clear` on the bad side of the threshold."""
        if self._beyond(self.clear, self.threshold):
            side = "at most" if self.direction == "above" else "at least"
            raise InputError(f"clear = {self.clear:g}: expected {side} the threshold, {self.threshold:g}")

    def fires(self, value: float, *, firing: bool) -> bool:
        """Tell whether the value is bad, given whether it was at the look before; NaN changes nothing.

        >>> loss = Bound(threshold=5.0, clear=4.5)
        >>> [loss.fires(value, firing=False) for value in (4.9, 5.0, 5.1)]
        [False, False, True]
        >>> [loss.fires(value, firing=True) for value in (4.9, 4.5, 4.4)]
        [True, False, False]
        """
        if value != value:  # noqa: PLR0124 - NaN
            return firing
        return self._beyond(value, self.clear if firing else self.threshold)

    def _beyond(self, value: float, limit: float) -> bool:
        return value > limit if self.direction == "above" else value < limit


def share_pct(part: float, whole: float) -> float:
    """Return a part in per cent of a whole; raise InputError unless the whole is above zero.

    >>> share_pct(52.5, 1_000)
    5.25
    """
    if not whole > 0:
        raise InputError(f"{whole:g}: expected an amount above 0 to take a share of")
    return 100.0 * part / whole


def loss_pct(pnl: float, capital: float) -> float:
    """Return what was lost, in per cent of the capital; 0 of a profit.

    >>> loss_pct(-520.0, 10_000), loss_pct(80.0, 10_000)
    (5.2, 0.0)
    """
    return share_pct(max(-pnl, 0.0), capital)


def age_s(then: datetime, now: datetime) -> float:
    """Return how long ago something was, in seconds; 0 of what a clock ahead of ours calls later.

    >>> from datetime import UTC
    >>> age_s(datetime(2024, 9, 1, tzinfo=UTC), datetime(2024, 9, 1, 0, 2, tzinfo=UTC))
    120.0
    """
    return max((now - then).total_seconds(), 0.0)


def lateness_s(newest_open: datetime, freq_s: float, now: datetime) -> float:
    """Return how long ago the newest stored kline closed, in seconds: up to one freq is as new as can be.

    >>> from datetime import UTC
    >>> lateness_s(datetime(2024, 9, 1, tzinfo=UTC), 300, datetime(2024, 9, 1, 0, 20, tzinfo=UTC))
    900.0
    """
    return max((now - newest_open).total_seconds() - freq_s, 0.0)
