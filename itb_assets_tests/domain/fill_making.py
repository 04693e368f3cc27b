"""Executed fills for tests, by hand and by hypothesis."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from hypothesis import strategies as st

from itb_assets.domain.executed import Fill, FillSource, PositionSide, Side

START = datetime(2024, 9, 1, tzinfo=UTC)


def fill(number: int, side: str, quantity: object, price: object, **changes: Any) -> Fill:
    """Return the `number`th trade of a futures account without position sides, a minute after the last."""
    values: dict[str, Any] = {
        "source": FillSource.BINANCE_FUTURES,
        "account": "main",
        "trade_id": str(number),
        "time": START + timedelta(minutes=number),
        "symbol": "BTCUSDT",
        "side": Side(side),
        "quantity": Decimal(str(quantity)),
        "price": Decimal(str(price)),
        "fee_asset": "USDT",
    }
    return Fill(**(values | changes))


def spot(number: int, side: str, quantity: object, price: object, **changes: Any) -> Fill:
    """Return the `number`th trade of a spot account."""
    return fill(number, side, quantity, price, **({"source": FillSource.BINANCE_SPOT} | changes))


_AMOUNTS = st.integers(1, 40).map(lambda n: Decimal(n) / 8)
_PRICES = st.integers(1, 10**7).map(lambda n: Decimal(n) / 100)
_FEES = st.integers(-50, 5_000).map(lambda n: Decimal(n) / 1000)


@st.composite
def histories(draw: st.DrawFn, **fixed: Any) -> list[Fill]:
    """Draw up to thirty fills of one or two lanes, in the order of their time."""
    count = draw(st.integers(1, 30))
    return [
        fill(
            number,
            draw(st.sampled_from(["buy", "sell"])),
            draw(_AMOUNTS),
            draw(_PRICES),
            **(
                {
                    "fee": draw(_FEES),
                    "position_side": draw(st.sampled_from([None, PositionSide.BOTH])),
                    "account": draw(st.sampled_from(["main", "second"])),
                }
                | fixed
            ),
        )
        for number in range(count)
    ]
