"""Looks are kept as they were, one row each, and come back bit for bit."""

from __future__ import annotations

import math

import pandas as pd
import pytest
from drift_making import exactly, outcomes

from itb_assets.domain.drift import (
    LOOK_DTYPES,
    DriftEvaluation,
    Look,
    TradeWatch,
    WinRateReference,
    WinRateState,
    empty_looks,
    evaluate_win_rate,
    history_of,
    looks_frame,
    read_looks,
    watch,
)
from itb_assets.errors import DataContractError

NOON = pd.Timestamp("2024-03-05 12:00", tz="UTC")
OK = DriftEvaluation("brier:x_lgbm", 0.1 + 0.2, 600, 0.31, "ok", 'a "detail", with commas')
BAD = DriftEvaluation("psi:close_SMA_3", 0.5, 700, 0.25, "error", "moved")
SILENT = DriftEvaluation("win_rate", None, 3, None, "insufficient data", "3 live trades, needs 30", "below")


def look(*evaluations, at=NOON):
    state = watch(WinRateState(WinRateReference(60, 100)), outcomes(exactly(5, 9)))
    return Look(at, evaluations, "digest", TradeWatch(state, at, {"t1": True}, 7.0))


def test_looks_come_back_as_they_were():
    taken = look(SILENT, OK, BAD), look(OK, at=NOON + pd.Timedelta("1D"))
    frame = looks_frame(*taken)
    assert {name: str(dtype) for name, dtype in frame.dtypes.items()} == dict(LOOK_DTYPES)
    assert frame["verdict"].tolist() == ["error", "ok"]
    assert frame["alarms"].tolist() == [1, 0]
    assert not frame["evaluations"].str.contains("\n").any()
    assert read_looks(frame) == taken


def test_no_look_is_a_frame_too():
    frame = empty_looks()
    assert {name: str(dtype) for name, dtype in frame.dtypes.items()} == dict(LOOK_DTYPES)
    assert read_looks(frame) == ()
    assert len(history_of((), model="brisk")) == 0


def test_a_look_ranks_what_it_found_and_names_what_alarms():
    found = look(SILENT, OK, BAD)
    assert found.verdict == "error"
    assert found.alarms == (BAD,)
    assert found.ranked == (BAD, OK, SILENT)
    assert found.of("win_rate") == SILENT
    assert found.of("nothing") is None


def test_real_evaluations_survive_the_way_through_a_frame():
    state = watch(WinRateState(WinRateReference(60, 100)), outcomes(exactly(5, 50)))
    taken = Look(NOON, evaluate_win_rate(state), "digest", TradeWatch(state))
    (back,) = read_looks(looks_frame(taken))
    assert back == taken


def test_a_history_has_one_row_an_evaluation():
    history = history_of((look(OK, BAD), look(SILENT, at=NOON + pd.Timedelta("1D"))), model="brisk")
    assert history["metric"].tolist() == [OK.metric, BAD.metric, SILENT.metric]
    assert history["timestamp"].nunique() == 2
    assert math.isnan(history["value"].iloc[-1])


@pytest.mark.parametrize("text", ["", "{}", "nonsense", '[{"metric": "x"}]', "null"])
def test_what_is_no_look_is_refused(text):
    with pytest.raises(DataContractError, match="delete the file"):
        read_looks(looks_frame(look(OK)).assign(evaluations=text))


def test_a_value_that_json_does_not_know_is_refused():
    with pytest.raises(ValueError, match="not JSON compliant"):
        looks_frame(look(DriftEvaluation("x", math.inf, 1, 1.0, "ok", "")))
