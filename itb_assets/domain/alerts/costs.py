"""What a month in the cloud will have cost, from what was billed of it so far.

Where bills come from belongs to whoever writes them down; currencies are never added up together.
"""

from __future__ import annotations

from calendar import monthrange
from dataclasses import dataclass
from datetime import datetime

from itb_assets.errors import DataContractError

MIN_DAYS = 3.0
"""A month is not forecast from less: one bill of its first day would be taken for thirty."""


@dataclass(frozen=True)
class Spending:
    """What one month has cost up to a time, in one currency. Credits are negative, so it may fall."""

    month: str
    currency: str
    billed: float
    billed_until: datetime

    def __post_init__(self) -> None:
        """Raise DataContractError for what is no month."""
        try:
            datetime.strptime(self.month, "%Y-%m")  # noqa: DTZ007 - a month has no zone
        except ValueError:
            raise DataContractError(f"month {self.month!r}: expected one such as 2024-09") from None

    @property
    def forecast(self) -> float | None:
        """Return what the whole month will cost at the same pace; None in its first days.

        >>> from datetime import UTC
        >>> Spending("2024-09", "USD", 40.0, datetime(2024, 9, 13, tzinfo=UTC)).forecast
        100.0
        >>> Spending("2024-09", "USD", 40.0, datetime(2024, 9, 2, tzinfo=UTC)).forecast is None
        True
        """
        year, month = map(int, self.month.split("-"))
        first = self.billed_until.replace(
            year=year, month=month, day=1, hour=0, minute=0, second=0, microsecond=0
        )
        days = monthrange(year, month)[1]
        passed = min((self.billed_until - first).total_seconds() / 86_400, days)
        return self.billed * days / passed if passed >= MIN_DAYS else None
