"""The alarm on the win rate: all its parts or none, silent where it cannot know, and no other samples."""

from __future__ import annotations

import numpy as np
import pytest
from drift_making import alarms_by_day, exactly, outcomes, trades_frame

from itb_assets.domain.drift import Outcomes, WinRateReference, WinRateState, evaluate_win_rate, watch
from itb_assets.domain.drift.sequential import sprt_bounds
from itb_assets.errors import DataContractError

REFERENCE = WinRateReference(5800, 10_000)
METRICS = ["win_rate", "win_rate_sprt", "win_rate_cusum", "win_rate_upper"]


def look(won, reference=REFERENCE):
    """Return what is said of these live trades, by metric."""
    evaluations = evaluate_win_rate(watch(WinRateState(reference), outcomes(won)))
    assert [one.metric for one in evaluations] == METRICS
    return {one.metric: one for one in evaluations}


def test_a_fall_of_ten_points_warns_in_all_parts():
    said = look(exactly(240, 500))
    assert {one.verdict for one in said.values() if one.metric != "win_rate_cusum"} == {"warning"}
    verdict = said["win_rate"]
    assert (verdict.value, verdict.n, verdict.direction) == (0.48, 500, "below")
    assert verdict.threshold == pytest.approx(0.53)
    assert "won 48.0% of 500 live trades, out of sample 58.0% of 10,000" in verdict.detail
    assert "a fall by 10 points shows after about 152 trades" in verdict.detail
    assert said["win_rate_sprt"].value > sprt_bounds(0.01, 0.2)[0]
    assert said["win_rate_upper"].value < 0.58


def test_as_good_as_out_of_sample_is_ok():
    said = look(exactly(290, 500))
    assert {one.verdict for one in said.values()} == {"ok"}
    assert said["win_rate"].value == 0.58


def test_wilsons_bound_alone_does_not_warn():
    """100 trades, 8 points less: below by Wilson and by 5 points, but the evidence is that of one look."""
    said = look(exactly(49, 100))
    assert said["win_rate_upper"].value < said["win_rate_upper"].threshold
    assert said["win_rate"].value < said["win_rate"].threshold
    assert {one.verdict for one in said.values()} == {"ok"}


def test_evidence_alone_does_not_warn():
    """4 points less over 3,000 trades is sure, and less than the 5 points that matter."""
    said = look(exactly(1620, 3000))
    assert said["win_rate_sprt"].value > said["win_rate_sprt"].threshold
    assert said["win_rate_upper"].value < said["win_rate_upper"].threshold
    assert {one.verdict for one in said.values()} == {"ok"}


def test_a_fall_after_a_long_good_time_is_seen_by_its_own_trades():
    """The win rate since the beginning is still 56 %: what counts is the run that CUSUM follows."""
    said = look(np.concatenate([exactly(1160, 2000), exactly(180, 400)]))
    verdict = said["win_rate"]
    assert verdict.verdict == "warning"
    assert said["win_rate_cusum"].verdict == "warning"
    assert said["win_rate_sprt"].verdict == "ok"
    assert "of the last " in verdict.detail
    assert 400 <= verdict.n < 500


def test_a_warning_ends_when_the_model_recovers():
    bad = exactly(240, 500)
    assert look(bad)["win_rate"].verdict == "warning"
    assert look(np.concatenate([bad, exactly(1400, 2000)]))["win_rate"].verdict == "ok"


@pytest.mark.parametrize(
    ("won", "reference", "told"),
    [
        (
            [False] * 29,
            REFERENCE,
            "29 live trades, needs 30; a fall by 5 points shows after about 608 trades",
        ),
        ([], REFERENCE, "0 live trades, needs 30"),
        ([False] * 500, WinRateReference(60, 99), "the reference has 99 out-of-sample trades, needs 100"),
        ([False] * 500, WinRateReference(0, 0), "the reference has 0 out-of-sample trades"),
        ([False] * 500, WinRateReference(5, 100), "won 5.0% of its trades: that cannot fall by 5 points"),
    ],
)
def test_what_cannot_be_known_is_insufficient_data(won, reference, told):
    for one in look(won, reference).values():
        assert one.verdict == "insufficient data"
        assert told in one.detail
    assert look(won, reference)["win_rate"].n == len(won)


def test_a_reference_of_few_trades_keeps_the_alarm_silent():
    """60 % of 100 trades is anything between 50 and 69 %: 50 % live is no news."""
    assert look(exactly(250, 500), WinRateReference(60, 100))["win_rate"].verdict == "ok"
    assert look(exactly(250, 500), WinRateReference(6000, 10_000))["win_rate"].verdict == "warning"


def test_a_reference_that_never_lost_can_be_watched():
    assert look([True] * 100, WinRateReference(200, 200))["win_rate"].verdict == "ok"
    assert look(exactly(60, 100), WinRateReference(200, 200))["win_rate"].verdict == "warning"


def test_one_history_looked_at_daily_is_judged_as_many_at_once():
    """The path that users take day by day says what the simulations measure."""
    rng = np.random.default_rng(11)
    many = rng.random((12, 900)) < np.repeat([0.58, 0.53, 0.46], 4)[:, None]
    expected = alarms_by_day(many, REFERENCE.wins, REFERENCE.trades)
    assert 0 < expected.mean() < 1
    for won, alarms in zip(many, expected, strict=True):
        state, said = WinRateState(REFERENCE), []
        for day in won.reshape(-1, 15):
            state = watch(state, outcomes(day))
            said.append(evaluate_win_rate(state)[0].alarms)
        assert said == list(alarms)


@pytest.mark.parametrize("sample", ["in_sample", "out_of_sample"])
def test_only_live_trades_are_watched(sample):
    with pytest.raises(DataContractError, match=sample):
        watch(WinRateState(REFERENCE), outcomes([True], sample))


def test_only_out_of_sample_trades_are_a_reference():
    assert WinRateReference.of(outcomes([True, False, True], "out_of_sample")) == WinRateReference(2, 3)
    with pytest.raises(DataContractError, match="the trades of the reference are live"):
        WinRateReference.of(outcomes([True]))
    with pytest.raises(DataContractError, match="3 wins of 2 trades"):
        WinRateReference(3, 2)


def test_mixed_samples_are_refused():
    with pytest.raises(DataContractError, match="samples are mixed"):
        Outcomes(np.asarray([True, False]), np.asarray(["live", "out_of_sample"], dtype=object))
    with pytest.raises(DataContractError, match="2 outcomes and 1 samples"):
        Outcomes(np.asarray([True, False]), np.asarray(["live"], dtype=object))


def test_outcomes_are_the_closed_trades_by_exit():
    nan = float("nan")
    frame = trades_frame([("CLOSED", 30, -1.0), ("OPEN", nan, nan), ("CLOSED", 10, 2.0), ("CLOSED", 20, 0.0)])
    found = Outcomes.of(frame)
    assert list(found.won) == [True, False, False]
    assert list(found.after(2).won) == [False]
    assert len(found.after(3)) == 0


def test_a_closed_trade_without_a_result_is_refused():
    with pytest.raises(DataContractError, match="1 closed trades have no pnl or exit_time_ms, the first t1"):
        Outcomes.of(trades_frame([("CLOSED", 10, 1.0), ("CLOSED", 20, float("nan"))]))
