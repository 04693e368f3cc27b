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

from itb_assets.orchestration.evidence import PRICES, evidence
from itb_assets.orchestration.model_page import training_page
from itb_assets.orchestration.models import train
from itb_assets.orchestration.platform import Platform
from itb_assets.settings import load_settings


def fit_costs(job: Job, meter: Meter) -> Mapping[str, Cost]:
    """Return what the bare fits cost, training as a call, parts of what the assets add, and the assets.

    Everything ran once before it is measured, so the assets are those of a second training: each model is
    compared with the one in use.
    """
    logger.disable("itb_assets")
    inputs.prepare(job)
    platform = _platform(job)
    materialize(platform, meter, stages=("raw", "processed", "labeled", "models"))
    judging, drawing = _parts(platform)
    assets = Case(lambda: materialize(platform, meter, stages=("models",)))
    return {
        "bare": meter.measure(floors.fits(job), repeats=job.repeats),
        "training": meter.measure(ours.fits(job), repeats=job.repeats),
        "evidence": meter.measure(judging, repeats=job.repeats),
        "page": meter.measure(drawing, repeats=job.repeats),
        "assets": meter.measure(assets, repeats=job.repeats),
    }


def _parts(platform: Platform) -> tuple[Case, Case]:
    """Return the trades and luck tests of every model, and the pictures of its page."""
    matrix = platform.stored(inputs.MARKET, "labeled/matrix")
    if matrix is None:
        raise FileNotFoundError(f"no matrix of {inputs.MARKET}: expected the stage labeled before")
    made = [(name, train(platform, inputs.MARKET, name, matrix)) for name in platform.model_names()]
    frame = matrix.read(["timestamp", *PRICES])

    def judge() -> None:
        for name, update in made:
            evidence(platform, inputs.MARKET, name, update.trained, frame)

    def draw() -> None:
        for _, update in made:
            training_page(update.trained, update.metrics)

    return Case(judge), Case(draw)


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
