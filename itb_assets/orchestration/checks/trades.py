"""Checks of paper trades: that the rule gives them again, and that none rests on a row trained on.

The rule belongs to `domain.trading`.
"""

import dagster as dg
import numpy as np
import pandas as pd

from itb_assets.domain.markets import Market
from itb_assets.domain.trading.trades import check_trades, is_closed
from itb_assets.errors import DataContractError
from itb_assets.orchestration.checks.base import Verdict, market_check, missing
from itb_assets.orchestration.metadata import table
from itb_assets.orchestration.paper_trades import PaperSources
from itb_assets.orchestration.platform import Platform
from itb_assets.storage.files.frames import StoredFrame

SAMPLE_TRADES = 200
"""Newest trades that are made again from klines and signals."""
SHOWN_DIFFERENCES = 10


def trade_checks(platform: Platform) -> list[dg.AssetChecksDefinition]:
    """Define the check of every variant's paper trades."""
    return [_rule(variant) for variant in platform.traded_variants]


def _rule(variant: str) -> dg.AssetChecksDefinition:
    @market_check(["trades", variant], "rule")
    def rule(platform: Platform, market: Market, stored: StoredFrame) -> Verdict:
        """The newest trades follow from klines and signals by the rule, and none is of a row trained on."""
        return _judge(platform, market, variant, stored)

    return rule


def _judge(platform: Platform, market: Market, variant: str, stored: StoredFrame) -> Verdict:
    signals = platform.stored(market, f"signals/{variant}")
    data = platform.stored(market, "processed/data")
    if signals is None or data is None:
        return missing(f"signals/{variant}" if signals is None else "processed/data")
    samples = sorted(set(stored.read(["sample"])["sample"].unique()))
    newest = stored.tail(SAMPLE_TRADES)
    try:
        check_trades(newest)
        again = _again(PaperSources(market, platform.trading_rule(variant), signals, data), stored, newest)
    except DataContractError as error:
        return Verdict(passed=False, metadata={"samples": samples, "breaches": str(error)})
    different = _differences(newest, again)
    return Verdict(
        passed=not different and set(samples) <= {"out_of_sample", "live"},
        metadata={
            "samples": samples,
            "compared": len(newest),
            "different": len(different),
            "differences": table(different[:SHOWN_DIFFERENCES]),
        },
    )


def _again(sources: PaperSources, stored: StoredFrame, newest: pd.DataFrame) -> pd.DataFrame:
    """Make the newest trades again; signals that came after the last of them were not followed yet."""
    if newest.empty:
        return newest
    first, last = newest["timestamp"].iloc[0], newest["timestamp"].iloc[-1]
    again = sources.going_on(stored, first)[0].trades
    times = again["timestamp"]
    compared: pd.DataFrame = again[(times >= first) & (times <= last)]
    return compared


def _differences(stored: pd.DataFrame, again: pd.DataFrame) -> list[dict[str, str]]:
    """Name every trade that is not the same in both; of one stored as open only the entry is compared."""
    found, expected = stored.set_index("trade_id"), again.set_index("trade_id")
    entry = ["side", "entry_price", "quantity", "take_profit", "stop_loss", "signal_strength", "sample"]
    rows = [
        {"trade": name, "what": "stored, not given by the rule"}
        for name in found.index.difference(expected.index)
    ]
    rows += [
        {"trade": name, "what": "given by the rule, not stored"}
        for name in expected.index.difference(found.index)
    ]
    shared = found.index.intersection(expected.index)
    left, right = found.loc[shared], expected.loc[shared]
    closed = is_closed(left)
    for column in left.columns:
        mine, theirs = left[column], right[column]
        differs = ((mine != theirs) & ~(mine.isna() & theirs.isna())).to_numpy(dtype=np.bool_)
        differs &= closed if column not in entry else np.True_
        rows += [
            {"trade": name, "what": f"{column} is {mine[name]}, the rule gives {theirs[name]}"}
            for name in shared[differs]
        ]
    return rows
