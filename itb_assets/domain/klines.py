"""Klines as values: the contract they keep, how two sets merge, the full grid, and coarser freqs.

Where klines come from and where they lie do not belong here; nor does the record of what is missing (`gaps`).
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from itb_assets.domain.columns import shape_breaches
from itb_assets.domain.markets import FREQ_MS, Market, parse_freq
from itb_assets.errors import DataContractError, InvalidMarket

TIMESTAMP_DTYPE = "datetime64[ns, UTC]"
KLINE_DTYPES: Mapping[str, str] = {
    "timestamp": TIMESTAMP_DTYPE,  # open time
    "open": "float64",
    "high": "float64",
    "low": "float64",
    "close": "float64",
    "volume": "float64",  # base currency
    "close_time": "int64",  # milliseconds
    "quote_av": "float64",  # volume in quote currency
    "trades": "int64",
    "tb_base_av": "float64",  # taker buy volume, base currency
    "tb_quote_av": "float64",  # taker buy volume, quote currency
    "ignore": "float64",  # the exchange says nothing about it; kept so that nothing is lost
}
KLINE_COLUMNS: tuple[str, ...] = tuple(KLINE_DTYPES)
VALUE_COLUMNS: tuple[str, ...] = KLINE_COLUMNS[1:]

NS_PER_MS = 1_000_000
_PRICES = ("open", "high", "low", "close")
_SUMS = ("volume", "quote_av", "tb_base_av", "tb_quote_av")
_DECIMALS = 1e8  # the exchange publishes eight
_EXACT = 2.0**53
_COARSE = 2.0**26
_SHOWN = 3


@dataclass(frozen=True)
class KlineMerge:
    """What a merge made: the klines, and how much of them is not what was stored."""

    frame: pd.DataFrame
    new_rows: int
    changed_rows: int
    changed_from: pd.Timestamp | None
    """Open time of the earliest row added or altered; None when nothing was."""


def empty_klines() -> pd.DataFrame:
    """Return klines of no rows, with every column and dtype."""
    return _no_klines().copy()


@functools.cache
def _no_klines() -> pd.DataFrame:
    return pd.DataFrame({name: pd.Series(dtype=dtype) for name, dtype in KLINE_DTYPES.items()})


def open_times_ns(frame: pd.DataFrame) -> NDArray[np.int64]:
    """Return the column `timestamp` as nanoseconds since 1970, without a copy where pandas allows."""
    return frame["timestamp"].to_numpy(dtype="datetime64[ns]").view(np.int64)


def utc_times(times_ns: NDArray[np.int64]) -> pd.DatetimeIndex:
    """Return nanoseconds since 1970 as instants in UTC: the inverse of `open_times_ns`."""
    return pd.DatetimeIndex(times_ns.view("datetime64[ns]"), tz="UTC")


def check_klines(frame: pd.DataFrame, market: Market) -> None:
    """Raise DataContractError naming every breach of the kline contract and the first times of each.

    Legal, because the exchange publishes them: no rows, zero volume, a close time cut short by an outage.
    """
    breaches = _shape_breaches(frame)
    if not breaches and len(frame):
        breaches = [*_time_breaches(frame, market), *_value_breaches(frame)]
    if breaches:
        listed = "\n".join(f"  - {breach}" for breach in breaches)
        raise DataContractError(f"{market}: klines break their contract\n{listed}")


def merge_klines(stored: pd.DataFrame, fresh: pd.DataFrame) -> KlineMerge:
    """Lay `fresh` over `stored`; on equal open times the fresh row wins.

    Both keep the kline contract. Only the span of `fresh` is compared, so a short tail is cheap, and
    `stored` itself comes back when nothing changed.
    """
    for name, frame in (("stored", stored), ("fresh", fresh)):
        _require_mergeable(name, frame)
    if not len(fresh):
        return KlineMerge(stored, new_rows=0, changed_rows=0, changed_from=None)
    if not len(stored):
        return KlineMerge(fresh, new_rows=len(fresh), changed_rows=0, changed_from=fresh["timestamp"].iloc[0])
    old, new = open_times_ns(stored), open_times_ns(fresh)
    low, high = np.searchsorted(old, new[0]), np.searchsorted(old, new[-1], side="right")
    span = stored.iloc[low:high]
    place = np.searchsorted(old[low:high], new)
    known = place < len(span)
    known[known] = old[low:high][place[known]] == new[known]
    altered = known.copy()
    altered[known] = _rows_differ(span, place[known], fresh, known)
    touched = altered | ~known
    if not touched.any():
        return KlineMerge(stored, new_rows=0, changed_rows=0, changed_from=None)
    kept = np.ones(len(span), dtype=bool)
    kept[place[known]] = False
    parts = (stored.iloc[:low], _interleave(span[kept], fresh), stored.iloc[high:])
    return KlineMerge(
        pd.concat([part for part in parts if len(part)], ignore_index=True),
        new_rows=int((~known).sum()),
        changed_rows=int(altered.sum()),
        changed_from=fresh["timestamp"].iloc[int(touched.argmax())],
    )


def to_grid(klines: pd.DataFrame, market: Market) -> pd.DataFrame:
    """Return one row for every open time from first to last, all values float64, NaN where none was.

    `klines` keeps the kline contract. Nothing is filled in: a missing kline is a row of eleven NaN.
    """
    if not len(klines):
        return empty_klines().astype(dict.fromkeys(VALUE_COLUMNS, "float64"))
    times = open_times_ns(klines)
    step = market.freq_ms * NS_PER_MS
    rows = int((times[-1] - times[0]) // step) + 1
    if rows == len(times):
        data = klines.copy(deep=False)  # the float columns are shared with `klines`, which is never changed
        data[["close_time", "trades"]] = klines[["close_time", "trades"]].astype("float64")
        return data
    place = (times - times[0]) // step
    columns: dict[str, object] = {"timestamp": utc_times(np.arange(rows, dtype=np.int64) * step + times[0])}
    for name in VALUE_COLUMNS:
        column = np.full(rows, np.nan)
        column[place] = klines[name].to_numpy()
        columns[name] = column
    return pd.DataFrame(columns, copy=False)


def resample_klines(klines: pd.DataFrame, source: Market, freq: str) -> pd.DataFrame:
    """Build klines of the coarser `freq` from klines of `source`; a bar that lacks one kline is left out.

    Volumes add up in decimal, to the eighth place, as the exchange itself adds them: binary rounding
    does not pile up, and going by a freq in between gives the same bars. `close_time` and `ignore` are
    those of the bar's last kline. Raise InvalidMarket when `freq` is not a multiple of the source's.
    """
    target_ms = FREQ_MS[parse_freq(freq)]
    factor, rest = divmod(target_ms, source.freq_ms)
    if rest or not factor:
        raise InvalidMarket(f"{source} cannot be resampled to {freq}: expected a multiple of {source.freq}")
    times = open_times_ns(klines)
    bars, first, rows = np.unique(times // (target_ms * NS_PER_MS), return_index=True, return_counts=True)
    whole = rows == factor
    if not whole.any():
        return empty_klines()
    place = (first[whole][:, np.newaxis] + np.arange(factor)).ravel()
    grouped = {name: klines[name].to_numpy()[place].reshape(-1, factor) for name in VALUE_COLUMNS}
    columns: dict[str, object] = {
        "timestamp": utc_times(bars[whole] * (target_ms * NS_PER_MS)),
        "open": grouped["open"][:, 0],
        "high": grouped["high"].max(axis=1),
        "low": grouped["low"].min(axis=1),
        "close": grouped["close"][:, -1],
        "close_time": grouped["close_time"][:, -1],
        "trades": grouped["trades"].sum(axis=1),
        "ignore": grouped["ignore"][:, -1],
    } | {name: _decimal_sum(grouped[name]) for name in _SUMS}
    return pd.DataFrame({name: columns[name] for name in KLINE_COLUMNS})


def _decimal_sum(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Sum each row of numbers that have at most eight decimals, wholes and hundred-millionths apart.

    Doubles above 2**26 lie farther apart than 1e-8; there the fewest decimals that read back as the
    same double are taken, since those are the ones that were published.
    """
    flat = values.ravel()
    whole = np.floor(flat)
    units = np.rint((flat - whole) * _DECIMALS)
    large = np.flatnonzero(flat >= _COARSE)
    for places in range(7, -1, -1) if len(large) else ():
        same = large[np.round(flat[large], places) == flat[large]]
        scale = 10.0**places
        units[same] = np.rint((flat[same] - whole[same]) * scale) * (_DECIMALS / scale)
    decimals = units.reshape(values.shape).sum(axis=1)
    carry = np.floor(decimals / _DECIMALS)
    total = whole.reshape(values.shape).sum(axis=1) + carry
    rest = decimals - carry * _DECIMALS
    whole_units = (
        total * _DECIMALS + rest
    )  # exact below 2**53: then one division rounds once, as a parser does
    return np.asarray(np.where(whole_units < _EXACT, whole_units / _DECIMALS, total + rest / _DECIMALS))


def _rows_differ(
    stored: pd.DataFrame, rows: NDArray[np.int64], fresh: pd.DataFrame, of_fresh: NDArray[np.bool_]
) -> NDArray[np.bool_]:
    """Tell which of the paired rows hold another value in any column."""
    differ = np.zeros(len(rows), dtype=bool)
    for name in VALUE_COLUMNS:
        differ |= stored[name].to_numpy()[rows] != fresh[name].to_numpy()[of_fresh]
    return differ


def _interleave(kept: pd.DataFrame, fresh: pd.DataFrame) -> pd.DataFrame:
    if not len(kept):
        return fresh
    return pd.concat([kept, fresh], ignore_index=True).sort_values("timestamp", kind="stable")


def _require_mergeable(name: str, frame: pd.DataFrame) -> None:
    breaches = _shape_breaches(frame)
    if not breaches and not (np.diff(open_times_ns(frame)) > 0).all():
        breaches = ["open times are not strictly increasing: sort them and drop duplicates first"]
    if breaches:
        raise DataContractError(f"{name} klines cannot be merged: " + "; ".join(breaches))


def _shape_breaches(frame: pd.DataFrame) -> list[str]:
    breaches = shape_breaches(frame, KLINE_DTYPES)
    index = frame.index
    if tuple(frame.columns) == KLINE_COLUMNS and not (
        isinstance(index, pd.RangeIndex) and index.start == 0 and index.step == 1
    ):
        breaches.append("index: expected 0, 1, 2, ...; call reset_index(drop=True)")
    return breaches


def _time_breaches(frame: pd.DataFrame, market: Market) -> list[str]:
    if frame["timestamp"].hasnans:
        rows = np.flatnonzero(frame["timestamp"].isna())[:_SHOWN].tolist()
        return [f"timestamp: no time in rows {rows}"]
    times = open_times_ns(frame)
    freq_ns = market.freq_ms * NS_PER_MS
    step = np.diff(times, prepend=times[0] - freq_ns)
    odd = step[step != freq_ns]  # few, as a rule: the others are on the grid if the first row is
    on_grid = times[0] % freq_ns == 0 and not (odd % freq_ns).any()
    # the difference of two instants is exact in nanoseconds; close_time is in milliseconds
    length = frame["close_time"].to_numpy() - times // NS_PER_MS
    checks = {
        "timestamp: not sorted, earlier than the row before": step < 0,
        "timestamp: duplicate": step == 0,
        f"timestamp: not on the grid of {market.freq}": np.False_ if on_grid else times % freq_ns != 0,
        f"close_time: not after the open time and before the next ({market.freq_ms} ms later)": (length <= 0)
        | (length >= market.freq_ms),
    }
    return [_breach(what, bad, frame) for what, bad in checks.items() if bad.any()]


def _value_breaches(frame: pd.DataFrame) -> list[str]:
    breaches: list[str] = []
    for name in VALUE_COLUMNS:
        values = frame[name].to_numpy()
        lowest, highest = values.min(), values.max()
        if not (np.isfinite(lowest) and np.isfinite(highest)):  # NaN spreads through min and max
            breaches.append(_breach(f"{name}: not a finite number", ~np.isfinite(values), frame))
        with np.errstate(invalid="ignore"):
            positive, negative = lowest > 0, not lowest >= 0  # an unknown one proves nothing: look at each
            if name in _PRICES and not positive and (bad := values <= 0).any():
                breaches.append(_breach(f"{name}: not above zero", bad, frame))
            elif name not in (*_PRICES, "ignore") and negative and (bad := values < 0).any():
                breaches.append(_breach(f"{name}: negative", bad, frame))
    opened, high, low, close = (frame[name].to_numpy() for name in _PRICES)
    with np.errstate(invalid="ignore"):
        checks = {
            "high: below open, low or close": (high < opened) | (high < low) | (high < close),
            "low: above open or close": (low > opened) | (low > close),
        }
    return [*breaches, *(_breach(what, bad, frame) for what, bad in checks.items() if bad.any())]


def _breach(what: str, bad: NDArray[np.bool_], frame: pd.DataFrame) -> str:
    places = np.flatnonzero(bad)
    times = ", ".join(str(frame["timestamp"].iloc[int(row)]) for row in places[:_SHOWN])
    more = f" and {len(places) - _SHOWN} more" if len(places) > _SHOWN else ""
    return f"{what}, at {times}{more}"
