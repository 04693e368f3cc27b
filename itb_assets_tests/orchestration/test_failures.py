"""A transient error is tried again, a terminal one is not, and both keep their words and their type."""

from __future__ import annotations

import dagster as dg
import pytest
from pipeline_making import NOW, QUIET, WOLF, open_pipeline, pages, problems

from itb_assets.domain.markets import Market
from itb_assets.errors import (
    DatabaseUnavailable,
    ExchangeUnavailable,
    ItbError,
    MarketBusy,
    RateLimited,
    StorageFull,
    TransientError,
    UnknownSymbol,
)
from itb_assets.orchestration import failures, io_managers
from itb_assets.orchestration.assets import raw
from itb_assets.orchestration.failures import MAX_RETRIES, as_failures, cause_of
from itb_assets.orchestration.partitions import SYMBOLS, partition_of
from itb_assets.sources.http import RetryPolicy
from itb_assets.storage.disk.locks import market_lock


def _subclasses(kind: type[ItbError]) -> list[type[ItbError]]:
    return [kind, *(deeper for sub in kind.__subclasses__() for deeper in _subclasses(sub))]


TERMINAL = sorted(
    set(_subclasses(ItbError)) - set(_subclasses(TransientError)), key=lambda kind: kind.__name__
)


def _made(kind: type[ItbError]) -> ItbError:
    """Make an error of any kind without knowing what its constructor asks for."""
    error = kind.__new__(kind)
    Exception.__init__(error, "found this, expected that, do so")
    return error


@pytest.mark.parametrize("kind", TERMINAL, ids=lambda kind: kind.__name__)
def test_a_terminal_error_is_a_failure_that_allows_no_retry(kind):
    with pytest.raises(dg.Failure) as raised, as_failures():
        raise _made(kind)
    assert raised.value.allow_retries is False
    assert raised.value.description == "found this, expected that, do so"
    assert raised.value.metadata["error"].value == kind.__name__
    assert type(cause_of(raised.value)) is kind


@pytest.mark.parametrize("kind", [TransientError, ExchangeUnavailable, DatabaseUnavailable])
def test_a_transient_error_asks_for_a_retry_a_little_later(kind):
    with pytest.raises(dg.RetryRequested) as raised, as_failures():
        raise kind("gone for now")
    assert raised.value.max_retries == MAX_RETRIES
    assert raised.value.seconds_to_wait == failures.DEFAULT_WAIT_S
    assert type(cause_of(raised.value)) is kind


def test_a_retry_waits_as_long_as_the_exchange_asked():
    with pytest.raises(dg.RetryRequested) as raised, as_failures():
        raise RateLimited("slow down", retry_after_s=77)
    assert raised.value.seconds_to_wait == 77


def test_where_somebody_waits_a_transient_error_ends_the_step_too():
    with pytest.raises(dg.Failure) as raised, as_failures(retry=False):
        raise ExchangeUnavailable("gone for now")
    assert isinstance(cause_of(raised.value), ExchangeUnavailable)


def test_what_is_not_ours_passes_as_it_is():
    with pytest.raises(ZeroDivisionError), as_failures():
        raise ZeroDivisionError
    assert cause_of(ZeroDivisionError("a fault of ours, not an error")) is None


def test_our_error_is_found_behind_a_chain_that_goes_round():
    outer, middle, ours = RuntimeError("outer"), RuntimeError("middle"), StorageFull("ours")
    outer.__cause__, middle.__context__ = middle, ours
    ours.__context__ = outer
    assert cause_of(outer) is ours
    one, other = RuntimeError("one"), RuntimeError("other")
    one.__context__, other.__context__ = other, one
    assert cause_of(one) is None


def test_an_exchange_that_comes_back_in_time_costs_a_retry_and_nothing_else(fresh, monkeypatch):
    monkeypatch.setattr(failures, "DEFAULT_WAIT_S", 0)
    with open_pipeline(fresh.root, max_wait_s=0) as pipeline:
        pipeline.exchange.faults.rest, pipeline.exchange.faults.retry_after_s = "429", 0
        pipeline.exchange.faults.strikes = RetryPolicy().refusals  # one try of the source
        result = pipeline.run_well(assets=["raw/klines"])
    restarts = [event for event in result.all_events if event.event_type_value == "STEP_RESTARTED"]
    assert len(restarts) == 1
    assert pages(result)["raw/klines"]["rows_new"] == 1152


def test_an_exchange_that_stays_away_fails_the_run_by_name_and_leaves_what_is_stored(built, monkeypatch):
    monkeypatch.setattr(failures, "DEFAULT_WAIT_S", 0)
    before = built.manifest("raw/klines")
    with open_pipeline(built.root, max_wait_s=0, now=NOW.replace(hour=3)) as pipeline:
        pipeline.exchange.faults.rest, pipeline.exchange.faults.retry_after_s = "429", 0
        result = pipeline.run()
    assert set(problems(result)) == {"raw__klines"}
    assert "RateLimited" in problems(result)["raw__klines"]
    restarts = [event for event in result.all_events if event.event_type_value == "STEP_RESTARTED"]
    assert len(restarts) == MAX_RETRIES
    assert pages(result) == {}
    assert built.manifest("raw/klines") == before


def test_the_error_behind_a_failed_run_is_at_hand_for_the_command_line(fresh):
    """What Dagster raises from a run leads back to our own error: type, message and exit code."""
    nobody = Market("NOSUCHUSDT", "5m")
    fresh.instance.add_dynamic_partitions(str(SYMBOLS.name), [nobody.symbol])
    with pytest.raises(dg.Failure) as raised:
        fresh.defs.resolve_job_def("build_market").execute_in_process(
            run_config=dict(QUIET), instance=fresh.instance, partition_key=partition_of(nobody)
        )
    error = cause_of(raised.value)
    assert isinstance(error, UnknownSymbol)
    assert "NOSUCHUSDT" in str(error)
    assert error.exit_code == 2
    assert not (fresh.root / "NOSUCHUSDT").exists()


def test_a_terminal_error_is_not_tried_again(fresh):
    result = fresh.run(Market("NOSUCHUSDT", "5m"))
    assert set(problems(result)) == {"raw__klines"}
    assert not [event for event in result.all_events if event.event_type_value == "STEP_RESTARTED"]


def test_a_market_that_somebody_writes_is_left_alone(built, monkeypatch):
    for module in (io_managers, raw):
        monkeypatch.setattr(module, "LOCK_WAIT_S", 0.0)
    with market_lock(built.platform.layout.market_lock(WOLF)):
        result = built.at(NOW.replace(hour=1)).run()
    assert MarketBusy.__name__ in problems(result)["raw__klines"]
    assert built.manifest("raw/klines").rows == 1152
