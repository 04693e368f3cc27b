"""Every kind of event, written by a real instance, becomes the incident that it should, and ends it again."""

from __future__ import annotations

from datetime import UTC, datetime

import dagster as dg
import pytest
from alert_room import KLINES, MODEL, UI, WOLF, Room, asked
from dagster._core.definitions.freshness import FreshnessState, FreshnessStateChange
from dagster._core.remote_origin import (
    GrpcServerCodeLocationOrigin,
    RemoteJobOrigin,
    RemoteRepositoryOrigin,
)
from dagster._core.test_utils import create_run_for_test

from itb_assets.domain.alerts import Level
from itb_assets.domain.markets import Market
from itb_assets.orchestration.alerts import reading
from itb_assets.orchestration.alerts.phrases import phrase
from itb_assets.orchestration.alerts.subjects import Subjects
from itb_assets.orchestration.checks.base import Verdict
from itb_assets.orchestration.partitions import partition_of

MARKET = {"symbol": WOLF.symbol, "freq": WOLF.freq}
TAGS = {"dagster/partition": str(partition_of(WOLF))}
SERVER = GrpcServerCodeLocationOrigin(host="code", port=4000, location_name="itb_assets")
ORIGIN = RemoteJobOrigin(RemoteRepositoryOrigin(SERVER, "__repository__"), "build")


def test_a_failed_step_names_asset_market_and_the_first_line_of_the_error(room: Room):
    failed = room.run(fail_raw="terminal")
    room.look()
    found = room.only()
    assert (found.rule, found.level) == ("pipeline_error", Level.ERROR)
    assert found.labels == {"asset": KLINES, **MARKET}
    assert found.title == "raw/klines of DEMOWOLFUSDT 5m: failed"
    assert found.detail == "DataContractError: klines of DEMOWOLFUSDT 5m are unsorted (terminal)"
    assert found.url == f"{UI}/runs/{failed.run_id}"
    assert found.action == "alert-pipeline-error"
    assert found.occurrences == 1


def test_a_failed_model_is_a_failed_training(room: Room):
    room.run(fail_models="model")
    room.look()
    found = room.only()
    assert found.rule == "training_failed"
    assert found.labels == {
        "asset": MODEL,
        "variant": "brisk",
        "algo": "lgbm",
        "label": "high_040_4",
        **MARKET,
    }


def test_the_next_success_of_the_same_asset_and_market_ends_it(room: Room):
    room.run(fail_raw="bug")
    room.look()
    room.run()
    room.look()
    assert room.incidents() == []
    assert [kind for kind, _ in room.messages()] == ["opened", "resolved"]


def test_a_success_of_another_market_ends_nothing(room: Room):
    room.run(fail_raw="bug")
    room.run(market=Market("OTHERUSDT", "5m"))
    room.look()
    assert room.only().labels["symbol"] == WOLF.symbol


def test_a_step_that_is_tried_again_is_told_when_it_gives_up(room: Room):
    room.run(fail_raw="transient", attempts="1")
    room.look()
    assert room.incidents(open_only=False) == []


def test_a_step_that_is_interrupted_is_no_failure_of_its_asset(room: Room):
    """Nothing where the run was cancelled; one that nobody cancelled is told as a run."""
    assert not room.run(fail_raw="cut").success
    room.look()
    assert room.only().rule == "run_failed"


def test_an_op_that_is_no_asset_is_told_by_its_job(room: Room):
    room.run(market=None, fail_op="yes")
    room.look()
    found = room.only()
    assert (found.rule, found.labels) == ("run_failed", {"job": "tidy", "step": "purge"})
    room.run(market=None)
    room.look()
    assert room.incidents() == []


def test_a_blocking_check_is_told_once_and_not_again_as_the_run_it_stops(room: Room):
    asked.verdicts["schema"] = Verdict(passed=False, why="klines overlap; run `itb run` again\n  - here")
    assert not room.run().success
    room.look()
    found = room.only()
    assert (found.rule, found.level, found.occurrences) == ("check_failed", Level.ERROR, 1)
    assert found.labels == {"asset": KLINES, "check": "schema", **MARKET}
    assert found.detail == "klines overlap; run `itb run` again"
    assert len(room.messages()) == 1
    asked.verdicts.clear()
    room.run()
    room.look()
    assert room.incidents() == []


@pytest.mark.parametrize(("check", "level"), [("odd", Level.WARNING), ("promoted", Level.ERROR)])
def test_a_check_that_blocks_nothing_is_told_by_its_severity(room: Room, check: str, level: Level):
    asked.verdicts[check] = Verdict(passed=False, metadata={"rows": 7, "list": dg.MetadataValue.md("a\nb")})
    assert room.run().success
    room.look()
    found = room.only()
    assert (found.rule, found.level, found.labels["check"]) == ("check_failed", level, check)
    assert found.detail == "rows: 7"


@pytest.mark.parametrize("severity", dg.AssetCheckSeverity)
def test_drift_has_a_rule_of_its_own(room: Room, severity: dg.AssetCheckSeverity):
    asked.verdicts["drift"] = Verdict(passed=False, why="win rate: 41 % of 200", severity=severity)
    room.run()
    room.look()
    found = room.only()
    assert (found.rule, found.level.name) == ("model_drift", severity.value.replace("WARN", "WARNING"))
    assert found.labels == {"variant": "brisk", **MARKET}
    assert (found.title, found.detail) == ("brisk of DEMOWOLFUSDT 5m: drift", "win rate: 41 % of 200")


def test_a_check_that_a_rule_stands_in_for_is_left_to_it(room: Room):
    object.__setattr__(room.reader, "subjects", Subjects([KLINES], left_to_rules=[(KLINES, "odd")]))
    asked.verdicts["odd"] = Verdict(passed=False)
    room.run()
    room.look()
    assert room.incidents() == []


def failed_from_outside(
    room: Room, message: str | None = None, *, origin: RemoteJobOrigin | None = ORIGIN, **tags: str
) -> str:
    """Have a run fail that had no chance to say why, and return its id; `itb run` gives no origin."""
    made = create_run_for_test(
        room.instance,
        job_name="build",
        status=dg.DagsterRunStatus.STARTED,
        tags=TAGS | {"dagster/will_retry": "false"} | tags,
        remote_job_origin=origin,
    )
    room.instance.report_run_failed(made, message)
    if tags:
        room.instance.add_run_tags(made.run_id, tags)
    return made.run_id


def test_a_killed_worker_is_the_failure_of_its_run(room: Room):
    run_id = failed_from_outside(room)
    room.instance.add_run_tags(run_id, {"dagster/will_retry": "false"})
    room.look()
    found = room.only()
    assert (found.rule, found.level) == ("run_failed", Level.ERROR)
    assert found.labels == {"job": "build", **MARKET}
    assert found.detail == phrase("killed", "en")
    room.run()
    room.look()
    assert room.incidents() == []


def test_a_run_that_starts_again_is_a_warning_until_the_last_attempt(room: Room):
    run_id = failed_from_outside(room, "the processes that ran it were ended from outside")
    room.instance.add_run_tags(run_id, {"dagster/will_retry": "true"})
    room.look()
    found = room.only()
    assert (found.level, found.detail) == (Level.WARNING, "the processes that ran it were ended from outside")
    assert found.title.endswith("ended early, Dagster starts it again")
    last = failed_from_outside(room, **{"dagster/retry_number": "1"})
    room.instance.add_run_tags(last, {"dagster/will_retry": "false"})
    room.look()
    found = room.only()
    assert (found.level, found.occurrences) == (Level.ERROR, 2)
    assert [kind for kind, _ in room.messages()] == ["opened", "repeated"]


def test_a_run_of_the_command_line_is_no_warning_for_nobody_starts_it_again(room: Room):
    """Dagster notes of it that it will, and then cannot: it knows no code server that has the job."""
    run_id = failed_from_outside(room, origin=None)
    room.instance.add_run_tags(run_id, {"dagster/will_retry": "true"})
    room.look()
    found = room.only()
    assert (found.rule, found.level) == ("run_failed", Level.ERROR)
    assert "starts it again" not in found.title


def unnoted(room: Room, monkeypatch: pytest.MonkeyPatch) -> str:
    """Have a run fail as it stands before Dagster notes whether it starts it again, and return its id."""
    run_id = failed_from_outside(room)
    monkeypatch.setattr(dg.DagsterInstance, "run_retries_enabled", True)
    room.records("DELETE FROM run_tags WHERE key = 'dagster/will_retry'")
    room.records("UPDATE runs SET run_body = replace(run_body, 'dagster/will_retry', 'other')")
    return run_id


def test_a_run_is_left_until_dagster_says_whether_it_starts_it_again(room: Room, monkeypatch):
    """The failure is stored before that is noted: a look in between would call it worse than it is."""
    run_id = unnoted(room, monkeypatch)
    assert (room.look().told, room.incidents()) == (0, [])
    room.instance.add_run_tags(run_id, {"dagster/will_retry": "true"})
    room.look()
    assert room.only().level == Level.WARNING


def test_a_run_of_which_that_is_never_said_is_told_all_the_same(room: Room, monkeypatch):
    unnoted(room, monkeypatch)
    monkeypatch.setattr(reading, "NOTED_WITHIN_S", 0.0)
    room.look()
    assert room.only().level == Level.ERROR


def test_a_run_whose_process_stopped_it_is_told_with_its_error(room: Room):
    """A resource that cannot be had fails the run before a step begins."""

    @dg.resource
    def broken(_: dg.InitResourceContext) -> None:
        raise ValueError("no such thing as password=hunter22")

    @dg.op(required_resource_keys={"broken"})
    def needy() -> None:
        """Never runs."""

    @dg.job(resource_defs={"broken": broken})
    def starved() -> None:
        needy()

    starved.execute_in_process(
        instance=room.instance,
        raise_on_error=False,
        run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
    )
    room.look()
    found = room.only()
    assert (found.rule, found.labels["job"]) == ("run_failed", "starved")
    assert "no such thing" in found.detail
    assert "hunter22" not in found.detail


@pytest.mark.parametrize(
    ("state", "level"), [(FreshnessState.FAIL, Level.ERROR), (FreshnessState.WARN, Level.WARNING)]
)
def test_freshness_comes_and_goes(room: Room, state: FreshnessState, level: Level):
    freshness(room, state, FreshnessState.PASS)
    found = room.only()
    assert (found.rule, found.level, found.labels) == ("asset_stale", level, {"asset": KLINES})
    freshness(room, FreshnessState.UNKNOWN, state)
    assert room.only().occurrences == 1
    freshness(room, FreshnessState.PASS, FreshnessState.UNKNOWN)
    assert room.incidents() == []


def test_freshness_that_is_not_known_says_nothing(room: Room):
    freshness(room, FreshnessState.UNKNOWN, FreshnessState.PASS)
    freshness(room, FreshnessState.NOT_APPLICABLE, FreshnessState.UNKNOWN)
    freshness(room, FreshnessState.PASS, FreshnessState.NOT_APPLICABLE)
    assert room.incidents(open_only=False) == []


def freshness(room: Room, new: FreshnessState, old: FreshnessState) -> None:
    """Have the daemon find an asset in another state, and look."""
    room.instance._report_runless_asset_event(
        FreshnessStateChange(
            key=dg.AssetKey(["raw", "klines"]),
            new_state=new,
            previous_state=old,
            state_change_timestamp=datetime.now(UTC).timestamp(),
        )
    )
    room.look()


@pytest.mark.parametrize("error", ["secret", "zero"])
def test_no_secret_and_nothing_that_cannot_be_kept_reaches_the_tables(room: Room, error: str):
    room.run(fail_raw=error)
    room.look()
    assert room.only().rule == "pipeline_error"
    everything = str(room.rows("SELECT i.*, o.message FROM alert_incidents i JOIN alert_outbox o ON true"))
    assert "hunter22" not in everything
    assert "abc99" not in everything
    assert "\x00" not in everything


def test_a_run_that_goes_well_writes_nothing(room: Room):
    assert room.run().success
    assert room.look().events > 6
    assert room.rows("SELECT * FROM alert_events") == []
