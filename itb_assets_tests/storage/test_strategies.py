"""Strategy files on disk: the shipped ones load, a user's own join or replace them."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

import pytest

from itb_assets.domain.strategy import check_strategies
from itb_assets.errors import ConfigError
from itb_assets.storage.strategies import read_strategies, read_strategy

SHIPPED = resources.files("itb_assets") / "strategies"
AGGRESSIVE = (SHIPPED / "aggressive.jsonc").read_text(encoding="utf-8")


def test_the_shipped_strategies_load_and_do_not_conflict() -> None:
    strategies = read_strategies()
    check_strategies(strategies)
    assert [strategy.variant for strategy in strategies] == ["aggressive", "conservative"]
    aggressive, conservative = strategies
    assert len(aggressive.train_features) == 17
    assert len(aggressive.label_sets) == 2
    assert (aggressive.train_length, aggressive.label_horizon) == (51840, 8)
    assert aggressive.algorithms[0].train["n_estimators"] == 300
    assert conservative.algorithms[0].params == {"is_scale": True}
    assert {strategy.dialect for strategy in strategies} == {"causal"}
    assert not aggressive.unused
    assert not conservative.unused


def test_a_users_own_file_joins_them_and_one_of_the_same_name_replaces(tmp_path: Path) -> None:
    own = AGGRESSIVE.replace('"train_length": 51840', '"train_length": 1000')
    for name in ("mine.jsonc", "aggressive.jsonc"):
        (tmp_path / name).write_text(own, encoding="utf-8")
    (tmp_path / "notes.txt").write_text("not a strategy", encoding="utf-8")
    found = {strategy.variant: strategy for strategy in read_strategies(tmp_path)}
    assert sorted(found) == ["aggressive", "conservative", "mine"]
    assert found["aggressive"].train_length == 1000
    assert found["aggressive"].origin == str(tmp_path / "aggressive.jsonc")


def test_the_problems_of_all_files_are_listed_with_their_files(tmp_path: Path) -> None:
    (tmp_path / "one.jsonc").write_text('{"a": 1', encoding="utf-8")
    (tmp_path / "two.jsonc").write_bytes(b'{"\xff": 1}')
    (tmp_path / "Three.jsonc").write_text(AGGRESSIVE, encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        read_strategies(tmp_path)
    text = "\n".join(caught.value.problems)
    assert f"{tmp_path / 'one.jsonc'}: 1:8: not valid JSON" in text
    assert f"{tmp_path / 'two.jsonc'}: cannot be read: not UTF-8 text" in text
    assert "variant 'Three' is not valid" in text


def test_a_folder_that_is_none_and_a_file_that_is_missing_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="is not a folder"):
        read_strategies(tmp_path / "nowhere")
    with pytest.raises(ConfigError, match="cannot be read: No such file"):
        read_strategy(tmp_path / "mine.jsonc")
