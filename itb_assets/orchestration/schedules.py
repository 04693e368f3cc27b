"""Schedules: each freq after its candle closes, and a weekly training.

They decide which markets are due; what a run does is the job's.
"""

from collections.abc import Iterable, Iterator, Sequence

import dagster as dg

from itb_assets.domain.markets import FREQ_MS, HOUR_MS, MINUTE_MS, Market
from itb_assets.errors import InvalidMarket
from itb_assets.orchestration.jobs import BUILD, TRAIN
from itb_assets.orchestration.killed_runs import fail_killed
from itb_assets.orchestration.models import needs_training
from itb_assets.orchestration.partitions import SYMBOLS, partition_of
from itb_assets.orchestration.platform import Platform

IN_FLIGHT = [
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]


def cron_of(freq: str) -> str:
    """Return the cron expression of the moments at which a freq's candles close, in UTC."""
    length = FREQ_MS[freq]
    if length < HOUR_MS:
        return f"*/{length // MINUTE_MS} * * * *" if length > MINUTE_MS else "* * * * *"
    hours = length // HOUR_MS
    return {1: "0 * * * *", 24: "0 0 * * *"}.get(hours, f"0 */{hours} * * *")


def all_schedules(platform: Platform) -> list[dg.ScheduleDefinition]:
    """Return a schedule for each freq and the weekly training."""
    return [*(_after_close(platform, freq) for freq in FREQ_MS), _weekly_training(platform)]


def _status(platform: Platform, *, wanted: bool) -> dg.DefaultScheduleStatus:
    running = wanted and platform.settings.schedules == "running"
    return dg.DefaultScheduleStatus.RUNNING if running else dg.DefaultScheduleStatus.STOPPED


def _after_close(platform: Platform, freq: str) -> dg.ScheduleDefinition:
    @dg.schedule(
        cron_schedule=cron_of(freq),
        name=f"after_close_{freq}",
        job_name=BUILD,
        execution_timezone="UTC",
        default_status=_status(platform, wanted=freq in platform.settings.freqs),
        description=f"Update every {freq} market when its candle has closed; train what is missing.",
    )
    def after_close(context: dg.ScheduleEvaluationContext) -> Sequence[dg.RunRequest] | dg.SkipReason:
        fail_killed(context.instance)
        markets = _followed(context, freq)
        requests = list(_requests(context, platform, markets))
        if requests:
            return requests
        return dg.SkipReason(
            f"the last run of every {freq} market is still under way"
            if markets
            else f"no symbol is followed, so no {freq} market is due: add one with `itb symbols add`"
        )

    return after_close


def _followed(context: dg.ScheduleEvaluationContext, freq: str) -> list[Market]:
    """Return the followed markets of a freq; a key that somebody added in the UI may be no symbol."""
    markets = []
    for symbol in context.instance.get_dynamic_partitions(str(SYMBOLS.name)):
        try:
            markets.append(Market(symbol, freq))
        except InvalidMarket as error:
            context.log.warning("partition passed over: %s", error)
    return markets


def _requests(
    context: dg.ScheduleEvaluationContext, platform: Platform, markets: Iterable[Market]
) -> Iterator[dg.RunRequest]:
    at = context.scheduled_execution_time.strftime("%Y-%m-%dT%H:%M")
    for market in markets:
        if _in_flight(context.instance, market):
            continue
        yield dg.RunRequest(
            run_key=f"{partition_of(market)}@{at}",
            partition_key=partition_of(market),
            asset_selection=assets_due(platform, market),
        )


def _in_flight(instance: dg.DagsterInstance, market: Market) -> bool:
    tags = {"dagster/partition": str(partition_of(market))}
    return bool(instance.get_runs(filters=dg.RunsFilter(tags=tags, statuses=IN_FLIGHT), limit=1))


def assets_due(platform: Platform, market: Market, *, retrain: bool = False) -> list[dg.AssetKey]:
    """Return what a run of a market materializes: all but the models that are up to date."""
    current = {
        "/".join(name.key)
        for name in platform.model_names()
        if not (retrain or needs_training(platform, market, name))
    }
    return [dg.AssetKey(name.split("/")) for name in platform.asset_names() if name not in current]


def _weekly_training(platform: Platform) -> dg.ScheduleDefinition:
    @dg.schedule(
        cron_schedule="2 3 * * 0",  # not at a close: the runs of that moment would be in each other's way
        name="weekly_training",
        job_name=TRAIN,
        execution_timezone="UTC",
        default_status=_status(platform, wanted=True),
        description="Train the models of every stored market again, Sundays at 03:02 UTC.",
    )
    def weekly_training(context: dg.ScheduleEvaluationContext) -> Sequence[dg.RunRequest] | dg.SkipReason:
        week = context.scheduled_execution_time.strftime("%Y-%m-%d")
        followed = set(context.instance.get_dynamic_partitions(str(SYMBOLS.name)))
        markets = [market for market in platform.markets() if market.symbol in followed]
        requests = [
            dg.RunRequest(run_key=f"train {partition_of(market)}@{week}", partition_key=partition_of(market))
            for market in markets
        ]
        return requests or dg.SkipReason("no market is stored yet")

    return weekly_training
