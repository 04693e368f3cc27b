"""Real klines through the whole pipeline: recorded archives in; files, models and tables out.

The exchange's REST address leads to a closed port here: a single request to it would fail the run.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path

import dagster as dg
import numpy as np
import pandas as pd
import pytest

from itb_assets.cli.run import run_all
from itb_assets.domain.markets import Market
from itb_assets.domain.trading.trades import check_trades, is_closed
from itb_assets.observability.report_words import headline
from itb_assets.orchestration.build import build_defs, build_platform
from itb_assets.orchestration.instance import running_database
from itb_assets.orchestration.partitions import SYMBOLS, partition_of
from itb_assets.orchestration.performance_report import Question, performance_report
from itb_assets.orchestration.platform import BY_VARIANT, Platform
from itb_assets.orchestration.results import result_rows
from itb_assets.orchestration.runner import RunPlan
from itb_assets.orchestration.verify import verify
from itb_assets.settings import Settings
from itb_assets.storage.files.catalogue import read_gaps

CLOSED_PORT = "http://127.0.0.1:9"
CSV_ROUNDING = 5e-7  # the golden values were written with six decimals
REFERENCE_AUC = {"high_040_4": 0.758, "low_040_4": 0.756}
MODELS = {
    "aggressive": ("lgbm", ("high_040_4", "low_040_4")),
    "conservative": ("logreg", ("high_060_24", "low_060_24")),
}

pytestmark = pytest.mark.data


def settings_of(root: Path, test_data: Path, **changes: object) -> Settings:
    """Return the default settings, but for the data root and the recorded archives."""
    values = {
        "data_root": root,
        "binance_archive": str(test_data / "binance_archive"),
        "binance_url": CLOSED_PORT,
    }
    return Settings(_env_file=None, **(values | changes))  # type: ignore[arg-type,call-arg]


@pytest.fixture(scope="module")
def ran(test_data: Path, tmp_path_factory) -> Settings:
    """Run eight months of 5m klines, as `itb run --symbols BTCUSDT --freqs 5m --start ... --end ...` does."""
    settings = settings_of(tmp_path_factory.mktemp("real") / "data", test_data)
    plan = RunPlan((Market("BTCUSDT", "5m"),), start="2024-07-01", end="2025-03-01")
    (result,) = run_all(settings, plan)
    assert result.error is None, result.error
    assert result.rows_new == 69_984
    return settings


@pytest.mark.slow
def test_eight_months_make_the_whole_hierarchy(ran):
    root = ran.data_root
    market = [path.relative_to(root).as_posix() for path in (root / "BTCUSDT").rglob("*") if path.is_file()]
    assert {name for name in market if not Path(name).name.startswith(".")} == {
        f"BTCUSDT/5m/{name}"
        for name in (
            *("raw/klines.parquet", "raw/gaps.json", "processed/data.csv", "processed/features.csv"),
            "labeled/matrix.csv",
            *(f"{stage}/{variant}.csv" for stage in BY_VARIANT for variant in MODELS),
        )
    }
    models = {path.relative_to(root).as_posix() for path in (root / "models").rglob("*") if path.is_file()}
    files = ("model.pkl", "metadata.json", "metrics.json", "scores.parquet")
    assert models == {
        f"models/BTCUSDT/5m/{variant}/{algo}/{place}"
        for variant, (algo, labels) in MODELS.items()
        for label in labels
        for place in (
            *(f"{label}/{file}" for file in files),
            *(f".versions/{label}/0001/{file}" for file in files),
            f".versions/{label}/events.jsonl",
        )
    }


@pytest.mark.slow
def test_no_kline_is_missing_across_the_change_from_milliseconds_to_microseconds(ran):
    platform, market = build_platform(ran), Market("BTCUSDT", "5m")
    expected = pd.date_range("2024-07-01", "2025-03-01", freq="5min", tz="UTC", inclusive="left")
    assert len(expected) == 69_984
    for asset in ("raw/klines", "processed/data", "processed/features", "labeled/matrix"):
        stored = platform.stored(market, asset)
        assert stored is not None
        assert stored.rows == 69_984
        assert (stored.read(["timestamp"])["timestamp"] == expected).all()
    assert read_gaps(platform.layout.gaps(market)) == ()


@pytest.mark.slow
def test_files_tables_and_models_agree(ran):
    with running_database(ran) as ready, closing(build_platform(ready)) as platform:
        findings = list(verify(platform))
        assert [finding for finding in findings if finding.problem] == []
        assert {finding.what for finding in findings} > {"raw/klines", "processed/features"}
        assert platform.database is not None
        (row,) = platform.database.query("SELECT count(*) AS rows FROM ohlcv")
        assert row["rows"] == 69_984


@pytest.mark.slow
def test_models_are_judged_on_rows_they_never_saw(ran):
    """Eight weeks out of sample, far from the 0.95 that a model scores on its own training rows.

    Causal labels count a candle that crosses both thresholds as lost. Those are the easiest to foresee of
    what the old bot counts as won: with them its AUC is 0.76 (tested below), without them 0.63 and 0.66.
    """
    expected = {"high_040_4": 0.63, "low_040_4": 0.66, "high_060_24": 0.62, "low_060_24": 0.62}
    for variant, (algo, labels) in MODELS.items():
        for label in labels:
            folder = ran.data_root / "models" / "BTCUSDT" / "5m" / variant / algo / label
            metrics = json.loads((folder / "metrics.json").read_text())
            metadata = json.loads((folder / "metadata.json").read_text())
            assert metrics["overall"]["rows"] == len(pd.read_parquet(folder / "scores.parquet")) == 4 * 4032
            assert metadata["dialect"] == "causal"
            assert metrics["overall"]["auc"] == pytest.approx(expected[label], abs=0.05), label


@pytest.mark.slow
def test_scores_and_signals_go_on_to_the_last_kline(ran):
    platform, market = build_platform(ran), Market("BTCUSDT", "5m")
    for variant in MODELS:
        predictions = platform.stored(market, f"predictions/{variant}")
        signals = platform.stored(market, f"signals/{variant}")
        assert predictions is not None
        assert signals is not None
        assert signals.rows == predictions.rows >= 4 * 4032
        assert predictions.last == signals.last == pd.Timestamp("2025-02-28 23:55", tz="UTC")
        assert set(predictions.read(["sample"])["sample"]) == {"out_of_sample", "live"}


@pytest.mark.slow
def test_paper_trades_follow_the_signals_and_say_what_they_earned(ran):
    """Both shipped strategies resolve to a rule and trade; walk-forward and live results stand apart."""
    platform, market = build_platform(ran), Market("BTCUSDT", "5m")
    rows = {(row["variant"], row["sample"]): row for row in result_rows(platform, [market])}
    assert set(rows) >= {(variant, "out_of_sample") for variant in MODELS}
    for variant in MODELS:
        trades = platform.stored(market, f"trades/{variant}").read()
        check_trades(trades)
        closed = trades[is_closed(trades) & (trades["sample"] == "out_of_sample")]
        assert rows[variant, "out_of_sample"]["trades"] == len(closed) > 500
        report = performance_report(platform, Question(market, variant))
        assert report.end - report.start == pd.Timedelta(days=56)
        assert report.total_pnl == pytest.approx(closed["pnl"].sum())
        assert "lost" in headline(report).verdict or report.total_pnl > 0


def materialize(platform: Platform, market: Market, assets: Sequence[str], **config: str) -> object:
    """Run some assets of a market in this process, nothing kept but the files."""
    with dg.DagsterInstance.ephemeral() as instance:
        instance.add_dynamic_partitions(str(SYMBOLS.name), [market.symbol])
        return (
            build_defs(platform=platform)
            .resolve_job_def("build_market")
            .execute_in_process(
                run_config={
                    "loggers": {"console": {"config": {"log_level": "CRITICAL"}}},
                    "ops": {"raw__klines": {"config": config}},
                },
                instance=instance,
                partition_key=partition_of(market),
                asset_selection=[dg.AssetKey(asset.split("/")) for asset in assets],
            )
        )


def test_one_hour_of_2023_is_missing_and_found(test_data, tmp_path):
    """The hour after the zero-volume bar that the exchange's outage cut short, and no other."""
    platform = build_platform(settings_of(tmp_path / "data", test_data, storage_phase="files"))
    market, missing = Market("BTCUSDT", "1h"), pd.Timestamp("2023-03-24 13:00", tz="UTC")
    with closing(platform):
        result = materialize(
            platform, market, ["raw/klines", "processed/data"], start="2023-01-01", end="2023-06-01"
        )
    (gap,) = read_gaps(platform.layout.gaps(market))
    assert gap.first_missing == gap.last_missing == missing
    assert (gap.missing_rows, gap.reason, gap.state) == (1, "exchange_outage", "open")
    (check,) = [found for found in result.get_asset_check_evaluations() if found.check_name == "gaps"]
    assert not check.passed
    assert check.severity == dg.AssetCheckSeverity.WARN
    stored = platform.stored(market, "processed/data")
    assert stored is not None
    data = stored.read().set_index("timestamp")
    assert len(data) == 151 * 24
    assert list(data.index[data["close"].isna()]) == [missing]
    assert data.loc[missing].isna().all()


@pytest.fixture(scope="module")
def legacy(test_data, tmp_path_factory) -> Iterator[Platform]:
    """Run the old bot's dialect over the golden rows, begun where its run began.

    Its regime feature knows the whole sample, so another start gives other values.
    """
    settings = settings_of(
        tmp_path_factory.mktemp("legacy") / "data",
        test_data,
        storage_phase="files",
        dialect="legacy",
        processed_format="parquet",
    )
    steps = ["raw/klines", "processed/data", "processed/features", "labeled/matrix"]
    models = [f"models/aggressive/lgbm/{label}" for label in REFERENCE_AUC]
    with closing(build_platform(settings)) as platform:
        materialize(
            platform,
            Market("BTCUSDT", "5m"),
            [*steps, *models],
            start=_golden(test_data)["timestamp"].iloc[0].isoformat(),
            end="2025-03-01",
        )
        yield platform


def _golden(test_data: Path) -> pd.DataFrame:
    return pd.read_parquet(test_data / "golden" / "itb_btcusdt_5m_aggressive_matrix.parquet")


@pytest.mark.slow
def test_the_legacy_dialect_through_the_assets_is_the_old_bots_own_output(legacy, test_data):
    """Seventeen features to within the rounding of its CSV and six labels exactly, on every row."""
    golden = _golden(test_data)
    stored = legacy.stored(Market("BTCUSDT", "5m"), "labeled/matrix")
    assert stored is not None
    matrix = stored.read()
    assert len(matrix) == len(golden) == 51_864
    assert (matrix["timestamp"].to_numpy() == golden["timestamp"].to_numpy()).all()
    labels = [name for name in golden if name.startswith(("high_0", "low_0"))]
    features = [name for name in golden if name not in ("timestamp", *labels)]
    assert (len(features), len(labels)) == (17, 6)
    for name in features:
        np.testing.assert_allclose(
            matrix[name], golden[name].astype(float), rtol=0, atol=CSV_ROUNDING * 1.001, err_msg=name
        )
    for name in labels:
        assert (matrix[name].astype(bool) == golden[name].astype(bool)).all(), name


@pytest.mark.slow
def test_the_legacy_split_through_the_assets_gives_the_old_bots_auc(legacy):
    """Windows of 4,032 rows, each scored by a model of all earlier rows that end nine before it."""
    for label, auc in REFERENCE_AUC.items():
        folder = legacy.layout.model_dir(Market("BTCUSDT", "5m"), "aggressive", "lgbm", label)
        model = legacy.models.load(folder)
        assert model.metadata["purge_rows"] == 9
        assert model.metrics["overall"]["rows"] == 4 * 4032
        assert model.metrics["overall"]["auc"] == pytest.approx(auc, abs=0.02)
