"""Schedules: each freq at its candle closes, every followed market that is free, models only when due."""

from __future__ import annotations

import itertools
import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import dagster as dg
import pytest
from dagster._core.remote_origin import (
    RegisteredCodeLocationOrigin,
    RemoteJobOrigin,
    RemoteRepositoryOrigin,
)
from dagster._utils.schedules import cron_string_iterator
from pipeline_making import BY_KLINE, NOW, WOLF, Pipeline, open_pipeline, pages, problems
from quick_strategies import brisk, steady

from itb_assets.domain.markets import FREQ_MS, Market
from itb_assets.orchestration.partitions import SYMBOLS, partition_of
from itb_assets.orchestration.schedules import all_schedules, cron_of

CLOSE = datetime(2024, 3, 5, 0, 5, tzinfo=UTC)
LYNX = Market("DEMOLYNXUSDT", "5m")
ALWAYS = {
    "raw/klines",
    "processed/data",
    "processed/features",
    "labeled/matrix",
    *(
        f"{stage}/{variant}"
        for stage in ("predictions", "signals", "trades", "performance", "drift")
        for variant in ("brisk", "steady")
    ),
}
COMBINED = {
    "generator": "combine",
    "config": {"columns": ["low_020_4_lgbm", "high_020_4_lgbm"], "names": "score", "combine": "relative"},
}


@pytest.mark.parametrize("freq", FREQ_MS)
def test_cron_fires_at_every_candle_close_and_at_no_other_time(freq):
    """By Dagster's own reading of the cron expression, over two days from a moment between closes."""
    start = datetime(2024, 2, 28, 23, 59, 30, tzinfo=UTC)
    end_ms = int((start + timedelta(days=2)).timestamp() * 1000)
    ticks = cron_string_iterator(start.timestamp(), cron_of(freq), "UTC")
    found = [int(tick.timestamp() * 1000) for tick in ticks_until(ticks, end_ms)]
    length = FREQ_MS[freq]
    first = -(-int(start.timestamp() * 1000) // length) * length
    assert found == list(range(first, end_ms, length))


@pytest.fixture(scope="module")
def stored_instance(tmp_path_factory) -> Iterator[dg.DagsterInstance]:
    """Return an instance on disk: a schedule opens it by reference, which one in memory does not allow."""
    with dg.DagsterInstance.local_temp(str(tmp_path_factory.mktemp("instance"))) as instance:
        yield instance


@pytest.fixture
def instance(stored_instance) -> dg.DagsterInstance:
    """Return the instance without symbols and runs."""
    for run in stored_instance.get_runs():
        stored_instance.delete_run(run.run_id)
    for symbol in stored_instance.get_dynamic_partitions(str(SYMBOLS.name)):
        stored_instance.delete_dynamic_partition(str(SYMBOLS.name), symbol)
    return stored_instance


@pytest.fixture
def fresh(tmp_path, instance) -> Iterator[Pipeline]:
    """Return a pipeline on an empty root."""
    with open_pipeline(tmp_path / "data", instance=instance) as pipeline:
        yield pipeline


@pytest.fixture
def built(tmp_path, built_root, instance) -> Iterator[Pipeline]:
    """Return a pipeline on a copy of the built root."""
    shutil.copytree(built_root, tmp_path / "data")
    with open_pipeline(tmp_path / "data", instance=instance) as pipeline:
        yield pipeline


def ticks_until(ticks, end_ms):
    return itertools.takewhile(lambda tick: tick.timestamp() * 1000 < end_ms, ticks)


def tick(pipeline: Pipeline, name: str = "after_close_5m", at: datetime = CLOSE):
    """Evaluate a schedule as the daemon does; return its run requests and why it skipped."""
    with dg.build_schedule_context(
        instance=pipeline.instance,
        scheduled_execution_time=at,
        repository_def=pipeline.defs.get_repository_def(),
    ) as context:
        data = pipeline.defs.resolve_schedule_def(name).evaluate_tick(context)
    return data.run_requests or [], data.skip_message


def follow(pipeline: Pipeline, *symbols: str) -> None:
    pipeline.instance.add_dynamic_partitions(str(SYMBOLS.name), list(symbols))


def run_of(market: Market, status: str) -> dg.DagsterRun:
    """Return a run of a market as the daemon launches it, in a given state."""
    repository = RemoteRepositoryOrigin(RegisteredCodeLocationOrigin("itb_assets"), "__repository__")
    return dg.DagsterRun(
        job_name="build_market",
        status=dg.DagsterRunStatus[status],
        tags={"dagster/partition": str(partition_of(market))},
        remote_job_origin=RemoteJobOrigin(repository, "build_market"),
    )


def selected(request: dg.RunRequest) -> set[str]:
    return {"/".join(key.path) for key in request.asset_selection or ()}


def test_every_followed_symbol_is_requested_once_a_close(fresh):
    follow(fresh, WOLF.symbol, LYNX.symbol)
    requests, _ = tick(fresh)
    assert [request.partition_key for request in requests] == [partition_of(WOLF), partition_of(LYNX)]
    again, _ = tick(fresh)
    later, _ = tick(fresh, at=CLOSE + timedelta(minutes=5))
    keys = [{request.run_key for request in some} for some in (requests, again, later)]
    assert len(keys[0]) == 2
    assert keys[0] == keys[1], "a tick that is evaluated again must not start a second run"
    assert keys[0].isdisjoint(keys[2])


def test_each_schedule_requests_its_own_freq(fresh):
    follow(fresh, WOLF.symbol)
    (request,), _ = tick(fresh, "after_close_1h")
    assert request.partition_key == "1h|DEMOWOLFUSDT"
    assert request.tags["dagster/partition"] == "1h|DEMOWOLFUSDT"


def test_a_symbol_that_is_added_is_requested_at_the_next_tick_and_one_removed_no_more(fresh):
    """The definitions are the same object throughout: nothing is loaded again."""
    requests, reason = tick(fresh)
    assert requests == []
    assert "no symbol is followed" in reason
    assert "itb symbols add" in reason
    follow(fresh, WOLF.symbol)
    assert len(tick(fresh)[0]) == 1
    fresh.instance.delete_dynamic_partition(str(SYMBOLS.name), WOLF.symbol)
    assert tick(fresh)[0] == []


@pytest.mark.parametrize("status", ["QUEUED", "NOT_STARTED", "STARTING", "STARTED", "CANCELING"])
def test_a_market_whose_run_is_under_way_is_passed_over(fresh, status):
    follow(fresh, WOLF.symbol, LYNX.symbol)
    fresh.instance.add_run(run_of(WOLF, status))
    requests, _ = tick(fresh)
    assert [request.partition_key for request in requests] == [partition_of(LYNX)]
    other_freq, _ = tick(fresh, "after_close_1h")
    assert len(other_freq) == 2
    fresh.instance.delete_dynamic_partition(str(SYMBOLS.name), LYNX.symbol)
    requests, reason = tick(fresh)
    assert requests == []
    assert "still under way" in reason


@pytest.mark.parametrize("status", ["SUCCESS", "FAILURE", "CANCELED"])
def test_a_run_that_has_ended_holds_nothing_up(fresh, status):
    follow(fresh, WOLF.symbol)
    fresh.instance.add_run(run_of(WOLF, status))
    assert len(tick(fresh)[0]) == 1


def test_a_key_that_is_no_symbol_does_not_stop_the_others(fresh):
    """The UI lets anybody add any partition key."""
    follow(fresh, "btc-usdt", WOLF.symbol, "../x")
    requests, _ = tick(fresh)
    assert [request.partition_key for request in requests] == [partition_of(WOLF)]


def test_models_are_requested_when_missing_and_not_when_they_are_up_to_date(built):
    follow(built, WOLF.symbol, LYNX.symbol)
    (wolf, lynx), _ = tick(built)
    assert selected(wolf) == ALWAYS
    assert selected(lynx) - ALWAYS == {"/".join(name.key) for name in built.platform.model_names()}
    shutil.rmtree(built.platform.layout.model_dir(WOLF, "brisk", "lgbm", "high_020_4"))
    (wolf, _), _ = tick(built)
    assert selected(wolf) - ALWAYS == {"models/brisk/lgbm/high_020_4"}


@pytest.mark.parametrize(
    ("change", "due"),
    [
        ({"train_features": ["close_SMA_3", "close_SMA_6"]}, {"high_020_4", "low_020_4"}),
        ({"label_horizon": 9}, {"high_020_4", "low_020_4"}),
        ({"train_length": 500}, {"high_020_4", "low_020_4"}),
        (
            {"walk_forward": {"folds": 3, "window_rows": 90, "min_train_rows": 300}},
            {"high_020_4", "low_020_4"},
        ),
        ({"description": "told otherwise"}, set()),
        ({"signal_sets": [COMBINED]}, set()),
    ],
)
def test_a_changed_definition_makes_exactly_its_models_due(built, change, due):
    follow(built, WOLF.symbol)
    changed = built.with_strategies(brisk(**change), steady())
    (request,), _ = tick(changed)
    assert selected(request) - ALWAYS == {f"models/brisk/lgbm/{label}" for label in due}


def test_a_model_that_is_refused_fails_its_own_market_and_not_the_tick(built):
    """Nobody trains over a tampered model in silence: the run loads it and says why it cannot."""
    follow(built, WOLF.symbol, LYNX.symbol)
    folder = built.platform.layout.model_dir(WOLF, "brisk", "lgbm", "high_020_4")
    metadata = json.loads((folder / "metadata.json").read_text())
    (folder / "metadata.json").write_text(json.dumps(metadata | {"sha256": "none"}))
    (wolf, lynx), _ = tick(built)
    assert selected(wolf) == ALWAYS
    assert selected(lynx) > ALWAYS
    with dg.DagsterInstance.ephemeral() as quick:
        result = replace(built, instance=quick).run()
    assert set(problems(result)) == {"predictions__brisk"}
    assert "ModelRejected" in problems(result)["predictions__brisk"]


def test_a_requested_run_runs(built):
    follow(built, WOLF.symbol)
    (request,), _ = tick(built)
    with dg.DagsterInstance.ephemeral() as quick:
        result = replace(built.at(CLOSE), instance=quick).run_well(assets=sorted(selected(request)))
    made = pages(result)
    assert set(made) == ALWAYS
    assert all(made[asset]["rows_new"] == 1 for asset in BY_KLINE)


def test_weekly_training_trains_every_stored_market_that_is_followed(built):
    requests, reason = tick(built, "weekly_training", NOW)
    assert requests == []
    assert reason == "no market is stored yet"
    follow(built, WOLF.symbol, LYNX.symbol)
    (request,), _ = tick(built, "weekly_training", NOW)
    assert request.partition_key == partition_of(WOLF)
    assert request.asset_selection is None, "the whole training job"
    (again,), _ = tick(built, "weekly_training", NOW)
    (later,), _ = tick(built, "weekly_training", NOW + timedelta(days=7))
    assert request.run_key == again.run_key != later.run_key
    schedule = built.defs.resolve_schedule_def("weekly_training")
    assert schedule.job_name == "train_market"
    ticks = cron_string_iterator(NOW.timestamp(), str(schedule.cron_schedule), "UTC")
    first = next(ticks)
    assert next(ticks) - first == timedelta(days=7)
    assert (first.weekday(), first.minute % 5) == (6, 2), "a run that starts at a close meets its market's"


def test_schedules_run_from_the_start_for_the_freqs_of_the_settings_only(fresh):
    running = {
        schedule.name
        for schedule in all_schedules(fresh.platform)
        if schedule.default_status == dg.DefaultScheduleStatus.RUNNING
    }
    assert running == {"after_close_5m", "after_close_1h", "weekly_training"}
    assert {schedule.name for schedule in all_schedules(fresh.platform)} - {"weekly_training"} == {
        f"after_close_{freq}" for freq in FREQ_MS
    }
