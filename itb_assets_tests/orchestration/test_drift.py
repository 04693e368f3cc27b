"""A market is looked at once a day and when the verdict changes; what is found is kept and shown."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import AbstractContextManager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import numpy as np
import pandas as pd
import pytest
from pipeline_making import Pipeline, open_pipeline, pages
from quick_strategies import brisk

from itb_assets.domain.drift import Look, begin_watch, read_looks
from itb_assets.domain.markets import Market
from itb_assets.domain.strategy import Strategy
from itb_assets.orchestration import drift
from itb_assets.storage.layout import METADATA_FILE

HAWK = Market("DEMOHAWKUSDT", "15m")
START = datetime(2024, 1, 20, tzinfo=UTC)
TRAINED = datetime(2024, 4, 5, 0, 0, 30, tzinfo=UTC)
LIVE = TRAINED + timedelta(days=11)
LOOKS = "drift/brisk"
WARN = dg.AssetCheckSeverity.WARN


def watched() -> Strategy:
    """Return a strategy with enough trades out of sample to hold live ones against."""
    return brisk(
        walk_forward={"folds": 4, "window_rows": 1000, "min_train_rows": 1000},
        algorithms=[{"name": "logreg", "algo": "logreg", "params": {"is_scale": True}}],
        signal_sets=[
            {
                "generator": "combine",
                "config": {
                    "columns": ["high_020_4_logreg", "low_020_4_logreg"],
                    "names": "score",
                    "combine": "difference",
                },
            },
            {
                "generator": "threshold_rule",
                "config": {
                    "columns": "score",
                    "names": ["buy", "sell"],
                    "parameters": {"buy_signal_threshold": 0.03, "sell_signal_threshold": -0.03},
                },
            },
        ],
        paper_trading={"fee_pct": 0.0},
    )


def opened(root: Path, now: datetime) -> AbstractContextManager[Pipeline]:
    return open_pipeline(root, watched(), now=now, start=START)


@pytest.fixture(scope="module")
def trained_root(tmp_path_factory) -> Path:
    """Return a data root whose models were just trained; to be copied, not changed."""
    root = tmp_path_factory.mktemp("drift") / "trained"
    with opened(root, TRAINED) as pipeline:
        pipeline.run_well(HAWK)
    return root


@pytest.fixture(scope="module")
def live_root(trained_root, tmp_path_factory) -> Path:
    """Return a data root that has been live for days, looked at after the first and the last."""
    root = tmp_path_factory.mktemp("drift") / "live"
    shutil.copytree(trained_root, root)
    with opened(root, LIVE) as pipeline:
        pipeline.run_well(HAWK)
    return root


@pytest.fixture
def trained(trained_root, tmp_path) -> Iterator[Pipeline]:
    """Return a pipeline on a copy of the root that was just trained."""
    shutil.copytree(trained_root, tmp_path / "data")
    with opened(tmp_path / "data", TRAINED) as pipeline:
        yield pipeline


@pytest.fixture
def live(live_root, tmp_path) -> Iterator[Pipeline]:
    """Return a pipeline on a copy of the root that has been live."""
    shutil.copytree(live_root, tmp_path / "data")
    with opened(tmp_path / "data", LIVE) as pipeline:
        yield pipeline


def looks(pipeline: Pipeline) -> tuple[Look, ...]:
    return read_looks(pipeline.frame(LOOKS, HAWK))


def times(pipeline: Pipeline) -> list[str]:
    return [f"{look.at:%m-%d %H:%M}" for look in looks(pipeline)]


def verdicts(look: Look) -> dict[str, str]:
    return {one.metric: one.verdict for one in look.evaluations}


def lost_live(trades: pd.DataFrame) -> pd.DataFrame:
    """Return the trades with every second live winner turned into a loser."""
    winners = np.flatnonzero((trades["sample"] == "live") & (trades["pnl"] > 0))[::2]
    flipped = trades.copy()
    for column in ("pnl", "gross_pnl", "return_pct"):
        flipped.loc[winners, column] = -flipped.loc[winners, column]
    return flipped


def test_a_model_just_trained_is_not_judged_and_nobody_is_alarmed(trained):
    (look,) = looks(trained)
    assert look.verdict == "insufficient data"
    assert set(verdicts(look).values()) == {"insufficient data"}
    detail = look.of("win_rate").detail
    assert "live trades, needs 30" in detail
    assert "a fall by 5 points shows after about" in detail
    found = trained.check(LOOKS, "drift", HAWK)
    assert found.passed
    assert found.metadata["verdict"].value == "insufficient data"
    assert "win_rate" in found.metadata["insufficient_data"].value
    assert found.metadata["alarms"].value == "none"


def test_a_day_is_looked_at_once_however_often_it_is_updated(trained):
    before = trained.manifest(LOOKS, HAWK)
    for hours in (1, 5, 12, 23):
        page = pages(trained.at(TRAINED + timedelta(hours=hours)).run_well(HAWK))[LOOKS]
        assert page["rows_new"] == 0
        assert page["looked_at"] == "2024-04-05 00:00 UTC"
        assert "evaluations" not in page
    assert trained.manifest(LOOKS, HAWK) == before
    page = pages(trained.at(TRAINED + timedelta(hours=24)).run_well(HAWK))[LOOKS]
    assert page["rows_new"] == 1
    assert times(trained) == ["04-05 00:00", "04-06 00:00"]


def test_without_drift_all_stays_silent_and_most_is_judged(live):
    assert times(live) == ["04-05 00:00", "04-16 00:00"]
    newest = looks(live)[-1]
    found = verdicts(newest)
    judged = {metric for metric, verdict in found.items() if verdict != "insufficient data"}
    assert {"win_rate", "brier:high_020_4_logreg", "calibration_gap:low_020_4_logreg"} <= judged
    assert {"drifted_features", "drifted_scores", "psi:spread_pct_3", "unknown:close_SMA_3"} <= judged
    assert newest.alarms == ()
    assert newest.of("win_rate").n > 100
    check = live.check(LOOKS, "drift", HAWK)
    assert (check.passed, check.metadata["verdict"].value) == (True, "ok")


def test_the_page_shows_what_was_found_and_how_it_went(live):
    page = pages(live.at(LIVE + timedelta(days=1)).run_well(HAWK))[LOOKS]
    assert page["alarms"] == "none"
    assert "| win_rate |" in page["evaluations"]
    assert page["plots"].count("data:image/png;base64,") == 2
    assert page["dagster/row_count"] == 3


def test_what_is_watched_goes_on_where_it_stopped(live, monkeypatch):
    """Another process, later: only trades that ended since are counted, the sum is that of all."""
    monkeypatch.setattr(drift, "begin_watch", lambda _: pytest.fail("all trades were counted again"))
    before = looks(live)[-1].watch.state.evidence.trades
    live.at(LIVE + timedelta(days=2)).run_well(HAWK)
    newest = looks(live)[-1].watch
    assert newest.state.evidence.trades > before
    assert newest == begin_watch(live.frame("trades/brisk", HAWK))


def test_trades_that_were_altered_are_all_counted_again(live):
    trades = live.frame("trades/brisk", HAWK)
    trades.loc[trades.index[-5], "pnl"] *= -1
    live.rewrite("trades/brisk", trades, HAWK)
    live.at(LIVE + timedelta(days=1)).run_well(HAWK, assets=["drift/brisk"])
    live.run_well(
        HAWK, assets=["raw/klines", "processed/data", "processed/features", "predictions/brisk", LOOKS]
    )
    assert looks(live)[-1].watch == begin_watch(trades)


def test_live_trades_that_lose_are_seen_the_same_day(live):
    """Every second live winner lost: the verdict changes, so nobody waits for the end of the day."""
    live.rewrite("trades/brisk", lost_live(live.frame("trades/brisk", HAWK)), HAWK)
    page = pages(live.at(LIVE + timedelta(minutes=15)).run_well(HAWK, assets=[LOOKS]))[LOOKS]
    newest = looks(live)[-1]
    assert times(live) == ["04-05 00:00", "04-16 00:00"]
    assert newest.alarms[0].metric == "win_rate"
    assert page["verdict"] == "warning"
    assert page["alarms"].startswith("win_rate")
    found = live.check(LOOKS, "drift", HAWK)
    assert (found.passed, found.severity, found.blocking) == (False, WARN, False)
    assert "out of sample" in found.metadata["alarms"].value


def test_a_new_model_is_looked_at_at_once_and_watched_from_its_beginning(live):
    live.run_well(HAWK, retrain=True)
    assert times(live) == ["04-05 00:00", "04-16 00:00"]
    newest = looks(live)[-1]
    assert newest.of("win_rate").verdict == "insufficient data"
    assert newest.watch.state.evidence.trades < 30


def test_a_model_without_a_reference_cannot_be_judged(trained):
    for path in trained.root.glob(f"models/**/{METADATA_FILE}"):
        text = path.read_text()
        path.unlink()
        path.write_text(text.replace('"drift_reference"', '"something_else"'))
    trained.at(TRAINED + timedelta(days=1)).run_well(HAWK)
    newest = looks(trained)[-1]
    assert newest.of("brier:high_020_4_logreg").detail == (
        "the model was trained without a reference: train it again"
    )
    assert newest.of("drifted_features").verdict == "insufficient data"


def test_an_error_is_an_error_of_the_check(live):
    """Features leave all the places they ever were in."""
    features = live.frame("processed/features", HAWK)
    late = features["timestamp"] >= pd.Timestamp(LIVE) - pd.Timedelta(days=9)
    names = [name for name in features if name != "timestamp"]
    features.loc[late, names] += 100 * features[names].abs().max()
    live.rewrite("processed/features", features, HAWK)
    live.at(LIVE + timedelta(days=1))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(drift.Watching, "look_if_due", _forced)
        live.run_well(HAWK, assets=[LOOKS])
    found = live.check(LOOKS, "drift", HAWK)
    assert (found.passed, found.severity) == (False, dg.AssetCheckSeverity.ERROR)
    assert "drifted_features" in found.metadata["alarms"].value


_honest = drift.Watching.look_if_due


def _forced(self: drift.Watching, last: Look | None) -> Look | None:
    """Look again whatever the last look was."""
    return _honest(self, None)


def test_a_strategy_that_trades_nothing_is_looked_at_too(tmp_path):
    """Its scores and features can drift; that there is no win rate is said."""
    score = {"columns": ["high_020_4_lgbm", "low_020_4_lgbm"], "names": "score", "combine": "difference"}
    strategy = brisk(signal_sets=[{"generator": "combine", "config": score}])
    with open_pipeline(tmp_path / "data", strategy) as pipeline:
        assert "trades/brisk" not in pages(pipeline.run_well())
        (look,) = read_looks(pipeline.frame(LOOKS))
    assert look.of("win_rate").detail == "the signals of this strategy neither buy nor sell"
    assert look.of("brier:high_020_4_lgbm") is not None
