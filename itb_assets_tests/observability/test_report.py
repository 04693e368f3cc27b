"""The report says plainly how it went, needs nothing but itself, and writes hostile names as text."""

from __future__ import annotations

import re
import time
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from report_making import START, make_report, without_trades

from itb_assets.errors import DataContractError
from itb_assets.observability.report import render_report
from itb_assets.observability.report_charts import Scale, daily_chart, equity_charts, hour_charts
from itb_assets.observability.report_data import LuckTest, PerformanceReport
from itb_assets.observability.report_words import headline, odds, span

VOID = {"meta"}
HOSTILE = "\"'><script>alert(1)</script><img src=x onerror=alert(1)>{{ 7 * 7 }}</style>&lt;"


class Reader(HTMLParser):
    """Collects tags, attributes and text, and notices tags that are not closed in order."""

    def __init__(self, page: str) -> None:  # noqa: D107  the class says it
        super().__init__()
        self.tags: list[str] = []
        self.attributes: set[str] = set()
        self.text: list[str] = []
        self._open: list[str] = []
        self.feed(page)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes.update(name for name, _ in attrs)
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes.update(name for name, _ in attrs)

    def handle_endtag(self, tag):
        assert self._open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)


def said(report: PerformanceReport) -> str:
    """Return the headline as one text, with plain spaces and signs."""
    words = headline(report)
    return (
        " ".join((words.verdict, *words.details))
        .replace("\N{NO-BREAK SPACE}", " ")
        .replace("\N{MINUS SIGN}", "-")
    )


def test_a_loss_is_said_first_and_in_plain_words():
    report = make_report()
    words = said(report)
    assert words.startswith("After fees and slippage the strategy lost 3.2 % in 56 days. Out of sample: ")
    assert "412 trades, 38 % won (with 95 % confidence the true rate is between 34 % and 43 %)" in words
    assert "break even at 43 %" in words
    assert (
        "The luck test cannot tell this from chance: chance alone does at least as well 46 times in 100."
        in words
    )
    assert "Holding BTCUSDT over the same time would have gained 13.4 %" in words
    assert headline(report).mood == "lost"


GAIN = {"total_pnl": 32.0, "return_pct": 3.2}
CHANCE = "chance alone does at least as well"


@pytest.mark.parametrize(
    ("changed", "expected", "mood"),
    [
        (GAIN, "gained 3.2 % in 56 days", "unclear"),
        ({**GAIN, "luck": (LuckTest("t", 0.004),)}, f"unlikely to be luck: {CHANCE} 4 times in 1,000", "won"),
        (
            {**GAIN, "luck": (LuckTest("t", 0.0001), LuckTest("u", 0.2))},
            f"cannot tell this from chance: {CHANCE} 20 times in 100",
            "unclear",
        ),
        (
            {"luck": (LuckTest("t", 0.01),)},
            f"better than chance ({CHANCE} 1 time in 100), but not by enough to pay",
            "lost",
        ),
        ({"luck": ()}, "Whether this is luck was not tested.", "lost"),
        ({"luck": (LuckTest("t", None),)}, "Too little is there to test for luck.", "lost"),
        ({"total_pnl": 0.0, "return_pct": 0.0}, "neither gained nor lost in", "unclear"),
        ({"return_pct": None}, "lost 32.00 USDT in 56 days", "lost"),
        ({"return_pct": -0.0004}, "lost less than 0.01 % in", "lost"),
        ({"sample": "live"}, "Live: every signal came from a model fitted before", "lost"),
        ({"account": "paper"}, "on paper: no order was sent", "lost"),
        ({"account": "binance"}, "Executed trades of binance.", "lost"),
        ({"trades": 1, "wins": 1}, "With 1 trade little can be concluded.", "lost"),
        ({"rule": None}, "After fees the strategy lost", "lost"),
        ({"rule": None, "fees": None}, "With no fee or slippage counted, the strategy lost", "lost"),
        ({"end": START + pd.Timedelta(hours=7)}, "lost 3.2 % in 7 hours", "lost"),
    ],
)
def test_the_headline_says_what_happened(changed, expected, mood):
    report = make_report(**changed)
    assert expected in said(report)
    assert headline(report).mood == mood


def test_chance_is_said_as_odds():
    assert [odds(p) for p in (0.0002, 0.0031, 0.012, 0.0463, 0.4629)] == [
        "less than once in 1,000 times",
        "3.1 times in 1,000",
        "1.2 times in 100",
        "4.6 times in 100",
        "46 times in 100",
    ]
    assert [span(pd.Timedelta(minutes=m)) for m in (1, 90, 60, 1440, 2000, 2880)] == [
        "1 minute",
        "90 minutes",
        "1 hour",
        "1 day",
        "33 hours",
        "2 days",
    ]


@pytest.mark.parametrize(
    ("changed", "problem"),
    [
        ({"sample": "in_sample"}, "expected one of out_of_sample, live"),
        ({"end": START}, "expected an end after the start"),
        ({"wins": 413}, "413 wins of 412 trades"),
        ({"capital": 0.0}, "capital 0.0: expected an amount above 0"),
    ],
)
def test_what_is_no_honest_report_is_refused(changed, problem):
    with pytest.raises(DataContractError, match=problem):
        make_report(**changed)


def test_the_page_shows_all_it_was_given():
    page = render_report(make_report(word="Zaphod"))
    text = " ".join(Reader(page).text)
    for expected in (
        "BTCUSDT",
        "Zaphod",
        "out of sample",
        "Key figures",
        "Profit factor",
        "2024-11-25",
        "0.750",
        "329.60",
        "buy Zaphod",
        "0.04",
        "Walk-forward, expanding: 4 windows",
        "48 rows (4 hours)",
        "2024-11-12 00:00 UTC",
        "Made 2024-11-27 00:00 UTC",
    ):
        assert expected in text, expected
    assert page.count("<rect") == 56 + 24
    assert len(page) < 120_000


def test_hostile_names_are_text_and_nothing_else():
    """The tags of a page do not depend on what names hold."""
    page, tame = (Reader(render_report(make_report(word=word))) for word in (HOSTILE, "Zaphod"))
    assert page.tags == tame.tags
    assert page.attributes == tame.attributes
    assert "script" not in page.tags
    assert "".join(page.text).count(HOSTILE) == "".join(tame.text).count("Zaphod") == 15


@pytest.mark.parametrize("report", [make_report(), without_trades()], ids=["full", "no trades"])
def test_the_page_needs_nothing_but_itself(report):
    page = render_report(report)
    assert re.findall(r"https?:|//[a-z]|url\(|@import|<script|<link|<iframe|<img|\b(?:src|href)=", page) == []
    assert "default-src 'none'" in page


def test_without_trades_there_are_words_and_no_charts():
    page = Reader(render_report(without_trades(open_trades=1)))
    text = " ".join(page.text)
    assert "closed no trade in" in text
    assert "1 position still open" in text
    assert "svg" not in page.tags
    assert "Key figures" not in text
    assert "nan" not in text.lower()


def test_unknown_figures_are_dashes():
    unknown = dict.fromkeys(("profit_factor", "average_win", "fees", "win_rate_low", "win_rate_high", "rule"))
    daily = make_report().daily[["day", "total_pnl"]].assign(total_pnl=np.nan)
    bare = make_report(**unknown, measurement=None, luck=(), models=(), daily=daily)
    text = " ".join(Reader(render_report(bare)).text)
    assert "\N{EN DASH}" in text
    assert not re.search("\N{EN DASH}.?USDT", text)
    assert "nan" not in text.lower()
    assert "None" not in text


def test_many_rows_make_no_large_page():
    rows = 1_000_000
    equity = pd.DataFrame(
        {
            "timestamp": pd.date_range(START, periods=rows, freq="5min"),
            "equity": 1000 + np.cumsum(np.random.default_rng(5).normal(0, 0.1, rows)),
        }
    )
    report = make_report(days=3000, equity=equity)
    began = time.process_time()
    page = render_report(report)
    assert time.process_time() - began < 3
    assert len(page) < 250_000
    assert "The newest 400 of 3000 days" in page
    assert "days to a bar" in page


@given(
    values=st.lists(st.floats(-1e6, 1e6) | st.just(float("nan")), min_size=1, max_size=40),
    minutes=st.integers(1, 10**6),
)
def test_charts_stay_in_their_place(values, minutes):
    times = pd.Series(pd.date_range(START, periods=len(values), freq=f"{minutes}min"))
    drawn = equity_charts(pd.DataFrame({"timestamp": times, "equity": values}), 1000.0)
    assert (drawn is None) == bool(np.isnan(values).all())
    pooled = daily_chart(pd.DataFrame({"day": times, "total_pnl": values}))
    for chart in [*(drawn or ()), *(() if pooled is None else pooled[:1])]:
        numbers = [float(n) for curve in chart.curves for n in re.findall(r"-?\d+\.?\d*", curve.path)]
        assert all(-1 <= number <= 1001 for number in numbers)
        assert all(-0.1 <= tick.at <= 100.1 for tick in (*chart.x_ticks, *chart.y_ticks))
        assert len(chart.x_ticks) <= 8
        assert 0 < len(chart.y_ticks) <= 7
        for bar in chart.bars:
            assert -1 <= bar.y <= bar.y + bar.height <= 1001
            assert -1 <= bar.x <= bar.x + bar.width <= 1001


@given(low=st.floats(-1e9, 1e9), size=st.floats(1e-3, 1e9), most=st.integers(1, 9))
def test_ticks_are_few_and_within(low, size, most):
    scale = Scale(low, low + size)
    slack = size * 1e-6 + abs(low) * 1e-9
    ticks = scale.ticks(most)
    assert len(ticks) <= most + 1
    assert all(low - slack <= tick <= low + size + slack for tick in ticks)


def test_the_chart_of_hours_marks_only_hours_with_trades():
    drawn = hour_charts(
        pd.DataFrame({"hour": [3, 9, 11], "trades": [8, 2, 0], "win_rate": [0.5, 1.0, np.nan]})
    )
    assert drawn is not None
    rates, counts = drawn
    assert len(counts.bars) == 2
    assert [curve.path.count("M") for curve in rates.curves] == [1, 2, 2]
    assert "3:00 to 4:00 UTC: 8 trades" in counts.bars[0].words
