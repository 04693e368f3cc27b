"""Every error this package raises on purpose; a foreign exception becomes one of these at the edge.

What does not belong here: handling. Retries and alert severity read the type, never the message.

    ItbError
    ├── TransientError              a later attempt may succeed            exit code 3
    │   ├── ExchangeUnavailable     network, 5xx, exchange down
    │   ├── RateLimited             429 or 418; carries retry_after_s
    │   ├── MarketBusy              another process is writing this market
    │   └── DatabaseUnavailable
    └── TerminalError               nothing changes until somebody acts    exit code 4
        ├── InputError              a wrong argument, setting or file      exit code 2
        │   ├── InvalidMarket       symbol or freq that is not one
        │   ├── ConfigError         settings or strategy; carries every problem found
        │   └── UnknownSymbol       the exchange does not list it
        ├── ExchangeRefused         a 4xx that no retry mends
        ├── ArchiveError            missing, torn or empty archive
        │   └── ChecksumMismatch    an archive file that is not the published one
        ├── DataContractError       klines, features or labels that break their contract
        ├── LookAheadError          a feature that reads the future
        ├── ModelRejected           tampered, hostile or mismatched model
        ├── ModelNotFound
        ├── StorageError            a file or table that cannot be written or read
        │   ├── StorageFull
        │   └── DatabaseRefused     a role that the database does not let in, or not do what it asks
        ├── PortInUse
        └── ProcessEnded            a server that `itb ui` started is gone
"""

from __future__ import annotations

from collections.abc import Iterable


class ItbError(Exception):
    """Root of the tree; `exit_code` is what the command line returns."""

    exit_code = 1


class TransientError(ItbError):
    """A later attempt may succeed without anybody acting."""

    exit_code = 3


class ExchangeUnavailable(TransientError):
    """The exchange did not answer, or answered 5xx."""


class RateLimited(TransientError):
    """The exchange asked for a pause (429) or banned this address for a while (418)."""

    def __init__(self, message: str, *, retry_after_s: float | None = None) -> None:
        """Keep the pause the exchange asked for, in seconds, where it named one."""
        super().__init__(message)
        self.retry_after_s = retry_after_s


class DatabaseUnavailable(TransientError):
    """The database cannot be reached or dropped the connection."""


class MarketBusy(TransientError):
    """Another process holds the write lock of this market."""


class TerminalError(ItbError):
    """The same attempt fails again until somebody changes something."""

    exit_code = 4


class InputError(TerminalError):
    """A wrong argument, setting or file; found before any work began."""

    exit_code = 2


class InvalidMarket(InputError):
    """A symbol or freq that is not one."""


class ConfigError(InputError):
    """A wrong setting or strategy; every problem found is reported at once."""

    def __init__(self, problems: Iterable[str], *, origin: str = "") -> None:
        """Join the problems, one a line, under the file or setting they were found in."""
        self.problems = tuple(problems)
        self.origin = origin
        head = f"{origin}: " if origin else ""
        count = len(self.problems)
        listed = "\n".join(f"  - {problem}" for problem in self.problems)
        super().__init__(f"{head}{count} problem{'s' if count != 1 else ''} found\n{listed}")


class UnknownSymbol(InputError):
    """The exchange does not list this symbol."""


class ExchangeRefused(TerminalError):
    """The exchange refused the request; a retry would be refused too."""


class ArchiveError(TerminalError):
    """A public archive is missing, empty, torn or does not match its checksum."""


class ChecksumMismatch(ArchiveError):
    """An archive file whose sha256 is not the published one, or that was published without."""

    def __init__(self, message: str, *, published: str, found: str, content: bytes = b"") -> None:
        """Keep both sums and the bytes found, so that they can be compared with another source."""
        super().__init__(message)
        self.published, self.found, self.content = published, found, content


class DataContractError(TerminalError):
    """Data that breaks its contract; every breach found is in the message."""


class LookAheadError(TerminalError):
    """A feature whose past values depend on rows that came later."""


class ModelRejected(TerminalError):
    """A model that was tampered with, is hostile, or does not fit what it is asked to score."""


class ModelNotFound(TerminalError):
    """No trained model at that address."""


class StorageError(TerminalError):
    """A file or table that cannot be written or read."""


class StorageFull(StorageError):
    """No space left; what was there before is untouched."""


class DatabaseRefused(StorageError):
    """The database does not let this role in, or not do what it asked; nothing is wrong with the data."""


class PortInUse(TerminalError):
    """The address to listen on is taken."""


class ProcessEnded(TerminalError):
    """A server that `itb ui` started ended by itself or did not answer."""
