"""What was found of drift at each market and variant, as plain rows.

Showing them belongs to the command line and the UI.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from itb_assets.domain.markets import Market
from itb_assets.errors import InputError
from itb_assets.orchestration.platform import Platform

if TYPE_CHECKING:
    from itb_assets.domain.drift import DriftEvaluation, Look

ALARMS = {"warning", "error"}
OF_ONE_COLUMN = ("psi:", "unknown:")
"""Measures of single features and scores: many, and worth a line only when they alarm."""


@dataclass(frozen=True)
class Wanted:
    """Which markets and variants are asked for; an empty text stands for all."""

    symbol: str = ""
    freq: str = ""
    variant: str = ""


def drift_rows(platform: Platform, wanted: Wanted, *, history: bool = False) -> list[dict[str, Any]]:
    """Describe the evaluations of the newest look at each variant of each market, the gravest first.

    With `history` those of every look, newest look last. Raises InputError for a market or variant that is
    not there.
    """
    rows = []
    for market in _markets(platform, wanted):
        for variant in _variants(platform, wanted):
            for look in _looks(platform, market, variant, history=history):
                rows += [_row(market, variant, look, one) for one in look.ranked]
    return rows


def of_note(row: dict[str, Any]) -> bool:
    """Tell whether a row is one for a short table: not a single column that does not alarm."""
    return row["verdict"] in ALARMS or not row["metric"].startswith(OF_ONE_COLUMN)


def _looks(platform: Platform, market: Market, variant: str, *, history: bool) -> Iterator[Look]:
    from itb_assets.domain.drift import read_looks  # noqa: PLC0415 - SciPy loads slowly

    stored = platform.stored(market, f"drift/{variant}")
    if stored is not None:
        yield from read_looks(stored.read() if history else stored.tail(1))


def _row(market: Market, variant: str, look: Look, one: DriftEvaluation) -> dict[str, Any]:
    return {
        "market": str(market),
        "variant": variant,
        "looked_at": f"{look.at:%Y-%m-%d %H:%M}",
        "metric": one.metric,
        "value": one.value,
        "n": one.n,
        "threshold": one.threshold,
        "verdict": one.verdict,
        "detail": one.detail,
    }


def _markets(platform: Platform, wanted: Wanted) -> list[Market]:
    stored = platform.markets()
    found = [
        market
        for market in stored
        if wanted.symbol in ("", market.symbol) and wanted.freq in ("", market.freq)
    ]
    if not found and (wanted.symbol or wanted.freq):
        there = ", ".join(map(str, stored)) or "none"
        raise InputError(f"no market {f'{wanted.symbol} {wanted.freq}'.strip()} is stored: there are {there}")
    return found


def _variants(platform: Platform, wanted: Wanted) -> list[str]:
    known = [strategy.variant for strategy in platform.strategies]
    if wanted.variant and wanted.variant not in known:
        raise InputError(f"no strategy is called {wanted.variant!r}: there are {', '.join(known)}")
    return [wanted.variant] if wanted.variant else known
