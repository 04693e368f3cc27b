"""Performance assets: what a variant's paper trades earned, a row a day, samples never mixed.

What a figure means belongs to `domain.trading` and `domain.evaluation`, drawing to `observability`.
"""

import hashlib
from collections.abc import Iterator

import dagster as dg
import pandas as pd

from itb_assets.domain.markets import Market
from itb_assets.domain.trading.performance import by_hour, daily_by_sample, totals_by_sample
from itb_assets.domain.trading.rule import TradingRule
from itb_assets.domain.trading.summary import PaperSummary, signal_period, summarise
from itb_assets.observability.performance_plots import daily_pnl, equity_and_drawdown, win_rate_by_hour
from itb_assets.observability.wording import number, percent
from itb_assets.orchestration.assets.base import asset_in, market_asset
from itb_assets.orchestration.metadata import pictures, table
from itb_assets.orchestration.paper_trades import PRICES
from itb_assets.orchestration.partitions import market_of
from itb_assets.orchestration.platform import Platform
from itb_assets.orchestration.updates import FrameUpdate, pending_work, versions
from itb_assets.storage.files.frames import StoredFrame

DAILY = "daily 1"
"""Names how days are counted, so that days counted in another way are never taken for these."""
SAMPLES = {"out_of_sample": "out of sample", "live": "live"}


def performance_assets(platform: Platform) -> list[dg.AssetsDefinition]:
    """Define one performance asset per variant whose signals buy and sell."""
    return [_performance(variant) for variant in platform.traded_variants]


def _performance(variant: str) -> dg.AssetsDefinition:
    @market_asset(
        key=["performance", variant],
        group="performance",
        kinds={"pandas"},
        ins={
            "trades": asset_in("trades", variant),
            "signals": asset_in("signals", variant),
            "data": asset_in("processed", "data"),
        },
        tags={"variant": variant},
        description=(
            f"What the paper trades of the {variant} strategy earned by day of entry (UTC), after fees; "
            "trades on walk-forward scores and live ones are counted apart."
        ),
    )
    def performance(
        context: dg.AssetExecutionContext,
        platform: dg.ResourceParam[Platform],
        trades: StoredFrame,
        signals: StoredFrame,
        data: StoredFrame,
    ) -> FrameUpdate:
        return _update(platform, context, variant, trades, signals, data)

    return performance


def _update(
    platform: Platform,
    context: dg.AssetExecutionContext,
    variant: str,
    trades: StoredFrame,
    signals: StoredFrame,
    data: StoredFrame,
) -> FrameUpdate:
    market, rule = market_of(context.partition_key), platform.trading_rule(variant)
    digest = hashlib.sha256(f"{DAILY} {rule.digest}".encode()).hexdigest()
    sources = {f"trades/{variant}": trades, "processed/data": data}
    stored = platform.stored(market, f"performance/{variant}")
    work = pending_work(stored, digest=digest, sources=sources)
    if work.nothing and stored is not None:
        metadata = _figures(stored.read()) | _drawn_before(data, market)
        return FrameUpdate(None, digest, versions(sources), metadata=metadata)
    from_time = None if work.from_time is None else work.from_time.floor("D")
    rows = trades.read() if from_time is None else trades.since(from_time)
    fresh = daily_by_sample(rows, market, model_name=variant)
    days = fresh
    if from_time is not None and stored is not None:
        before = stored.read()
        before = before[before["timestamp"] < from_time]
        days = pd.concat([before, fresh], ignore_index=True) if len(before) else fresh
    if stored is None or from_time is None or _day_completed(stored, data, market):
        shown = _drawn(market, rule, variant, trades.read(), signals, data, whole=from_time is None)
    else:
        shown = _drawn_before(data, market)
    return FrameUpdate(fresh, digest, versions(sources), from_time=from_time, metadata=_figures(days) | shown)


def _day_completed(stored: StoredFrame, data: StoredFrame, market: Market) -> bool:
    """Tell whether klines that came in since what is stored was computed hold the last one of a day."""
    changed = data.manifest.changed_since(stored.manifest.sources["processed/data"])
    if changed is None or data.last is None:
        return False
    return (data.last + market.freq_delta).floor("D") > changed.floor("D")


def _drawn_before(data: StoredFrame, market: Market) -> dict[str, object]:
    """Say where the newest pictures are, instead of drawing them again at every kline."""
    midnight = pd.Timestamp(0, tz="UTC") if data.last is None else data.last + market.freq_delta
    return {
        "plots": (
            "drawn when a day is complete and when everything is computed: see the last materialization "
            f"with klines until {midnight.floor('D'):%Y-%m-%d} 00:00 UTC or later, under Events"
        )
    }


def _figures(days: pd.DataFrame) -> dict[str, object]:
    """Sum up the days of each sample."""
    rows = [
        {
            "sample": SAMPLES[total.sample],
            "days": total.days,
            "trades": total.trades,
            "won": f"{total.win_rate:.1%}",
            "95 % interval": f"{total.wilson_low:.1%} to {total.wilson_high:.1%}",
            "P&L after fees": f"{total.total_pnl:,.2f}",
        }
        for total in totals_by_sample(days)
    ]
    return {"results": table(rows)}


def _drawn(
    market: Market,
    rule: TradingRule,
    variant: str,
    trades: pd.DataFrame,
    signals: StoredFrame,
    data: StoredFrame,
    *,
    whole: bool,
) -> dict[str, object]:
    """Draw every sample, or the newest alone where a day was completed: what came before it stays."""
    found = list(_summaries(market, rule, trades, signals, data))
    plots: dict[str, bytes] = {}
    for sample, summary in found if whole else found[-1:]:
        title = f"{market} {variant}, {SAMPLES[sample]}"
        hours = by_hour(summary.closed)
        days = summary.closed.assign(day=summary.closed["timestamp"], total_pnl=summary.closed["pnl"])
        plots |= {
            f"equity and drawdown, {sample}": equity_and_drawdown(summary.curve, title=f"{title}: equity"),
            f"profit and loss by day, {sample}": daily_pnl(days, title=f"{title}: profit and loss by day"),
            f"win rate by hour, {sample}": win_rate_by_hour(hours, title=f"{title}: by hour"),
        }
    return {
        "key_figures": table([_key_figures(sample, summary) for sample, summary in found]),
        "plots": pictures(plots) if plots else "no position was closed yet",
    }


def _summaries(
    market: Market, rule: TradingRule, trades: pd.DataFrame, signals: StoredFrame, data: StoredFrame
) -> Iterator[tuple[str, PaperSummary]]:
    """Measure each sample that has closed trades, out of sample first."""
    if trades.empty or data.last is None or signals.first is None:
        return
    prices = data.since(signals.first, PRICES)
    signalled = signals.read(["timestamp", "sample"])
    for sample in SAMPLES:
        own = trades[trades["sample"] == sample]
        period = signal_period(signalled, sample, market, until=data.last + market.freq_delta)
        if period is not None and (own["status"] == "CLOSED").any():
            yield sample, summarise(own, prices, rule, market, period=period)


def _key_figures(sample: str, summary: PaperSummary) -> dict[str, object]:
    statistics, deepest = summary.statistics, summary.max_drawdown
    return {
        "sample": SAMPLES[sample],
        "from": f"{summary.start:%Y-%m-%d}",
        "until": f"{summary.end:%Y-%m-%d}",
        "trades": statistics.trades,
        "profit factor": number(statistics.profit_factor),
        "expectancy, % a trade": number(statistics.expectancy_pct, 3),
        "return": percent(summary.return_pct, 2),
        "Sharpe": number(summary.sharpe),
        "Sortino": number(summary.sortino),
        "worst drawdown": percent(None if deepest is None else -deepest * 100),
        "fees": f"{statistics.total_fees:,.2f}",
    }
