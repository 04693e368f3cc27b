"""Executed fills for the tests of this room, and what a process that is killed does with them."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

from itb_assets.domain.executed import Fill, FillSource, Side
from itb_assets.storage.files.executed_trades import ExecutedFills

START = datetime(2024, 9, 1, tzinfo=UTC)
BATCH = 40


def fill(number: int, **changes: Any) -> Fill:
    """Return the `number`th trade: uneven ones sell what even ones bought, a minute later, for one more."""
    values: dict[str, Any] = {
        "source": FillSource.BINANCE_SPOT,
        "account": "main",
        "trade_id": str(number),
        "time": START + timedelta(minutes=number),
        "symbol": "BTCUSDT",
        "side": Side.SELL if number % 2 else Side.BUY,
        "quantity": Decimal("0.001"),
        "price": Decimal("58123.4500") + number % 2,
        "fee": Decimal("0.00004"),
        "fee_asset": "USDT",
        "order_id": f"order-{number}",
        "raw_data": f'{{"id": {number}}}',
    }
    return Fill(**(values | changes))


def store_below(root: Path) -> ExecutedFills:
    """Return the file of fills below a folder."""
    return ExecutedFills(root / "executed" / "fills.parquet", lock=root / "locks" / "executed.lock")


def import_for_ever(root: Path, first: int, started: Any) -> None:
    """Import one batch of fills after the other until somebody kills this process."""
    for batch in itertools.count(first):
        store_below(root).merge([fill(number) for number in range(batch * BATCH, (batch + 1) * BATCH)])
        started.set()
