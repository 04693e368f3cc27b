"""What a model costs beside its bare fits: training as a call, and the model assets with all they add.

Paper trading belongs to `trading_ways`.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

import floors
import inputs
import ours
from chain import ExchangeInMemory, materialize
from loguru import logger
from measure import Case, Cost, Job, Meter

from itb_assets.orchestration.platform import Platform
from itb_assets.settings import load_settings


def fit_costs(job: Job, meter: Meter) -> Mapping[str, Cost]:
    """Return the CPU-seconds of the bare fits, of training, and of the model assets, on the same klines."""
    logger.disable("itb_assets")
    inputs.prepare(job)
    platform = _platform(job)
    materialize(platform, meter, stages=("raw", "processed", "labeled"))
    assets = Case(lambda: materialize(platform, meter, stages=("models",)))
    return {
        "bare": meter.measure(floors.fits(job), repeats=job.repeats),
        "training": meter.measure(ours.fits(job), repeats=job.repeats),
        "assets": meter.measure(assets, repeats=job.repeats),
    }


def _platform(job: Job) -> Platform:
    """Return a platform on files, whose exchange has the job's klines."""
    klines = inputs.load(job, "klines")
    settings = load_settings(
        data_root=job.output / "root",
        database_url=None,
        storage_phase="files",
        processed_format="csv",
        dialect=None,
        model_signing_key=None,
        start=datetime(2016, 1, 1, tzinfo=UTC),
        threads=1,
    )
    now = klines["timestamp"].iloc[-1] + inputs.MARKET.freq_delta
    platform = Platform(settings, (inputs.strategy(),), clock=lambda: now, retry_steps=False)
    platform.__dict__["source"] = ExchangeInMemory(klines)
    return platform
