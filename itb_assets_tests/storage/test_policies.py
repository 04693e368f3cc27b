"""Policies follow the settings; what they drop, compress and refresh is right; failures are reported."""

from __future__ import annotations

from datetime import timedelta

import pytest
from timescale_making import (
    LONG_AGO,
    PERFORMANCE,
    YESTERDAY,
    add_klines,
    add_trade,
    jobs,
    on_timescale,
    run,
    run_jobs,
)

from itb_assets.errors import InputError
from itb_assets.storage.database.migrations import migrate
from itb_assets.storage.database.schema_report import report
from itb_assets.storage.database.timescale import (
    HYPERTABLES,
    Policies,
    Tier,
    apply_policies,
    policies_due,
)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"retention_days": {"trade": 30}}, "retention of trade: there is no such table"),
        ({"retention_days": {"manifests": 30}}, "retention of manifests: there is no such table"),
        ({"retention_days": {"signals": 0}}, "retention of signals 0: expected at least 1 day"),
        ({"retention_days": {"trades": 3}}, "retention of trades 3: expected at least 9 days"),
        ({"chunk_days": 0, "compress_after_days": 0}, "chunk_days 0, compress_after_days 0: expected"),
    ],
)
def test_policies_that_cannot_be_meant(wrong, said):
    with pytest.raises(InputError, match=said):
        Policies(**wrong)


@on_timescale
def test_rows_are_dropped_only_where_that_is_asked_for(engine):
    """And the performance of trades that were dropped stays."""
    add_klines(engine, LONG_AGO, 10)
    add_trade(engine, 1, LONG_AGO, "2")
    add_trade(engine, 2, YESTERDAY, "3")
    run_jobs(engine, "policy_retention")
    assert run(engine, "SELECT count(*) FROM trades") == [(2,)]
    run_jobs(engine, "policy_refresh_continuous_aggregate")
    days = run(engine, PERFORMANCE)
    migrate(engine, policies=Policies(retention_days={"trades": 400}))
    run_jobs(engine, "policy_retention")
    assert run(engine, "SELECT trade_id FROM trades") == [("2",)]
    assert run(engine, "SELECT count(*) FROM ohlcv") == [(10,)]
    run_jobs(engine, "policy_refresh_continuous_aggregate")
    assert run(engine, PERFORMANCE) == days


@on_timescale
def test_the_usual_policies(engine):
    """Columnstore everywhere, one refresh, nothing dropped."""
    assert jobs(engine) == {
        ("policy_compression", table): {"compress_after": "30 days"} for table in HYPERTABLES
    } | {
        ("policy_refresh_continuous_aggregate", "daily_performance"): {
            "start_offset": None,
            "end_offset": "7 days",
        }
    }
    spans = (
        "SELECT DISTINCT time_interval FROM timescaledb_information.dimensions "
        "WHERE hypertable_name = ANY(:t)"
    )
    assert run(engine, spans, {"t": list(HYPERTABLES)}) == [(timedelta(days=90),)]


@on_timescale
def test_policies_follow_the_settings(engine):
    """Whatever was asked for before: changed, added, and taken away again; equal ones are not touched."""
    asked = [
        Policies(compress_after_days=60, chunk_days=30, retention_days={"signals": 365}),
        Policies(compress_after_days=None, retention_days={"signals": 100, "trades": 700}),
        Policies(retention_days={"daily_performance": 3000}),
        Policies(),
    ]
    usual = jobs(engine)
    for policies in asked:
        with engine.begin() as connection:
            assert apply_policies(connection, Tier.COMMUNITY, policies)
            assert policies_due(connection, Tier.COMMUNITY, policies) == ()
        found = jobs(engine)
        kept = {
            table: said["drop_after"] for (job, table), said in found.items() if job == "policy_retention"
        }
        assert kept == {table: f"{days} days" for table, days in policies.retention_days.items()}
        compressed = {
            said["compress_after"] for (job, _), said in found.items() if job == "policy_compression"
        }
        after = policies.compress_after_days
        assert compressed == ({f"{after} days"} if after else set())
    assert jobs(engine) == usual


@on_timescale
def test_what_an_administrator_changed_by_hand_is_put_right(engine):
    usual = jobs(engine)
    run(engine, "CALL remove_columnstore_policy('ohlcv')")
    run(engine, "SELECT add_retention_policy('ohlcv', INTERVAL '1 day')")
    migrate(engine)
    assert jobs(engine) != usual, "without policies nothing is changed"
    migrate(engine, policies=Policies())
    assert jobs(engine) == usual


@on_timescale
def test_policies_and_their_failures_are_reported(engine):
    """A failure is what the server's worker notes of a job; the test's server has no such worker."""
    url = engine.url.render_as_string(hide_password=False)
    found = report(url).jobs
    assert [job["last_failure"] for job in found] == [None] * (len(HYPERTABLES) + 1)
    assert {job["does"] for job in found} == {
        "compress after 30 days",
        "refresh from the beginning to 7 days ago",
    }
    [job] = [job for job in found if job["table"] == "ohlcv"]
    run(
        engine,
        "INSERT INTO _timescaledb_internal.bgw_job_stat_history "
        "(job_id, pid, execution_start, execution_finish, succeeded, data) "
        "VALUES (:job, 1, now(), now(), FALSE, CAST(:data AS jsonb))",
        {"job": job["job_id"], "data": '{"error_data": {"message": "no space left"}, "job": {}}'},
    )
    assert {job["table"]: job["last_failure"] for job in report(url).jobs if job["last_failure"]} == {
        "ohlcv": "no space left"
    }
