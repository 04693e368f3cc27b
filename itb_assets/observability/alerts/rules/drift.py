"""Verdicts of the newest look for drift: of a model's win rate and calibration, and of features and scores.

How drift is measured, and when it alarms, belongs to `domain.drift`; nothing is judged again here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import timedelta
from itertools import groupby
from typing import Any

from itb_assets.domain.alerts import Level
from itb_assets.domain.alerts.evaluation import Evaluation
from itb_assets.observability.alerts.config_rules import Drift
from itb_assets.observability.alerts.rules.look import Look

MODEL, FEATURE = "model_drift", "feature_drift"
OF_MODEL = ("win_rate", "brier:", "calibration_gap:")
OF_FEATURES = ("psi:", "unknown:", "drifted_")
ALARMS = ("warning", "error")
MAX_NAMED = 4

# All measures of a look have one time. OFFSET keeps it from being planned as a join over the whole table.
_NEWEST = """
SELECT newest.symbol, newest.freq, newest.model_name AS variant, newest.time,
    d.metric, d.value, d.n, d.threshold, d.verdict, d.detail
FROM (
    SELECT symbol, freq, model_name, max(time) AS time FROM model_drift
    WHERE time >= :since AND time <= :until GROUP BY symbol, freq, model_name
) AS newest
CROSS JOIN LATERAL (
    SELECT * FROM model_drift AS m
    WHERE m.symbol = newest.symbol AND m.freq = newest.freq AND m.time = newest.time
        AND m.model_name = newest.model_name
    OFFSET 0
) AS d
ORDER BY newest.symbol, newest.freq, newest.model_name, d.metric
"""
_AHEAD = timedelta(days=1)
"""A look has the time at which its newest kline closes, which may lie ahead."""

Row = Mapping[str, Any]


def model_drift(look: Look) -> Iterator[Evaluation]:
    """Yield one evaluation a variant of a market: its win rate by all its evidence, its calibration."""
    yield from _drift(look, MODEL, look.config.rules.model_drift, _is_of_model)


def feature_drift(look: Look) -> Iterator[Evaluation]:
    """Yield one evaluation a variant of a market: of all its features and scores together."""
    yield from _drift(look, FEATURE, look.config.rules.feature_drift, _is_of_features)


def _is_of_model(metric: str) -> bool:
    return metric == OF_MODEL[0] or metric.startswith(OF_MODEL[1:])


def _is_of_features(metric: str) -> bool:
    return metric.startswith(OF_FEATURES)


def newest_looks(look: Look, window: timedelta) -> list[tuple[dict[str, str], list[Row]]]:
    """Return the measures of the newest look at each variant of each market."""
    rows = look.rows(_NEWEST, since=look.now - window, until=look.now + _AHEAD)
    names = ("symbol", "freq", "variant")
    return [
        (dict(zip(names, key, strict=True)), list(group))
        for key, group in groupby(rows, key=lambda row: tuple(row[name] for name in names))
    ]


def _drift(look: Look, rule: str, settings: Drift, wanted: Callable[[str], bool]) -> Iterator[Evaluation]:
    found = newest_looks(look, settings.window)
    if not found:
        yield look.lacks(rule, "drift none", window=settings.window)
    for labels, rows in found:
        yield _judged(look, rule, settings, labels, [row for row in rows if wanted(row["metric"])])


def _judged(
    look: Look, rule: str, settings: Drift, labels: Mapping[str, str], rows: Sequence[Row]
) -> Evaluation:
    told = [row for row in rows if row["verdict"] in (*ALARMS, "ok") and _enough(row, settings.min_sample)]
    alarms = sorted(
        (row for row in told if row["verdict"] in ALARMS), key=lambda row: row["verdict"] != "error"
    )
    at = look.moment(rows[0]["time"]) if rows else "?"
    if rows and look.now - rows[0]["time"] > settings.max_age:
        detail = look.say("drift old", at=at, max_age=settings.max_age)
        return look.found(rule, "insufficient", labels=labels, detail=detail)
    if alarms:
        worst = alarms[0]
        usual = look.config.rule(rule).level
        return look.found(
            rule,
            "firing",
            labels=labels,
            value=worst["value"],
            threshold=worst["threshold"],
            level=max(usual, Level.ERROR) if worst["verdict"] == "error" else usual,
            detail=_named(alarms),
        )
    if not told:
        why = rows[0]["detail"] if rows else "-"
        detail = look.say("drift thin", measures=len(rows), at=at, why=why)
        return look.found(rule, "insufficient", labels=labels, detail=detail)
    detail = look.say("drift fine", judged=len(told), at=at)
    return look.found(rule, "ok", labels=labels, value=0.0, detail=detail)


def _enough(row: Row, needed: int) -> bool:
    """Tell whether a measure rests on enough; the share of drifted features counts features, not rows."""
    return bool(row["metric"].startswith("drifted_") or row["n"] >= needed)


def _named(alarms: Sequence[Row]) -> str:
    lines = [f"{row['metric']} {_figure(row['value'])}: {row['detail']}" for row in alarms[:MAX_NAMED]]
    more = len(alarms) - MAX_NAMED
    return "\n".join([*lines, *([f"+{more}"] if more > 0 else [])])


def _figure(value: float | None) -> str:
    return "?" if value is None else f"{value:.4g}"
