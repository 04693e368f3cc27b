"""Rules that are computed over the database: what is wrong there although nobody has told it.

Rules that events tell belong to whoever sees them happen; what becomes of an occurrence to the store.

`look`      what a rule is given; `words`  what it says, in English and Portuguese
`losses` `wins`                 trades: loss of the day, win rates
`klines` `unusual` `drift`      market data and models
`beats` `cloud` `delivery`      heartbeats, bills, the outbox
`reports`   summaries once a day
`evaluate`  all of them at one look; `telling`  what of it goes out; `pictures`  its charts
`table`     all of them in the documentation
"""

from __future__ import annotations

from itb_assets.domain.alerts.evaluation import Evaluation
from itb_assets.observability.alerts.rules.evaluate import RULES, Round, evaluate_all
from itb_assets.observability.alerts.rules.look import Look
from itb_assets.observability.alerts.rules.reports import Report
from itb_assets.observability.alerts.rules.table import markdown_table
from itb_assets.observability.alerts.rules.telling import tell

__all__ = ["RULES", "Evaluation", "Look", "Report", "Round", "evaluate_all", "markdown_table", "tell"]
