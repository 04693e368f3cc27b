"""Many alerts in one message: the worst first, everything counted, never too long and never torn."""

# ruff: noqa: RUF001 - the signs are those that people see

from __future__ import annotations

import re

import pytest
from bot_html import shown_text, utf16_length
from hypothesis import given
from hypothesis import strategies as st
from message_making import Waiting, alive, daily_loss, data_stale, profit_report, storm, training_failed

from itb_assets.observability.alerts.digest import digest
from itb_assets.observability.alerts.messages import render


def lines(rows, language="en"):
    return shown_text(digest(rows, language)).replace("\xa0", " ").splitlines()


def counted(shown):
    """Return how many rows the lines of a digest speak of."""
    total = 0
    for line in shown[1:]:
        if line.startswith("• "):
            total += int((re.findall(r"×(\d+)", line) or ["1"])[0])
        if more := re.match(r"… (?:and|e mais) (\d+)", line):
            total += int(more.group(1))
    return total


def test_a_storm_is_one_message():
    assert lines(storm()) == [
        "🚨 20 alerts: 1 CRITICAL, 6 ERROR, 12 WARNING, 1 RESOLVED",
        "22 Nov 16:40 UTC to 22 Nov 16:42 UTC",
        "",
        "🚨 CRITICAL",
        "• Daily loss above the limit: USDT · account binance_spot main [possible repeat]",
        "6.20 % lost today, limit 5 %: −620.00 USDT of 10,000.00, 14 trades ended, open positions not valued",
        "",
        "❌ ERROR",
        "• Run failed: BTCUSDT 5m · job update ×3",
        "ExchangeUnavailable: api.binance.com answered 503 (transient)",
        "• Run failed: ETHUSDT 5m · job update ×3",
        "ExchangeUnavailable: api.binance.com answered 503 (transient)",
        "",
        "⚠️ WARNING",
        "• Data are late: BTCUSDT 5m ×4",
        "the newest kline closed 23 min ago",
        "• Data are late: ETHUSDT 5m ×4",
        "the newest kline closed 23 min ago",
        "• Data are late: SOLUSDT 5m ×4",
        "the newest kline closed 23 min ago",
        "",
        "✅ RESOLVED",
        "• Data are late: BNBUSDT 5m",
    ]


def test_the_same_in_portuguese():
    shown = lines(storm(), "pt")
    assert shown[0] == "🚨 20 alertas: 1 CRÍTICO, 6 ERRO, 12 ATENÇÃO, 1 RESOLVIDO"
    assert shown[1] == "de 22/11 16:40 UTC a 22/11 16:42 UTC"
    assert "• Execução falhou: BTCUSDT 5m · job update ×3" in shown


def test_one_row_reads_as_it_would_alone():
    row = Waiting(training_failed(), kind="repeated", leased_before=True)
    assert digest([row]) == render("repeated", row.message, possible_repeat=True)


def test_a_row_with_a_chart_fits_its_caption():
    row = Waiting(training_failed(detail="x" * 2000, title="y" * 300), chart=b"png")
    assert utf16_length(shown_text(digest([row]))) <= 1024


def test_a_digest_of_nothing_is_a_mistake():
    with pytest.raises(ValueError, match="nothing"):
        digest([])


def test_what_has_no_room_is_counted_by_level():
    rows = [
        Waiting(
            data_stale(f"COIN{number}USDT", detail="<&>" * 40, level="error" if number % 3 else "warning")
        )
        for number in range(300)
    ]
    shown = lines([*rows, Waiting(daily_loss())])
    assert shown[3] == "🚨 CRITICAL"
    assert shown[-1] == "all of them: itb alerts list"
    assert re.match(r"… and \d+ more: \d+ ERROR, 100 WARNING", shown[-2])
    assert counted(shown) == 301


def test_reports_and_signs_of_life_are_told_last():
    shown = lines(
        [Waiting(profit_report(), kind="report"), Waiting(alive(), kind="alive"), Waiting(data_stale())]
    )
    assert shown.index("📊 REPORTS") > shown.index("⚠️ WARNING")
    assert counted(shown) == 3


ROWS = st.builds(
    lambda rule, level, symbol, words, kind, again: Waiting(
        {"rule": rule, "level": level, "labels": {"symbol": symbol}, "title": words, "detail": words},
        kind=kind,
        leased_before=again,
    ),
    st.sampled_from(["training_failed", "data_stale", "own_rule"]),
    st.sampled_from(["critical", "error", "warning", "info", "unheard_of"]),
    st.sampled_from([f"COIN{number}" for number in range(40)])
    | st.text(st.characters(codec="utf-8"), max_size=150),
    st.text(st.sampled_from("<&>\"'🚨a b"), max_size=300),
    st.sampled_from(["opened", "repeated", "resolved", "report", "test", "alive"]),
    st.booleans(),
)


@given(rows=st.lists(ROWS, min_size=2, max_size=120), language=st.sampled_from(["en", "pt"]))
def test_every_digest_is_taken_as_it_is_and_counts_every_row(rows, language):
    html = digest(rows, language)
    assert utf16_length(html) <= 4096
    shown_text(html)
    plain_rows = [
        Waiting({**row.message, "labels": {"symbol": f"COIN{at}"}, "title": "t", "detail": "d"}, row.kind)
        for at, row in enumerate(rows)
    ]
    assert counted(lines(plain_rows, language)) == len(rows)


@given(rows=st.lists(ROWS, min_size=2, max_size=60))
def test_worse_is_never_told_after_milder(rows):
    heads = {"🚨": 0, "❌": 1, "⚠️": 2, "ℹ️": 3, "✅": 4, "📊": 5}
    sections = [line for line in lines(rows)[2:] if re.fullmatch(r"\S+ [A-Z]+", line)]
    order = [heads[line.split()[0]] for line in sections if line.split()[0] in heads]
    assert order == sorted(order)
