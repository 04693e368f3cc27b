"""The shape of the graph: keys, what every asset and check says of itself, and who may read labels."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import dagster as dg
import pytest
from pipeline_making import settings_of

from itb_assets.orchestration.build import build_defs
from itb_assets.orchestration.partitions import MARKETS
from itb_assets.orchestration.platform import BY_VARIANT, Platform
from itb_assets.storage.strategies import read_strategies

INCIDENTS = dg.AssetKey(["alerts", "incidents"])
MATRIX = dg.AssetKey(["labeled", "matrix"])
VARIANTS = {
    "aggressive": ["lgbm/high_040_4", "lgbm/low_040_4"],
    "conservative": ["logreg/high_060_24", "logreg/low_060_24"],
}
BLOCKING = {
    "raw/klines:schema",
    "processed/features:look_ahead",
    "labeled/matrix:label_join",
    "labeled/matrix:unknown_tail",
    "predictions/aggressive:out_of_sample",
    "predictions/conservative:out_of_sample",
}
OTHERS = {
    "raw/klines:gaps",
    "raw/klines:freshness",
    "processed/features:serve_parity",
    "predictions/aggressive:serve_parity",
    "predictions/conservative:serve_parity",
    "trades/aggressive:rule",
    "trades/conservative:rule",
    "drift/aggressive:drift",
    "drift/conservative:drift",
    "alerts/incidents:none_open",
    *(
        f"models/{variant}/{model}:{check}"
        for variant, models in VARIANTS.items()
        for model in models
        for check in ("promoted", "too_good")
    ),
}


@pytest.fixture(scope="module")
def defs(tmp_path_factory) -> dg.Definitions:
    root = tmp_path_factory.mktemp("nowhere") / "data"
    definitions = build_defs(platform=Platform(settings_of(root, "http://127.0.0.1:9"), read_strategies()))
    assert not root.exists(), "assembling definitions must not touch the disk"
    return definitions


@pytest.fixture(scope="module")
def graph(defs):
    return defs.resolve_asset_graph()


def _models(graph) -> set[dg.AssetKey]:
    return {key for key in graph.get_all_asset_keys() if key.path[0] == "models"}


def test_the_shipped_strategies_give_the_assets_of_the_design(graph):
    stages = ["raw/klines", "processed/data", "processed/features", "labeled/matrix"]
    models = [f"models/{variant}/{name}" for variant, names in VARIANTS.items() for name in names]
    ends = [f"{stage}/{variant}" for variant in VARIANTS for stage in BY_VARIANT]
    assert {"/".join(key.path) for key in graph.get_all_asset_keys()} == {
        *stages,
        *models,
        *ends,
        "alerts/incidents",
    }


def test_every_asset_says_what_it_is_and_is_partitioned_by_market(graph):
    for key in graph.get_all_asset_keys():
        node = graph.get(key)
        stage = key.path[0]
        assert node.group_name == (f"models_{key.path[1]}" if stage == "models" else stage)
        assert node.owners
        assert node.kinds
        assert len(node.description or "") > 30
        assert node.partitions_def == (None if key == INCIDENTS else MARKETS)
        if stage in ("models", *BY_VARIANT):
            assert node.tags["variant"] == key.path[1]
        if stage == "models":
            assert (node.tags["algo"], node.tags["label"]) == tuple(key.path[2:])


def test_every_check_says_what_must_hold_and_whether_it_stops_what_follows(defs, graph):
    checks = {key: graph.get_check_spec(key) for key in graph.asset_check_keys}
    names = {f"{key.asset_key.to_user_string()}:{key.name}": spec for key, spec in checks.items()}
    assert set(names) == BLOCKING | OTHERS
    assert {name for name, spec in names.items() if spec.blocking} == BLOCKING
    for name, spec in names.items():
        assert len(spec.description or "") > 30, name


def test_only_models_read_the_matrix(graph):
    assert graph.get(MATRIX).child_keys == _models(graph)
    for key in _models(graph):
        assert graph.get(key).parent_keys == {MATRIX}


def test_without_models_no_label_reaches_a_trade_or_what_it_earned(graph):
    """Everything above performance, models left out, comes from klines and features alone."""
    for variant in VARIANTS:
        above: set[dg.AssetKey] = set()
        rest = [dg.AssetKey(["performance", variant])]
        while rest:
            key = rest.pop()
            if key.path[0] != "models" and key not in above:
                above.add(key)
                rest += graph.get(key).parent_keys
        assert {"/".join(key.path) for key in above} == {
            "raw/klines",
            "processed/data",
            "processed/features",
            f"predictions/{variant}",
            f"signals/{variant}",
            f"trades/{variant}",
            f"performance/{variant}",
        }


def test_each_variant_reads_its_own_models_only(graph):
    for variant, names in VARIANTS.items():
        parents = graph.get(dg.AssetKey(["predictions", variant])).parent_keys
        models = {"/".join(key.path) for key in parents if key.path[0] == "models"}
        assert models == {f"models/{variant}/{name}" for name in names}


def test_jobs_cover_what_their_names_say(defs, graph):
    everything = graph.get_all_asset_keys() - {INCIDENTS}
    covered = {
        name: set(defs.resolve_job_def(name).asset_layer.executable_asset_keys)
        for name in ("build_market", "update_market", "train_market")
    }
    assert covered["build_market"] == everything
    assert covered["update_market"] == everything - _models(graph)
    ends = {key for key in everything if key.path[0] in BY_VARIANT}
    assert covered["train_market"] == _models(graph) | ends


def test_steps_of_a_run_share_its_process(defs):
    assert defs.executor.name == dg.in_process_executor.name


def test_sensors_of_the_alerts_run_from_the_start(defs):
    sensors = {sensor.name: sensor.default_status for sensor in defs.sensors}
    assert sensors == dict.fromkeys(("alert_events", "lost_runs"), dg.DefaultSensorStatus.RUNNING)


def test_the_workspace_file_loads(repository: Path, tmp_path):
    """What the web server and the daemon load, in a process of its own, from the checkout."""
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("ITB_")},
        "DAGSTER_HOME": str(tmp_path),
        "ITB_DATA_ROOT": str(tmp_path / "data"),
        "ITB_STORAGE_PHASE": "files",
    }
    dagster = Path(sys.executable).with_name("dagster")
    done = subprocess.run(
        [dagster, "definitions", "validate", "-w", "workspace.yaml"],
        cwd=repository,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert "itb_assets" in done.stderr + done.stdout
    assert not (tmp_path / "data").exists()
