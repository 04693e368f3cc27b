"""Strategies: the legacy bot's config grammar, read strictly, with the place of every mistake.

What a generator computes and where a strategy file lies belong elsewhere.
"""

from itb_assets.domain.strategy.conflicts import check_strategies
from itb_assets.domain.strategy.jsonc import JsoncDocument, Place, Problem, parse_jsonc
from itb_assets.domain.strategy.loading import load_strategy, parse_variant
from itb_assets.domain.strategy.strategy import Strategy

__all__ = [
    "JsoncDocument",
    "Place",
    "Problem",
    "Strategy",
    "check_strategies",
    "load_strategy",
    "parse_jsonc",
    "parse_variant",
]
