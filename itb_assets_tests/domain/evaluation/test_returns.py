"""Ratios, growth and drawdown: equal to published numbers, None where nothing can be told."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from itb_assets.domain.evaluation.returns import (
    cagr,
    calmar,
    downside_deviation,
    drawdown_curve,
    max_drawdown,
    returns_of,
    sharpe,
    sortino,
    volatility,
)
from itb_assets.domain.markets import Market
from itb_assets.errors import DataContractError

SERIES = [0.0, 0.012, -0.034, 0.008, 0.021, -0.005, -0.017, 0.043, 0.0, -0.011, 0.006, 0.015]
CURVE = np.concatenate([[1.0], np.cumprod(1 + np.array(SERIES))])

# What empyrical-reloaded 0.7.1 gives for SERIES, by periods a year: its sharpe_ratio, sortino_ratio,
# annual_volatility and downside_risk.
EMPYRICAL = {
    252: (2.563574200266934, 4.365742877639995, 0.31128414380083386, 0.18278676100855884),
    105_120: (52.358632834929644, 89.16626183796835, 6.357690832941842, 3.7332505943212544),
}

curves = st.lists(st.floats(0.01, 1e6), min_size=1, max_size=50)


def test_a_year_has_as_many_periods_as_klines():
    """Crypto trades all year: no 252 days."""
    assert Market("BTCUSDT", "5m").bars_per_year == 365 * 288
    assert Market("BTCUSDT", "1h").bars_per_year == 365 * 24
    assert Market("BTCUSDT", "1d").bars_per_year == 365


def test_the_published_sharpe_ratio():
    """As nautilus_trader's tests of its portfolio statistics have it."""
    assert sharpe([0.01, -0.02, 0.015, -0.005, 0.025], 252) == pytest.approx(4.48998886412873, rel=1e-14)


@pytest.mark.parametrize("periods", EMPYRICAL)
def test_ratios_are_those_of_empyrical(periods):
    measures = (sharpe, sortino, volatility, downside_deviation)
    assert [measure(SERIES, periods) for measure in measures] == pytest.approx(EMPYRICAL[periods], rel=1e-12)


def test_curves_are_those_of_empyrical():
    """max_drawdown, cagr and calmar_ratio of empyrical-reloaded 0.7.1 on SERIES, annualization=252."""
    assert max_drawdown(CURVE) == pytest.approx(-0.03399999999999996, rel=1e-12)
    assert cagr(CURVE, 252) == pytest.approx(1.1225983799067216, rel=1e-12)
    assert calmar(CURVE, 252) == pytest.approx(33.017599409021265, rel=1e-12)


def test_a_drawdown_by_hand():
    assert drawdown_curve([100, 120, 90, 60, 150, 75]).tolist() == [0, 0, -0.25, -0.5, 0, -0.5]
    assert max_drawdown([100, 90, -10]) == -1.1


@pytest.mark.parametrize("returns", [[], [0.01], [0.01] * 5, [0.0] * 5])
def test_too_few_or_equal_returns_have_no_sharpe_ratio(returns):
    assert sharpe(returns, 252) is None


def test_steady_growth_has_no_sharpe_ratio():
    """Its returns differ by rounding alone, which would make a ratio of 1e13."""
    assert sharpe(returns_of(1000 * 1.0001 ** np.arange(2000)), 105_120) is None


def test_what_cannot_be_told_is_none():
    assert sortino([0.01, 0.02, 0.0], 252) is None
    assert sortino([-0.01], 252) is None
    assert volatility([0.01], 252) is None
    assert max_drawdown([]) is None
    assert cagr([100.0], 252) is None
    assert calmar([100, 101, 102], 252) is None
    assert cagr([1.0, 2.0], 105_120) is None


def test_nothing_left_is_a_growth_of_minus_one():
    assert cagr([100, 50, -1], 252) == -1.0


@pytest.mark.parametrize(
    ("call", "told"),
    [
        (lambda: sharpe([0.01, math.nan], 252), "1 of 2 returns are NaN or inf"),
        (lambda: max_drawdown([1.0, math.inf]), "1 of 2 equities are NaN or inf"),
        (lambda: sharpe([[0.01, 0.02]], 252), r"shape \(1, 2\)"),
        (lambda: drawdown_curve([0.0, 1.0]), "starts at 0.0: expected a capital above 0"),
        (lambda: cagr([-5.0, 1.0], 252), "starts at -5.0"),
        (lambda: returns_of([1.0, 0.0, 2.0]), "1 of 3 equities are 0 or less"),
    ],
)
def test_bad_series_are_refused(call, told):
    with pytest.raises(DataContractError, match=told):
        call()


@given(curves, st.floats(0.01, 100))
def test_a_drawdown_is_a_share_of_the_highest_and_knows_no_unit(equity, unit):
    curve = drawdown_curve(equity)
    assert ((curve <= 0) & (curve > -1)).all()
    assert curve[int(np.argmax(equity))] == 0
    assert drawdown_curve(np.array(equity) * unit) == pytest.approx(curve, abs=1e-9)


@given(curves)
def test_returns_lead_from_the_first_equity_to_the_last(equity):
    assert equity[0] * np.prod(1 + returns_of(equity)) == pytest.approx(equity[-1], rel=1e-6)


@given(st.lists(st.floats(-0.5, 0.5), min_size=2, max_size=40), st.integers(1, 200_000))
def test_a_ratio_turns_with_its_returns_and_grows_with_the_root_of_time(returns, periods):
    yearly, turned = sharpe(returns, periods), sharpe([-value for value in returns], periods)
    if yearly is None:
        assert turned is None
    else:
        assert turned == pytest.approx(-yearly)
        assert yearly == pytest.approx(sharpe(returns, 1) * math.sqrt(periods))
