"""Strategy files: what lawful ones become, every legacy key accepted, no secret shown.

Other mistakes belong to `test_strategy_mistakes`.
"""

from __future__ import annotations

import hashlib
from dataclasses import asdict
from typing import Any

import pytest
from strategy_texts import load, problems_of, text

from itb_assets.domain.specs import (
    AlgorithmSpec,
    CrossValidationSpec,
    GeneratorSpec,
    TradingSpec,
    WalkForwardSpec,
)
from itb_assets.domain.strategy import load_strategy
from itb_assets.domain.strategy.grammar import StrategyFile, UsedKeys
from itb_assets.errors import ConfigError


def test_a_lawful_file_becomes_a_strategy() -> None:
    source = text(train_length=51840, description="a try")
    strategy = load(source)
    assert strategy.variant == "mine"
    assert strategy.dialect == "causal"
    assert strategy.digest == hashlib.sha256(source.encode()).hexdigest()
    assert strategy.feature_sets[1] == GeneratorSpec(
        "talib", {"columns": ["close"], "functions": ["RSI"], "windows": [14]}
    )
    assert strategy.train_features == ("close_SMA_3", "close_SMA_6", "close_RSI_14")
    assert strategy.algorithms == (AlgorithmSpec("lgbm", "lgbm"),)
    assert strategy.scores == ("high_040_4_lgbm", "low_040_4_lgbm")
    assert (strategy.label_horizon, strategy.features_horizon, strategy.train_length) == (4, 10, 51840)
    assert strategy.walk_forward == WalkForwardSpec(4, 4032, 1000)
    assert strategy.unused == ()


EVERY_KEY: dict[str, Any] = {
    "train": True, "venue": "binance", "symbol": "{symbol}", "freq": "{freq}", "pandas_freq": "5min",
    "time_column": "timestamp", "predict_length": 60, "append_overlap_records": 5, "download_max_rows": 0,
    "download_start": "2024-06-01", "download_end": None, "merge_interpolate": False,
    "merge_interpolate_columns": ["close"], "merge_interpolate_max_gap": 3,
    "data_sources": [{"folder": "{symbol}", "file": "klines", "column_prefix": ""}],
    "train_feature_sets": [{"generator": "train_features", "config": {}}],
    "output_sets": [{"generator": "score_notification_model", "config": {"score_notification": True}}],
    "model_registry": ["a"],
    "simulate_model": {
        "data_start": 0, "data_end": None, "direction": "long", "topn_to_store": 10,
        "signal_generator": "threshold_rule", "buy_sell_equal": False,
        "grid": {"buy_signal_threshold": [0.1, 1], "sell_signal_threshold": "__import__('os').system('x')"},
    },
    "rolling_predict": {"data_start": "2024-01-01", "prediction_steps": 4},
    "trade_model": {"order_type": "MARKET"}, "model_folder": "MODELS", "data_folder": "./DATA_ITB_{freq}",
    "merge_file_name": "data.csv", "feature_file_name": "features.csv", "matrix_file_name": "matrix.csv",
    "predict_file_name": "p.csv", "signal_file_name": "s.csv", "signal_models_file_name": "m",
    "api_key": "", "api_secret": "<binance-secret>", "telegram_bot_token": "", "telegram_chat_id": -100123,
}  # fmt: skip


def test_every_key_of_the_old_bot_is_accepted_and_listed_as_unused() -> None:
    strategy = load(text(**EVERY_KEY))
    assert [entry.split(" ")[1] for entry in strategy.unused] == list(EVERY_KEY)
    assert strategy.unused[0].split(" ")[0].count(":") == 1
    plain = load(text())
    assert strategy.feature_sets == plain.feature_sets


def test_no_key_is_both_used_and_unused() -> None:
    assert set(EVERY_KEY) <= set(StrategyFile.model_fields) - set(UsedKeys.model_fields)


@pytest.mark.parametrize("freq", ["5m", "5min", "1h", "5T", "{freq}", "{pandas_freq}"])
def test_both_spellings_of_a_freq_are_accepted(freq: str) -> None:
    assert "freq" in load(text(freq=freq)).unused[0]


def test_null_is_the_same_as_leaving_a_key_out_and_whole_floats_are_whole() -> None:
    strategy = load(text(train_length=None, signal_sets=None, label_horizon=4.0, download_end=None))
    assert (strategy.train_length, strategy.signal_sets, strategy.label_horizon) == (None, (), 4)
    assert load(text(train_length=0)).train_length is None


def test_the_extension_keys_are_read() -> None:
    strategy = load(text(dialect="legacy", walk_forward={"folds": 2, "window_rows": 100}))
    assert strategy.dialect == "legacy"
    assert strategy.walk_forward == WalkForwardSpec(2, 100, 1000)
    rolling = load(text(walk_forward={"mode": "rolling", "train_rows": 5000}))
    assert rolling.walk_forward == WalkForwardSpec(mode="rolling", train_rows=5000)


def test_cross_validation_is_asked_for_or_not() -> None:
    assert load(text()).cross_validation is None
    assert load(text(cross_validation=None)).cross_validation is None
    assert load(text(cross_validation={})).cross_validation == CrossValidationSpec(5, 12)
    strategy = load(text(cross_validation={"folds": 3, "embargo_rows": 0}))
    assert strategy.cross_validation == CrossValidationSpec(3, 0)
    assert strategy.unused == ()


def test_paper_trading_is_read_whole() -> None:
    """Every field of the rule can be said; what is left out keeps its default."""
    assert load(text()).trading == TradingSpec()
    assert load(text(paper_trading={"take_profit_pct": None})).trading == TradingSpec()
    said = TradingSpec(
        "long", "buy", "sell", "score", 0.5, 0.25, 12, 0.1, 0.02, 500.0, 3, exit_on_opposite=True
    )
    strategy = load(text(paper_trading=asdict(said)))
    assert strategy.trading == said
    assert strategy.unused == ()


@pytest.mark.parametrize("secret", ["s3cr3t-value", 314159265])
@pytest.mark.parametrize(
    "change",
    [
        lambda secret: {"api_key": secret},
        lambda secret: {"telegram_bot_token": secret},
        lambda secret: {"mt5_password": secret},
        lambda secret: {"client_args": {"api_secret": secret}},
        lambda secret: {"output_sets": [{"generator": "x", "config": {"telegram_bot_token": secret}}]},
    ],
)
def test_a_secret_is_refused_and_never_shown(change: Any, secret: object) -> None:
    found = problems_of(text(**change(secret)))
    assert any("is a secret" in problem and "environment" in problem for problem in found)
    assert not any(str(secret) in problem for problem in found)


@pytest.mark.parametrize("variant", ["", "../x", "Upper", "1st", "a" * 32, "with space"])
def test_a_variant_that_cannot_be_a_folder_is_refused(variant: str) -> None:
    with pytest.raises(ConfigError, match="variant"):
        load_strategy(text(), origin="x.jsonc", variant=variant)
