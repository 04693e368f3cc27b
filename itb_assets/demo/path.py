"""The minute path of an invented market: a pure function of symbol and minute, in whole ticks and lots.

Coarser freqs, formats and the network do not belong here.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from itb_assets.domain.markets import DAY_MS, HOUR_MS, MINUTE_MS

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

GENESIS_MS = 1_577_836_800_000  # 2020-01-01: no invented market is older
DAYS = 9_131  # to the end of 2044
MINUTES_A_DAY = 1440

OUTAGE_EVERY_DAYS = 120
OUTAGE_PHASE = 60
HALT_FROM_MS, OUTAGE_FROM_MS, OUTAGE_TO_MS = 12 * HOUR_MS, 13 * HOUR_MS, 16 * HOUR_MS
"""On an outage day nothing trades from 12:00, the exchange is gone from 13:00 and back at 16:00."""
LAST_BREATH_MS = 12 * HOUR_MS + 59 * MINUTE_MS + 41_123
"""Where the close time of the last candle before the outage is cut off."""

_SIGNAL = 0.05  # correlation of a minute's return with the imbalance before it: weak, but it persists
_SIGNAL_MEMORY, _VOLATILITY_MEMORY = 0.973, 0.9942  # half-lives of 25 and 120 minutes
_STORM_FROM = 0.4  # a third of the time
_CHUNK_DAYS = 32


@dataclass(frozen=True)
class Coin:
    """What makes one invented market differ from another."""

    symbol: str
    price: float
    price_decimals: int
    lot_decimals: int
    daily_volatility: float
    lots_a_minute: float
    listed_ms: int = GENESIS_MS

    @property
    def seed(self) -> int:
        """Root of all randomness of this coin."""
        return zlib.crc32(self.symbol.encode())


@dataclass(frozen=True)
class Minutes:
    """Consecutive minutes; prices in ticks, volumes in lots, quote volumes in ticks times lots."""

    open_ms: Ints
    open: Ints
    high: Ints
    low: Ints
    close: Ints
    close_ms: Ints
    volume: Ints
    quote: Ints
    trades: Ints
    taker_volume: Ints
    taker_quote: Ints

    def select(self, keep: NDArray[np.bool_] | Ints | slice) -> Minutes:
        """Return some of the minutes."""
        return Minutes(**{name: values[keep] for name, values in vars(self).items()})


@dataclass(frozen=True)
class _Anchors:
    """State of a coin at every midnight; the minutes in between are bridges from one to the next."""

    log_price: Floats
    log_volatility: Floats
    imbalance: Floats
    day_volatility: Floats


def minutes(coin: Coin, start_ms: int, end_ms: int) -> Minutes:
    """Return the minutes that open in [start_ms, end_ms), but for outages and the time before the listing."""
    start_ms = max(start_ms, coin.listed_ms)
    end_ms = max(start_ms, min(end_ms, GENESIS_MS + (DAYS - 1) * DAY_MS))
    first = (start_ms - GENESIS_MS) // (_CHUNK_DAYS * DAY_MS)
    last = (max(end_ms - 1, start_ms) - GENESIS_MS) // (_CHUNK_DAYS * DAY_MS)
    parts = []
    for number in range(first, last + 1):
        chunk = _chunk(coin, number)
        low, high = np.searchsorted(chunk.open_ms, [start_ms, end_ms])
        parts.append(chunk.select(slice(int(low), int(high))))
    return Minutes(**{name: np.concatenate([vars(part)[name] for part in parts]) for name in vars(parts[0])})


def is_outage_day(day: int) -> bool:
    """Tell whether the exchange fails on this day, counted from 1970."""
    return day % OUTAGE_EVERY_DAYS == OUTAGE_PHASE


@lru_cache(maxsize=16)
def _anchors(coin: Coin) -> _Anchors:
    draw = np.random.default_rng([coin.seed, 0])
    shocks = draw.standard_normal((4, DAYS))
    calm = _autoregress(shocks[0], 0.98)  # a slow state: weeks of calm, weeks of storm
    drift = _autoregress(shocks[1], 0.85)
    day_volatility = coin.daily_volatility * np.where(calm > _STORM_FROM, 1.6, 0.75) * np.exp(0.25 * drift)
    tails = draw.standard_t(5, DAYS) / np.sqrt(5 / 3)
    log_price = np.log(coin.price) + _accumulate(day_volatility * tails, 0.995)
    return _Anchors(log_price, 0.45 * shocks[2], shocks[3], day_volatility)


def _autoregress(shocks: Floats, memory: float) -> Floats:
    """Return a stationary series of variance one along the last axis."""
    return _accumulate(shocks * np.sqrt(1 - memory**2), memory)


def _accumulate(shocks: Floats, memory: float) -> Floats:
    """Sum shocks along the last axis while what was before fades by `memory` at each step."""
    steps = np.ascontiguousarray(shocks.T)
    for at in range(1, len(steps)):
        steps[at] += memory * steps[at - 1]
    return np.ascontiguousarray(steps.T)


@lru_cache(maxsize=12)
def _chunk(coin: Coin, number: int) -> Minutes:
    """Generate 32 days at a time; every day has its own seed, so nobody's order of asking matters."""
    first = number * _CHUNK_DAYS
    days = np.arange(first, min(first + _CHUNK_DAYS, DAYS - 1))
    noise = np.stack(
        [np.random.default_rng([coin.seed, 1, int(day)]).standard_normal((8, MINUTES_A_DAY)) for day in days],
        axis=1,
    )
    anchors = _anchors(coin)
    volatility = _volatility(anchors, days, noise[0], noise[1])
    imbalance = _bridge(_autoregress(noise[2], _SIGNAL_MEMORY), anchors.imbalance, days)
    return _in_ticks(
        coin, days, volatility, imbalance, _log_closes(anchors, days, volatility, imbalance, noise[3]), noise
    )


def _bridge(path: Floats, anchors: Floats, days: Ints) -> Floats:
    """Bend each day's path so that it runs from its own midnight's anchor to the next one's."""
    share = np.arange(1, MINUTES_A_DAY + 1) / MINUTES_A_DAY
    ends = path[:, -1:]
    bent = path - share * ends + anchors[days, None] * (1 - share) + anchors[days + 1, None] * share
    return np.asarray(bent, dtype=np.float64)


def _volatility(anchors: _Anchors, days: Ints, slow: Floats, fast: Floats) -> Floats:
    """Return the deviation of each minute's log return: regime, hour of the day, clusters, bursts."""
    hour = np.arange(MINUTES_A_DAY) / 60
    season = 1 + 0.35 * np.sin((hour - 9) / 24 * 2 * np.pi)
    state = _bridge(0.45 * _autoregress(slow, _VOLATILITY_MEMORY), anchors.log_volatility, days)
    shape = season * np.exp(state + 0.3 * fast)
    return np.asarray(
        anchors.day_volatility[days, None] * shape / np.sqrt(MINUTES_A_DAY) / 1.9, dtype=np.float64
    )


def _log_closes(
    anchors: _Anchors, days: Ints, volatility: Floats, imbalance: Floats, noise: Floats
) -> Floats:
    """Log price at each minute's end; the day's sum is bent to the next midnight's anchor."""
    before = np.concatenate([anchors.imbalance[days, None], imbalance[:, :-1]], axis=1)
    returns = volatility * (_SIGNAL * before + np.sqrt(1 - _SIGNAL**2) * noise)
    variance = volatility**2
    wanted = anchors.log_price[days + 1] - anchors.log_price[days]
    returns -= (returns.sum(axis=1) - wanted)[:, None] * variance / variance.sum(axis=1, keepdims=True)
    return np.asarray(anchors.log_price[days, None] + returns.cumsum(axis=1), dtype=np.float64)


def _in_ticks(
    coin: Coin, days: Ints, volatility: Floats, imbalance: Floats, log_closes: Floats, noise: Floats
) -> Minutes:
    scale = 10**coin.price_decimals
    exact = np.exp(log_closes) * scale
    close = np.maximum(np.rint(exact).astype(np.int64), 1).ravel()
    day_open = np.rint(np.exp(_anchors(coin).log_price[days]) * scale).astype(np.int64)
    open_ = np.concatenate([day_open[:, None], close.reshape(exact.shape)[:, :-1]], axis=1).ravel()
    reach = 0.55 * volatility * exact
    high = np.maximum(open_, close) + np.floor(np.abs(noise[4]) * reach).astype(np.int64).ravel()
    low = np.maximum(
        np.minimum(open_, close) - np.floor(np.abs(noise[5]) * reach).astype(np.int64).ravel(), 1
    )
    activity = (volatility / coin.daily_volatility * np.sqrt(MINUTES_A_DAY)) ** 0.9
    volume = (
        np.maximum(np.rint(coin.lots_a_minute * activity * np.exp(0.5 * noise[6])), 1)
        .astype(np.int64)
        .ravel()
    )
    buyers = 0.5 + 0.22 * np.tanh(0.7 * imbalance + 0.7 * noise[7])
    taker = np.rint(volume * buyers.ravel()).astype(np.int64)
    mean = (open_ + high + low + close) // 4
    open_ms = (GENESIS_MS + days[:, None] * DAY_MS + np.arange(MINUTES_A_DAY) * MINUTE_MS).ravel()
    trades = np.minimum(volume, 1 + np.rint(180 * activity.ravel()).astype(np.int64))
    path = Minutes(
        open_ms,
        open_,
        high,
        low,
        close,
        open_ms + MINUTE_MS - 1,
        volume,
        mean * volume,
        trades,
        taker,
        mean * taker,
    )
    return _with_outages(path)


def _with_outages(path: Minutes) -> Minutes:
    """Flatten the minutes of a halt and take out those of the outage that follows it."""
    day, at = np.divmod(path.open_ms, DAY_MS)
    failing = day % OUTAGE_EVERY_DAYS == OUTAGE_PHASE
    if not failing.any():
        return path
    halted = failing & (at >= HALT_FROM_MS) & (at < OUTAGE_FROM_MS)
    last_price = path.open[np.flatnonzero(halted)[0]]
    for values in (path.open, path.high, path.low, path.close):
        values[halted] = last_price
    for values in (path.volume, path.quote, path.trades, path.taker_volume, path.taker_quote):
        values[halted] = 0
    cut = failing & (at == OUTAGE_FROM_MS - MINUTE_MS)
    path.close_ms[cut] = day[cut] * DAY_MS + LAST_BREATH_MS
    return path.select(~(failing & (at >= OUTAGE_FROM_MS) & (at < OUTAGE_TO_MS)))
