"""Random histories of trades, features and forecasts, and what each way of watching says about them.

Which of them are drawn, what is printed and what is asked of it belongs to `drift_simulation.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.signal import lfilter
from scipy.special import ndtri

from itb_assets.domain.drift import Forecasts, evaluate_calibration, evaluate_features, freeze_bins
from itb_assets.domain.drift.calibration import summarise_calibration
from itb_assets.domain.drift.evidence import UNIT, EvidencePath, follow
from itb_assets.domain.drift.population import psi
from itb_assets.domain.drift.proportions import wilson_upper
from itb_assets.domain.drift.sequential import sprt_bounds
from itb_assets.domain.drift.win_rate import RULE, judge, reference_steps

Bools = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

KNOWN = 1_000_000
"""Trades of a reference whose win rate is as good as known."""

PLAIN_CUSUM_LIMIT = 4.6
"""Of CUSUM alone; as a part of the rule it has a higher one."""


def independent(rng: np.random.Generator, shape: tuple[int, int], rate: float | Floats) -> Bools:
    """Return trades (histories, trades) that win with this chance, each for itself."""
    return rng.random(shape) < rate


def repeating(rng: np.random.Generator, shape: tuple[int, int], rate: float, repeats: float) -> Bools:
    """Return trades that repeat the outcome of the trade before with chance `repeats`."""
    fresh, keep = rng.random(shape) < rate, rng.random(shape) < repeats
    keep[:, 0] = False
    chosen = np.maximum.accumulate(np.where(keep, 0, np.arange(shape[1])), axis=1)
    return np.take_along_axis(fresh, chosen, axis=1)


def changing_days(
    rng: np.random.Generator, shape: tuple[int, int], rate: float, spread: float, a_day: int
) -> Bools:
    """Return trades whose chance to win changes from day to day, with this standard deviation."""
    days = rate + spread * rng.standard_normal((shape[0], shape[1] // a_day))
    return independent(rng, shape, np.repeat(np.clip(days, 0.02, 0.98), a_day, axis=1))


@dataclass(frozen=True)
class Seen:
    """Of many histories looked at daily: the share that ever alarmed and the median day, inf for never."""

    ever: float
    median_day: float

    @classmethod
    def of(cls, alarms: Bools, *, after_day: int = 0) -> Seen:
        """Count alarms (histories, days); days up to `after_day` are left out, and days count from it."""
        looks = alarms[:, after_day:]
        ever = looks.any(axis=1)
        return cls(float(ever.mean()), float(np.median(np.where(ever, looks.argmax(axis=1) + 1.0, np.inf))))


def ways_to_watch(won: Bools, rate: float, *, a_day: int) -> dict[str, Bools]:
    """Return by each way whether it alarms (histories, days), the win rate out of sample being known."""
    path = _daily(follow(won, *reference_steps(round(rate * KNOWN), KNOWN)), a_day)
    live = path.wins / path.trades
    upper, _ = sprt_bounds(RULE.alpha, RULE.beta)
    return {
        "5 points below": rate - live > RULE.drop,
        "Wilson's bound below": wilson_upper(path.wins, path.trades) < rate,
        "SPRT": path.highest * UNIT >= upper,
        "CUSUM": path.run_evidence * UNIT >= PLAIN_CUSUM_LIMIT,
        "our rule": judge(path, round(rate * KNOWN), KNOWN).any,
        "our rule, after every trade": _any_of_day(rule_alone(won, rate, a_day=1), a_day),
    }


def rule_alone(won: Bools, rate: float, *, a_day: int) -> Bools:
    """Return whether our rule alarms (histories, days), the win rate out of sample being known."""
    wins = round(rate * KNOWN)
    return judge(_daily(follow(won, *reference_steps(wins, KNOWN)), a_day), wins, KNOWN).any


def rule_by_reference(won: Bools, wins: Ints, trades: int, *, a_day: int) -> Bools:
    """Return whether our rule alarms (histories, days), each history against a reference of its own."""
    steps = np.asarray([reference_steps(int(each), trades) for each in wins])
    path = _daily(follow(won, steps[:, :1], steps[:, 1:]), a_day)
    return judge(path, wins[:, None], np.asarray(trades)).any


def _any_of_day(alarms: Bools, a_day: int) -> Bools:
    """Return whether any look of a day alarmed, from (histories, trades) to (histories, days)."""
    days = alarms.shape[1] // a_day
    return alarms[:, : days * a_day].reshape(len(alarms), days, a_day).any(axis=2)


def _daily(path: EvidencePath, a_day: int) -> EvidencePath:
    return EvidencePath(**{name: values[..., a_day - 1 :: a_day] for name, values in vars(path).items()})


def psi_by_rows(rng: np.random.Generator, rows: int, *, times: int, reference: int) -> Floats:
    """Return PSI values of independent rows from where the reference is from."""
    bins = freeze_bins(rng.standard_normal(reference))
    return np.asarray([psi(bins, rng.standard_normal(rows)) for _ in range(times)])


@dataclass(frozen=True)
class Slow:
    """What is said of features whose neighbouring rows resemble each other, one look a family."""

    above_convention: float
    families_alarmed: float
    shifted_found: float


def slow_features(
    rng: np.random.Generator, resemblance: float, *, families: int, features: int, rows: int, windows: int
) -> Slow:
    """Look at families of AR(1) features with `windows` x `rows` of history; again with one shifted."""
    above, alarmed, found = [], [], []
    deviation = 1 / np.sqrt(1 - resemblance**2)
    names = [f"f{number}" for number in range(features)]
    for _ in range(families):
        noise = rng.standard_normal((features, (windows + 1) * rows + 5000))
        values = lfilter([1.0], [1.0, -resemblance], noise, axis=1)[:, 5000:].T
        history = pd.DataFrame(values[:-rows], columns=names)
        live = pd.DataFrame(values[-rows:], columns=names)
        references = {name: freeze_bins(history[name].to_numpy()) for name in names}
        verdicts = {one.metric: one for one in evaluate_features(live, references, history=history)}
        psis = [verdicts[f"psi:{name}"] for name in names]
        above.append(np.mean([one.value is not None and one.value > 0.1 for one in psis]))
        alarmed.append(any(one.alarms for one in psis))
        shifted = live.assign(f0=live["f0"] + 2 * deviation)
        first = {one.metric: one for one in evaluate_features(shifted, references, history=history)}["psi:f0"]
        found.append(first.alarms)
    return Slow(float(np.mean(above)), float(np.mean(alarmed)), float(np.mean(found)))


def overlapping_forecasts(
    rng: np.random.Generator, rows: int, sample: str, *, horizon: int, overstated: float = 0.0
) -> Mapping[str, npt.NDArray[np.generic]]:
    """Return scores, too high by `overstated`, and labels that share `horizon` rows of future."""
    drift = lfilter([1.0], [1.0, -0.97], rng.standard_normal(rows + 500))[500:] * np.sqrt(1 - 0.97**2)
    chance = 1 / (1 + np.exp(0.8 - 0.5 * drift))
    shocks = rng.standard_normal(rows + horizon)
    total = np.cumsum(np.concatenate([[0.0], shocks]))
    luck = (total[horizon:-1] - total[: -horizon - 1]) / np.sqrt(horizon)
    label = luck < ndtri(chance)
    return {
        "score": np.clip(chance + overstated, 0.0, 1.0),
        "label": label,
        "sample": np.full(rows, sample, dtype=object),
    }


def calibration_looks(
    rng: np.random.Generator, *, days: int, a_day: int, horizon: int, overstated: float = 0.0
) -> tuple[list[bool], list[bool]]:
    """Return at the end of which days Brier score and gap alarm, live against 60 days out of sample."""
    before = overlapping_forecasts(rng, 60 * a_day, "out_of_sample", horizon=horizon)
    reference = summarise_calibration(_until(before, 60 * a_day), block_rows=a_day)
    live = overlapping_forecasts(rng, days * a_day, "live", horizon=horizon, overstated=overstated)
    brier, gap = [], []
    for day in range(1, days + 1):
        one, other = evaluate_calibration("s", _until(live, day * a_day), reference)
        brier.append(one.alarms)
        gap.append(other.alarms)
    return brier, gap


def _until(made: Mapping[str, npt.NDArray[np.generic]], rows: int) -> Forecasts:
    score, label, sample = (made[name][:rows] for name in ("score", "label", "sample"))
    return Forecasts(score.astype(np.float64), label.astype(np.bool_), sample.astype(object, copy=False))
