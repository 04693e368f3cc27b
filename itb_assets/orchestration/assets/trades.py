"""Trade assets: what a variant's signals would have bought and sold, position by position, on paper.

The rule that opens and ends positions belongs to `domain.trading`.
"""

from collections.abc import Mapping
from typing import Any

import dagster as dg
import pandas as pd

from itb_assets.domain.evaluation.intervals import wilson
from itb_assets.domain.trading.paper import PaperResult
from itb_assets.domain.trading.rule import TradingRule
from itb_assets.domain.trading.trades import is_closed
from itb_assets.observability.wording import moment
from itb_assets.orchestration.assets.base import asset_in, market_asset
from itb_assets.orchestration.metadata import table
from itb_assets.orchestration.paper_trades import PaperSources
from itb_assets.orchestration.partitions import market_of
from itb_assets.orchestration.platform import Platform
from itb_assets.orchestration.updates import FrameUpdate, pending_work, versions
from itb_assets.storage.files.frames import StoredFrame

NEWEST_TRADES = 1000
SHOWN_TRADES = 10


def trade_assets(platform: Platform) -> list[dg.AssetsDefinition]:
    """Define one trades asset per variant whose signals buy and sell."""
    return [_trades(variant) for variant in platform.traded_variants]


def _trades(variant: str) -> dg.AssetsDefinition:
    @market_asset(
        key=["trades", variant],
        group="trades",
        kinds={"pandas"},
        ins={"signals": asset_in("signals", variant), "data": asset_in("processed", "data")},
        tags={"variant": variant},
        description=(
            f"Paper trades of the {variant} strategy: each signal followed at the next kline's open until "
            "target, stop or time limit, after fees. No order is sent to an exchange."
        ),
    )
    def trades(
        context: dg.AssetExecutionContext,
        platform: dg.ResourceParam[Platform],
        signals: StoredFrame,
        data: StoredFrame,
    ) -> FrameUpdate:
        return _update(platform, context, variant, signals, data)

    return trades


def _update(
    platform: Platform,
    context: dg.AssetExecutionContext,
    variant: str,
    signals: StoredFrame,
    data: StoredFrame,
) -> FrameUpdate:
    market, rule = market_of(context.partition_key), platform.trading_rule(variant)
    sources = {f"signals/{variant}": signals, "processed/data": data}
    stored = platform.stored(market, f"trades/{variant}")
    work = pending_work(stored, digest=rule.digest, sources=sources)
    if work.nothing:
        return FrameUpdate(None, rule.digest, versions(sources), metadata=_page(rule, _newest(stored)))
    followed = PaperSources(market, rule, signals, data)
    from_time = None
    if stored is None or work.from_time is None:
        result, stored = followed.whole(), None
    else:
        result, from_time = followed.going_on(stored, work.from_time)
    return FrameUpdate(
        result.trades,
        rule.digest,
        versions(sources),
        from_time=from_time,
        metadata=_fates(result) | _page(rule, _newest(stored, result.trades, from_time)),
    )


def _newest(
    stored: StoredFrame | None, fresh: pd.DataFrame | None = None, from_time: pd.Timestamp | None = None
) -> pd.DataFrame:
    """Return the last trades as they will be stored."""
    before = pd.DataFrame() if stored is None else stored.tail(NEWEST_TRADES)
    if from_time is not None and not before.empty:
        before = before[before["timestamp"] < from_time]
    known = [frame for frame in (before, fresh) if frame is not None and not frame.empty]
    return pd.concat(known, ignore_index=True).tail(NEWEST_TRADES) if known else pd.DataFrame()


def _fates(result: PaperResult) -> dict[str, object]:
    """Say what became of the signals that were followed just now."""
    fates = {
        "signals": result.signals,
        "entered": len(result.trades),
        "busy": result.busy,
        "without_kline": result.without_kline,
        "waiting": result.waiting,
        "contradicting": result.contradicting,
    }
    return {"signals_computed": fates}


def _page(rule: TradingRule, newest: pd.DataFrame) -> dict[str, object]:
    shown = newest.tail(SHOWN_TRADES).iloc[::-1].to_dict("records")
    samples = newest.groupby("sample", sort=False) if len(newest) else ()
    return {
        f"results_of_newest_{NEWEST_TRADES}": table([_result(str(name), rows) for name, rows in samples]),
        "newest": table([_trade(row) for row in shown]),
        "rule": dict(rule.definition),
    }


def _result(sample: str, trades: pd.DataFrame) -> dict[str, object]:
    """Sum up trades of one sample."""
    pnl = trades.loc[is_closed(trades), "pnl"]
    wins, closed = int((pnl > 0).sum()), len(pnl)
    low, high = wilson(wins, closed) if closed else (None, None)
    rate = "-" if low is None else f"{wins / closed:.1%} ({low:.1%} to {high:.1%})"
    return {
        "sample": sample,
        "since": moment(trades["timestamp"].iloc[0]),
        "closed": closed,
        "open": len(trades) - closed,
        "won, 95 % interval": rate,
        "P&L after fees": f"{pnl.sum():,.2f}",
    }


def _trade(row: Mapping[Any, Any]) -> dict[str, object]:
    """Describe one position for people."""
    left = pd.Timestamp(row["exit_time_ms"], unit="ms", tz="UTC") if row["status"] == "CLOSED" else None
    return {
        "entered": moment(row["timestamp"]),
        "side": row["side"],
        "at": f"{row['entry_price']:,.8g}",
        "left": moment(left),
        "at ": f"{row['exit_price']:,.8g}" if left is not None else "-",
        "why": row["exit_reason"] or "still open",
        "P&L": f"{row['pnl']:,.4f}" if left is not None else "-",
        "sample": row["sample"],
    }
