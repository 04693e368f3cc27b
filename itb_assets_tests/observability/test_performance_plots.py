"""Plots of results and of models show their data, differ when it differs, and stay small and quick."""

from __future__ import annotations

import io
import time

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from itb_assets.observability.model_plots import drift_history, model_comparison, search_leaderboard
from itb_assets.observability.performance_plots import (
    daily_pnl,
    equity_and_drawdown,
    return_distribution,
    win_rate_by_hour,
)
from itb_assets.observability.plot_data import (
    by_hour_of_day,
    drawdown_pct,
    histogram_around_zero,
    pool_days,
)

BLUE, VERMILION, ORANGE = (0, 0x72, 0xB2), (0xD5, 0x5E, 0), (0xE6, 0x9F, 0)
HOSTILE = "a$\\frac$b\n" * 60
SMALL = 20_000


def pixels(png: bytes) -> np.ndarray:
    """Return the picture as (height, width, rgb)."""
    picture = np.asarray(Image.open(io.BytesIO(png)).convert("RGB")).astype(int)
    assert picture.shape == (420, 900, 3)
    return picture


def painted(png: bytes, colour: tuple[int, int, int]) -> int:
    return int((np.abs(pixels(png) - colour).max(axis=2) < 24).sum())


def words_only(png: bytes) -> bool:
    """Tell whether the picture holds nothing but a title and a line of text."""
    ink = int((pixels(png)[40:].min(axis=2) < 200).sum())
    return 100 < ink < 4000 and painted(png, BLUE) == painted(png, VERMILION) == 0


def equity(rows: int, *, drift: float = 0.0, freq: str = "3h") -> pd.DataFrame:
    rng = np.random.default_rng(1)
    times = pd.date_range("2024-09-01", periods=rows, freq=freq, tz="UTC")
    worth, held = 1000 * np.exp(np.cumsum(rng.normal(drift, 2e-3, (2, rows)), axis=1))
    return pd.DataFrame({"timestamp": times, "equity": worth, "buy_and_hold": held})


def days(rows: int) -> pd.DataFrame:
    rng = np.random.default_rng(2)
    times = pd.date_range("2024-09-01", periods=rows, freq="D", tz="UTC")
    return pd.DataFrame({"day": times, "total_pnl": rng.normal(0, 8, rows)})


def hours(win_rate: float = 0.4) -> pd.DataFrame:
    return pd.DataFrame(
        {"hour": range(24), "trades": [20] * 23 + [0], "win_rate": [win_rate] * 23 + [np.nan]}
    )


def models(rows: int) -> pd.DataFrame:
    auc = np.linspace(0.46, 0.7, rows)
    return pd.DataFrame(
        {
            "name": [f"BTCUSDT 5m/lgbm/label_{k}" for k in range(rows)],
            "auc": auc,
            "low": auc - 0.02,
            "high": auc + 0.02,
        }
    )


def drift(rows: int, *, freq: str = "D") -> pd.DataFrame:
    value = np.linspace(-1, 3, rows)
    verdict = np.select(
        [value > 1.5, value > 1, value < -0.8], ["error", "warning", "insufficient data"], "ok"
    )
    times = pd.date_range("2024-09-01", periods=rows, freq=freq, tz="UTC")
    return pd.DataFrame({"timestamp": times, "value": value, "threshold": 1.5, "verdict": verdict})


def candidates(rows: int) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "name": [f"lgbm leaves={k}" for k in range(rows)],
            "score": np.linspace(0.75, 0.7, rows),
            "seconds": np.linspace(0.5, 9, rows),
        }
    )


TYPICAL = {
    "equity": lambda: equity_and_drawdown(equity(412), title="t", note="n"),
    "daily": lambda: daily_pnl(days(56), title="t"),
    "hours": lambda: win_rate_by_hour(hours(), title="t"),
    "returns": lambda: return_distribution(days(412)["total_pnl"], title="t"),
    "models": lambda: model_comparison(models(12), title="t"),
    "drift": lambda: drift_history(drift(60), title="t"),
    "candidates": lambda: search_leaderboard(candidates(30), title="t"),
}
OTHER = {
    "equity": lambda: equity_and_drawdown(equity(412, drift=1e-4), title="t", note="n"),
    "daily": lambda: daily_pnl(days(57), title="t"),
    "hours": lambda: win_rate_by_hour(hours(0.5), title="t"),
    "returns": lambda: return_distribution(days(411)["total_pnl"], title="t"),
    "models": lambda: model_comparison(models(13), title="t"),
    "drift": lambda: drift_history(drift(61), title="t"),
    "candidates": lambda: search_leaderboard(candidates(29), title="t"),
}


@pytest.mark.parametrize("kind", TYPICAL)
def test_a_picture_is_small_and_is_that_of_its_data(kind):
    png = TYPICAL[kind]()
    assert len(png) < SMALL
    assert painted(png, BLUE) > 60
    assert png == TYPICAL[kind]()
    assert (pixels(png) != pixels(OTHER[kind]())).any()


NOTHING = {
    "equity": lambda: equity_and_drawdown(equity(0), title="t"),
    "equity unknown": lambda: equity_and_drawdown(equity(5).assign(equity=np.nan), title="t"),
    "daily": lambda: daily_pnl(days(0), title="t"),
    "daily unknown": lambda: daily_pnl(days(3).assign(total_pnl=np.nan), title="t"),
    "hours": lambda: win_rate_by_hour(hours().head(0), title="t"),
    "hours unknown": lambda: win_rate_by_hour(hours(np.nan), title="t"),
    "returns": lambda: return_distribution([], title="t"),
    "returns unknown": lambda: return_distribution([np.nan, np.inf], title="t"),
    "models": lambda: model_comparison(models(0), title="t"),
    "models unknown": lambda: model_comparison(models(2).assign(auc=None), title="t"),
    "drift": lambda: drift_history(drift(0), title="t"),
    "drift unknown": lambda: drift_history(drift(3).assign(value=np.nan), title="t"),
    "candidates": lambda: search_leaderboard(candidates(0), title="t"),
    "candidates unknown": lambda: search_leaderboard(candidates(2).assign(score=np.nan), title="t"),
}


@pytest.mark.parametrize("kind", NOTHING)
def test_nothing_to_show_is_said_in_words(kind):
    assert words_only(NOTHING[kind]())


ODD = {
    "equity of one point": lambda: equity_and_drawdown(equity(1), title=HOSTILE, note=HOSTILE),
    "equity below zero": lambda: equity_and_drawdown(equity(3).assign(equity=[1, -5, np.inf]), title="t"),
    "equity without a comparison": lambda: equity_and_drawdown(equity(9)[["timestamp", "equity"]], title="t"),
    "one day": lambda: daily_pnl(days(1).assign(total_pnl=3.0), title=HOSTILE),
    "one hour": lambda: win_rate_by_hour(hours().head(1), title=HOSTILE),
    "one return": lambda: return_distribution([0.3], title=HOSTILE),
    "one model, no bounds": lambda: model_comparison(
        models(1).assign(auc=0.7, low=0.6, high=None, name=HOSTILE, promoted=True), title=HOSTILE
    ),
    "one evaluation": lambda: drift_history(
        drift(1).assign(value=0, verdict="ok"), title=HOSTILE, measure=HOSTILE
    ),
    "one candidate": lambda: search_leaderboard(
        candidates(2).assign(score=[0.5, None], name=HOSTILE), title=HOSTILE, metric=HOSTILE
    ),
}


@pytest.mark.parametrize("kind", ODD)
def test_odd_data_and_hostile_names_are_drawn(kind):
    png = ODD[kind]()
    assert painted(png, BLUE) + painted(png, VERMILION) > 15
    assert (pixels(png)[:, 899] == 255).all(), "nothing is cut at the right edge"
    assert (pixels(png)[:, 0] == 255).all(), "nothing is cut at the left edge"


MANY = 1_000_000
HUGE = {
    "equity": lambda frame: equity_and_drawdown(frame, title="t"),
    "returns": lambda frame: return_distribution(frame["equity"] - 1000, title="t"),
    "daily": lambda frame: daily_pnl(
        pd.DataFrame({"day": frame["timestamp"], "total_pnl": frame["equity"] - 1000}), title="t"
    ),
    "drift": lambda frame: drift_history(
        pd.DataFrame(
            {
                "timestamp": frame["timestamp"],
                "value": frame["equity"],
                "threshold": frame["buy_and_hold"],
                "verdict": np.where(frame["equity"] > 1000, "error", "ok"),
            }
        ),
        title="t",
    ),
}


@pytest.fixture(scope="module")
def million() -> pd.DataFrame:
    return equity(MANY, freq="5min")


@pytest.mark.parametrize("kind", HUGE)
def test_a_million_points_are_drawn_from_few(kind, million):
    began = time.process_time()
    png = HUGE[kind](million)
    assert time.process_time() - began < 3
    assert len(png) < 2 * SMALL
    assert painted(png, BLUE) + painted(png, VERMILION) > 60


def test_verdicts_have_colours_and_models_are_judged_by_their_interval():
    everything = drift_history(drift(60), title="t")
    fine = drift_history(drift(60).assign(verdict="ok"), title="t")
    assert painted(everything, ORANGE) > painted(fine, ORANGE) == 0
    assert painted(everything, VERMILION) > painted(fine, VERMILION) == 0
    bad = models(1).assign(auc=0.4, low=0.3, high=0.45)
    assert painted(model_comparison(bad, title="t"), VERMILION) > 60
    assert painted(model_comparison(bad.assign(high=0.6), title="t"), VERMILION) == 0
    full = model_comparison(models(9).assign(promoted=True), title="t")
    hollow = model_comparison(models(9).assign(promoted=[False] * 8 + [None]), title="t")
    assert painted(full, BLUE) > painted(hollow, BLUE)


def test_candidates_keep_their_order_and_those_given_up_are_hollow():
    """Of a loss the lowest is best, so a leaderboard is drawn as it was ranked."""
    ranked = candidates(9).assign(score=np.linspace(0.3, 0.6, 9))
    picture = pixels(search_leaderboard(ranked, title="t"))
    _, across = np.nonzero(np.abs(picture - VERMILION).max(axis=2) < 24)
    assert across.max() < 450, "the best one is the first, here on the left"
    pruned = ranked.assign(state=["complete"] + ["pruned"] * 8)
    assert painted(search_leaderboard(pruned, title="t"), BLUE) < painted(
        search_leaderboard(ranked.assign(state="complete"), title="t"), BLUE
    )


def test_drawdown_is_under_the_highest_so_far():
    np.testing.assert_allclose(
        drawdown_pct(np.array([np.nan, 100, 80, np.nan, 160, 40])), [np.nan, 0, -20, np.nan, 0, -75]
    )
    assert np.isnan(drawdown_pct(np.array([-1.0, 0.0]))).all()
    assert drawdown_pct(np.empty(0)).shape == (0,)


@given(
    rows=st.lists(st.tuples(st.integers(0, 900), st.floats(-99, 99) | st.just(float("nan"))), max_size=60),
    most=st.integers(1, 40),
)
def test_pooled_days_keep_the_sum(rows, most):
    first = pd.Timestamp("2024-01-01T13:00", tz="UTC")
    at = pd.Series(first + pd.to_timedelta([day for day, _ in rows], unit="D"), dtype="datetime64[ns, UTC]")
    pnl = pd.Series([amount for _, amount in rows], dtype="float64")
    pooled = pool_days(at, pnl, most)
    assert len(pooled.pnl) <= most
    assert pooled.starts.is_monotonic_increasing
    assert pooled.pnl.sum() == pytest.approx(pnl.sum())


def test_hours_without_trades_are_left_out():
    read = by_hour_of_day(
        pd.DataFrame({"hour": [5, 2, 9], "trades": [10, 30, 0], "win_rate": [1.0, 0.5, np.nan]})
    )
    assert read.hour.tolist() == [2, 5]
    assert read.overall == pytest.approx(25 / 40)
    assert (read.low < read.win_rate).all()


@given(st.lists(st.floats(-50, 50), min_size=1, max_size=150))
def test_no_bar_of_a_histogram_holds_gains_and_losses(values):
    counts, edges = histogram_around_zero(np.array(values))
    assert counts.sum() == len(values)
    assert 0 in edges
    assert counts[edges[1:] <= 0].sum() == sum(value < 0 for value in values)


def test_outliers_do_not_widen_the_bars_of_a_histogram():
    counts, edges = histogram_around_zero(np.array([*np.linspace(-1, 1, 999), 1e6]))
    assert edges[-1] < 2
    assert counts.sum() < 1000
