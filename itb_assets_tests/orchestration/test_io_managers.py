"""Frames reach files and tables as one step, and models come back only to the market they were made for."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta

import dagster as dg
import pandas as pd
import pytest
from databases import on_one_engine
from pipeline_making import ASSETS, NOW, WOLF, Pipeline, open_pipeline, pages, problems
from pydantic import SecretStr

from itb_assets.domain.markets import Market
from itb_assets.errors import ModelRejected
from itb_assets.orchestration import failures
from itb_assets.orchestration.models import load_model
from itb_assets.orchestration.partitions import SYMBOLS
from itb_assets.orchestration.verify import verify

NOWHERE = "postgresql+psycopg2://itb:password@127.0.0.1:9/itb"
LATER = NOW + timedelta(minutes=40)
KEPT = (
    "raw/klines",
    *(
        f"{stage}/{variant}"
        for stage in ("predictions", "signals", "trades")
        for variant in ("brisk", "steady")
    ),
)

one_engine_will_do = on_one_engine("postgres", because="storage tests it on both; here it takes whole runs")
pytestmark = pytest.mark.usefixtures("blank_pictures")


@pytest.fixture
def dual(built_root, tmp_path, database_url) -> Iterator[Pipeline]:
    """Return a pipeline on a copy of the built root, with a database that has nothing yet."""
    shutil.copytree(built_root, tmp_path / "data")
    with open_pipeline(tmp_path / "data", storage_phase="dual", database_url=database_url) as pipeline:
        yield pipeline


def assert_tables_equal_files(pipeline: Pipeline) -> None:
    """Compare every value of every table with the files."""
    database = pipeline.platform.database
    assert database is not None
    klines = pipeline.frame("raw/klines")
    pd.testing.assert_frame_equal(database.read("ohlcv", WOLF)[list(klines)], klines, check_exact=True)
    predictions = database.read("predictions", WOLF)
    signals = database.read("signals", WOLF)
    for variant, algo in (("brisk", "lgbm"), ("steady", "logreg")):
        frame = pipeline.frame(f"predictions/{variant}").set_index("timestamp")
        rows = predictions[predictions["model_name"] == f"{algo}_{variant}"]
        scores = [name for name in frame if name != "sample"]
        assert len(rows) == frame[scores].size
        for name in scores:
            label = name.removesuffix(f"_{algo}")
            found = rows[rows["label"] == label].set_index("timestamp")
            pd.testing.assert_series_equal(found["probability"], frame[name], check_names=False)
            pd.testing.assert_series_equal(found["sample"], frame["sample"])
            likely = (frame[name] > 0.5).astype("boolean").mask(frame[name].isna())
            pd.testing.assert_series_equal(found["prediction"], likely, check_names=False)
        frame = pipeline.frame(f"signals/{variant}")
        rows = signals[signals["variant"] == variant].reset_index(drop=True)
        assert rows["timestamp"].tolist() == frame["timestamp"].tolist()
        pd.testing.assert_series_equal(rows["close"], frame["close"], check_exact=True)
        outputs = pd.DataFrame([json.loads(text) for text in rows["outputs"]])
        expected = frame[[f"score_{variant}", f"smooth_{variant}", f"buy_{variant}", f"sell_{variant}"]]
        pd.testing.assert_frame_equal(
            outputs[list(expected)].astype(expected.dtypes), expected, check_exact=True
        )
    trades = database.read("trades", WOLF)
    assert set(trades["source"]) == {"paper"}
    for variant in ("brisk", "steady"):
        frame = pipeline.frame(f"trades/{variant}").rename(columns={"entry_price": "price"})
        rows = trades[trades["account"] == variant].reset_index(drop=True)
        pd.testing.assert_frame_equal(rows[list(frame)], frame, check_exact=True, check_dtype=False)
    for asset in KEPT:
        recorded = database.recorded(asset, WOLF)
        assert recorded is not None
        manifest = pipeline.manifest(asset)
        assert (recorded.sha256, recorded.version, recorded.rows) == (
            manifest.sha256,
            manifest.version,
            manifest.rows,
        )
    assert [finding for finding in verify(pipeline.platform) if finding.problem] == []


def test_tables_get_what_a_run_without_database_left_out_then_every_new_row(dual):
    """A database that comes late is brought up to date by a run that computes nothing."""
    made = pages(dual.run_well())
    assert all(page["rows_computed"] == 0 for page in made.values())
    assert_tables_equal_files(dual)
    dual.at(LATER).run_well()
    assert dual.manifest("raw/klines").rows == 1160
    assert_tables_equal_files(dual)
    dual.run_well(retrain=True)
    assert_tables_equal_files(dual)


def test_a_late_kline_and_its_consequences_reach_the_tables(dual):
    dual.run_well()
    klines = dual.frame("raw/klines")
    dual.rewrite("raw/klines", klines.drop(len(klines) - 9).reset_index(drop=True))
    dual.run_well()
    assert_tables_equal_files(dual)
    dual.run_well(config={"repair_gaps": True})
    assert len(dual.frame("raw/klines")) == len(klines)
    assert_tables_equal_files(dual)


@one_engine_will_do
def test_killed_between_the_commit_and_the_rename_the_next_run_makes_both_equal(dual, tmp_path):
    """Exactly that state: the tables are a run ahead of the files."""
    dual.run_well()
    shutil.copytree(dual.root, tmp_path / "before")
    dual.at(LATER).run_well()
    shutil.rmtree(dual.root)
    shutil.copytree(tmp_path / "before", dual.root)
    differing = [finding.what for finding in verify(dual.platform) if finding.problem]
    assert set(KEPT) <= set(differing)
    dual.at(LATER + timedelta(minutes=5)).run_well()
    assert_tables_equal_files(dual)


@one_engine_will_do
def test_killed_likewise_and_then_nothing_new_the_tables_go_back_to_the_files(dual, tmp_path):
    dual.run_well()
    shutil.copytree(dual.root, tmp_path / "before")
    dual.at(LATER).run_well()
    shutil.rmtree(dual.root)
    shutil.copytree(tmp_path / "before", dual.root)
    dual.at(NOW).run_well()
    assert_tables_equal_files(dual)


@one_engine_will_do
def test_without_the_database_nothing_is_written_and_the_next_run_catches_up(dual, monkeypatch):
    """Files never run ahead of the tables: the transaction comes first."""
    monkeypatch.setattr(failures, "DEFAULT_WAIT_S", 0)
    dual.run_well()
    before = {asset: dual.manifest(asset) for asset in ASSETS}
    settings = dual.platform.settings.model_copy(update={"database_url": SecretStr(NOWHERE)})
    away = replace(dual, platform=replace(dual.platform, settings=settings))
    result = away.at(LATER).run()
    assert set(problems(result)) == {"raw__klines"}
    assert "DatabaseUnavailable" in problems(result)["raw__klines"]
    retries = [event for event in result.all_events if event.event_type_value == "STEP_RESTARTED"]
    assert len(retries) == failures.MAX_RETRIES
    assert "password" not in str(result.all_events)
    assert {asset: dual.manifest(asset) for asset in ASSETS} == before
    dual.run_well()
    assert dual.manifest("raw/klines").rows == 1160
    assert_tables_equal_files(dual)


@pytest.mark.parametrize("asset", ["raw/klines", "processed/data", "models/brisk/lgbm/high_020_4"])
def test_several_partitions_in_one_run_are_refused(built, asset):
    built.instance.add_dynamic_partitions(str(SYMBOLS.name), [WOLF.symbol, "DEMOLYNXUSDT"])
    before = built.manifest("raw/klines")
    result = built.defs.resolve_job_def("build_market").execute_in_process(
        run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
        instance=built.instance,
        asset_selection=[dg.AssetKey(asset.split("/"))],
        tags={
            "dagster/asset_partition_range_start": f"5m|{WOLF.symbol}",
            "dagster/asset_partition_range_end": "5m|DEMOLYNXUSDT",
        },
        raise_on_error=False,
    )
    (said,) = problems(result).values()
    assert "a run is for one market, found 2 partitions: start one run for each" in said
    assert built.manifest("raw/klines") == before
    assert not (built.root / "DEMOLYNXUSDT").exists()


def test_an_asset_whose_source_is_not_there_says_what_to_materialize(fresh):
    result = fresh.run(assets=["processed/data"])
    assert "raw/klines of DEMOWOLFUSDT 5m is not there yet: materialize it first" in str(problems(result))


@pytest.mark.parametrize("other", [Market("DEMOLYNXUSDT", "5m"), Market("DEMOWOLFUSDT", "1h")])
def test_a_model_of_another_market_is_refused(built, other):
    (name, *_) = built.platform.model_names()
    ours, theirs = (
        built.platform.layout.model_dir(market, name.variant, name.algo, name.label)
        for market in (WOLF, other)
    )
    shutil.copytree(ours, theirs)
    assert load_model(built.platform, WOLF, name).features
    with pytest.raises(ModelRejected, match="holds another model"):
        load_model(built.platform, other, name)


def test_a_model_under_another_label_is_refused_by_the_run_that_needs_it(built):
    folder = built.platform.layout.model_dir(WOLF, "brisk", "lgbm", "high_020_4")
    shutil.rmtree(folder)
    shutil.copytree(folder.with_name("low_020_4"), folder)
    result = built.run(assets=["predictions/brisk", "signals/brisk"])
    assert set(problems(result)) == {"predictions__brisk"}
    assert "label is 'low_020_4', expected 'high_020_4'" in problems(result)["predictions__brisk"]
