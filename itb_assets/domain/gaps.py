"""Gaps in klines: which are missing, why as far as the klines tell, and a catalogue that remembers.

Filling a gap does not belong here, and nowhere else either: late klines come from the exchange or not at all.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Literal, get_args

import numpy as np
import pandas as pd

from itb_assets.domain.klines import NS_PER_MS, open_times_ns, utc_times
from itb_assets.domain.markets import Market
from itb_assets.errors import DataContractError

Reason = Literal["exchange_outage", "unknown"]
"""`exchange_outage`: the kline before the gap closed early or saw no trade."""
State = Literal["open", "closed"]
"""`closed`: late klines came in where these were missing."""

GAP_COLUMNS = ("timestamp", "volume", "close_time")
"""The columns of klines that gaps are found in."""

_TIMES = ("first_missing", "last_missing", "first_seen", "last_seen", "closed_at")


@dataclass(frozen=True)
class Gap:
    """A run of missing klines, named by the open times of the first and the last of them."""

    first_missing: pd.Timestamp
    last_missing: pd.Timestamp
    missing_rows: int
    reason: Reason = "unknown"
    sightings: int = 0
    first_seen: pd.Timestamp | None = None
    last_seen: pd.Timestamp | None = None
    state: State = "open"
    closed_at: pd.Timestamp | None = None

    @property
    def step(self) -> pd.Timedelta:
        """Time from one missing kline to the next; zero when only one is missing."""
        span: pd.Timedelta = self.last_missing - self.first_missing
        return span // max(self.missing_rows - 1, 1)

    def overlaps(self, other: Gap) -> bool:
        """Tell whether at least one kline is missing in both."""
        return self.first_missing <= other.last_missing and other.first_missing <= self.last_missing


def find_gaps(klines: pd.DataFrame, market: Market) -> tuple[Gap, ...]:
    """Return every gap between the first and the last kline, oldest first, not yet seen by any catalogue.

    `klines` keeps the kline contract; of its columns only GAP_COLUMNS are needed.
    """
    times = open_times_ns(klines)
    step = market.freq_ms * NS_PER_MS
    before = np.flatnonzero(np.diff(times) > step)
    full_length = klines["close_time"].to_numpy()[before] - times[before] // NS_PER_MS >= market.freq_ms - 1
    evidence = ~full_length | (klines["volume"].to_numpy()[before] == 0)
    first, last = utc_times(times[before] + step), utc_times(times[before + 1] - step)
    rows = (times[before + 1] - times[before]) // step - 1
    return tuple(
        Gap(first[i], last[i], int(rows[i]), "exchange_outage" if evidence[i] else "unknown")
        for i in range(len(before))
    )


def merge_catalogue(known: Iterable[Gap], found: Sequence[Gap], seen_at: pd.Timestamp) -> tuple[Gap, ...]:
    """Bring the catalogue up to date with all gaps found at `seen_at`; the result has one fixed order.

    A gap still there is sighted once more (once for each `seen_at`). What is no longer missing is
    closed: the whole gap, or the part of it that late klines replaced, while the rest stays open with
    its history. Closed gaps are kept; one that opens again is a new entry.
    """
    known = tuple(known)
    still_open = [gap for gap in known if gap.state == "open"]
    result = [gap for gap in known if gap.state == "closed"]
    result += [_sighted(gap, [old for old in still_open if old.overlaps(gap)], seen_at) for gap in found]
    for old in still_open:
        result += _filled_parts(old, [gap for gap in found if gap.overlaps(old)], seen_at)
    return tuple(sorted(result, key=_order))


def gaps_to_json(gaps: Iterable[Gap]) -> str:
    """Write the catalogue as JSON text, one object a gap, times in ISO 8601 with their offset."""
    rows = [
        {name: value.isoformat() if isinstance(value, pd.Timestamp) else value for name, value in row.items()}
        for row in map(asdict, gaps)
    ]
    return json.dumps({"gaps": rows}, indent=2) + "\n"


def gaps_from_json(text: str) -> tuple[Gap, ...]:
    """Read what `gaps_to_json` wrote; raise DataContractError when the text is anything else."""
    try:
        return tuple(_gap_from(dict(row)) for row in json.loads(text)["gaps"])
    except (ValueError, TypeError, KeyError) as error:
        raise DataContractError(
            f"the gap catalogue cannot be read ({type(error).__name__}: {error}); expected the JSON that "
            "this program writes. Delete the file: it is found anew from the klines, without its history"
        ) from error


def _gap_from(row: dict[str, object]) -> Gap:
    times = {name: pd.Timestamp(value) for name in _TIMES if (value := row.get(name)) is not None}  # type: ignore[arg-type]
    gap = Gap(**(row | times))  # type: ignore[arg-type]
    wrong = (
        any(time.tzinfo is None for time in times.values())
        or gap.reason not in get_args(Reason)
        or gap.state not in get_args(State)
        or not isinstance(gap.missing_rows, int)
        or not isinstance(gap.sightings, int)
        or gap.missing_rows < 1
        or gap.last_missing < gap.first_missing
    )
    if wrong:
        raise ValueError(f"not a gap: {row}")
    return gap


def _sighted(gap: Gap, ancestors: list[Gap], seen_at: pd.Timestamp) -> Gap:
    """Give a gap found now the history of the known ones it continues."""
    if not ancestors:
        return replace(gap, sightings=1, first_seen=seen_at, last_seen=seen_at)
    oldest = min(ancestors, key=lambda old: (old.first_seen or seen_at, old.first_missing))
    before = max(old.last_seen or seen_at for old in ancestors)
    outage = any(each.reason == "exchange_outage" for each in (gap, *ancestors))
    return replace(
        gap,
        reason="exchange_outage" if outage else "unknown",
        sightings=max(old.sightings for old in ancestors) + (seen_at > before),
        first_seen=oldest.first_seen or seen_at,
        last_seen=max(before, seen_at),
    )


def _filled_parts(old: Gap, rest: list[Gap], seen_at: pd.Timestamp) -> Iterator[Gap]:
    """Yield, closed, the parts of a known gap that are missing no more."""
    start = old.first_missing
    for gap in sorted(rest, key=_order):
        if start < gap.first_missing:
            yield _closed(old, start, gap.first_missing - old.step, seen_at)
        start = gap.last_missing + old.step
    if not rest or (old.missing_rows > 1 and start <= old.last_missing):
        yield _closed(old, start, old.last_missing, seen_at)


def _closed(old: Gap, first: pd.Timestamp, last: pd.Timestamp, seen_at: pd.Timestamp) -> Gap:
    rows = (last - first) // old.step + 1 if old.step else 1
    return replace(
        old, first_missing=first, last_missing=last, missing_rows=rows, state="closed", closed_at=seen_at
    )


def _order(gap: Gap) -> tuple[pd.Timestamp, pd.Timestamp, str, pd.Timestamp]:
    return (gap.first_missing, gap.last_missing, gap.state, gap.closed_at or gap.first_missing)
