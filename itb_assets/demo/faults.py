"""What the demo exchange can be told to do wrong, so that people and tests see how errors are met.

Doing it belongs to `api`, `zips` and `exchange`.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import Literal

RestFault = Literal["429", "418", "500", "403", "drop", "garbage", "nan", "duplicate"]
ArchiveFault = Literal[
    "checksum",  # the published sum is wrong, the file is sound
    "no_checksum",
    "truncated",  # half the file, under the sum of the whole
    "torn",  # half the file, under the sum of the half
    "empty",  # a zip whose CSV has no rows
    "no_csv",
    "nan",
    "duplicate",
    "conflict",  # two rows of one time that disagree
    "unsorted",
    "header",  # harmless: a header row, as some real files have
    "403",
    "404",
    "429",
    "500",
    "drop",
]


@dataclass
class Faults:
    """Faults to inject; may be changed while the exchange runs. As it stands, none."""

    every_429: int = 0
    """One 429 for every so many API requests; 0 for none."""
    retry_after_s: int = 1
    rest: RestFault | None = None
    """Strikes every API request but /ping."""
    archive: ArchiveFault | None = None
    archive_match: str = ""
    """Strike only archive files whose name contains this."""
    strikes: int | None = None
    """How often `rest` or `archive` strike before they stop; None for always."""
    delay_s: float = 0.0
    """Answer each request so much later."""
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def strike_rest(self) -> RestFault | None:
        """Return the fault for this API request, if any."""
        return self.rest if self.rest and self._strike() else None

    def strike_archive(self, name: str) -> ArchiveFault | None:
        """Return the fault for this archive file, if any."""
        return self.archive if self.archive and self.archive_match in name and self._strike() else None

    def _strike(self) -> bool:
        with self._lock:
            if self.strikes is None:
                return True
            self.strikes -= 1
            return self.strikes >= 0
