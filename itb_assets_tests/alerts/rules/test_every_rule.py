"""Every rule of the shipped file fires, does not, and says what it lacks: one without these three fails here.

Rules that are computed are shown by cases, those of events and summaries by the tests named below.
"""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path

import pytest
import rule_cases
import rule_cases_market
import rule_cases_trades
import sqlalchemy as sa
from rule_cases import STATES, Case
from rule_making import config_of, looked

from itb_assets.domain.alerts.occurrence import fingerprint_of
from itb_assets.observability.alerts.config import load_config

TESTS = Path(__file__).resolve().parents[2]
CASES = [case for module in (rule_cases, rule_cases_trades, rule_cases_market) for case in module.cases()]
EVENTS, TICKS = "orchestration/test_alert_events.py", "orchestration/test_alert_ticks.py"
READING, EVALUATE = "orchestration/test_alert_reading.py", "alerts/rules/test_evaluate_rules.py"
REPORTS = "alerts/rules/test_rules_reports.py"
UNREAD = "cli/test_alerts_command.py::test_a_rule_of_events_says_when_nobody_reads_them"
WELL = f"{EVENTS}::test_a_run_that_goes_well_writes_nothing"

TOLD: dict[str, tuple[str, str, str]] = {
    "training_failed": (f"{EVENTS}::test_a_failed_model_is_a_failed_training", WELL, UNREAD),
    "pipeline_error": (
        f"{EVENTS}::test_a_failed_step_names_asset_market_and_the_first_line_of_the_error",
        WELL,
        UNREAD,
    ),
    "run_failed": (f"{EVENTS}::test_a_killed_worker_is_the_failure_of_its_run", WELL, UNREAD),
    "check_failed": (
        f"{EVENTS}::test_a_check_that_blocks_nothing_is_told_by_its_severity",
        WELL,
        UNREAD,
    ),
    "asset_stale": (
        f"{EVENTS}::test_freshness_comes_and_goes",
        f"{EVENTS}::test_freshness_that_is_not_known_says_nothing",
        UNREAD,
    ),
    "automation_failed": (
        f"{TICKS}::test_a_failed_tick_is_told_until_one_goes_well",
        f"{TICKS}::test_a_tick_is_told_when_it_is_over",
        UNREAD,
    ),
    "daemon_error": (
        f"{TICKS}::test_a_daemon_that_stopped_while_another_works_is_told",
        f"{TICKS}::test_a_daemon_that_this_instance_does_not_need_is_let_be",
        UNREAD,
    ),
    "event_unreadable": (
        f"{READING}::test_an_event_that_is_damaged_is_told_once_and_the_others_go_on",
        WELL,
        UNREAD,
    ),
    "rule_broken": (
        f"{EVALUATE}::test_a_rule_that_fails_is_an_alert_and_stops_no_other",
        f"{EVALUATE}::test_every_rule_says_what_it_lacks_in_an_empty_database",
        "cli/test_alerts_command.py::test_rules_say_what_they_lack",
    ),
    "daily_pnl": (
        f"{REPORTS}::test_summaries_are_told_once_a_day",
        f"{REPORTS}::test_a_summary_waits_for_its_time",
        f"{REPORTS}::test_a_summary_of_nothing_is_not_sent_and_says_what_it_lacks",
    ),
    "model_summary": (
        f"{REPORTS}::test_models_and_costs_are_summed_up",
        f"{REPORTS}::test_a_summary_waits_for_its_time",
        f"{REPORTS}::test_a_summary_of_nothing_is_not_sent_and_says_what_it_lacks",
    ),
    "cost_summary": (
        f"{REPORTS}::test_models_and_costs_are_summed_up",
        f"{REPORTS}::test_a_summary_waits_for_its_time",
        f"{REPORTS}::test_a_summary_of_nothing_is_not_sent_and_says_what_it_lacks",
    ),
}
"""By rule, the tests in which it is told, in which it is not, and in which it has no data."""

NEVER_LACKS = {"alert_delivery_lagging": "the outbox is its own data, and always there"}


@pytest.mark.parametrize("rule", load_config().rules.named())
def test_a_rule_is_shown_to_fire_to_be_quiet_and_to_lack_data(rule):
    if rule in TOLD:
        fires, quiet, lacks = TOLD[rule]
        assert len({fires, quiet, lacks}) == 3
        for named in (fires, quiet, lacks):
            file, _, test = named.partition("::")
            assert test in names_in(file), f"{rule}: there is no {named}"
        return
    shown = {case.outcome for case in CASES if case.rule == rule}
    wanted = {"fires", "quiet"} | ({"lacks"} if rule not in NEVER_LACKS else set())
    assert shown >= wanted, f"{rule}: no case in which it {' and '.join(wanted - shown)}"


def test_no_case_is_of_a_rule_that_is_gone_and_none_is_there_twice():
    names = [(case.rule, case.name) for case in CASES]
    assert len(names) == len(set(names))
    assert {rule for rule, _ in names}.isdisjoint(TOLD)
    assert {rule for rule, _ in names} | TOLD.keys() == load_config().rules.named().keys()


@pytest.mark.parametrize("case", CASES, ids=[f"{each.rule}: {each.name}" for each in CASES])
def test_a_rule_says_what_it_should(connection, tmp_path, case: Case):
    case.arrange(connection)
    was = {fingerprint_of(case.rule, case.labels)} if case.was else set()
    found = looked(connection, case.rule, config_of(tmp_path, case.config), open=was)
    mine = [each for each in found if dict(each.labels) == dict(case.labels)] if case.labels else found
    mine = mine or found
    assert len(mine) == 1, found
    assert mine[0].state in STATES[case.outcome], mine[0]
    assert mine[0].detail


ZONES = ("America/New_York", "Asia/Kolkata")


@pytest.mark.parametrize("zone", ZONES)
def test_the_time_zone_of_the_database_changes_nothing(connection, tmp_path, zone):
    """What is found, and the words of it, for the last case of every rule that fires."""
    for case in {case.rule: case for case in CASES if case.outcome == "fires" and not case.was}.values():
        config, said = config_of(tmp_path, case.config), []
        with connection.begin_nested() as savepoint:
            case.arrange(connection)
            for each in ("UTC", zone):
                connection.execute(sa.text(f"SET LOCAL TIME ZONE '{each}'"))
                said.append(looked(connection, case.rule, config))
            savepoint.rollback()
        assert said[0] == said[1], case.rule


@cache
def names_in(file: str) -> frozenset[str]:
    """Return the names of a file's tests."""
    tree = ast.parse((TESTS / file).read_text("utf-8"))
    return frozenset(node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef))
