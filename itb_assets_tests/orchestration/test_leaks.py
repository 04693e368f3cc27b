"""What knows the future never reaches a model: the run that would train on it fails and names it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from importlib.metadata import EntryPoint

import dagster as dg
import numpy as np
import pandas as pd
import pytest
from pipeline_making import NOW, WOLF, Pipeline, open_pipeline, pages, problems
from quick_strategies import brisk

from itb_assets.domain.features import registry
from itb_assets.errors import ConfigError, DataContractError, LookAheadError
from itb_assets.orchestration.assets import labeled
from itb_assets.orchestration.checks.models import TOO_GOOD_AUC
from itb_assets.orchestration.runner import RunPlan, run_markets

MATRIX = "labeled/matrix"
CANDLE = timedelta(minutes=5)


@pytest.fixture
def leaking_generators(monkeypatch) -> Iterator[None]:
    """Register the leaking generators as an installed package would."""
    points = [
        EntryPoint(name, f"leaking_feature:{attribute}", registry.ENTRY_POINT_GROUP)
        for name, attribute in (("leaking", "NextClose"), ("soon", "CrossesSoon"))
    ]
    monkeypatch.setattr(registry, "entry_points", lambda **_: points)
    registry.registered_generators.cache_clear()
    yield
    monkeypatch.undo()
    registry.registered_generators.cache_clear()


@pytest.fixture
def leaking(leaking_generators, tmp_path) -> Iterator[Pipeline]:
    """Return a pipeline whose strategy uses a feature that knows the next kline."""
    strategy = brisk(feature_sets=[{"generator": "leaking", "config": {}}], train_features=["next_close"])
    with open_pipeline(tmp_path / "leaking", strategy) as pipeline:
        yield pipeline


def test_a_feature_that_looks_ahead_stops_everything_after_it_and_is_named(leaking):
    result = leaking.run()
    assert not result.success
    assert set(pages(result)) == {"raw/klines", "processed/data", "processed/features"}
    (failure,) = problems(result).values()
    assert "processed/features of DEMOWOLFUSDT 5m fails the check look_ahead" in failure
    assert "1 of the features read rows later than their own; remove or mend them" in failure
    assert "- next_close: rows after 2024-03-04 23:50:00+00:00 change it" in failure
    assert not (leaking.root / "models").exists()


def test_the_check_itself_names_it_at_every_cut(leaking):
    leaking.run()
    found = leaking.check("processed/features", "look_ahead")
    assert (found.passed, found.severity, found.blocking) == (False, dg.AssetCheckSeverity.ERROR, True)
    assert found.metadata["differences"].value.count("next_close: rows after") == found.metadata["cuts"].value


def test_whoever_runs_it_from_the_command_line_is_told_too(leaking):
    (run,) = run_markets(leaking.platform, leaking.instance, RunPlan((WOLF,)))
    assert isinstance(run.error, LookAheadError)
    assert "next_close" in str(run.error)


def test_a_strategy_cannot_even_ask_for_a_label_as_a_feature():
    with pytest.raises(ConfigError, match="high_020_4"):
        brisk(train_features=["close_SMA_3", "high_020_4"])


def next_rows(frame: pd.DataFrame, columns: list[str], rows: int) -> pd.DataFrame:
    """Return the frame with columns that hold what is of so many rows later, unknown at the end."""
    return frame.assign(**{name: frame[name].shift(-rows) for name in columns})


def told(frame: pd.DataFrame, label: str) -> np.ndarray:
    """Return a label as numbers, NaN where it is unknown."""
    return frame[label].astype("Float64").to_numpy(np.float64, na_value=np.nan)


Spoil = Callable[[pd.DataFrame], pd.DataFrame]
LABELS = ["high_020_4", "high_030_4", "low_020_4"]
LEAKS: dict[str, tuple[Spoil, list[str]]] = {
    "labels of the next row": (
        lambda rows: next_rows(rows, LABELS, 1),
        ["high_020_4: not what labels computed again holds", "it holds the values of 1 row later"],
    ),
    "labels of rows before": (
        lambda rows: next_rows(rows, LABELS, -3),
        ["low_020_4: not what labels computed again holds", "it holds the values of 3 rows earlier"],
    ),
    "features of the next row": (
        lambda rows: next_rows(rows, ["close_SMA_3"], 1),
        ["close_SMA_3: not what processed/features holds", "it holds the values of 1 row later"],
    ),
    "klines of the next row": (
        lambda rows: next_rows(rows, ["close"], 1),
        ["close: not what processed/data holds", "it holds the values of 1 row later"],
    ),
    "a label as a feature": (
        lambda rows: rows.assign(spread_pct_3=told(rows, "high_020_4")),
        ["spread_pct_3: not what processed/features holds", "it is the label high_020_4"],
    ),
    "the opposite of a label": (
        lambda rows: rows.assign(close_RSI_14=1 - told(rows, "low_020_4")),
        ["close_RSI_14", "it is the label low_020_4"],
    ),
}


def assert_told(message: str, words: list[str]) -> None:
    for word in words:
        assert word in message


@pytest.mark.parametrize(("spoil", "words"), LEAKS.values(), ids=LEAKS)
def test_a_matrix_that_is_joined_wrongly_is_never_trained_on(tmp_path, monkeypatch, spoil, words):
    """The join itself is at fault, as a wrong line of code would be: the first run ever finds it."""
    honest = labeled._matrix
    monkeypatch.setattr(labeled, "_matrix", lambda *given: typed(spoil(honest(*given)), honest(*given)))
    with open_pipeline(tmp_path / "data", brisk()) as pipeline:
        result = pipeline.run()
        assert not result.success
        assert MATRIX in pages(result)
        assert not (pipeline.root / "models").exists()
        failure = "\n".join(problems(result).values())
        assert "labeled/matrix of DEMOWOLFUSDT 5m fails the check label_join" in failure
        assert_told(failure, words)


def typed(frame: pd.DataFrame, like: pd.DataFrame) -> pd.DataFrame:
    return frame.astype({name: dtype for name, dtype in like.dtypes.items() if str(dtype) != "object"})


@pytest.mark.parametrize(("spoil", "words"), LEAKS.values(), ids=LEAKS)
def test_a_stored_matrix_that_was_spoilt_is_found_by_the_check(built, spoil, words):
    frame = built.frame(MATRIX)
    built.rewrite(MATRIX, typed(spoil(frame), frame))
    found = built.check(MATRIX, "label_join")
    assert (found.passed, found.severity, found.blocking) == (False, dg.AssetCheckSeverity.ERROR, True)
    assert_told(found.metadata["faults"].value, words)


def test_rows_at_the_times_of_others_name_every_column(built):
    frame = built.frame(MATRIX)
    built.rewrite(MATRIX, frame.assign(timestamp=frame["timestamp"] + CANDLE))
    faults = built.check(MATRIX, "label_join").metadata["faults"].value
    for name in ("close", "close_SMA_12", "high_020_4", "low_020_12", "top_005"):
        assert f"| {name} |" in faults
    assert faults.count("it holds the values of 1 row earlier") > 15


def test_one_altered_label_is_found(built):
    frame = built.frame(MATRIX)
    frame.loc[len(frame) - 60, "high_020_4"] = not frame.loc[len(frame) - 60, "high_020_4"]
    built.rewrite(MATRIX, frame)
    assert "high_020_4: not what labels computed again holds at the same time, 1 of" in (
        built.check(MATRIX, "label_join").metadata["faults"].value
    )


def test_an_update_is_compared_by_its_new_rows_and_passes(built):
    built.at(NOW + 30 * CANDLE).run_well()
    metadata = built.check(MATRIX, "label_join").metadata
    assert metadata["rows"].value == 500
    assert metadata["faults"].value == "none"


def test_sources_that_moved_on_are_compared_as_far_as_they_are_the_same(built):
    """Klines and features were materialized alone: no label may be held against klines it did not know."""
    built.at(NOW + 30 * CANDLE).run_well(assets=["raw/klines", "processed/data", "processed/features"])
    found = built.check(MATRIX, "label_join")
    assert found.passed, found.metadata
    assert 400 < found.metadata["rows"].value < 1152


def test_sources_made_by_another_definition_cannot_be_compared(built):
    found = built.with_strategies(brisk()).check(MATRIX, "label_join")
    assert found.passed
    assert "materialize labeled/matrix, then ask again" in found.metadata["skipped"].value


def test_the_legacy_dialect_joins_rightly_too(tmp_path):
    with open_pipeline(tmp_path / "data", dialect="legacy") as pipeline:
        pipeline.run_well()
        assert pipeline.check(MATRIX, "label_join").metadata["rows"].value == 1152
        frame = pipeline.frame(MATRIX)
        pipeline.rewrite(MATRIX, frame.assign(high_020_4=np.roll(frame["high_020_4"], 1)))
        assert not pipeline.check(MATRIX, "label_join").passed


def test_a_leak_that_no_rule_sees_makes_a_model_too_good_to_be_true(leaking_generators, tmp_path):
    """The legacy dialect looks ahead on purpose, so there only the result itself gives a leak away."""
    strategy = brisk(
        dialect="legacy",
        feature_sets=[
            {"generator": "soon", "config": {}},
            {"generator": "talib", "config": {"columns": ["close"], "functions": ["SMA"], "windows": [3]}},
        ],
        train_features=["close_SMA_3", "soon"],
    )
    with open_pipeline(tmp_path / "data", strategy) as pipeline:
        pipeline.run_well()
        found = pipeline.check("models/brisk/lgbm/high_020_4", "too_good")
        assert (found.passed, found.severity, found.blocking) == (False, dg.AssetCheckSeverity.WARN, False)
        assert found.metadata["auc"].value > TOO_GOOD_AUC
        assert found.metadata["look_first_at"].value.startswith("soon")
        assert pipeline.check("models/brisk/lgbm/low_020_4", "too_good").passed


def test_rows_in_sample_stop_signals_trades_and_whoever_runs_it(built):
    predictions = built.frame("predictions/brisk")
    predictions.loc[3:5, "sample"] = "in_sample"
    built.rewrite("predictions/brisk", predictions)
    (run,) = run_markets(built.platform, built.instance, RunPlan((WOLF,)))
    assert isinstance(run.error, DataContractError)
    assert "predictions/brisk of DEMOWOLFUSDT 5m fails the check out_of_sample" in str(run.error)
    assert "rows that call themselves in_sample" in str(run.error)
