"""The log of an asset under way: each line says which run, asset and market; some reach Dagster's event log.

How a line is written and what is kept out of it belongs to `observability.logs`.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import dagster as dg

from itb_assets.domain.markets import Market
from itb_assets.observability.logs import get_logger

if TYPE_CHECKING:
    from loguru import Logger, Message

EVENT_LOG_LEVEL = logging.INFO
"""Each line in Dagster's event log is a row in its database: few lines for an asset, none for details."""


@contextmanager
def asset_log(
    context: dg.AssetExecutionContext | dg.OutputContext, asset: str, market: Market
) -> Iterator[Logger]:
    """Yield the logger of an asset under way; what others log meanwhile has its context too."""
    about = {
        "run_id": context.run_id if isinstance(context, dg.OutputContext) else context.run.run_id,
        "asset": asset,
        "symbol": market.symbol,
        "freq": market.freq,
    }

    def to_event_log(message: Message) -> None:
        record = message.record
        values = [f"{name}={value}" for name, value in record["extra"].items() if name not in about]
        context.log.log(record["level"].no, " ".join([record["message"], *values]))

    log = get_logger(**about)
    handler = log.add(
        to_event_log,
        level=EVENT_LOG_LEVEL,
        filter=lambda record: about.items() <= record["extra"].items(),
        format="{message}",
        diagnose=False,  # would print the values of variables
        backtrace=False,
    )
    try:
        with log.contextualize(**about):
            yield log
    finally:
        log.remove(handler)
