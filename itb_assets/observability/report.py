"""The performance report as one HTML file a person can send to a friend: no network, no script.

What it says belongs to `report_words` and `report_meaning`, its charts to `report_charts`, its looks to the
templates.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from itb_assets.observability import wording
from itb_assets.observability.report_charts import auc_marks, daily_chart, equity_charts, hour_charts
from itb_assets.observability.report_data import PerformanceReport
from itb_assets.observability.report_meaning import key_figures, method_sentences, rule_sentences
from itb_assets.observability.report_words import headline

if TYPE_CHECKING:
    from jinja2 import Environment

_TEMPLATES = Path(__file__).parent / "templates"
_MOST_DAYS = 400
_SAMPLE_WORDS = {"out_of_sample": "out of sample", "live": "live"}


def render_report(report: PerformanceReport) -> str:
    """Return the report as the text of an HTML file that needs nothing else; every name in it is escaped."""
    return (
        _environment()
        .get_template("report.html")
        .render(
            report=report,
            sample=_SAMPLE_WORDS[report.sample],
            headline=headline(report),
            figures=key_figures(report),
            equity=equity_charts(report.equity, report.capital) if report.trades else None,
            daily=daily_chart(report.daily),
            days=_days(report.daily),
            hours=hour_charts(report.by_hour),
            models=list(zip(report.models, auc_marks(report.models), strict=True)),
            rule=() if report.rule is None else rule_sentences(report.rule, report),
            method=() if report.measurement is None else method_sentences(report.measurement, report),
        )
    )


@cache
def _environment() -> Environment:
    """Return the templates, with everything escaped that is put into them."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined  # noqa: PLC0415 - only rendering pays

    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    for write in (
        wording.amount,
        wording.number,
        wording.percent,
        wording.share,
        wording.moment,
        wording.day,
    ):
        environment.filters[write.__name__] = write
    return environment


def _days(daily: pd.DataFrame) -> Mapping[str, Any]:
    """Return the newest days, the last one first, and how many there are; a missing column is unknown."""
    columns = ["day", "total_trades", "win_rate", "total_pnl", "avg_pnl", "max_win", "max_loss"]
    ordered = daily.reindex(columns=columns).sort_values("day", ascending=False).head(_MOST_DAYS)
    ordered["total_trades"] = ordered["total_trades"].fillna(0).astype("int64")
    return {"rows": ordered.to_dict("records"), "all": len(daily)}
