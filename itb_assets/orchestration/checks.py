"""Asset checks: what must hold of stored data, asked again on the partition page at any time.

The rules are the domain's; a check reads, asks and reports. Blocking checks stop everything downstream.
"""

import warnings
from collections.abc import Callable, Sequence
from typing import Any

import dagster as dg
import pandas as pd

from itb_assets.domain import training  # its names load the learning libraries at first use
from itb_assets.domain.gaps import find_gaps
from itb_assets.domain.klines import check_klines
from itb_assets.domain.lookahead import FeatureDifference, find_look_ahead, find_serve_differences
from itb_assets.domain.markets import Market
from itb_assets.errors import DataContractError
from itb_assets.orchestration.failures import as_failures
from itb_assets.orchestration.metadata import gap_table, table
from itb_assets.orchestration.models import LoadedModel, load_model
from itb_assets.orchestration.partitions import MARKETS, market_in
from itb_assets.orchestration.platform import ModelName, Platform
from itb_assets.storage.frames import StoredFrame

SAMPLE_ROWS = 500
CUTS = 5
LATE_AFTER_KLINES = 2
PUBLISH_GRACE = pd.Timedelta(minutes=2)

Verdict = tuple[bool, dict[str, Any]]


def market_check(
    asset: list[str], name: str, *, blocking: bool = False, warn: bool = False
) -> Callable[[Callable[[Platform, Market, StoredFrame], Verdict]], dg.AssetChecksDefinition]:
    """Define a check of one market's stored frame; its docstring is what the UI shows."""

    def decorate(judge: Callable[[Platform, Market, StoredFrame], Verdict]) -> dg.AssetChecksDefinition:
        @_partitioned_check(asset, name, judge.__doc__, blocking=blocking)
        def check(
            context: dg.AssetCheckExecutionContext, platform: dg.ResourceParam[Platform]
        ) -> dg.AssetCheckResult:
            with as_failures(retry=platform.retry_steps):
                market = market_in(context.op_execution_context)
                stored = platform.stored(market, "/".join(asset))
                if stored is None:
                    return dg.AssetCheckResult(
                        passed=False, metadata={"found": "nothing stored for this market"}
                    )
                passed, metadata = judge(platform, market, stored)
            severity = dg.AssetCheckSeverity.WARN if warn else dg.AssetCheckSeverity.ERROR
            return dg.AssetCheckResult(passed=passed, severity=severity, metadata=metadata)

        return check

    return decorate


def _partitioned_check(
    asset: list[str], name: str, description: str | None, *, blocking: bool
) -> Callable[[Callable[..., dg.AssetCheckResult]], dg.AssetChecksDefinition]:
    """Define a check partitioned like its asset: a preview of Dagster 1.13, which the pin holds still."""

    def decorate(judge: Callable[..., dg.AssetCheckResult]) -> dg.AssetChecksDefinition:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", dg.PreviewWarning)
            return dg.asset_check(
                asset=dg.AssetKey(asset),
                name=name,
                description=description,
                blocking=blocking,
                partitions_def=MARKETS,
            )(judge)

    return decorate


@market_check(["raw", "klines"], "schema", blocking=True)
def klines_schema(platform: Platform, market: Market, stored: StoredFrame) -> Verdict:
    """Klines are sorted, unique, UTC, on the grid, closed, and their numbers make sense."""
    try:
        check_klines(stored.read(), market)
    except DataContractError as error:
        return False, {"breaches": str(error)}
    return True, {"rows": stored.rows}


@market_check(["raw", "klines"], "gaps", warn=True)
def klines_gaps(platform: Platform, market: Market, stored: StoredFrame) -> Verdict:
    """No kline is missing between the first and the last."""
    gaps = find_gaps(stored.read(), market)
    return not gaps, {
        "gaps": len(gaps),
        "missing_rows": sum(gap.missing_rows for gap in gaps),
        "list": gap_table(gaps),
    }


@market_check(["raw", "klines"], "freshness", warn=True)
def klines_freshness(platform: Platform, market: Market, stored: StoredFrame) -> Verdict:
    """The newest kline of this market is at most two klines old."""
    if stored.last is None:
        return False, {"found": "no kline"}
    age = pd.Timestamp(platform.clock()) - (stored.last + market.freq_delta)
    limit = LATE_AFTER_KLINES * market.freq_delta + PUBLISH_GRACE
    return age <= limit, {"age_minutes": round(age.total_seconds() / 60, 1), "last": str(stored.last)}


@market_check(["processed", "features"], "look_ahead", blocking=True)
def features_look_ahead(platform: Platform, market: Market, stored: StoredFrame) -> Verdict:
    """Stored features are what they were when the later klines did not exist yet."""
    if platform.dialect == "legacy":
        return True, {"skipped": "the legacy dialect repeats the old bot's look-ahead on purpose"}
    data = platform.stored(market, "processed/data")
    if data is None:
        return False, {"found": "processed/data is missing"}
    window = data.tail(_window_rows(platform))
    times = window["timestamp"]
    cuts = [times.iloc[-1 - rows] for rows in range(1, min(SAMPLE_ROWS, len(times) - 1), SAMPLE_ROWS // CUTS)]
    features = stored.since(times.iloc[0])
    return _verdict(find_look_ahead(platform.features, window, cuts, features=features), cuts=len(cuts))


@market_check(["processed", "features"], "serve_parity")
def features_serve_parity(platform: Platform, market: Market, stored: StoredFrame) -> Verdict:
    """The newest rows, computed on the online window alone, equal what is stored."""
    if platform.features.lookback_rows is None or platform.dialect == "legacy":
        return True, {"skipped": "these features need the whole history, so there is no online window"}
    data = platform.stored(market, "processed/data")
    if data is None:
        return False, {"found": "processed/data is missing"}
    window = data.tail(platform.features.lookback_rows + SAMPLE_ROWS)
    differences = find_serve_differences(platform.features, window, stored.tail(SAMPLE_ROWS), SAMPLE_ROWS)
    return _verdict(differences, rows=min(SAMPLE_ROWS, stored.rows))


def _verdict(differences: Sequence[FeatureDifference], **counts: int) -> Verdict:
    return not differences, counts | {
        "differences": table([{"feature": item.feature, "what": str(item)} for item in differences])
    }


@market_check(["labeled", "matrix"], "unknown_tail", blocking=True)
def labels_unknown_tail(platform: Platform, market: Market, stored: StoredFrame) -> Verdict:
    """No label is known before every kline of its horizon has closed."""
    if platform.dialect == "legacy":
        return True, {"skipped": "the legacy dialect labels the last rows False, as the old bot does"}
    early: dict[str, int] = {}
    for group in platform.labels.groups:
        known = stored.tail(group.horizon_rows, list(group.names)).notna().sum()
        early |= {str(name): int(count) for name, count in known.items() if count}
    return not early, {"labels_known_too_early": early}


def prediction_checks(platform: Platform) -> list[dg.AssetChecksDefinition]:
    """Define the checks of every variant's predictions."""
    return [check for strategy in platform.strategies for check in _prediction_checks(strategy.variant)]


def _prediction_checks(variant: str) -> list[dg.AssetChecksDefinition]:
    @market_check(["predictions", variant], "out_of_sample", blocking=True)
    def out_of_sample(platform: Platform, market: Market, stored: StoredFrame) -> Verdict:
        """No score lies on a row that the model giving it was trained on."""
        frame = stored.read()
        samples = set(frame["sample"].unique())
        breaches = {}
        for name, model in _models(platform, market, variant):
            bad = _seen_in_training(frame[["timestamp", "sample", name.score]], model)
            if len(bad):
                breaches[name.score] = f"{len(bad)} rows, first {bad['timestamp'].iloc[0]}"
        ok = samples <= {"out_of_sample", "live"} and not breaches
        return ok, {"samples": sorted(samples), "scores_on_training_rows": breaches}

    @market_check(["predictions", variant], "serve_parity")
    def serve_parity(platform: Platform, market: Market, stored: StoredFrame) -> Verdict:
        """The newest live scores, computed again from the stored features, are the same numbers."""
        features = platform.stored(market, "processed/features")
        if features is None:
            return False, {"found": "processed/features is missing"}
        live = stored.tail(SAMPLE_ROWS)
        live = live[live["sample"] == "live"].drop(columns="sample")
        rows = features.tail(SAMPLE_ROWS).merge(live, on="timestamp", validate="1:1")
        different = {}
        for name, model in _models(platform, market, variant):
            again = pd.Series(training.score_rows(model.payload, features=model.features, frame=rows))
            wrong = ~((again == rows[name.score]) | (again.isna() & rows[name.score].isna()))
            if wrong.any():
                different[name.score] = int(wrong.sum())
        return not different, {"rows": len(rows), "scores_that_differ": different}

    return [out_of_sample, serve_parity]


def _seen_in_training(scores: pd.DataFrame, model: LoadedModel) -> pd.DataFrame:
    """Return the rows before the model's live ones that do not hold its walk-forward score of that row."""
    *_, score = scores.columns
    early = scores[scores[score].notna() & (scores["timestamp"] < model.live_start)]
    tested = model.scores[["timestamp", "score"]].rename(columns={"score": "tested"})
    early = early.merge(tested, on="timestamp", how="left", validate="1:1")
    return early[(early["sample"] != "out_of_sample") | (early[score] != early["tested"])]


def _models(platform: Platform, market: Market, variant: str) -> list[tuple[ModelName, LoadedModel]]:
    names = [name for name in platform.model_names() if name.variant == variant]
    return [(name, load_model(platform, market, name)) for name in names]


def _window_rows(platform: Platform) -> int:
    lookback = platform.features.lookback_rows
    return SAMPLE_ROWS + (4 * SAMPLE_ROWS if lookback is None else 2 * lookback)


def all_checks(platform: Platform) -> list[dg.AssetChecksDefinition]:
    """Return every check of the platform."""
    return [
        klines_schema,
        klines_gaps,
        klines_freshness,
        features_look_ahead,
        features_serve_parity,
        labels_unknown_tail,
        *prediction_checks(platform),
    ]
