"""Every path is below the root, whatever it is asked for, and models are found by both of their names."""

from __future__ import annotations

from pathlib import Path

import pytest

from itb_assets.domain.markets import Market
from itb_assets.errors import InputError, InvalidMarket, ModelNotFound, StorageError
from itb_assets.storage.layout import Layout, ModelAddress

BTC = Market("BTCUSDT", "5m")


def test_paths_are_those_of_the_design(tmp_path):
    layout = Layout(tmp_path)
    relative = [
        str(path.relative_to(tmp_path))
        for path in (
            layout.klines(BTC),
            layout.gaps(BTC),
            layout.data(BTC),
            layout.features(BTC),
            layout.matrix(BTC),
            layout.predictions(BTC, "aggressive"),
            layout.signals(BTC, "aggressive"),
            layout.trades(BTC, "aggressive"),
            layout.performance(BTC, "aggressive"),
            layout.model_dir(BTC, "aggressive", "lgbm", "high_040_4"),
        )
    ]
    assert relative == [
        "BTCUSDT/5m/raw/klines.parquet",
        "BTCUSDT/5m/raw/gaps.json",
        "BTCUSDT/5m/processed/data.csv",
        "BTCUSDT/5m/processed/features.csv",
        "BTCUSDT/5m/labeled/matrix.csv",
        "BTCUSDT/5m/predictions/aggressive.csv",
        "BTCUSDT/5m/signals/aggressive.csv",
        "BTCUSDT/5m/trades/aggressive.csv",
        "BTCUSDT/5m/performance/aggressive.csv",
        "models/BTCUSDT/5m/aggressive/lgbm/high_040_4",
    ]


def test_the_format_is_chosen_for_all_but_klines(tmp_path):
    layout = Layout(tmp_path, "parquet")
    assert layout.matrix(BTC).name == "matrix.parquet"
    assert layout.klines(BTC).name == "klines.parquet"


@pytest.mark.parametrize("name", ["../x", "a/b", "", "A", "a\n", ".", "a" * 32, "a-b", "a\0"])
def test_a_name_that_could_leave_the_root_is_refused(tmp_path, name):
    layout = Layout(tmp_path)
    for ask in (
        lambda: layout.predictions(BTC, name),
        lambda: layout.signals(BTC, name),
        lambda: layout.trades(BTC, name),
        lambda: layout.performance(BTC, name),
        lambda: layout.model_dir(BTC, name, "lgbm", "high"),
        lambda: layout.model_dir(BTC, "aggressive", name, "high"),
    ):
        with pytest.raises(InputError, match="is not valid"):
            ask()
    with pytest.raises(InputError, match="is not valid"):
        layout.model_dir(BTC, "aggressive", "lgbm", "../high")
    with pytest.raises(InvalidMarket):
        Market("../x", "5m")


def test_a_symbolic_link_that_leaves_the_root_is_refused(tmp_path):
    root = tmp_path / "data"
    (root / "BTCUSDT").mkdir(parents=True)
    (tmp_path / "elsewhere").mkdir()
    (root / "BTCUSDT" / "5m").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(StorageError, match="leads out of the data root"):
        Layout(root).data(BTC)


def test_the_root_itself_may_be_a_link_or_relative(tmp_path, monkeypatch):
    (tmp_path / "disk two").mkdir()
    (tmp_path / "data").symlink_to(tmp_path / "disk two")
    monkeypatch.chdir(tmp_path)
    assert Layout(Path("data")).data(BTC) == Path("data/BTCUSDT/5m/processed/data.csv")


def test_markets_are_those_with_klines(tmp_path):
    layout = Layout(tmp_path)
    assert layout.markets() == ()
    for market in (Market("ETHUSDT", "5m"), Market("BTCUSDT", "1h"), BTC):
        path = layout.klines(market)
        path.parent.mkdir(parents=True)
        path.touch()
    (tmp_path / "SOLUSDT" / "5m" / "raw").mkdir(parents=True)
    (tmp_path / "models").mkdir()
    assert layout.markets() == (BTC, Market("BTCUSDT", "1h"), Market("ETHUSDT", "5m"))


def model(layout: Layout, label: str) -> ModelAddress:
    folder = layout.model_dir(BTC, "aggressive", "lgbm", label)
    folder.mkdir(parents=True)
    (folder / "metadata.json").touch()
    return ModelAddress(BTC, "aggressive", "lgbm", label)


def test_models_are_those_with_metadata(tmp_path):
    layout = Layout(tmp_path)
    expected = (model(layout, "high_040_4"), model(layout, "low_040_4"))
    layout.model_dir(BTC, "aggressive", "lgbm", "empty").mkdir(parents=True)
    (tmp_path / "models" / "stray" / "5m").mkdir(parents=True)
    assert layout.models() == expected


@pytest.mark.parametrize(
    ("folder", "file", "variant", "algo"),
    [
        ("MODELS_AGGRESSIVE", "high_040_4_lgbm", "aggressive", "lgbm"),
        ("MODELS_AGGRESSIVE_V1", "high_040_4_gb", "aggressive", "lgbm"),
        ("MODELS_CONSERVATIVE", "high_040_4_lc", "conservative", "logreg"),
        ("MODELS_QUICK_PROFIT", "high_040_4_svc", "quick_profit", "svc"),
        ("MODELS_FOREX_5m", "high_040_4_nn", "forex", "nn"),
        ("MODELS_test_both", "high_040_4_nn", "test_both", "nn"),
        ("MODELS", "high_040_4_nn", "mine", "nn"),
    ],
)
def test_legacy_models_are_found_where_the_old_bot_put_them(tmp_path, folder, file, variant, algo):
    """The new path wins; without it the old bot's pickle is found under its real names."""
    layout = Layout(tmp_path)
    with pytest.raises(ModelNotFound, match="high_040_4"):
        layout.find_model(BTC, variant, algo, "high_040_4")
    legacy = tmp_path / "DATA_ITB_5m" / "BTCUSDT" / folder / f"{file}.pickle"
    legacy.parent.mkdir(parents=True)
    legacy.touch()
    found = layout.find_model(BTC, variant, algo, "high_040_4")
    assert (found.path, found.legacy) == (legacy, True)
    ours = layout.model_dir(BTC, variant, algo, "high_040_4")
    ours.mkdir(parents=True)
    (ours / "metadata.json").touch()
    assert layout.find_model(BTC, variant, algo, "high_040_4").path == ours


def test_versions_lie_beside_their_model_and_are_no_models(tmp_path):
    layout = Layout(tmp_path)
    address = model(layout, "high_040_4")
    assert layout.promoted_dir(address) == layout.model_dir(BTC, "aggressive", "lgbm", "high_040_4")
    assert layout.version_numbers(address) == ()
    below = "models/BTCUSDT/5m/aggressive/lgbm/.versions/high_040_4"
    assert [str(layout.version_dir(address, n).relative_to(tmp_path)) for n in (1, 12_345)] == [
        f"{below}/0001",
        f"{below}/12345",
    ]
    odd = ("0000", "1", "00012", "0001x", "events.jsonl", ".tmp-0004-1-00aa", "1234567890")
    for name in ("0010", "12345", "0002", *odd):
        (tmp_path / below / name).mkdir(parents=True)
        (tmp_path / below / name / "metadata.json").touch()
    (tmp_path / below / "0003").symlink_to(tmp_path)
    assert layout.version_numbers(address) == (2, 3, 10, 12_345)
    assert layout.models() == (address,)
    for number in (0, -1, 10**9):
        with pytest.raises(InputError, match=r"version .* is not valid"):
            layout.version_dir(address, number)


def test_an_address_says_what_its_models_say_of_themselves(tmp_path):
    assert model(Layout(tmp_path), "high_040_4").identity == {
        "symbol": "BTCUSDT",
        "freq": "5m",
        "variant": "aggressive",
        "algo": "lgbm",
        "label": "high_040_4",
    }


def test_our_own_folders_are_no_markets(tmp_path):
    layout = Layout(tmp_path)
    own = (
        layout.cache_dir,
        layout.logs_dir,
        layout.postgres_dir,
        layout.dagster_home,
        layout.market_lock(BTC),
    )
    for path in own:
        assert path.is_relative_to(tmp_path)
        path.mkdir(parents=True)
    assert layout.markets() == ()
