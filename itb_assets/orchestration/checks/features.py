"""Checks of features: that none knows the future, and that serving gives what is stored.

How either is found belongs to `domain.lookahead`.
"""

from collections.abc import Sequence

from itb_assets.domain.lookahead import FeatureDifference, find_look_ahead, find_serve_differences
from itb_assets.domain.markets import Market
from itb_assets.errors import LookAheadError
from itb_assets.orchestration.checks.base import SAMPLE_ROWS, Verdict, market_check, missing
from itb_assets.orchestration.metadata import table
from itb_assets.orchestration.platform import Platform
from itb_assets.storage.files.frames import StoredFrame

CUTS = 5


@market_check(["processed", "features"], "look_ahead", blocking=True)
def features_look_ahead(platform: Platform, market: Market, stored: StoredFrame) -> Verdict:
    """Stored features are what they were when the later klines did not exist yet."""
    if platform.dialect == "legacy":
        return Verdict(
            passed=True,
            metadata={"skipped": "the legacy dialect repeats the old bot's look-ahead on purpose"},
        )
    data = platform.stored(market, "processed/data")
    if data is None:
        return missing("processed/data")
    window = data.tail(_window_rows(platform))
    times = window["timestamp"]
    cuts = [times.iloc[-1 - rows] for rows in range(1, min(SAMPLE_ROWS, len(times) - 1), SAMPLE_ROWS // CUTS)]
    features = stored.since(times.iloc[0])
    return _verdict(find_look_ahead(platform.features, window, cuts, features=features), cuts=len(cuts))


@market_check(["processed", "features"], "serve_parity")
def features_serve_parity(platform: Platform, market: Market, stored: StoredFrame) -> Verdict:
    """The newest rows, computed on the online window alone, equal what is stored."""
    if platform.features.lookback_rows is None or platform.dialect == "legacy":
        return Verdict(
            passed=True,
            metadata={"skipped": "these features need the whole history, so there is no online window"},
        )
    data = platform.stored(market, "processed/data")
    if data is None:
        return missing("processed/data")
    window = data.tail(platform.features.lookback_rows + SAMPLE_ROWS)
    differences = find_serve_differences(platform.features, window, stored.tail(SAMPLE_ROWS), SAMPLE_ROWS)
    return _verdict(differences, rows=min(SAMPLE_ROWS, stored.rows))


def _verdict(differences: Sequence[FeatureDifference], **counts: int) -> Verdict:
    first = {item.feature: item for item in reversed(differences)}
    lines = "".join(f"\n  - {item}" for item in reversed(first.values()))
    return Verdict(
        passed=not differences,
        metadata=counts
        | {"differences": table([{"feature": item.feature, "what": str(item)} for item in differences])},
        why=(
            f"{len(first)} of the features read rows later than their own; remove or mend them, nothing is "
            f"trained or scored on them{lines}"
        ),
        error=LookAheadError,
    )


def _window_rows(platform: Platform) -> int:
    lookback = platform.features.lookback_rows
    return SAMPLE_ROWS + (4 * SAMPLE_ROWS if lookback is None else 2 * lookback)
