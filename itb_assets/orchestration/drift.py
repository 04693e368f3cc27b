"""Looks for drift at a variant of a market: when one is due, and what is read for it.

How a measure is computed belongs to `domain.drift`, who is told belongs to the alerts.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import pandas as pd

from itb_assets.domain.drift import (
    CalibrationSummary,
    DriftEvaluation,
    Forecasts,
    Look,
    ReferenceBins,
    TradeWatch,
    begin_watch,
    evaluate_calibration,
    evaluate_features,
    evaluate_win_rate,
    go_on,
    insufficient,
    read_looks,
)
from itb_assets.domain.drift.evaluate import MIN_ROWS
from itb_assets.domain.markets import DAY_MS, Market
from itb_assets.domain.trading.trades import empty_trades
from itb_assets.orchestration.platform import ModelName, Platform
from itb_assets.orchestration.updates import rows_before
from itb_assets.storage.files.frames import StoredFrame

LIVE_DAYS = 7
"""How much of the newest rows features and scores are compared by; at least as many rows as PSI needs."""

HISTORY_WINDOWS = 20
"""How many times as many rows of the reference say what is usual for such a stretch."""

LIVE = "live"
WIN_RATE = "win_rate"


@dataclass(frozen=True)
class DriftSources:
    """What a look is taken at: frames of one market, the paper trades of one variant (None: not traded)."""

    predictions: StoredFrame
    features: StoredFrame
    data: StoredFrame
    trades: StoredFrame | None

    def by_asset(self, variant: str) -> dict[str, StoredFrame]:
        """Return the frames under the names of their assets."""
        named = {
            f"predictions/{variant}": self.predictions,
            "processed/features": self.features,
            "processed/data": self.data,
        }
        return named if self.trades is None else named | {f"trades/{variant}": self.trades}


@dataclass(frozen=True)
class Watching:
    """A variant of a market, the looks taken at it so far, and what there is to look at now."""

    platform: Platform
    market: Market
    variant: str
    sources: DriftSources
    stored: StoredFrame | None

    def last_look(self) -> Look | None:
        """Return the newest look that was stored."""
        looks = () if self.stored is None else read_looks(self.stored.tail(1))
        return looks[-1] if looks else None

    def looks(self, newest: int, *, before: pd.Timestamp) -> tuple[Look, ...]:
        """Return the newest looks that were stored, those from a time on left out."""
        looks = () if self.stored is None else read_looks(self.stored.tail(newest))
        return tuple(look for look in looks if look.at < before)

    def look_if_due(self, last: Look | None) -> Look | None:
        """Look again when a UTC day is over, another model is in use or the win rate's verdict changes.

        The win rate is asked at every call, at the cost of the trades that ended since the last look; all
        else is measured once a day, which is what its chance of a false alarm was measured for.
        """
        if self.sources.predictions.last is None:
            return None
        at = self.sources.predictions.last + self.market.freq_delta
        models = self.sources.predictions.manifest.digest
        watch = self._watch(last)
        rates = self._win_rate(watch)
        if last is not None and last.models == models and last.at.floor("D") <= at < _next_day(last.at):
            known = last.of(WIN_RATE)
            if known is not None and known.verdict == rates[0].verdict:
                return None
        return Look(at, (*rates, *self._calibration(), *self._population()), models, watch)

    def _watch(self, last: Look | None) -> TradeWatch:
        """Go on where the last look stopped; begin again where trades counted then were altered since."""
        trades = self.sources.trades
        if trades is None:
            return begin_watch(empty_trades())
        if last is None or self.stored is None or last.watch.unsettled_from is None:
            return begin_watch(trades.read())
        consumed = self.stored.manifest.sources.get(f"trades/{self.variant}", 0)
        changed, since = trades.manifest.changed_since(consumed), last.watch.unsettled_from
        if changed is None:
            return last.watch
        watch = go_on(last.watch, trades.since(since)) if changed >= since else None
        return begin_watch(trades.read()) if watch is None else watch

    def _win_rate(self, watch: TradeWatch) -> tuple[DriftEvaluation, ...]:
        if self.sources.trades is None:
            return (insufficient(WIN_RATE, 0, "the signals of this strategy neither buy nor sell"),)
        return evaluate_win_rate(watch.state)

    def _calibration(self) -> tuple[DriftEvaluation, ...]:
        """Hold the probabilities given live against what came true, each as out of sample."""
        rows = self._scored_live()
        evaluations: list[DriftEvaluation] = []
        for name, reference in self._references.items():
            if not reference:
                why = "the model was trained without a reference: train it again"
                evaluations += [insufficient(f"{what}:{name.score}", 0, why) for what in _CALIBRATION]
                continue
            live = Forecasts.of(rows, name.score, name.label)
            known = CalibrationSummary.from_dict(reference["calibration"])
            evaluations += evaluate_calibration(name.score, live, known)
        return tuple(evaluations)

    def _population(self) -> tuple[DriftEvaluation, ...]:
        """Hold the newest features against the rows last trained on, and scores against walk-forward ones."""
        references = {name: reference for name, reference in self._references.items() if reference}
        if not references:
            why = "no model has a reference: train them again"
            return tuple(insufficient(what, 0, why) for what in _SUMMARIES)
        newest = max(references.values(), key=lambda reference: pd.Timestamp(reference["until"]))
        bins = {name: ReferenceBins.from_dict(one) for name, one in newest["features"].items()}
        scores = {name.score: ReferenceBins.from_dict(one["score"]) for name, one in references.items()}
        given, is_live = self._given, self._given["sample"] == LIVE
        live = given[is_live].tail(self._window_rows)
        features = self._live_features(live, list(bins))
        return (
            *evaluate_features(
                features, bins, history=self._history(newest, features), summary=_SUMMARIES[0]
            ),
            *evaluate_features(live, scores, history=given[~is_live], summary=_SUMMARIES[1]),
        )

    def _scored_live(self) -> pd.DataFrame:
        """Return the live rows of the predictions with the labels that are known of them by now."""
        live = self._given[self._given["sample"] == LIVE]
        if live.empty:
            return live.assign(**dict.fromkeys(self.platform.labels.names, False))
        plan = self.platform.labels
        since = rows_before(self.market, live["timestamp"].iloc[0], plan.lookback_rows)
        labels = plan.compute(self.sources.data.since(since).reset_index(drop=True))
        return live.merge(labels[["timestamp", *plan.names]], on="timestamp", how="left", validate="1:1")

    def _live_features(self, live: pd.DataFrame, names: list[str]) -> pd.DataFrame:
        columns = ["timestamp", *names]
        if live.empty:
            return self.sources.features.tail(0, columns)
        first, last = pd.Timestamp(live["timestamp"].iloc[0]), pd.Timestamp(live["timestamp"].iloc[-1])
        rows = self.sources.features.since(first, columns)
        return rows[rows["timestamp"] <= last]

    def _history(self, reference: Mapping[str, Any], live: pd.DataFrame) -> pd.DataFrame | None:
        """Return the newest rows that the bins were frozen from; None while there is nothing to compare."""
        if len(live) < MIN_ROWS:
            return None
        until = pd.Timestamp(reference["until"])
        first = rows_before(self.market, until, HISTORY_WINDOWS * len(live))
        columns = ["timestamp", *reference["features"]]
        rows = self.sources.features.since(max(first, pd.Timestamp(reference["from"])), columns)
        return rows[rows["timestamp"] < until]

    @cached_property
    def _given(self) -> pd.DataFrame:
        """Every row of the predictions: read once a look, and not before one is due."""
        return self.sources.predictions.read()

    @cached_property
    def _references(self) -> dict[ModelName, Mapping[str, Any]]:
        """Return what was frozen with each model in use, empty where one has nothing."""
        names = [name for name in self.platform.model_names() if name.variant == self.variant]
        folders = {name: self.platform.layout.promoted_dir(name.at(self.market)) for name in names}
        found = {name: self.platform.models.peek(folder) for name, folder in folders.items()}
        return {name: (metadata or {}).get("drift_reference") or {} for name, metadata in found.items()}

    @property
    def _window_rows(self) -> int:
        return max(LIVE_DAYS * DAY_MS // self.market.freq_ms, MIN_ROWS)


_CALIBRATION = ("brier", "calibration_gap")
_SUMMARIES = ("drifted_features", "drifted_scores")


def _next_day(time: pd.Timestamp) -> pd.Timestamp:
    return time.floor("D") + pd.Timedelta(days=1)
