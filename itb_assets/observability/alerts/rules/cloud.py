"""What the month in the cloud has cost, in per cent of the budget: over it, and near it.

The heartbeat `cloud_cost` or `cloud_cost:PROVIDER` holds `month` (2024-09), `currency`, `billed` and
`billed_until`; providers of one currency are added up. Reading bills belongs to whoever writes it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from datetime import UTC, datetime

from itb_assets.domain.alerts.costs import Spending
from itb_assets.domain.alerts.evaluation import Evaluation
from itb_assets.domain.alerts.thresholds import share_pct
from itb_assets.errors import DataContractError
from itb_assets.observability.alerts.config_rules import Cost
from itb_assets.observability.alerts.rules.beats import Beat, beats
from itb_assets.observability.alerts.rules.look import Look

OVER, NEAR = "cloud_cost_over_budget", "cloud_cost_near_budget"
_KEYS = "month, currency, billed, billed_until"


def over_budget(look: Look) -> Iterator[Evaluation]:
    """Yield one evaluation a currency."""
    yield from _costs(look, OVER, look.config.rules.cloud_cost_over_budget)


def near_budget(look: Look) -> Iterator[Evaluation]:
    """Yield one evaluation a currency, earlier."""
    yield from _costs(look, NEAR, look.config.rules.cloud_cost_near_budget)


def spending(look: Look) -> tuple[list[Spending], list[Beat]]:
    """Return what the newest month of each currency cost, and the heartbeats that do not say it."""
    bills: dict[str, list[Spending]] = {}
    wrong = []
    for beat in beats(look, "cloud_cost"):
        bill = _bill(beat)
        if bill is None:
            wrong.append(beat)
        else:
            bills.setdefault(bill.currency, []).append(bill)
    return [_added_up(each) for each in bills.values()], wrong


def cost_words(look: Look, spent: Spending) -> str:
    """Say what the month will have cost."""
    forecast = spent.forecast
    return look.say("cost early") if forecast is None else look.say("cost forecast", amount=forecast)


def _costs(look: Look, rule: str, settings: Cost) -> Iterator[Evaluation]:
    found, wrong = spending(look)
    if not found and not wrong:
        yield look.lacks(rule, "no cost")
    for beat in wrong:
        said = ", ".join(sorted(map(str, beat.detail))) or "{}"
        detail = look.say("beat wrong", name=beat.name, lacks=_KEYS, found=said)
        yield look.found(rule, "no_data", labels={"provider": beat.of or "all"}, detail=detail)
    for spent in found:
        yield _cost(look, rule, settings, spent)


def _cost(look: Look, rule: str, settings: Cost, spent: Spending) -> Evaluation:
    labels, budget = {"currency": spent.currency}, look.config.budget.get(spent.currency)
    if budget is None:
        detail = look.say("cost budget", currency=spent.currency)
        return look.found(rule, "no_data", labels=labels, detail=detail)
    if look.now - spent.billed_until > settings.max_age:
        detail = look.say("cost old", until=look.moment(spent.billed_until), max_age=settings.max_age)
        return look.found(rule, "insufficient", labels=labels, detail=detail)
    detail = look.say(
        "cost",
        billed=spent.billed,
        currency=spent.currency,
        month=spent.month,
        budget=budget,
        forecast=cost_words(look, spent),
    )
    return look.measured(rule, share_pct(spent.billed, budget), labels=labels, detail=detail)


def _bill(beat: Beat) -> Spending | None:
    said = beat.detail
    try:
        until = datetime.fromisoformat(str(said["billed_until"]))
        billed = float(said["billed"])
        bill = Spending(str(said["month"]), str(said["currency"]).upper(), billed, until)
    except (KeyError, TypeError, ValueError, DataContractError):
        return None
    return bill if until.tzinfo is not None and math.isfinite(billed) else None


def _added_up(bills: list[Spending]) -> Spending:
    """Add providers of the newest month up; they are billed as far as the slowest of them."""
    month = max(bill.month for bill in bills)
    of_month = [bill for bill in bills if bill.month == month]
    until = min(bill.billed_until for bill in of_month).astimezone(UTC)
    return Spending(month, bills[0].currency, sum(bill.billed for bill in of_month), until)
