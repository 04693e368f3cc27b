"""Mistakes in strategy files: all at once, each named where it stands, once.

What lawful files become belongs to `test_strategy_loading`, what two files ask for to `..._conflicts`.
"""

from __future__ import annotations

import json

import pytest
from strategy_texts import lawful, problems_of, text


def test_five_mistakes_are_one_error_with_five_places() -> None:
    source = """{
  "label_horizon": "4",
  "lables": [],
  "feature_sets": [
    {"generator": "talib", "config": {"columns": ["close"], "functions": ["SMA"], "windows": [3, 6]}},
    {"generator": "talib", "config": {"columns": ["close"], "functions": ["SMA"], "windows": [6]}}
  ],
  "label_sets": [
    {"generator": "highlow2", "config": {"columns": ["close", "high", "low"], "function": "high",
      "thresholds": [0.4], "tolerance": 0.05, "horizon": 4, "names": ["high_040_4"]}}
  ],
  "train_features": ["close_SMA_3", "close_SMA_7"],
  "labels": ["high_040_4", "low_040_4"],
  "algorithms": [{"name": "lgbm", "algo": "lgbm"}]
}"""
    assert problems_of(source) == [
        "2:20: label_horizon: expected a valid integer, found text",
        "3:3: unknown key 'lables'; did you mean 'labels'?",
        "6:5: feature 'close_SMA_6' is made twice, first at 5:5",
        "12:37: no feature_sets entry makes feature 'close_SMA_7'; did you mean 'close_SMA_6'?",
        "13:28: no label_sets entry makes label 'low_040_4'",
    ]


def test_commas_too_many_are_listed_beside_the_rest() -> None:
    source = text(label_horizon=-1).replace("-1", "-1,", 1)
    found = problems_of(source)
    assert any("a comma too many" in problem for problem in found)
    assert any("label_horizon" in problem for problem in found)


def _changed(key: str, index: int, **changes: object) -> str:
    """Change keys of one entry's config."""
    values = lawful()
    values[key][index]["config"] |= changes
    return json.dumps(values, indent=2)


def _extra(key: str, entry: object) -> str:
    return text(**{key: [*lawful()[key], entry]})


MISTAKES: dict[str, tuple[str, str]] = {
    "missing": (text(labels=None), "1:1: key 'labels' is missing"),
    "empty list": (text(algorithms=[]), "algorithms: list should have at least 1 item"),
    "wrong type": (text(train_features="close"), "train_features: expected a valid list, found text"),
    "true is no number": (text(label_horizon=True), "label_horizon: expected a valid integer, found True"),
    "negative": (
        text(features_horizon=-3),
        "expected greater than or equal to 0, found -3",
    ),
    "a part of a row": (text(train_length=10.5), "train_length: expected a valid integer"),
    "dialect": (text(dialect="modern"), "dialect: expected 'causal' or 'legacy'"),
    "walk forward": (
        text(walk_forward={"folds": 0}),
        "walk_forward.folds: expected greater",
    ),
    "walk forward key": (text(walk_forward={"fold": 4}), "unknown key 'fold'; did you mean 'folds'?"),
    "walk forward rolls over nothing": (
        text(walk_forward={"mode": "rolling"}),
        "walk_forward: mode is 'rolling' and train_rows is missing: say how many rows",
    ),
    "walk forward expands and has a length": (
        text(walk_forward={"train_rows": 5000}),
        "walk_forward: train_rows is 5000 and mode 'expanding', which trains on all earlier rows",
    ),
    "walk forward rolls over too little": (
        text(walk_forward={"mode": "rolling", "train_rows": 500}),
        "walk_forward: train_rows is 500 and min_train_rows 1000: expected at least as many",
    ),
    "walk forward mode": (
        text(walk_forward={"mode": "sliding"}),
        "walk_forward.mode: expected 'expanding' or 'rolling'",
    ),
    "one fold": (
        text(cross_validation={"folds": 1}),
        "cross_validation.folds: expected greater than or equal to 2, found 1",
    ),
    "embargo": (
        text(cross_validation={"embargo_rows": -1}),
        "cross_validation.embargo_rows: expected greater than or equal to 0, found -1",
    ),
    "cross-validation key": (
        text(cross_validation={"embargo_row": 12}),
        "unknown key 'embargo_row'; did you mean 'embargo_rows'?",
    ),
    "paper trading key": (
        text(paper_trading={"fees_pct": 0.1}),
        "unknown key 'fees_pct'; did you mean 'fee_pct'?",
    ),
    "paper trading direction": (
        text(paper_trading={"direction": "up"}),
        "paper_trading.direction: expected 'long', 'short' or 'both'",
    ),
    "paper trading takes no profit": (
        text(paper_trading={"take_profit_pct": 0}),
        "paper_trading.take_profit_pct: expected greater than 0",
    ),
    "paper trading fee": (
        text(paper_trading={"fee_pct": -0.04}),
        "paper_trading.fee_pct: expected greater than or equal to 0",
    ),
    "paper trading fee in words": (
        text(paper_trading={"fee_pct": "0.04"}),
        "paper_trading.fee_pct: expected a valid number, found text",
    ),
    "paper trading holds nothing": (
        text(paper_trading={"max_positions": 0}),
        "paper_trading.max_positions: expected greater than or equal to 1, found 0",
    ),
    "paper trading of a signal nobody makes": (
        text(paper_trading={"buy": "buys"}),
        "paper_trading.buy: no signal_sets entry makes 'buys'; did you mean 'buy'?",
    ),
    "freq": (text(freq="7 minutes"), "freq: expected a freq such as 5m or 5min"),
    "placeholder": (text(data_folder="./DATA_{symbl}"), "placeholder {symbl} is unknown"),
    "entry key": (
        _extra("feature_sets", {"generator": "regime", "confg": {}}),
        "unknown key 'confg'; did you mean 'config'?",
    ),
    "generator": (_extra("feature_sets", {"generator": "tallib"}), "tallib"),
    "generator config": (_changed("feature_sets", 0, windows="3"), "windows"),
    "label config": (_changed("label_sets", 0, tolerance="much"), "tolerance"),
    "label config key": (_changed("label_sets", 1, horizn=4), "horizn"),
    "label made twice": (
        _changed("label_sets", 1, names=["high_040_4"]),
        "label 'high_040_4' is made twice, first at",
    ),
    "label like a feature": (
        _changed("label_sets", 1, names=["close_SMA_3"]),
        "label 'close_SMA_3' has the name of another column",
    ),
    "feature asked twice": (
        text(train_features=["close_SMA_3", "close_SMA_3"]),
        "feature 'close_SMA_3' stands in train_features twice",
    ),
    "label as a path": (text(labels=["../high"]), "expected letters, digits, _ and -"),
    "algorithm name": (
        text(algorithms=[{"name": "my_lgbm", "algo": "lgbm"}]),
        "algorithm name 'my_lgbm' holds an underscore",
    ),
    "algorithm as a path": (text(algorithms=[{"name": "../x", "algo": "lgbm"}]), "expected letters, digits"),
    "algorithm twice": (
        _extra("algorithms", {"name": "lgbm", "algo": "lgbm"}),
        "algorithm 'lgbm' is named twice, first at",
    ),
    "algo": (text(algorithms=[{"name": "lgbm", "algo": "forest"}]), "forest"),
    "hyperparameter": (
        text(algorithms=[{"name": "lgbm", "algo": "lgbm", "train": {"num_leafs": 3}}]),
        "num_leafs",
    ),
    "signal input": (
        _changed("signal_sets", 0, columns=["high_040_4_lgbm", "low_040_4_lgb"]),
        "no score and no earlier signal is named 'low_040_4_lgb'; did you mean 'low_040_4_lgbm'?",
    ),
    "signal before its input": (
        text(signal_sets=lawful()["signal_sets"][::-1]),
        "no score and no earlier signal is named 'score'",
    ),
    "signal made twice": (
        _changed("signal_sets", 1, names=["score", "sell"]),
        "signal 'score' is made twice",
    ),
    "signal as a column": (
        _changed("signal_sets", 1, names=["close", "sell"]),
        "signal 'close' has the name of",
    ),
    "lists of its own": (
        text(train_feature_sets=[{"generator": "train_features", "config": {"labels": ["a"]}}]),
        "'labels' of a train_feature_set is not read",
    ),
    "not an object": ("[1, 2]", "1:1: expected an object of keys"),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_each_mistake_is_named_where_it_stands(name: str) -> None:
    source, expected = MISTAKES[name]
    found = problems_of(source)
    assert any(expected in problem for problem in found), found
    assert all(problem.split(": ")[0].replace(":", "").isdigit() for problem in found), found


def test_one_mistake_is_one_problem() -> None:
    """What follows from a broken entry is not reported as well."""
    assert len(problems_of(_changed("feature_sets", 0, windows="3"))) == 1
    assert len(problems_of(text(algorithms=[{"name": "my_lgbm", "algo": "lgbm"}]))) == 3
    assert len(problems_of(text(algorithms=[{"algo": "lgbm"}]))) == 1
    assert len(problems_of(text(algorithms=None))) == 1
