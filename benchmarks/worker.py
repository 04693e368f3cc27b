"""Runs cases in processes of their own, because a peak of memory is the process's.

It measures nothing itself.
"""

from __future__ import annotations

import importlib
import multiprocessing
import shutil
from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor
from typing import Any

from measure import Cost, Job, Meter


class Workers:
    """Starts a process a case, or with `share` one for them all: quicker, but peaks then add up."""

    def __init__(self, *, share: bool) -> None:
        """Start nothing yet."""
        self._pool = ProcessPoolExecutor(
            max_workers=1,
            mp_context=multiprocessing.get_context("spawn"),
            max_tasks_per_child=None if share else 1,
        )

    def prepare(self, job: Job, *, module: str = "inputs") -> None:
        """Make the inputs of all cases."""
        self._pool.submit(_prepare, module, job).result()

    def stage(self, way: str, stage: str, job: Job) -> Cost:
        """Measure one stage done one way."""
        return self._pool.submit(_stage, way, stage, job).result()

    def chain(self, job: Job) -> Mapping[str, Cost]:
        """Measure our whole chain and its update."""
        return self._pool.submit(_chain, job).result()

    def close(self) -> None:
        """End every process."""
        self._pool.shutdown()


def _prepare(module: str, job: Job) -> None:
    importlib.import_module(module).prepare(job)


def _stage(way: str, stage: str, job: Job) -> Cost:
    case = getattr(importlib.import_module(way), stage)(job)
    cost = Meter(job.server).measure(case, repeats=job.repeats)
    shutil.rmtree(job.output)
    return cost


def _chain(job: Job) -> Mapping[str, Cost]:
    module: Any = importlib.import_module("chain")
    costs: Mapping[str, Cost] = module.run(job, Meter(job.server))
    shutil.rmtree(job.output)
    return costs
