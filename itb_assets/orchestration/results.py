"""What paper trades earned, for every market and strategy at once, as plain rows.

One strategy in full belongs to `performance_report`, showing rows to the command line.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import pandas as pd

from itb_assets.domain.markets import Market
from itb_assets.domain.trading.performance import totals_by_sample
from itb_assets.errors import ConfigError
from itb_assets.orchestration.platform import Platform


def result_rows(
    platform: Platform, markets: Collection[Market], *, variant: str = "", sample: str = ""
) -> list[dict[str, Any]]:
    """Describe what each variant earned on each market after fees, a row a sample; it costs a row a day."""
    variants = [name for name in platform.traded_variants if variant in ("", name)]
    return [
        row
        for market in markets
        for name in variants
        for row in _rows(platform, market, name)
        if sample in ("", row["sample"])
    ]


def _rows(platform: Platform, market: Market, variant: str) -> list[dict[str, Any]]:
    stored = platform.stored(market, f"performance/{variant}")
    if stored is None:
        return []
    about: dict[str, Any] = {"market": str(market), "variant": variant}
    capital = _capital(platform, variant)
    rows = [
        about
        | {
            "sample": total.sample,
            "trades": total.trades,
            "won_pct": round(total.win_rate * 100, 1),
            "won_95_pct": f"{total.wilson_low * 100:.1f} to {total.wilson_high * 100:.1f}",
            "pnl_after_fees": round(total.total_pnl, 2),
            "return_pct": None if capital is None else round(total.total_pnl / capital * 100, 2),
        }
        for total in totals_by_sample(stored.read())
    ]
    if rows:
        return rows
    empty = dict.fromkeys(("won_pct", "won_95_pct", "pnl_after_fees", "return_pct"))
    return [about | {"sample": None, "trades": 0} | empty]


def _capital(platform: Platform, variant: str) -> float | None:
    try:
        return platform.trading_rule(variant).capital
    except ConfigError:
        return None


def trade_rows(
    platform: Platform, markets: Collection[Market], *, variant: str = "", newest: int | None = None
) -> list[dict[str, Any]]:
    """Describe paper trades, the newest first, of all markets and variants or some; `newest` of each."""
    rows: list[dict[str, Any]] = []
    for market in markets:
        for name in platform.traded_variants:
            stored = platform.stored(market, f"trades/{name}") if variant in ("", name) else None
            if stored is None:
                continue
            trades = stored.read() if newest is None else stored.tail(newest)
            rows += [_trade(market, name, trade) for trade in trades.to_dict("records")]
    return sorted(rows, key=lambda row: (row["entered"], row["market"], row["variant"]), reverse=True)


def _trade(market: Market, variant: str, trade: dict[Any, Any]) -> dict[str, Any]:
    closed = trade["status"] == "CLOSED"
    left = pd.Timestamp(trade["exit_time_ms"], unit="ms", tz="UTC") if closed else None
    return {
        "market": str(market),
        "variant": variant,
        "entered": f"{trade['timestamp']:%Y-%m-%d %H:%M}",
        "side": trade["side"],
        "price": trade["entry_price"],
        "left": None if left is None else f"{left:%Y-%m-%d %H:%M}",
        "exit_price": trade["exit_price"] if closed else None,
        "why": trade["exit_reason"],
        "pnl": trade["pnl"] if closed else None,
        "sample": trade["sample"],
    }
