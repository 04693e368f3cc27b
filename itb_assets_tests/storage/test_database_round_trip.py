"""Every asset comes back from the database as from its file, bit for bit, however often it is rewritten."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from table_making import Pair, chain, features, klines, predictions, signals, summaries, trades

KINDS = {
    "raw/klines": klines(),
    "processed/features": features(),
    "predictions/aggressive": predictions(),
    "signals/aggressive": signals(),
    "trades/aggressive": trades(),
    "drift/aggressive": summaries(),
}
EXAMPLES = {"postgres": 20, "timescaledb": 5}


@pytest.fixture
def pair(tmp_path, database) -> Pair:
    return Pair(tmp_path, database)


@pytest.mark.parametrize("asset", KINDS)
def test_a_frame_comes_back_bit_for_bit(pair, engine_name, asset):
    """Each example is written over the one before: whole, or from a time on where it has the columns."""
    states = []

    @settings(max_examples=EXAMPLES[engine_name], suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(KINDS[asset], st.booleans())
    def rewrite(frame, whole):
        start = frame["timestamp"].min() if len(frame) else None
        columns = list(frame.dtypes.items())
        if whole or start is None or columns not in states[-1:]:
            pair.write(asset, frame)
        else:
            pair.write(asset, frame, start=start)
        states.append(columns)
        pair.check(asset)

    rewrite()


def test_what_is_made_of_others_comes_back_bit_for_bit(pair, engine_name):
    """Klines with gaps on their grid; the matrix of klines, features and labels."""
    examples = max(EXAMPLES[engine_name] // 3, 3)

    @settings(max_examples=examples, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(chain())
    def rewrite(frames):
        raw, data, own, matrix = frames
        pair.write("raw/klines", raw)
        pair.write("processed/data", data, sources=("raw/klines",))
        pair.write("processed/features", own, sources=("processed/data",))
        pair.write("labeled/matrix", matrix, sources=("processed/data", "processed/features"))
        for asset in ("raw/klines", "processed/data", "processed/features", "labeled/matrix"):
            pair.check(asset)

    rewrite()
