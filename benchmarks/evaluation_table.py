"""The lines of an evaluation as a markdown table, as JSON, and as the sentences that follow from them.

Computing them belongs to `evaluation_trades`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import groupby
from typing import Any

from evaluation_cases import Reference
from evaluation_scores import BOTH
from evaluation_trades import Line

LUCK = 0.05
"""A chance below this is taken for evidence against luck, and a deflated Sharpe ratio above 1 minus this."""

_OF_SCORES = ("rows", "AUC (p)", "avg. prec.", "log loss", "Brier")
_HEAD = (
    *("variant", "algo", "label", "thresholds"),
    *_OF_SCORES,
    *("fee %", "days", "signals / trades", "win % (95 %)", "profit factor", "mean %", "return %"),
    *("hold %", "Sharpe", "drawdown %", "p", "deflated"),
)
_TEXTS = 4


def table(lines: Sequence[Line]) -> str:
    """Return one line a way of trading and fee; what does not change with the fee is said once."""
    rows = ["| " + " | ".join(_HEAD) + " |", "|" + "---|" * _TEXTS + "--:|" * (len(_HEAD) - _TEXTS)]
    for _, same in groupby(lines, key=lambda line: (line.variant, line.algo, line.scored.traded)):
        shown: str | None = None
        for count, line in enumerate(same):
            scores = _scores(line) if not count else [""] * len(_OF_SCORES)
            again = line.threshold == shown
            names = [line.variant, line.algo, line.scored.traded, line.threshold] if not again else [""] * 4
            shown = line.threshold
            rows.append("| " + " | ".join([*names, *scores, *_trades(line)]) + " |")
    return "\n".join(rows)


def _scores(line: Line) -> list[str]:
    scored = line.scored
    return [
        f"{scored.rows:,}",
        _number(scored.auc, "{:.3f}")
        + ("" if scored.auc_p_value is None else f" ({_chance(scored.auc_p_value)})"),
        _number(scored.average_precision, "{:.3f}"),
        _number(scored.log_loss, "{:.4f}"),
        _number(scored.brier, "{:.4f}"),
    ]


def _trades(line: Line) -> list[str]:
    win = "-"
    if line.win_rate is not None and line.wilson_low is not None and line.wilson_high is not None:
        low, high = 100 * line.wilson_low, 100 * line.wilson_high
        win = f"{100 * line.win_rate:.1f} ({low:.1f} to {high:.1f})"
    return [
        f"{line.fee_pct:g}",
        f"{line.days:.0f}",
        f"{line.signals:,} / {line.trades:,}",
        win,
        _number(line.profit_factor, "{:.2f}"),
        _number(line.expectancy_pct, "{:.3f}"),
        f"{line.total_return_pct:.1f}",
        f"{line.hold_return_pct:.1f}",
        _number(line.sharpe, "{:.1f}"),
        f"{line.max_drawdown_pct:.1f}",
        _chance(line.p_value),
        _chance(line.deflated_sharpe),
    ]


def reference_table(found: Sequence[Reference]) -> str:
    """Return what the old bot's way of measuring would have claimed beside what walk-forward finds."""
    rows = [
        "| label | AUC, range alone | walk-forward | own rows | avg. prec., walk-forward | own rows |",
        "|---|--:|--:|--:|--:|--:|",
    ]
    rows += [
        f"| {one.label} | {one.range_auc:.3f} | {one.walk_forward_auc:.3f} | ({one.in_sample_auc:.3f}) | "
        f"{one.walk_forward_precision:.3f} | ({one.in_sample_precision:.3f}) |"
        for one in found
    ]
    return "\n".join(rows)


def closing(lines: Sequence[Line]) -> list[str]:
    """Say in words what the numbers say: of ranking, of direction, of money after each fee, of thresholds."""
    labels = [line for line in lines if line.scored.traded != BOTH]
    both = [line for line in lines if line.scored.traded == BOTH]
    reach = _range(labels, lambda line: line.scored.range_auc)
    said = [
        f"AUC of single labels {_range(labels, _auc)}; of the recent range alone, nothing trained, {reach}.",
        f"AUC of telling up from down {_range(both, _auc)}, where 0.5 is a coin.",
    ]
    gross = _range(lines, lambda line: line.gross_pct, "{:.3f} %")
    taken = " or ".join(f"{2 * fee:g} %" for fee in _fees(lines))
    said.append(f"Before fees a trade brought {gross} on average; fees of both sides take {taken} of it.")
    said += [_money(fee, [line for line in lines if line.fee_pct == fee]) for fee in _fees(lines)]
    chosen = sum(line.chosen_thresholds for line in lines)
    losing = sum(line.losing_thresholds for line in lines)
    said.append(f"Of {chosen} thresholds, the best on earlier folds, {losing} lost on those folds already.")
    return said


def _money(fee: float, lines: Sequence[Line]) -> str:
    traded = [line for line in lines if line.trades]
    idle = f"; {len(lines) - len(traded)} never traded" if len(traded) < len(lines) else ""
    if not traded:
        return f"After fees of {fee:g} % a side: no combination traded."
    held = _range(lines, lambda line: line.hold_return_pct, "{:.1f} %")
    results = f"{_range(traded, lambda line: line.total_return_pct, '{:.1f} %')}; buy & hold {held}{idle}"
    won = [line for line in traded if line.total_return_pct > 0]
    if not won:
        return f"After fees of {fee:g} % a side every combination lost money ({len(traded)}: {results})."
    sure = [line for line in won if _beats_luck(line)]
    names = ", ".join(_name(line) for line in won)
    verdict = (
        "none of these passes both tests of luck"
        if not sure
        else f"both tests of luck are passed by {', '.join(_name(line) for line in sure)}"
    )
    return (
        f"After fees of {fee:g} % a side {len(won)} of {len(traded)} combinations made money "
        f"({results}): {names}; {verdict}."
    )


def _beats_luck(line: Line) -> bool:
    return (
        line.p_value is not None
        and line.p_value < LUCK
        and line.deflated_sharpe is not None
        and line.deflated_sharpe > 1 - LUCK
    )


def as_json(line: Line) -> dict[str, Any]:
    """Return a line as plain data."""
    scored = {name: value for name, value in vars(line.scored).items() if name != "frame"}
    own = {name: value for name, value in vars(line).items() if name not in ("scored", "returns")}
    return {**own, "scores": scored}


def _name(line: Line) -> str:
    return f"{line.variant} {line.algo} {line.scored.traded} {line.threshold}"


def _fees(lines: Sequence[Line]) -> list[float]:
    return list(dict.fromkeys(line.fee_pct for line in lines))


def _auc(line: Line) -> float | None:
    return line.scored.auc


def _range(lines: Sequence[Line], value: Callable[[Line], float | None], form: str = "{:.3f}") -> str:
    known = [found for line in lines if (found := value(line)) is not None]
    if not known:
        return "unknown"
    low, high = form.format(min(known)), form.format(max(known))
    return low if low == high else f"{low} to {high}"


def _number(value: float | None, form: str) -> str:
    return "-" if value is None else form.format(value)


def _chance(value: float | None) -> str:
    """Write a probability; one that is nearly 0 is not 0."""
    return "<0.001" if value is not None and value < 0.0005 else _number(value, "{:.3f}")
