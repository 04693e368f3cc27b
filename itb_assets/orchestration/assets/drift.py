"""Drift assets: whether a variant's live trades, scores and features still are what it was judged by.

What is measured belongs to `domain.drift`, when a look is due to `orchestration.drift`.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import dagster as dg

from itb_assets.domain.markets import Market
from itb_assets.observability.model_plots import drift_history
from itb_assets.orchestration.assets.base import asset_in, market_asset
from itb_assets.orchestration.metadata import pictures, table
from itb_assets.orchestration.partitions import market_of
from itb_assets.orchestration.platform import Platform
from itb_assets.orchestration.updates import FrameUpdate, versions
from itb_assets.storage.files.frames import StoredFrame
from itb_assets.storage.tables.drift import DriftRow

if TYPE_CHECKING:
    from itb_assets.domain.drift import Look

FORMAT = "looks 1"
"""Names what a row holds: looks outlive models and strategies, so no definition of theirs is in it."""

LOOKS_SHOWN = 90
LOOKS_IN_TABLE = 400
"""Newest looks that the table of the database is given again with each new one, should it lack them."""

PLOTTED = ("win_rate", "drifted_features")


def drift_assets(platform: Platform) -> list[dg.AssetsDefinition]:
    """Define one drift asset per variant."""
    return [_drift(platform, strategy.variant) for strategy in platform.strategies]


def _drift(platform: Platform, variant: str) -> dg.AssetsDefinition:
    models = {
        name.score: dg.AssetIn(key=dg.AssetKey(name.key), dagster_type=dg.Nothing)
        for name in platform.model_names()
        if name.variant == variant
    }
    traded = {"trades": asset_in("trades", variant)} if variant in platform.traded_variants else {}

    @market_asset(
        key=["drift", variant],
        group="drift",
        kinds={"scipy"},
        ins={
            **models,
            "predictions": asset_in("predictions", variant),
            "features": asset_in("processed", "features"),
            "data": asset_in("processed", "data"),
            **traded,
        },
        tags={"variant": variant},
        description=(
            f"Looks for drift at the {variant} strategy: live paper trades, probabilities, scores and "
            "features against those out of sample. One a day, and one whenever the verdict on the win rate "
            'changes; "insufficient data" is a verdict.'
        ),
    )
    def drift(
        context: dg.AssetExecutionContext, platform: dg.ResourceParam[Platform], **sources: StoredFrame
    ) -> FrameUpdate:
        return _update(platform, market_of(context.partition_key), variant, sources)

    return drift


def _update(
    platform: Platform, market: Market, variant: str, frames: Mapping[str, StoredFrame]
) -> FrameUpdate:
    from itb_assets.domain.drift import empty_looks, looks_frame  # noqa: PLC0415 - SciPy loads slowly
    from itb_assets.orchestration.drift import DriftSources, Watching  # noqa: PLC0415 - likewise

    sources = DriftSources(
        frames["predictions"], frames["features"], frames["data"], trades=frames.get("trades")
    )
    stored = platform.stored(market, f"drift/{variant}")
    watching = Watching(platform, market, variant, sources, stored)
    last = watching.last_look()
    look = watching.look_if_due(last)
    made_from = versions(sources.by_asset(variant))
    if look is None:
        frame = empty_looks() if stored is None else None
        return FrameUpdate(frame, FORMAT, made_from, metadata=_standing(last))
    looks = (*watching.looks(LOOKS_IN_TABLE, before=look.at), look)
    rows = [row for one in looks for row in drift_rows(market, variant, one)]
    return FrameUpdate(
        looks_frame(look),
        FORMAT,
        made_from,
        from_time=None if stored is None else look.at,
        metadata=_page(market, variant, looks[-LOOKS_SHOWN:]),
        commit=lambda database: database.append_drift(rows),
    )


def drift_rows(market: Market, variant: str, look: "Look") -> list[DriftRow]:
    """Return a look as rows of the table `model_drift`."""
    return [
        DriftRow(
            market=market,
            time=look.at,
            model_name=variant,
            metric=one.metric,
            value=one.value,
            n=one.n,
            threshold=one.threshold,
            verdict=one.verdict,
            detail=one.detail,
        )
        for one in look.evaluations
    ]


def _standing(last: "Look | None") -> dict[str, Any]:
    """Say where things stand between two looks, in few words: it is said at every update."""
    if last is None:
        return {"verdict": "insufficient data"}
    return {"verdict": last.verdict, "looked_at": f"{last.at:%Y-%m-%d %H:%M} UTC"}


def _page(market: Market, variant: str, looks: "tuple[Look, ...]") -> dict[str, Any]:
    """Show the newest look, what alarms first, and how the two measures that matter most went."""
    from itb_assets.domain.drift import history_of  # noqa: PLC0415 - SciPy loads slowly

    newest = looks[-1]
    history = history_of(looks, model=variant)
    plots = {
        measure: drift_history(
            history[history["metric"] == measure], title=f"{market} {variant}: {measure}", measure=measure
        )
        for measure in PLOTTED
    }
    return {
        **_standing(newest),
        "alarms": ", ".join(one.metric for one in newest.alarms) or "none",
        "evaluations": table(
            [
                {
                    "metric": one.metric,
                    "value": "-" if one.value is None else one.value,
                    "n": one.n,
                    "threshold": "-" if one.threshold is None else one.threshold,
                    "verdict": one.verdict,
                    "detail": one.detail,
                }
                for one in newest.ranked
            ]
        ),
        "plots": pictures(plots),
    }
