"""Everything of a model and its features at one look, and the frame that keeps it."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from drift_making import exactly, outcomes, true_forecasts
from scipy.signal import lfilter

from itb_assets.domain.drift import (
    DRIFT_COLUMNS,
    DRIFT_DTYPES,
    DriftEvaluation,
    Forecasts,
    WinRateReference,
    WinRateState,
    drift_frame,
    evaluate_features,
    evaluate_model,
    freeze_bins,
    summarise_calibration,
    watch,
    worst_verdict,
)
from itb_assets.errors import DataContractError

HISTORY, LIVE = 20_000, 1000
NOW = pd.Timestamp("2026-11-02 00:00", tz="UTC")


def features(rows, *, seed=0):
    """Return four kinds of features: noise, a slow one, a random walk like a price, and a constant."""
    noise = np.random.default_rng(seed).standard_normal((3, rows + 2000))
    columns = {
        "noise": noise[0],
        "slow": lfilter([1.0], [1.0, -0.97], noise[1]),
        "level": 30_000 + np.cumsum(noise[2]),
        "state": np.ones(rows + 2000),
    }
    return pd.DataFrame(columns).iloc[2000:].reset_index(drop=True)


@pytest.fixture
def split():
    whole = features(HISTORY + LIVE, seed=1)
    history, live = whole.iloc[:HISTORY], whole.iloc[HISTORY:]
    return live.copy(), {name: freeze_bins(history[name]) for name in history}, history


def look(live, references, history):
    return {one.metric: one for one in evaluate_features(live, references, history=history)}


def test_features_that_did_not_change_are_ok_also_when_they_move_slowly(split):
    live, references, history = split
    said = look(live, references, history)
    assert [*said] == [f"{kind}:{name}" for name in references for kind in ("psi", "unknown")] + [
        "drifted_features"
    ]
    assert {one.verdict for one in said.values()} == {"ok"}
    assert said["psi:level"].value > 0.25
    assert "adjusted chance of windows of its history to differ as much" in said["psi:level"].detail
    assert (said["drifted_features"].value, said["drifted_features"].n) == (0.0, 4)


def test_without_a_history_the_convention_alone_judges(split):
    live, references, _ = split
    said = look(live, references, None)
    assert said["psi:noise"].verdict == "ok"
    assert said["psi:level"].verdict == "error"
    assert "rows taken as independent" in said["psi:level"].detail


@pytest.mark.parametrize(
    ("column", "change", "verdict", "threshold"),
    [
        ("noise", lambda values: values + 0.4, "warning", 0.1),
        ("noise", lambda values: values + 2.0, "error", 0.25),
        ("noise", lambda values: values * 3.0, "error", 0.25),
        ("slow", lambda values: values + 20.0, "error", 0.25),
        ("state", lambda values: values + 1.0, "error", 0.25),
    ],
)
def test_a_feature_that_changed_is_named(split, column, change, verdict, threshold):
    live, references, history = split
    live[column] = change(live[column])
    said = look(live, references, history)
    found = said[f"psi:{column}"]
    assert (found.verdict, found.threshold, found.n) == (verdict, threshold, LIVE)
    assert found.value >= found.threshold
    assert [name for name, one in said.items() if one.alarms] == [f"psi:{column}", "drifted_features"]
    assert said["drifted_features"].detail == f"of 4 columns judged: {column}"
    assert (said["drifted_features"].value, said["drifted_features"].verdict) == (0.25, "warning")


def test_the_chances_are_adjusted_for_the_number_of_features(split):
    """A shift that is unusual for one feature is not for the most unusual of thirty."""
    live, references, history = split
    live["slow"] += 5.5
    alone = look(live, {"slow": references["slow"]}, history)["psi:slow"]
    noise = np.random.default_rng(9).standard_normal((HISTORY + LIVE, 29))
    names = [f"n{number}" for number in range(29)]
    more = pd.DataFrame(noise, columns=names)
    wide = history.join(more.iloc[:HISTORY])
    many = references | {name: freeze_bins(wide[name]) for name in names}
    beside = look(live.join(more.iloc[HISTORY:]), many, wide)["psi:slow"]
    assert alone.value == beside.value >= 0.1
    assert (alone.verdict, beside.verdict) == ("error", "ok")


def test_half_of_the_features_are_an_error(split):
    live, references, history = split
    live["noise"] += 2.0
    live["state"] += 1.0
    share = look(live, references, history)["drifted_features"]
    assert (share.value, share.verdict, share.threshold) == (0.5, "error", 0.5)


def test_values_that_become_unknown_are_told(split):
    live, references, history = split
    live.loc[live.index[:60], "noise"] = np.nan
    live.loc[live.index[:40], "slow"] = np.nan
    said = look(live, references, history)
    assert (said["unknown:noise"].verdict, said["unknown:noise"].value) == ("warning", 0.06)
    assert said["unknown:noise"].threshold == pytest.approx(0.05)
    assert said["unknown:slow"].verdict == "ok"
    assert said["psi:noise"].verdict == "ok"
    assert said["psi:noise"].n == LIVE - 60


def test_few_values_are_insufficient_data(split):
    live, references, history = split
    for few in (live.iloc[:499], live.iloc[:0]):
        said = look(few, references, history)
        assert {one.verdict for one in said.values()} == {"insufficient data"}
        assert said["drifted_features"].detail == "none of 4 columns could be judged"
    assert look(live.iloc[:500], references, history)["psi:noise"].verdict == "ok"
    few_before = {"noise": freeze_bins(history["noise"].iloc[:499])}
    found = look(live, few_before, history)["psi:noise"]
    assert (found.verdict, found.detail) == (
        "insufficient data",
        "1,000 known values against 499 of the reference, needs 500 of both",
    )


def test_a_column_that_is_wholly_unknown_is_insufficient_data_and_told(split):
    live, references, history = split
    live["noise"] = np.nan
    said = look(live, references, history)
    assert (said["psi:noise"].verdict, said["psi:noise"].value) == ("insufficient data", None)
    assert (said["unknown:noise"].verdict, said["unknown:noise"].value) == ("warning", 1.0)
    assert said["drifted_features"].n == 3


def test_a_short_history_is_insufficient_data(split):
    live, references, history = split
    found = look(live, references, history.iloc[:4999])["psi:noise"]
    assert found.verdict == "insufficient data"
    assert "history of 4,999 rows has 4 windows of 1,000, needs 5" in found.detail


def test_a_missing_column_is_refused_by_name(split):
    live, references, history = split
    with pytest.raises(DataContractError, match="the rows have no column slow, level"):
        look(live[["noise", "state"]], references, history)
    with pytest.raises(DataContractError, match="the history have no column noise"):
        look(live, references, history.drop(columns="noise"))


def test_scores_are_looked_at_by_sample(split):
    live, references, history = split
    live, history = live.assign(sample="live"), history.assign(sample="out_of_sample")
    said = evaluate_features(live, references, history=history, summary="drifted_scores")
    assert said[-1].metric == "drifted_scores"
    with pytest.raises(DataContractError, match="the rows are out_of_sample: expected live rows alone"):
        look(live.assign(sample="out_of_sample"), references, history)
    with pytest.raises(DataContractError, match="the history are live: expected out_of_sample"):
        look(live, references, history.assign(sample="live"))
    mixed = history.assign(sample=["in_sample"] * 10 + ["out_of_sample"] * (HISTORY - 10))
    with pytest.raises(DataContractError, match="10 of 20000 rows are in_sample"):
        look(live, references, mixed)


def state(wins=240, trades=500):
    return watch(WinRateState(WinRateReference(5800, 10_000)), outcomes(exactly(wins, trades)))


def test_a_model_is_evaluated_whole():
    calibration = {
        name: summarise_calibration(true_forecasts(3000), block_rows=100) for name in ("high", "low")
    }
    said = evaluate_model(
        state(), forecasts={"low": true_forecasts(2000, sample="live")}, calibration=calibration
    )
    verdicts = {one.metric: one.verdict for one in said}
    assert verdicts.pop("win_rate_cusum") in {"ok", "warning"}
    assert verdicts == {
        "win_rate": "warning",
        "win_rate_sprt": "warning",
        "win_rate_upper": "warning",
        "brier:high": "insufficient data",
        "calibration_gap:high": "insufficient data",
        "brier:low": "ok",
        "calibration_gap:low": "ok",
    }
    assert len(evaluate_model(state())) == 4


def test_forecasts_without_a_reference_are_refused():
    with pytest.raises(DataContractError, match="scores without a reference: low; expected of none"):
        evaluate_model(state(), forecasts={"low": true_forecasts(10, sample="live")})


def test_forecasts_are_the_rows_with_a_known_score_and_label():
    frame = pd.DataFrame(
        {
            "sample": ["live"] * 4,
            "high_lgbm": [0.1, np.nan, 0.3, 0.4],
            "high": pd.array([True, True, pd.NA, False], dtype="boolean"),
        }
    )
    rows = Forecasts.of(frame, "high_lgbm", "high")
    assert (list(rows.score), list(rows.label)) == ([0.1, 0.4], [True, False])


def test_a_look_becomes_rows():
    said = (*evaluate_model(state()), DriftEvaluation("psi:x", None, 3, None, "insufficient data", "few"))
    frame = drift_frame(said, model="aggressive/high_lgbm", evaluated_at=NOW)
    assert tuple(frame.columns) == DRIFT_COLUMNS
    assert {name: str(dtype) for name, dtype in frame.dtypes.items()} == DRIFT_DTYPES
    assert (frame["timestamp"] == NOW).all()
    assert set(frame["model"]) == {"aggressive/high_lgbm"}
    first, last = frame.iloc[0], frame.iloc[-1]
    assert (first["metric"], first["value"], first["n"], first["verdict"]) == (
        "win_rate",
        0.48,
        500,
        "warning",
    )
    assert last[["value", "threshold"]].isna().all()
    assert (last["n"], last["verdict"], last["detail"]) == (3, "insufficient data", "few")


def test_a_look_at_nothing_is_an_empty_frame():
    frame = drift_frame([], model="m", evaluated_at=NOW)
    assert len(frame) == 0
    assert {name: str(dtype) for name, dtype in frame.dtypes.items()} == DRIFT_DTYPES


def test_other_time_zones_become_utc():
    frame = drift_frame(evaluate_model(state()), model="m", evaluated_at=NOW.tz_convert("Asia/Tokyo"))
    assert (frame["timestamp"] == NOW).all()
    assert str(frame["timestamp"].dtype) == "datetime64[ns, UTC]"


def test_a_look_without_a_zone_and_a_metric_twice_are_refused():
    with pytest.raises(DataContractError, match="no time zone"):
        drift_frame([], model="m", evaluated_at=pd.Timestamp("2026-11-02"))
    twice = [*evaluate_model(state()), *evaluate_model(state())]
    with pytest.raises(DataContractError, match="evaluated twice at one look: win_rate, win_rate_cusum"):
        drift_frame(twice, model="m", evaluated_at=NOW)


def test_the_gravest_verdict_speaks_for_all():
    def one(verdict):
        return DriftEvaluation("m", 1.0, 1, 1.0, verdict, "")

    assert worst_verdict([]) == "insufficient data"
    assert worst_verdict([one("insufficient data"), one("ok")]) == "ok"
    assert worst_verdict([one("ok"), one("error"), one("warning")]) == "error"
    assert not one("ok").alarms
    assert not one("insufficient data").alarms
    assert one("warning").alarms
    assert one("error").alarms


@pytest.mark.data
def test_the_features_of_a_real_market_hardly_ever_alarm(test_data):
    """Weeks of real 5-minute features, each against the ten before: convention alarms always, we once.

    The one is 10 to 17 November 2024: bitcoin rose from 79,900 to 89,100.
    """
    matrix = pd.read_parquet(test_data / "golden" / "itb_btcusdt_5m_aggressive_matrix.parquet")
    names = [
        name
        for name in matrix.columns
        if name != "timestamp" and not name.startswith(("high_", "low_")) and not np.isinf(matrix[name]).any()
    ]
    week, ours, convention = 2016, [], []
    for start in range(10 * week, len(matrix) - week, week):
        history, live = matrix.iloc[start - 10 * week : start], matrix.iloc[start : start + week]
        references = {name: freeze_bins(history[name]) for name in names}
        ours.append(evaluate_features(live, references, history=history)[-1].alarms)
        convention.append(evaluate_features(live, references)[-1].alarms)
    assert len(ours) == 15
    assert all(convention)
    assert np.flatnonzero(ours).tolist() == [0]
    broken = live.assign(close_RSI_14=live["close_RSI_14"] / 100)
    assert look(broken, references, history)["psi:close_RSI_14"].verdict == "error"
