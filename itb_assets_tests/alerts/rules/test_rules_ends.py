"""What ends however it goes: with a clock that was put back, a broken rule switched off, long labels."""

from __future__ import annotations

from datetime import timedelta

import pytest
import sqlalchemy as sa
from rule_making import MINUTE, NOW, config_of, only, only_rule, told

from itb_assets.observability.alerts import rules
from itb_assets.observability.alerts.state import beat, states
from itb_assets.observability.alerts.store import incidents

SECOND = timedelta(seconds=1)


@pytest.mark.parametrize("still", ["watched", "gone", "off"])
def test_what_is_over_ends_although_the_clock_went_back_a_little(connection, tmp_path, still):
    config = config_of(tmp_path, only_rule("trading_halted"))
    beat(connection, "trading", NOW + 20 * SECOND, {"halted": "no margin"})
    told(connection, config, NOW + 20 * SECOND)
    assert len(incidents(connection)) == 1
    connection.execute(sa.text("DELETE FROM heartbeats"))
    if still == "watched":
        beat(connection, "trading", NOW, {})
    told(connection, config_of(tmp_path, only_rule()) if still == "off" else config, NOW)
    assert incidents(connection) == []


def test_a_broken_rule_that_is_switched_off_is_broken_no_more(connection, tmp_path, monkeypatch):
    def fails(_: rules.Look):
        raise ValueError("no such column")

    for rule in ("data_stale", "gap_found"):
        monkeypatch.setitem(rules.evaluate.RULES, rule, fails)
    both = config_of(tmp_path, only_rule("data_stale", "gap_found", "rule_broken"))
    assert len(told(connection, both, NOW)) == 2
    over = only(told(connection, config_of(tmp_path, only_rule("gap_found", "rule_broken")), NOW + MINUTE))
    assert (over.rule, over.labels, over.resolves) == ("rule_broken", {"watched": "data_stale"}, True)
    assert only(incidents(connection)).labels == {"watched": "gap_found"}
    assert only(states(connection)).labels == {"watched": "gap_found"}


@pytest.mark.parametrize("still", ["watched", "gone"])
def test_what_has_a_long_name_is_one_thing_and_ends(connection, tmp_path, still):
    """An alert cuts labels that are too long, and what a rule remembers of it has the same."""
    config, name = config_of(tmp_path, only_rule("trading_halted")), f"trading:{'a' * 150}"
    for step in range(3):
        beat(connection, name, NOW + step * SECOND * 5, {"halted": "no margin"})
        assert len(told(connection, config, NOW + step * SECOND * 5)) == (step == 0)
    assert only(states(connection)).fingerprint == only(incidents(connection)).fingerprint
    connection.execute(sa.text("DELETE FROM heartbeats"))
    if still == "watched":
        beat(connection, name, NOW + MINUTE, {})
    assert only(told(connection, config, NOW + MINUTE)).resolves
    assert incidents(connection) == []


def test_a_long_name_that_is_wrong_stays_so_until_it_is_clearly_good(connection, tmp_path):
    """Between the two thresholds of a rule it is as it was."""
    config, name = config_of(tmp_path, only_rule("trading_halted")), f"trading:{'a' * 150}"
    beat(connection, name, NOW - 3 * MINUTE, {})
    assert len(told(connection, config, NOW)) == 1
    beat(connection, name, NOW - MINUTE, {})
    assert told(connection, config, NOW + 30 * SECOND) == []
