"""Looks for drift are stored once, the ones that could not tell included."""

from __future__ import annotations

import math
from dataclasses import replace

import pandas as pd
import pytest
from frames_of import START

from itb_assets.domain.markets import Market
from itb_assets.errors import DataContractError
from itb_assets.storage.tables.drift import DriftRow

BTC = Market("BTCUSDT", "5m")
LOOK = DriftRow(
    market=BTC,
    time=START,
    model_name="aggressive",
    metric="psi:close_sma_5",
    value=0.125,
    n=600,
    threshold=0.25,
    verdict="ok",
    detail='10 bins; it\'s "fine"',
)
UNKNOWN = replace(LOOK, metric="win_rate", value=math.nan, threshold=None, n=3, verdict="insufficient data")


def stored(database):
    return database.query("SELECT * FROM model_drift ORDER BY time, metric")


def test_looks_are_kept_as_they_are(database):
    assert database.append_drift([LOOK, UNKNOWN]) == 2
    first, second = stored(database)
    assert first == {
        "symbol": "BTCUSDT",
        "freq": "5m",
        "time": START.to_pydatetime(),
        "model_name": "aggressive",
        "metric": "psi:close_sma_5",
        "value": 0.125,
        "n": 600,
        "threshold": 0.25,
        "verdict": "ok",
        "detail": '10 bins; it\'s "fine"',
    }
    assert (second["value"], second["threshold"], second["verdict"]) == (None, None, "insufficient data")


def test_the_same_looks_are_stored_once(database):
    later = replace(LOOK, time=START + pd.Timedelta("1D"))
    assert database.append_drift([LOOK, UNKNOWN]) == 2
    assert database.append_drift([UNKNOWN, LOOK]) == 0
    assert database.append_drift([LOOK, later]) == 1
    assert len(stored(database)) == 3
    assert database.append_drift([]) == 0


def test_a_look_taken_again_says_what_it_says_now(database):
    database.append_drift([LOOK, UNKNOWN])
    assert database.append_drift([replace(LOOK, value=0.3, verdict="error"), UNKNOWN]) == 1
    assert [(row["value"], row["verdict"]) for row in stored(database)] == [
        (0.3, "error"),
        (None, "insufficient data"),
    ]


def test_two_measures_of_one_name_are_refused(database):
    with pytest.raises(DataContractError, match="of the same measure and time: psi:close_sma_5"):
        database.append_drift([LOOK, replace(LOOK, value=0.9)])
    with pytest.raises(DataContractError, match="times without a zone: psi"):
        database.append_drift([replace(LOOK, time=pd.Timestamp("2024-09-01"))])
    assert stored(database) == []
