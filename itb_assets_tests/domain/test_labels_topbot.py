"""Tops and bottoms: bounded in what they know of the future in causal, the old bot's own in legacy."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from label_making import MISSING, answers, frame_of, markets

from itb_assets.domain.labels import compile_labels
from itb_assets.domain.specs import GeneratorSpec

ZIGZAG = [100, 100, 101, 102, 103, 104, 103, 102, 101, 100, 100, 100]


def topbot2(function="top", *, level=0.02, tolerances=(0.5,), horizon=5):
    names = [f"x{number}" for number in range(len(tolerances))]
    config = {"columns": "close", "function": function, "level": level, "tolerances": list(tolerances)}
    return GeneratorSpec("topbot2", config | {"names": names, "horizon": horizon})


def labels(spec, frame, dialect):
    return answers(compile_labels([spec], dialect=dialect).compute(frame)["x0"])


def falls(values, at, *, is_top, level):
    """Return the nearest rows on both sides beyond the level, or None where a row exceeds `at` before."""
    seen = values if is_top else -values
    limit = values[at] * (1 - level) if is_top else -(values[at] / (1 - level))
    left = right = None
    for row in range(at - 1, -1, -1):
        if seen[row] >= seen[at] or seen[row] < limit:
            left = row if seen[row] < limit else None
            break
    for row in range(at + 1, len(values)):
        if seen[row] > seen[at] or seen[row] < limit:
            right = row if seen[row] < limit else None
            break
    return None if left is None or right is None else (left, right)


def slow_causal(values, row, *, is_top, level, tolerance, horizon):
    """Decide one row from its own window alone."""
    if row < horizon or row + horizon >= len(values):
        return MISSING
    window = values[row - horizon : row + horizon + 1]
    if np.isnan(window).any():
        return MISSING
    for at in range(len(window)):
        sides = falls(window, at, is_top=is_top, level=level)
        if sides is None or not sides[0] < horizon < sides[1]:
            continue
        between = window[min(at, horizon) : max(at, horizon) + 1]
        limit = window[at] * (1 - tolerance) if is_top else window[at] / (1 - tolerance)
        if not ((between < limit) if is_top else (between > limit)).any():
            return 1
    return 0


def slow_legacy(values, *, is_top, level, tolerance):
    """Mark the rows around every top of the whole series, the first ones beyond the tolerance included."""
    near = np.zeros(len(values), dtype=int)
    for at in range(len(values)):
        sides = None if np.isnan(values[at]) else falls(values, at, is_top=is_top, level=level)
        if sides is None or sides[0] == 0:
            continue
        limit = values[at] * (1 - tolerance) if is_top else values[at] / (1 - tolerance)
        beyond = np.flatnonzero((values < limit) if is_top else (values > limit))
        near[beyond[beyond < at].max() : beyond[beyond > at].min() + 1] = 1
    return near.tolist()


@settings(max_examples=60, deadline=None)
@given(
    frame=markets(60),
    function=st.sampled_from(["top", "bot"]),
    level=st.sampled_from([0.003, 0.01]),
    tolerance=st.sampled_from([0.0, 0.3, 1.0, 2.0]),
    horizon=st.integers(1, 12),
)
def test_both_dialects_equal_the_slow_reference(frame, function, level, tolerance, horizon):
    spec = topbot2(function, level=level, tolerances=[tolerance], horizon=horizon)
    values = frame["close"].to_numpy()
    rule = {"is_top": function == "top", "level": level, "tolerance": level * tolerance}
    clamped = rule | {"tolerance": level * min(tolerance, 1.0), "horizon": horizon}
    assert labels(spec, frame, "causal") == [
        slow_causal(values, row, **clamped) for row in range(len(values))
    ]
    if tolerance <= 1:
        assert labels(spec, frame, "legacy") == slow_legacy(values, **rule)


def test_a_top_is_labelled_as_wide_as_its_tolerance():
    """104 falls by 2 % (to below 101.92) on both sides; half of that reaches down to 102.96."""
    frame = frame_of(ZIGZAG)
    unknown = [MISSING] * 5
    assert labels(topbot2(), frame, "causal") == [*unknown, 1, 1, *unknown]
    wide = [MISSING] * 4 + [1, 1, 1, 0] + [MISSING] * 4
    assert labels(topbot2(horizon=4), frame, "causal") == wide
    assert labels(topbot2(), frame, "legacy") == [0, 0, 0, 1, 1, 1, 1, 1, 0, 0, 0, 0]


def test_a_bottom_mirrors_a_top():
    frame = frame_of([10_000 / price for price in ZIGZAG])
    assert labels(topbot2("bot", horizon=4), frame, "causal")[4:8] == [1, 1, 1, 0]


def test_a_top_slower_than_the_horizon_is_none():
    """The fall to below 101.92 takes three rows on each side; only the top's own row sees both."""
    frame = frame_of([100] * 4 + ZIGZAG + [100] * 4)
    tops = {horizon: labels(topbot2(horizon=horizon), frame, "causal").count(1) for horizon in (2, 3, 4)}
    assert tops == {2: 0, 3: 1, 4: 3}


def test_what_comes_later_than_the_horizon_decides_in_legacy_only():
    """Fault of the old definition: a fall long after a row makes that row a top."""
    flat = [100.0] * 3 + [104.0] * 20
    for later, legacy in ((105.0, 0), (100.0, 1)):
        frame = frame_of([*flat, *[later] * 10])
        assert labels(topbot2(horizon=5), frame, "legacy")[8] == legacy
        assert labels(topbot2(horizon=5), frame, "causal")[8] == 0


def test_a_tolerance_wider_than_the_level_runs_to_the_end_in_legacy_only():
    """`topbot` pairs a level of 1 % with tolerances up to 3 %, which nothing in the old search bounds."""
    frame = frame_of([100] * 10 + [102, 100] + [100] * 10)
    computed = {
        dialect: compile_labels([GeneratorSpec("topbot", {"horizon": 4})], dialect=dialect).compute(frame)
        for dialect in ("legacy", "causal")
    }
    assert answers(computed["legacy"]["top1_3"]) == [1] * 22
    assert answers(computed["causal"]["top1_3"])[4:-4] == [0] * 6 + [1] + [0] * 7
    assert list(computed["causal"].columns)[1:4] == ["top1_025", "top2_025", "top3_025"]


@pytest.mark.parametrize("dialect", ["legacy", "causal"])
def test_nothing_but_missing_rows_has_no_tops(dialect):
    assert 1 not in labels(topbot2(), frame_of([np.nan] * 20), dialect)
