"""What is stored of each market and whether it is up to date, as plain rows.

Showing them belongs to the command line and the UI.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from itb_assets.domain.markets import Market
from itb_assets.errors import InputError, ItbError
from itb_assets.orchestration.checks import LATE_AFTER_KLINES, PUBLISH_GRACE
from itb_assets.orchestration.platform import ModelName, Platform
from itb_assets.storage.catalogue import read_gaps
from itb_assets.storage.layout import ModelAddress

MODEL_PARTS = ("SYMBOL", "FREQ", "VARIANT", "ALGO", "LABEL")


def market_rows(platform: Platform) -> list[dict[str, Any]]:
    """Describe every stored market: rows, first and last kline, gaps, models, freshness."""
    return [_market_row(platform, market) for market in platform.layout.markets()]


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
        "freshness": freshness(market, last, pd.Timestamp(platform.clock())),
    }


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
        for market in platform.layout.markets()
        for gap in read_gaps(platform.layout.gaps(market))
        if closed or gap.state == "open"
    ]


def model_rows(platform: Platform) -> list[dict[str, Any]]:
    """Describe every model folder, with figures on rows it was never trained on."""
    return [_model_row(platform, address) for address in platform.layout.models()]


def _model_row(platform: Platform, address: ModelAddress) -> dict[str, Any]:
    market = address.market
    name = f"{market.symbol}/{market.freq}/{address.variant}/{address.algo}/{address.label}"
    figures = ("auc", "average_precision", "base_rate", "win_rate", "rows")
    try:
        model = platform.models.load(
            platform.layout.model_dir(market, address.variant, address.algo, address.label)
        )
    except ItbError as error:
        return {"model": name, **dict.fromkeys(figures), "trained_until": None, "state": type(error).__name__}
    overall, until = model.metrics["overall"], _minute(pd.Timestamp(model.metadata["train_end"]))
    return {"model": name, **{key: overall[key] for key in figures}, "trained_until": until, "state": "whole"}


def model_page(platform: Platform, name: str) -> dict[str, Any]:
    """Return metadata and metrics of the model named SYMBOL/FREQ/VARIANT/ALGO/LABEL, after checking it."""
    parts = name.split("/")
    if len(parts) != len(MODEL_PARTS):
        raise InputError(
            f"model {name!r} is not valid: expected {'/'.join(MODEL_PARTS)}, as `itb models list` shows it"
        )
    symbol, freq, variant, algo, label = parts
    folder = platform.layout.model_dir(Market(symbol, freq), variant, algo, label)
    model = platform.models.load(folder)
    return {"metadata": dict(model.metadata), "metrics": dict(model.metrics)}


def _minute(time: pd.Timestamp | None) -> str | None:
    return None if time is None else f"{time:%Y-%m-%d %H:%M}"
