"""The trades frame: one row a position on paper, its columns, their dtypes and what may stand in them.

How positions come about belongs to `paper`; trades executed on an exchange belong to their sources.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt
import pandas as pd

from itb_assets.domain.columns import shape_breaches
from itb_assets.domain.klines import TIMESTAMP_DTYPE, open_times_ns
from itb_assets.domain.samples import MeasurableSample
from itb_assets.errors import DataContractError

Bools = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Texts = npt.NDArray[np.object_]

Side = Literal["BUY", "SELL"]
Status = Literal["OPEN", "CLOSED"]
ExitReason = Literal["take_profit", "stop_loss", "time_limit", "opposite_signal"]

TRADE_DTYPES: Mapping[str, str] = {
    "timestamp": TIMESTAMP_DTYPE,  # open time of the kline at whose open the position was entered
    "trade_id": "object",
    "side": "object",  # the opening order: BUY is long, SELL is short
    "status": "object",
    "entry_price": "float64",  # quote currency, slippage included
    "quantity": "float64",  # base currency
    "take_profit": "float64",
    "stop_loss": "float64",
    "signal_strength": "float64",  # score of the signal's kline; NaN where the rule names none
    "exit_time_ms": "float64",  # open time of the kline in which the position ended; NaN while OPEN
    "exit_price": "float64",
    "exit_reason": "object",  # None while OPEN
    "fees": "float64",  # quote currency; of the entry alone while OPEN
    "gross_pnl": "float64",
    "pnl": "float64",
    "return_pct": "float64",  # net, in per cent of the notional at entry
    "sample": "object",  # that of the signal's kline
}
TRADE_COLUMNS: tuple[str, ...] = tuple(TRADE_DTYPES)

_TEXTS: Mapping[str, tuple[object, ...]] = {
    "side": get_args(Side),
    "status": get_args(Status),
    "exit_reason": (*get_args(ExitReason), None),
    "sample": get_args(MeasurableSample),
}
_POSITIVE = ("entry_price", "quantity")
_OF_CLOSED = ("exit_time_ms", "exit_price", "gross_pnl", "pnl", "return_pct")
_ID_PLACES = (0, 1, 2, 3, 5, 6, 8, 9, 10, 11, 12, 14, 15, 17, 18)  # of 2024-09-01T22:05:00, without - and :
_SHOWN = 3


def empty_trades() -> pd.DataFrame:
    """Return trades of no rows, with every column and dtype."""
    return pd.DataFrame({name: pd.Series(dtype=dtype) for name, dtype in TRADE_DTYPES.items()})


def trade_ids(entry_times_ns: Ints) -> Texts:
    """Name each position after the second it was entered in: one market's variant enters one at a time.

    >>> trade_ids(np.array([1_725_228_300_000_000_000])).tolist()
    ['20240901T220500Z']
    """
    texts = np.datetime_as_string(entry_times_ns.view("datetime64[ns]"), unit="s").astype("U19")
    letters = texts.view("U1").reshape(len(texts), 19)
    ids = np.full((len(texts), 16), "Z", dtype="U1")
    ids[:, :15] = letters[:, _ID_PLACES]
    return ids.view("U16").ravel().astype(object)


def is_closed(trades: pd.DataFrame) -> Bools:
    """Tell which positions have ended."""
    closed: Bools = trades["status"].to_numpy(object) == "CLOSED"
    return closed


def check_trades(frame: pd.DataFrame) -> None:
    """Raise DataContractError naming every breach of the trades contract and the first times of each.

    No rows are legal, and so are positions that overlap.
    """
    breaches = shape_breaches(frame, TRADE_DTYPES)
    if not breaches and len(frame):
        breaches = [*_time_breaches(frame), *_text_breaches(frame), *_value_breaches(frame)]
    if breaches:
        listed = "\n".join(f"  - {breach}" for breach in breaches)
        raise DataContractError(f"trades break their contract\n{listed}")


def _time_breaches(frame: pd.DataFrame) -> list[str]:
    if frame["timestamp"].hasnans:
        rows = np.flatnonzero(frame["timestamp"].isna())[:_SHOWN].tolist()
        return [f"timestamp: no time in rows {rows}"]
    times = open_times_ns(frame)
    ended_before = frame["exit_time_ms"].to_numpy() < times // 1_000_000
    checks = {
        "timestamp: not later than the row before": np.diff(times, prepend=times[0] - 1) <= 0,
        "trade_id: not the entry time": frame["trade_id"].to_numpy(object) != trade_ids(times),
        "exit_time_ms: before the entry": ended_before,
    }
    return _breaches(checks, frame)


def _text_breaches(frame: pd.DataFrame) -> list[str]:
    checks = {
        f"{name}: not one of {', '.join(map(str, legal))}": ~frame[name].isin(list(legal)).to_numpy()
        for name, legal in _TEXTS.items()
    }
    has_reason = frame["exit_reason"].notna().to_numpy()
    checks["exit_reason: given while OPEN, or absent though CLOSED"] = has_reason != is_closed(frame)
    return _breaches(checks, frame)


def _value_breaches(frame: pd.DataFrame) -> list[str]:
    closed = is_closed(frame)
    values: dict[str, Floats] = {
        name: frame[name].to_numpy() for name, dtype in TRADE_DTYPES.items() if dtype == "float64"
    }
    long = frame["side"].to_numpy(object) == "BUY"
    entry, target, stop = values["entry_price"], values["take_profit"], values["stop_loss"]
    above, below = np.where(long, target, stop), np.where(long, stop, target)
    checks = {f"{name}: not a number above zero": ~_above_zero(values[name]) for name in _POSITIVE}
    checks["take_profit, stop_loss: not on either side of the entry price"] = ~(
        (below >= 0) & (below < entry) & (entry < above) & np.isfinite(above)
    )
    checks["fees: not a number from zero on"] = ~(np.isfinite(values["fees"]) & (values["fees"] >= 0))
    checks["signal_strength: infinite"] = np.isinf(values["signal_strength"])
    for name in _OF_CLOSED:
        checks[f"{name}: not a number though CLOSED"] = closed & ~np.isfinite(values[name])
        checks[f"{name}: given while OPEN"] = ~closed & ~np.isnan(values[name])
    checks["exit_price: negative"] = values["exit_price"] < 0
    return _breaches(checks, frame)


def _above_zero(values: Floats) -> Bools:
    return np.isfinite(values) & (values > 0)


def _breaches(checks: Mapping[str, npt.NDArray[Any]], frame: pd.DataFrame) -> list[str]:
    """Say what is wrong where, for every check that found something."""
    found = []
    for what, bad in checks.items():
        places = np.flatnonzero(bad)
        if len(places):
            times = ", ".join(str(frame["timestamp"].iloc[int(row)]) for row in places[:_SHOWN])
            more = f" and {len(places) - _SHOWN} more" if len(places) > _SHOWN else ""
            found.append(f"{what}, at {times}{more}")
    return found
