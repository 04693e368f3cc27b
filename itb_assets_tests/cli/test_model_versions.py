"""Versions of models at the command line: listed, compared, promoted, rolled back, killed on the way.

What the registry does with files belongs to the tests of storage.
"""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import promotion_killed
import pytest
from dying import in_forks
from itb_command import MARKET, Itb
from refusals import refused
from versioning import ADDRESS, LATER, MODEL, OTHER, RUN, listed, of, registry_of, scored_by, used

from itb_assets.domain import training
from itb_assets.orchestration import model_versions
from itb_assets.storage.disk.locks import held_lock
from itb_assets.storage.layout import Layout


@pytest.fixture(scope="module")
def two(built, tmp_path_factory) -> Path:
    """Return a data root, in files alone, whose models were trained twice; to be copied."""
    root = tmp_path_factory.mktemp("two") / "data root"
    for name in (MARKET.symbol, "models"):
        shutil.copytree(built.root / name, root / name)
    itb = of(built, root)
    said = itb(*RUN, *LATER, "--retrain")
    assert said.code == 0, said
    return root


@pytest.fixture
def itb(built, two, tmp_path) -> Itb:
    """Return the command on a copy of it."""
    shutil.copytree(two, tmp_path / "data root", ignore=shutil.ignore_patterns(".itb"))
    return of(built, tmp_path / "data root")


def test_versions(itb):
    newest, oldest = listed(itb)
    assert (newest["version"], newest["state"]) == (2, "promoted")
    assert (oldest["version"], oldest["state"]) == (1, "previous")
    assert newest["trained_until"] > oldest["trained_until"]
    assert "first version" in oldest["why"]
    assert "version 1" in newest["why"]
    assert 0 < newest["auc"] < 1
    shown = itb("models", "versions", MODEL)
    assert shown.code == 0
    assert "promoted by run" in " ".join(shown.out.split())


def test_list_and_show_name_the_version_and_what_trading_brought(itb):
    (row,) = [row for row in itb("models", "list", "--json").json() if row["model"] == MODEL]
    assert (row["version"], row["state"]) == (2, "whole")
    assert row["trades"] >= 0
    shown = itb("models", "show", MODEL)
    assert "in use: version 2 of 2: " in shown.out
    assert "trading: " in shown.out
    page = itb("models", "show", MODEL, "--json").json()
    assert page["metrics"]["trading"]["sample"] == "out_of_sample"


def test_roll_back_and_promote_again(itb):
    """The predictions of the next run are those of the version in use; nothing of it is trained."""
    said = itb("models", "rollback", MODEL, "--reason", "it lost money")
    assert said.code == 0, said
    assert f"{MODEL}: version 1 is in use, before it version 2" in said.out
    assert "predictions, signals and trades follow with the next itb run" in said.out
    assert used(itb) == 1
    assert any("it lost money" in row["why"] for row in listed(itb))
    refused(itb("models", "rollback", MODEL), 4, "no version of", "was in use before the present one")
    assert itb(*RUN, *LATER).code == 0
    assert scored_by(itb, 1)
    said = itb("models", "promote", MODEL, "2", "--reason", "it did not")
    assert said.code == 0, said
    (told,) = itb("models", "promote", MODEL, "2", "--reason", "again", "--json").json()
    assert (told["from_version"], told["to_version"], told["changed"]) == (2, 2, False)
    assert itb(*RUN, *LATER).code == 0
    assert scored_by(itb, 2)


@pytest.mark.parametrize("command", [("promote", MODEL, "1", "--reason", "why not"), ("rollback", MODEL)])
def test_a_dry_run_changes_nothing(itb, command):
    before = {path: path.read_bytes() for path in (itb.root / "models").rglob("*") if path.is_file()}
    said = itb("models", *command, "--dry-run")
    assert said.code == 0, said
    assert "version 1 would be in use, before it version 2" in said.out
    assert "version 2" in said.out.splitlines()[1]
    assert "follow" not in said.out
    (told,) = itb("models", *command, "--dry-run", "--json").json()
    assert (told["from_version"], told["to_version"], told["changed"], told["dry_run"]) == (2, 1, False, True)
    after = {path: path.read_bytes() for path in (itb.root / "models").rglob("*") if path.is_file()}
    assert after == before


def test_versions_that_are_not_there(itb):
    for dry in ((), ("--dry-run",)):
        said = itb("models", "promote", MODEL, "7", "--reason", "why not", *dry)
        refused(said, 4, "no version 7 of", "there are 1, 2")
    missing = MODEL.replace("high_040_4", "high_999_4")
    refused(itb("models", "versions", missing), 4, f"no version of {missing}")
    refused(itb("models", "promote", missing, "1", "--reason", "x"), 4, "there are none, train it first")
    refused(itb("models", "rollback", missing), 4, f"no version of {missing}")
    assert used(itb) == 2


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("BTCUSDT/5m/lgbm", "expected SYMBOL/FREQ/VARIANT/ALGO/LABEL"),
        ("../x/1h/a/b/c", "is not valid"),
        (MODEL.replace("/1h/", "/7m/"), "freq '7m'"),
    ],
)
def test_what_names_no_model(itb, name, words):
    for command in (("versions", name), ("promote", name, "1", "--reason", "x"), ("rollback", name)):
        refused(itb("models", *command), 2, words)


def test_a_reason_is_asked_for(itb):
    assert itb("models", "promote", MODEL, "1").code == 2
    refused(itb("models", "promote", MODEL, "1", "--reason", "  "), 2, "the reason is empty")
    assert used(itb) == 2


def test_a_broken_version_is_listed_and_never_used(itb):
    file = Layout(itb.root).version_dir(ADDRESS, 1) / "metrics.json"
    file.write_bytes(file.read_bytes()[:40])
    _, broken = listed(itb)
    assert broken["state"] == "broken"
    assert "metrics.json" in broken["why"]
    for command in (("promote", MODEL, "1", "--reason", "x"), ("rollback", MODEL)):
        refused(itb("models", *command), 4, "metrics.json")
    assert used(itb) == 2
    said = itb("verify", "--json")
    assert said.code == 1
    assert [row["what"] for row in said.json()] == ["models/aggressive/lgbm/high_040_4 version 1"]


def test_while_a_run_writes_the_market(itb, monkeypatch):
    monkeypatch.setattr(model_versions, "LOCK_WAIT_S", 0.05)
    with held_lock(Layout(itb.root).market_lock(MARKET), wait_s=1):
        for command in (("promote", MODEL, "1", "--reason", "x"), ("rollback", MODEL)):
            said = itb("models", *command)
            refused(said, 3, f"is being written by process {os.getpid()}")
        assert itb("models", "versions", MODEL).code == 0
        assert itb("models", "promote", MODEL, "1", "--reason", "x", "--dry-run").code == 0
    assert used(itb) == 2


def test_compare_ranks_models_of_one_label_on_common_rows(itb):
    rows = itb("models", "compare", "--json").json()
    assert {row["model"] for row in rows} == {MODEL, OTHER}
    assert [row["rank"] for row in rows] == [1, 2]
    assert len({row["rows"] for row in rows}) == 1
    for row in rows:
        assert row["measured_on"] == "common"
        assert row["auc_low"] < row["auc"] < row["auc_high"]
        assert (row["version"], row["promoted"], row["error"]) == (2, True, None)
        assert row["fee_pct"] == 0.04
    assert rows[0]["auc"] >= rows[1]["auc"]
    shown = itb("models", "compare")
    assert shown.code == 0
    assert (
        f"{MARKET.symbol} {MARKET.freq} high_040_4, out of sample, {rows[0]['rows']} common rows" in shown.out
    )
    for name in ("aggressive/lgbm", "conservative/logreg"):
        assert name in shown.out


def test_compare_every_version(itb):
    rows = itb("models", "compare", "--all-versions", "--algo", "lgbm", "--json").json()
    assert sorted((row["version"], row["promoted"]) for row in rows) == [(1, False), (2, True)]


def test_compare_takes_what_is_asked_for(itb):
    (row,) = itb("models", "compare", "--algo", "lgbm", "--json").json()
    assert row["model"] == MODEL
    for option in ("--symbol", "--freq", "--variant", "--algo", "--label"):
        refused(itb("models", "compare", option, "nosuch"), 2, "'nosuch' has no model: there are ")


def test_compare_draws(itb, tmp_path):
    file = tmp_path / "models.png"
    assert itb("models", "compare", "--plot", str(file)).code == 0
    assert file.read_bytes().startswith(b"\x89PNG")
    refused(itb("models", "compare", "--plot", str(tmp_path / "models.jpg")), 2, "ends in .png")
    nowhere = tmp_path / "nosuch" / "models.png"
    refused(itb("models", "compare", "--plot", str(nowhere)), 4, "cannot be written")


def test_compare_tells_of_a_broken_version(itb):
    file = Layout(itb.root).version_dir(ADDRESS, 1) / "scores.parquet"
    file.write_bytes(file.read_bytes()[:-1])
    rows = itb("models", "compare", "--all-versions", "--json").json()
    told = {(row["model"], row["version"]): row["error"] for row in rows}
    assert "scores.parquet" in told.pop((MODEL, 1))
    assert told == {(MODEL, 2): None, (OTHER, 1): None, (OTHER, 2): None}
    said = itb("models", "compare", "--all-versions")
    assert said.code == 0
    assert f"error: {MODEL} version 1: " in said.err
    assert "conservative/logreg" in said.out


def test_nothing_to_compare(built, tmp_path):
    said = of(built, tmp_path / "empty" / "data root")
    (tmp_path / "empty").mkdir()
    assert said("models", "compare", "--json").json() == []
    assert "no model is trained yet" in said("models", "compare").out
    assert not said.root.exists()


@pytest.fixture(scope="module")
def dying() -> Iterator[Callable[..., int]]:
    """Return a call of the command in a process of its own, killed at a step; it returns how that ended."""
    preload = ["itb_assets.cli", "itb_assets.domain.evaluation.compare"]
    with in_forks(promotion_killed.die_at, preload=preload) as call:
        yield call


def test_killed_at_any_moment_of_a_promotion(built, two, itb, dying, tmp_path):
    """The old model or the new one is used, whole; scores afterwards are those of one of them."""
    features = pd.read_csv(Layout(two).features(MARKET)).tail(50)
    models = {number: registry_of(itb).load_version(ADDRESS, number) for number in (1, 2)}
    expected = {
        number: training.score_rows(model.payload, model.metadata["features"], features)
        for number, model in models.items()
    }
    assert not np.array_equal(expected[1], expected[2])
    command = ["models", "promote", MODEL, "1", "--reason", "killed"]
    outcomes: list[int] = []
    ended = False
    while not ended:
        root = tmp_path / str(len(outcomes))
        shutil.copytree(itb.root / "models", root / "models")
        environment = {**itb.environment, "ITB_DATA_ROOT": str(root)}
        code = dying(command, environment, str(tmp_path), len(outcomes))
        assert code in {0, -signal.SIGKILL}
        ended = code == 0
        registry = registry_of(replace(itb, environment=environment))
        model = registry.store.load(registry.layout.promoted_dir(ADDRESS), expect=ADDRESS.identity)
        number = int(model.metadata["version"])
        found = training.score_rows(model.payload, model.metadata["features"], features)
        assert np.array_equal(found, expected[number])
        assert [version.error for version in registry.versions(ADDRESS)] == ["", ""]
        promoted = registry.promoted(ADDRESS)
        assert promoted is not None
        assert promoted.number == number
        outcomes.append(number)
        if not ended:
            shutil.rmtree(root)
    assert outcomes[0] == 2
    assert outcomes[-1] == 1
    assert outcomes == sorted(outcomes, reverse=True), "once the new one is used, the old one never is again"
    assert len(outcomes) > 8


def test_the_next_run_after_a_kill_scores_with_one_of_them(itb, dying):
    """Half way through: the run that follows finds everything in order."""
    command = ["models", "promote", MODEL, "1", "--reason", "killed"]
    assert dying(command, dict(itb.environment), str(itb.folder), 6) == -signal.SIGKILL
    said = itb(*RUN, *LATER)
    assert said.code == 0, said
    assert scored_by(itb, used(itb))
    assert itb("verify").code == 0
