"""What is stored of each market and whether it is up to date, as plain rows.

Showing them belongs to the command line and the UI.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pandas as pd

from itb_assets.domain.markets import Market
from itb_assets.errors import ItbError
from itb_assets.orchestration.checks import LATE_AFTER_KLINES, PUBLISH_GRACE
from itb_assets.orchestration.model_page import luck_words, trading_words
from itb_assets.orchestration.model_versions import parse_model, used_words
from itb_assets.orchestration.platform import ModelName, Platform
from itb_assets.orchestration.promotion import model_path
from itb_assets.storage.files.catalogue import read_gaps
from itb_assets.storage.layout import ModelAddress


def market_rows(platform: Platform) -> list[dict[str, Any]]:
    """Describe every stored market: rows, first and last kline, gaps, models, freshness."""
    return [_market_row(platform, market) for market in platform.markets()]


def _market_row(platform: Platform, market: Market) -> dict[str, Any]:
    stored = platform.stored(market, "raw/klines")
    last = stored.last if stored else None
    gaps = [gap for gap in read_gaps(platform.layout.gaps(market)) if gap.state == "open"]
    wanted = platform.model_names()
    found = [name for name in wanted if model_metadata(platform, market, name) is not None]
    return {
        "symbol": market.symbol,
        "freq": market.freq,
        "rows": stored.rows if stored else 0,
        "first_kline": _minute(stored.first if stored else None),
        "last_kline": _minute(last),
        "gaps": len(gaps),
        "missing_rows": sum(gap.missing_rows for gap in gaps),
        "models": f"{len(found)} of {len(wanted)}",
        "paper_trades": sum(_paper_trades(platform, market)),
        "freshness": freshness(market, last, pd.Timestamp(platform.clock())),
    }


def _paper_trades(platform: Platform, market: Market) -> Iterator[int]:
    for variant in platform.traded_variants:
        stored = platform.stored(market, f"trades/{variant}")
        yield 0 if stored is None else stored.rows


def freshness(market: Market, last: pd.Timestamp | None, now: pd.Timestamp) -> str:
    """Say whether the newest kline is as new as it can be, or how late it is."""
    if last is None:
        return "no klines"
    age = now - (last + market.freq_delta)
    if age <= LATE_AFTER_KLINES * market.freq_delta + PUBLISH_GRACE:
        return "fresh"
    return f"late by {_duration(age)}"


def _duration(age: pd.Timedelta) -> str:
    for unit, name in ((pd.Timedelta(days=2), "days"), (pd.Timedelta(hours=2), "hours")):
        if age >= unit:
            return f"{age // (unit / 2)} {name}"
    return f"{age // pd.Timedelta(minutes=1)} minutes"


def model_metadata(platform: Platform, market: Market, name: ModelName) -> Mapping[str, Any] | None:
    """Return a model's metadata as it lies on disk, unchecked, or None."""
    return platform.models.peek(platform.layout.model_dir(market, name.variant, name.algo, name.label))


def gap_rows(platform: Platform, *, closed: bool = False) -> list[dict[str, Any]]:
    """Describe every recorded gap; with `closed`, also those that late klines filled."""
    return [
        {
            "symbol": market.symbol,
            "freq": market.freq,
            "first_missing": _minute(gap.first_missing),
            "last_missing": _minute(gap.last_missing),
            "rows": gap.missing_rows,
            "reason": gap.reason,
            "sightings": gap.sightings,
            "state": gap.state,
        }
        for market in platform.markets()
        for gap in read_gaps(platform.layout.gaps(market))
        if closed or gap.state == "open"
    ]


def model_rows(platform: Platform) -> list[dict[str, Any]]:
    """Describe every model in use, with figures on rows it was never trained on."""
    return [_model_row(platform, address) for address in platform.layout.models()]


def _model_row(platform: Platform, address: ModelAddress) -> dict[str, Any]:
    figures = ("auc", "average_precision", "base_rate", "win_rate", "rows")
    traded = ("trades", "expectancy_pct")
    unknown = dict.fromkeys(("version", *figures, *traded, "trained_until"))
    row = {"model": model_path(address), **unknown}
    try:
        model = platform.models.load(platform.layout.promoted_dir(address))
    except ItbError as error:
        return row | {"state": type(error).__name__}
    overall, trading = model.metrics["overall"], model.metrics.get("trading") or {}
    return {
        **row,
        "version": model.metadata.get("version"),
        **{key: overall[key] for key in figures},
        **{key: trading.get(key) for key in traded},
        "trained_until": _minute(pd.Timestamp(model.metadata["train_end"])),
        "state": "whole",
    }


def model_page(platform: Platform, name: str) -> dict[str, Any]:
    """Return what there is of the model in use named SYMBOL/FREQ/VARIANT/ALGO/LABEL, after checking it.

    `in_use` says in words which version it is and why, `trading` and `luck` what it is worth.
    """
    address = parse_model(name)
    model = platform.models.load(platform.layout.promoted_dir(address))
    metrics = dict(model.metrics)
    return {
        "in_use": used_words(platform, address),
        "trading": trading_words(metrics),
        "luck": luck_words(metrics),
        "metadata": dict(model.metadata),
        "metrics": metrics,
    }


def _minute(time: pd.Timestamp | None) -> str | None:
    return None if time is None else f"{time:%Y-%m-%d %H:%M}"
