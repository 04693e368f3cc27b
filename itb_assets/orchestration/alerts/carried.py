"""The runs that a code server carries, in one line for the alert that it does not answer.

They are its children and gone with it or soon without it; failing them belongs to `lost_runs`.
"""

from __future__ import annotations

import dagster as dg

from itb_assets.observability.alerts.catalogue import Language
from itb_assets.orchestration.alerts.phrases import phrase
from itb_assets.orchestration.alerts.records import readable_runs
from itb_assets.orchestration.alerts.subjects import RunFacts, market_labels, words_of
from itb_assets.orchestration.orphans import LAUNCHED_BY, UNDER_WAY

MOST_NAMED = 3
_MOST_ASKED = 100


def carried_runs(instance: dg.DagsterInstance, language: Language = "en") -> str:
    """Return which runs were under way in a code server, the first few by name; empty without any."""
    runs = readable_runs(instance, dg.RunsFilter(statuses=UNDER_WAY), _MOST_ASKED)
    names = sorted(_name(RunFacts.of(run, ""), language) for run in runs if LAUNCHED_BY in run.tags)
    if not names:
        return ""
    more = len(names) - MOST_NAMED
    named = phrase("carried", language, ", ".join(names[:MOST_NAMED]))
    return named + (phrase("and more", language, more) if more > 0 else "")


def _name(run: RunFacts, language: Language) -> str:
    return f"{run.job or run.run_id}{words_of(market_labels(run.partition), language)}"
