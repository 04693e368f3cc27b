"""Strategies side by side: a name means one thing, whoever asks for it."""

from __future__ import annotations

import json

import pytest
from strategy_texts import lawful, text

from itb_assets.domain.strategy import Strategy, check_strategies, load_strategy
from itb_assets.errors import ConfigError


def named(variant: str, source: str) -> Strategy:
    return load_strategy(source, origin=f"{variant}.jsonc", variant=variant)


def test_equal_definitions_may_be_shared() -> None:
    check_strategies([named("one", text()), named("two", text(description="the same, trained otherwise"))])


def test_one_label_with_two_meanings_is_refused_naming_both() -> None:
    values = lawful()
    values["label_sets"][0]["config"]["thresholds"] = [0.5]
    with pytest.raises(ConfigError, match="label 'high_040_4' means") as caught:
        check_strategies([named("one", text()), named("two", json.dumps(values))])
    (problem,) = caught.value.problems
    assert "in variant 'one'" in problem
    assert "in variant 'two'" in problem
    assert "0.4" in problem
    assert "0.5" in problem


def test_one_feature_with_two_meanings_is_refused() -> None:
    values = lawful()
    values["feature_sets"][0]["config"]["parameters"] = {"rel_base": "prev", "rel_func": "rel"}
    with pytest.raises(ConfigError, match="feature 'close_SMA_6' means") as caught:
        check_strategies([named("one", text()), named("two", json.dumps(values))])
    assert "variant 'one'" in caught.value.problems[0]
    assert "variant 'two'" in caught.value.problems[0]


def test_one_variant_from_two_files_is_refused() -> None:
    with pytest.raises(ConfigError, match="variant 'one' comes from"):
        check_strategies([named("one", text()), named("one", text())])
