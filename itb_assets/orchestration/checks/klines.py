"""Checks of raw klines: their contract, gaps, age.

The contract belongs to `domain.klines`, gaps to `domain.gaps`.
"""

import pandas as pd

from itb_assets.domain.gaps import find_gaps
from itb_assets.domain.klines import check_klines
from itb_assets.domain.markets import Market
from itb_assets.errors import DataContractError
from itb_assets.orchestration.checks.base import Verdict, market_check
from itb_assets.orchestration.metadata import gap_table
from itb_assets.orchestration.platform import Platform
from itb_assets.storage.files.frames import StoredFrame

LATE_AFTER_KLINES = 2
PUBLISH_GRACE = pd.Timedelta(minutes=2)


@market_check(["raw", "klines"], "schema", blocking=True)
def klines_schema(platform: Platform, market: Market, stored: StoredFrame) -> Verdict:
    """Klines are sorted, unique, UTC, on the grid, closed, and their numbers make sense."""
    try:
        check_klines(stored.read(), market)
    except DataContractError as error:
        return Verdict(passed=False, metadata={"breaches": str(error)}, why=str(error))
    return Verdict(passed=True, metadata={"rows": stored.rows})


@market_check(["raw", "klines"], "gaps", warn=True)
def klines_gaps(platform: Platform, market: Market, stored: StoredFrame) -> Verdict:
    """No kline is missing between the first and the last."""
    gaps = find_gaps(stored.read(), market)
    return Verdict(
        passed=not gaps,
        metadata={
            "gaps": len(gaps),
            "missing_rows": sum(gap.missing_rows for gap in gaps),
            "list": gap_table(gaps),
        },
    )


@market_check(["raw", "klines"], "freshness", warn=True)
def klines_freshness(platform: Platform, market: Market, stored: StoredFrame) -> Verdict:
    """The newest kline of this market is at most two klines old."""
    if stored.last is None:
        return Verdict(passed=False, metadata={"found": "no kline"})
    age = pd.Timestamp(platform.clock()) - (stored.last + market.freq_delta)
    limit = LATE_AFTER_KLINES * market.freq_delta + PUBLISH_GRACE
    found = {"age_minutes": round(age.total_seconds() / 60, 1), "last": str(stored.last)}
    return Verdict(passed=bool(age <= limit), metadata=found)
