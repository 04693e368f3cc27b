"""A data root built once, and pipelines on copies of it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from pipeline_making import Pipeline, open_pipeline


@pytest.fixture(scope="session")
def built_root(tmp_path_factory) -> Path:
    """Return a data root on which one market was run up to NOW; to be copied, not changed."""
    root = tmp_path_factory.mktemp("built") / "data"
    with open_pipeline(root) as pipeline:
        result = pipeline.run_well()
        assert all(check.passed for check in result.get_asset_check_evaluations())
    return root


@pytest.fixture
def built(built_root, tmp_path) -> Iterator[Pipeline]:
    """Return a pipeline on a copy of the built root, the clock at NOW."""
    shutil.copytree(built_root, tmp_path / "data")
    with open_pipeline(tmp_path / "data") as pipeline:
        yield pipeline


@pytest.fixture
def fresh(tmp_path) -> Iterator[Pipeline]:
    """Return a pipeline on an empty root, the clock at NOW."""
    with open_pipeline(tmp_path / "data") as pipeline:
        yield pipeline
