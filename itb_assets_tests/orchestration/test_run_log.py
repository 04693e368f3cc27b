"""What a run leaves in the logs: one line an asset with its context, the same in Dagster's event log."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace

import pytest
from loguru import logger
from pipeline_making import ASSETS, NOW, open_pipeline, problems

from itb_assets.observability import logs
from itb_assets.observability.logs import configure_logging, get_logger, register_secret

SECRET = "hunter2-hunter2"  # noqa: S105 - what must not be seen


@pytest.fixture
def lines() -> Iterator[list[str]]:
    """Return the JSON lines logged from INFO on."""
    found: list[str] = []
    configure_logging("INFO", sink=found.append, as_json=True)
    yield found
    logs._secrets.clear()
    configure_logging("ERROR")


def test_every_asset_logs_one_line_with_its_context(built, lines):
    result = built.at(NOW.replace(hour=1)).run_well()
    told = [json.loads(line) for line in lines]
    assert sorted(line["asset"] for line in told) == sorted(ASSETS)
    for line in told:
        assert line["message"] == "asset computed"
        assert line["level"] == "INFO"
        assert line["run_id"] == result.run_id
        assert (line["symbol"], line["freq"]) == ("DEMOWOLFUSDT", "5m")
        assert line["rows"] > 0 or line["asset"].startswith(("trades/", "performance/", "drift/"))
        assert line["seconds"] >= 0


def test_the_line_stands_in_dagsters_event_log_under_its_step(built, lines):
    result = built.at(NOW.replace(hour=1)).run_well()
    records = built.instance.all_logs(result.run_id)
    ours = {record.step_key: record for record in records if "asset computed" in record.user_message}
    assert set(ours) == {asset.replace("/", "__") for asset in ASSETS}
    record = ours["processed__data"]
    assert record.level == 20
    assert record.user_message.startswith("asset computed rows=13 seconds=")


def test_lines_below_info_and_lines_of_other_runs_stay_out_of_the_event_log(built, lines):
    def meanwhile(done: int, total: int, what: str) -> None:
        get_logger(run_id="another").info("somebody else's")
        get_logger().debug("a detail")
        get_logger().bind(pages=[done, total]).warning("worth knowing")

    watched = replace(built, platform=replace(built.platform, progress=meanwhile))
    result = watched.run_well(assets=["raw/klines"])
    found = [json.loads(line) for line in lines]
    assert {line["message"] for line in found} == {"somebody else's", "worth knowing", "asset computed"}
    assert {line["asset"] for line in found} == {"raw/klines"}, "what is logged meanwhile has the context"
    told = str([record.user_message for record in built.instance.all_logs(result.run_id)])
    assert "worth knowing pages=[" in told
    assert "somebody else's" not in told
    assert "a detail" not in told


def test_nothing_is_left_behind_when_an_asset_fails(built, lines):
    """The forwarding ends with the asset."""
    handlers = set(logger._core.handlers)
    with open_pipeline(built.root, max_wait_s=0) as pipeline:
        pipeline.exchange.faults.rest = "403"
        assert problems(pipeline.at(NOW.replace(hour=1)).run())
    assert set(logger._core.handlers) == handlers


def test_no_secret_reaches_a_line_or_the_event_log(built, tmp_path, lines):
    """A database URL with a password is in the settings; the run fails because nothing listens there."""
    register_secret(SECRET)
    url = f"postgresql+psycopg2://itb:{SECRET}@127.0.0.1:9/itb"
    with open_pipeline(
        built.root, storage_phase="dual", database_url=url, model_signing_key=SECRET, now=NOW.replace(hour=1)
    ) as pipeline:
        impatient = replace(pipeline, platform=replace(pipeline.platform, retry_steps=False))
        result = impatient.run(assets=["raw/klines"])
        assert problems(result)
        get_logger().info(f"connecting to {url}")
        events = str([record.to_json() for record in pipeline.instance.all_logs(result.run_id)])
    assert SECRET not in events
    assert SECRET not in "".join(lines)
    assert any("***" in line for line in lines)
