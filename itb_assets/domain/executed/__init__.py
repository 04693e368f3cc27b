"""Executed trades: fills as exchanges report them, and the positions they make.

Paper trades and the rule that makes them belong to `domain.trading`, file formats to `sources.trades`.
"""

from itb_assets.domain.executed.fills import Fill, FillKey, FillSource, PositionSide, Side
from itb_assets.domain.executed.lots import Rate
from itb_assets.domain.executed.matching import MatchedFills, UnmatchedFill, match_fills
from itb_assets.domain.executed.positions import ExecutedTrade

__all__ = [
    "ExecutedTrade",
    "Fill",
    "FillKey",
    "FillSource",
    "MatchedFills",
    "PositionSide",
    "Rate",
    "Side",
    "UnmatchedFill",
    "match_fills",
]
