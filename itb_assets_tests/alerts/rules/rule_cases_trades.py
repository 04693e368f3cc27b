"""Cases of rules over trades: losses of the day and win rates.

What a case is belongs to `rule_cases`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import sqlalchemy as sa
from rule_cases import TINY, Case, nothing
from rule_making import DAY, HOUR, MINUTE, NOW, TODAY, executed, insert, results, trade

CAPITAL = "[capital.executed]\nUSDT = 10000\n"
MINE = {"account": "binance_spot main", "currency": "USDT"}
ON_PAPER = {"symbol": "BTCUSDT", "freq": "5m", "variant": "aggressive"}
NAN = "NaN"


def trades(*rows: dict[str, Any]) -> Callable[[sa.Connection], object]:
    """Return what writes trades."""
    return lambda connection: insert(connection, "trades", rows)


def executed_losses() -> Iterator[Case]:
    """Yield those of executed trades, held against 10,000 USDT."""
    rule = "daily_loss"

    def case(
        outcome: Any, name: str, *rows: dict[str, Any], config: str = CAPITAL, was: bool = False
    ) -> Case:
        return Case(rule, outcome, name, trades(*rows), config, was=was, labels=MINE)

    def lost(pnl: Any, ended: Any = NOW, number: int = 1, **changes: Any) -> dict[str, Any]:
        return executed(number, pnl, ended=ended, **changes)

    yield case("quiet", "at 5 %", lost(-500))
    yield case("fires", "just above", lost("-500.01"))
    yield case("fires", "above clear, lost before", lost("-450.01"), was=True)
    yield case("quiet", "at clear, lost before", lost(-450), was=True)
    yield case("fires", "in the first moment of the day", lost(-600, TODAY))
    yield case("quiet", "in the last of yesterday", lost(-600, TODAY - TINY))
    yield case("quiet", "ends in the future", lost(-600, NOW + TINY), lost(0, number=2))
    yield case("quiet", "a loss and a gain", lost(-600), lost(500, number=2))
    yield case("quiet", "still open", lost(None, None))
    yield case("quiet", "cancelled", lost(-600, status="CANCELLED"), lost(0, number=2))
    yield case("quiet", "of another account", lost(-600, account="other"), lost(0, number=2))
    yield case("quiet", "in another currency", lost(-600, symbol="ETHBTC"), lost(0, number=2))
    yield case("quiet", "on paper", trade(1, -600, ended=NOW), lost(0, number=2))
    yield case("fires", "of two symbols of one currency", lost(-300), lost(-300, number=2, symbol="ETHUSDT"))
    yield case("fires", "held for eighty days", lost(-600, held=80 * DAY))
    yield case("lacks", "no capital", lost(-600), config="")
    yield case("lacks", "a result that is missing", lost(None))
    yield case("lacks", "a result that is no number", lost(NAN), lost(-1, number=2))
    yield case("fires", "one is missing, the others are enough", lost(NAN), lost(-600, number=2))
    yield case("lacks", "no trade for two days", lost(-600, NOW - 37 * HOUR))
    later = [lost(-600, NOW - 37 * HOUR), lost(-600, NOW + DAY, number=2, held=3 * DAY)]
    yield case("lacks", "none but one that ends tomorrow", *later)
    thin = f"{CAPITAL}[rules.{rule}]\nmin_sample = 3\n"
    yield case("lacks", "fewer than asked for", lost(-300), lost(-300, number=2), config=thin)
    yield Case(rule, "lacks", "unknown currency", trades(lost(-600, symbol="ABCXYZ")), CAPITAL)
    yield Case(rule, "lacks", "zero trades", nothing, CAPITAL)


def paper_losses() -> Iterator[Case]:
    """Yield those of trades on paper, of 1,000 USDT each."""
    rule = "daily_loss_paper"

    def case(outcome: Any, name: str, *rows: dict[str, Any], config: str = "", was: bool = False) -> Case:
        return Case(rule, outcome, name, trades(*rows), config, was=was, labels=ON_PAPER)

    yield case("quiet", "at 5 %", trade(1, -50, ended=NOW))
    yield case("fires", "just above", trade(1, "-50.01", ended=NOW))
    yield case("fires", "above clear, lost before", trade(1, "-45.01", ended=NOW), was=True)
    yield case("quiet", "at clear, lost before", trade(1, -45, ended=NOW), was=True)
    yield case("quiet", "yesterday", trade(1, -60, ended=TODAY - TINY))
    yield case(
        "quiet", "of a larger capital", trade(1, -60, ended=NOW), config="[capital.paper]\nUSDT = 2000\n"
    )
    yield case("lacks", "back-tested", trade(1, -60, ended=NOW, sample="out_of_sample"))
    yield case("lacks", "executed", executed(1, -60, ended=NOW))
    yield case("lacks", "no result", trade(1, NAN, ended=NOW))
    yield case("lacks", "of no size", trade(1, -60, ended=NOW, quantity=0))
    thin = f"[rules.{rule}]\nmin_sample = 2\n"
    yield case("lacks", "fewer than asked for", trade(1, -60, ended=NOW), config=thin)
    yield Case(rule, "lacks", "zero trades", nothing)


def win_rates() -> Iterator[Case]:
    """Yield those of pooled trades: 13 of 50 are beyond chance at 99 %, 16 of 50 are not quite."""
    rule = "win_rate_low"

    def case(outcome: Any, name: str, rows: list[dict[str, Any]], *, was: bool = False) -> Case:
        return Case(rule, outcome, name, trades(*rows), was=was, labels=ON_PAPER)

    yield case("fires", "highest likely rate 49.8 %", results(16, 34, ended=NOW - MINUTE))
    yield case("quiet", "highest likely rate 51.8 %", results(17, 33, ended=NOW - MINUTE))
    yield case("quiet", "the same, and low before", results(17, 33, ended=NOW - MINUTE), was=True)
    yield case("fires", "none of thirty", results(0, 30, ended=NOW - MINUTE))
    yield case("lacks", "none of twenty-nine", results(0, 29, ended=NOW - MINUTE))
    yield case("quiet", "all of thirty", results(30, 0, ended=NOW - MINUTE))
    yield case(
        "fires", "in the first moment of the window", results(0, 30, ended=NOW - 3 * DAY, step=timedelta(0))
    )
    yield case("lacks", "just before it", results(0, 30, ended=NOW - 3 * DAY - TINY, step=timedelta(0)))
    yield case("lacks", "end in the future", results(0, 30, ended=NOW + DAY, held=2 * DAY, step=timedelta(0)))
    nan = [row | {"pnl": NAN} for row in results(0, 40, ended=NOW - MINUTE)]
    yield case("lacks", "results that are no numbers", nan)
    yield case("fires", "they count for neither side", [*results(0, 30, ended=NOW - HOUR), *numbered(nan)])
    even = [row | {"pnl": 0} for row in results(0, 30, ended=NOW - MINUTE)]
    yield case("fires", "neither won nor lost", even)
    yield case("lacks", "back-tested", results(0, 40, ended=NOW - MINUTE, sample="out_of_sample"))
    yield Case(rule, "lacks", "zero trades", nothing)


def numbered(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return trades under other numbers."""
    return [row | {"trade_id": f"n{row['trade_id']}"} for row in rows]


def of_days(*days: tuple[int, int]) -> list[dict[str, Any]]:
    """Return the trades of whole days, the last of which is yesterday: how many won and lost."""
    rows = []
    for back, (wins, losses) in enumerate(reversed(days), start=1):
        made = results(wins, losses, ended=TODAY - back * DAY + 20 * HOUR)
        rows += [row | {"trade_id": f"d{back}-{row['trade_id']}"} for row in made]
    return rows


def low_days() -> Iterator[Case]:
    """Yield those of the rule of thumb, which is off unless asked for."""
    rule, on = "win_rate_low_days", "[rules.win_rate_low_days]\nenabled = true\n"
    for outcome, name, days in (
        ("fires", "three days below one half", ((9, 10), (4, 6), (0, 10))),
        ("quiet", "one of them at one half", ((9, 10), (5, 5), (0, 10))),
        ("quiet", "a good one first", ((9, 1), (4, 6), (0, 10))),
        ("quiet", "only the newest is bad", ((9, 1), (9, 1), (0, 10))),
        ("lacks", "a day of nine trades", ((4, 6), (4, 5), (0, 10))),
        ("lacks", "a day without", ((4, 6), (0, 0), (0, 10))),
        ("lacks", "two days only", ((4, 6), (0, 10))),
    ):
        yield Case(rule, outcome, name, trades(*of_days(*days)), on, labels=ON_PAPER)  # type: ignore[arg-type]
    yield Case(rule, "lacks", "zero trades", nothing, on)


def cases() -> Iterator[Case]:
    """Yield all of this module."""
    for each in (executed_losses, paper_losses, win_rates, low_days):
        yield from each()
