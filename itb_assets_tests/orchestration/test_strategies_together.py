"""Strategies on one data root: what they share is computed once, what contradicts is refused by name."""

from __future__ import annotations

import pandas as pd
import pytest
from pipeline_making import NOW, WOLF, open_pipeline, settings_of
from quick_strategies import brisk, steady, strategy

from itb_assets.domain.features import compile_features
from itb_assets.domain.labels import compile_labels
from itb_assets.domain.lookahead import compare_features
from itb_assets.errors import ConfigError
from itb_assets.orchestration.platform import Platform
from itb_assets.orchestration.schedules import assets_due

pytestmark = pytest.mark.usefixtures("blank_pictures")


@pytest.fixture
def settings(tmp_path):
    return settings_of(tmp_path / "data", "http://127.0.0.1:9")


def _sma(windows: list[int], **more: object) -> dict[str, object]:
    return {
        "generator": "talib",
        "config": {"columns": ["close"], "functions": ["SMA"], "windows": windows, **more},
    }


def test_entries_that_overlap_in_part_are_computed_once_and_as_alone(built, settings):
    """Brisk asks for SMA 3 and 6, steady for SMA 3 and 12; both for the label high_020_4."""
    data = built.frame("processed/data")
    platform = Platform(settings, (brisk(), steady()))
    assert platform.features.names == (
        *("close_SMA_3", "close_SMA_6", "close_RSI_14", "spread_pct_3", "spread_pct_6"),
        "close_SMA_12",
    )
    assert platform.labels.names == (
        *("high_020_4", "high_030_4", "low_020_4"),
        *("high_040_4", "low_020_12", "top_005"),
    )
    assert len(set(platform.labels.columns)) == len(platform.labels.columns)
    features, labels = platform.features.compute(data), platform.labels.compute(data)
    assert list(features) == ["timestamp", *platform.features.names]
    assert list(labels) == ["timestamp", *platform.labels.columns]
    for asked in (brisk(), steady()):
        alone = compile_features(asked.feature_sets)
        expected = alone.compute(data)
        assert compare_features(alone.names, expected, features, last_rows=len(data)) == []
        assert {name: platform.features.definitions[name] for name in alone.names} == alone.definitions
        assert (platform.features.lookback_rows or 0) >= (alone.lookback_rows or 0)
        plan = compile_labels(asked.label_sets, dialect="causal")
        pd.testing.assert_frame_equal(labels[["timestamp", *plan.columns]], plan.compute(data))


def test_an_entry_that_is_shared_whole_is_one_step(settings):
    twin = strategy("twin", description="the same features and labels under another name")
    one, two = Platform(settings, (brisk(),)), Platform(settings, (brisk(), twin))
    assert len(two.features._steps) == len(one.features._steps)
    assert two.features.digest == one.features.digest
    assert two.labels.groups == one.labels.groups


def test_the_order_of_strategies_changes_the_order_of_columns_only(settings):
    one = Platform(settings, (brisk(), steady()))
    other = Platform(settings, (steady(), brisk()))
    assert dict(one.features.definitions) == dict(other.features.definitions)
    assert one.labels.definitions == other.labels.definitions
    for name in one.model_names():
        assert one.training_digest(name) == other.training_digest(name)


def test_a_feature_made_from_a_shared_one_reads_the_shared_one(built, settings):
    """The second strategy's chain goes on from a column that the first already made."""
    chained = [
        _sma([3]),
        {
            "generator": "talib",
            "config": {"columns": ["close_SMA_3"], "functions": ["SMA"], "windows": [5]},
        },
    ]
    platform = Platform(
        settings, (brisk(), steady(feature_sets=chained, train_features=["close_SMA_3_SMA_5"]))
    )
    found = platform.features.compute(built.frame("processed/data"))
    expected = found["close_SMA_3"].rolling(5).mean()
    pd.testing.assert_series_equal(found["close_SMA_3_SMA_5"], expected, check_names=False)
    assert platform.features.lookback_rows is not None


def _label(name: str, tolerance: float) -> dict[str, object]:
    config = {
        "columns": ["close", "high", "low"],
        "function": "high",
        "thresholds": [0.2],
        "tolerance": tolerance,
        "horizon": 4,
        "names": [name],
    }
    return {"generator": "highlow2", "config": config}


@pytest.mark.parametrize(
    ("change", "what"),
    [
        (
            {"feature_sets": [_sma([3, 12], parameters={"rel_base": "last", "rel_func": "rel"})]},
            "feature 'close_SMA_3'",
        ),
        (
            {"label_sets": [_label("high_020_4", 0.4)], "labels": ["high_020_4"], "signal_sets": []},
            "label 'high_020_4'",
        ),
    ],
)
def test_one_name_with_two_meanings_is_refused_naming_both_variants(settings, change, what):
    with pytest.raises(ConfigError) as raised:
        Platform(settings, (brisk(), steady(**change)))
    (problem,) = raised.value.problems
    assert problem.startswith(f"{what} means ")
    assert "in variant 'brisk'" in problem
    assert "in variant 'steady'" in problem
    assert problem.endswith("rename one of them")


def test_a_feature_and_a_label_of_one_name_are_refused(settings):
    """Both would be columns of the matrix."""
    other = steady(label_sets=[_label("close_RSI_14", 0.2)], labels=["close_RSI_14"], signal_sets=[])
    with pytest.raises(ConfigError, match=r"'close_RSI_14' is a feature in variant 'brisk' and a label in"):
        Platform(settings, (brisk(), other))


def test_two_dialects_are_refused_unless_the_settings_choose_one(settings):
    """The setting wins over both, also where the two share a name."""
    mixed = (brisk(), steady(dialect="legacy"))
    with pytest.raises(ConfigError):
        Platform(settings, mixed).features  # noqa: B018 - computed when asked for
    chosen = Platform(settings.model_copy(update={"dialect": "legacy"}), mixed)
    assert chosen.features.dialect == chosen.labels.dialect == "legacy"
    assert chosen.features.lookback_rows is None


def test_a_neighbour_with_a_longer_horizon_changes_no_model(built, tmp_path):
    """Purged rows follow from a model's own label, so another strategy neither shortens nor retrains it."""
    with open_pipeline(tmp_path / "alone", brisk()) as alone:
        alone.run_well()
        for label in ("high_020_4", "low_020_4"):
            one, other = (
                pipeline.platform.layout.model_dir(WOLF, "brisk", "lgbm", label)
                for pipeline in (alone, built)
            )
            assert (one / "model.pkl").read_bytes() == (other / "model.pkl").read_bytes()
            assert (one / "metrics.json").read_bytes() == (other / "metrics.json").read_bytes()
        joined = alone.with_strategies(brisk(), steady())
        due = {"/".join(key.path) for key in assets_due(joined.platform, WOLF)}
        assert {key for key in due if key.startswith("models")} == {
            "models/steady/logreg/high_020_4",
            "models/steady/logreg/low_020_12",
        }
        joined.run_well()
        assert joined.manifest("labeled/matrix").rows == 1152
        assert list(joined.frame("labeled/matrix")) == list(built.frame("labeled/matrix"))


def test_the_legacy_dialect_runs_from_klines_to_signals(tmp_path):
    """Its labels call the last rows False, so no row is left for a live score at first; later there are."""
    with open_pipeline(tmp_path / "data", dialect="legacy") as pipeline:
        pipeline.run_well()
        assert pipeline.frame("labeled/matrix")["high_020_4"].notna().all()
        assert set(pipeline.frame("predictions/brisk")["sample"]) == {"out_of_sample"}
        pipeline.at(NOW.replace(hour=1)).run_well()
        assert pipeline.frame("predictions/brisk")["sample"].iloc[-1] == "live"
        assert pipeline.manifest("signals/brisk").last == pipeline.manifest("raw/klines").last
