"""A feature that reads the future, or is not the same on the rows that serving has, is found by name."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from feature_making import aggressive, make_data, talib

from itb_assets.domain.features import Step, compile_features, registered_generators
from itb_assets.domain.lookahead import find_look_ahead, find_serve_differences, require_no_differences
from itb_assets.domain.specs import GeneratorSpec
from itb_assets.errors import DataContractError, LookAheadError


class Kernel:
    """A generator of one feature of the close, with the reach that the test claims for it."""

    def __init__(self, name, kernel, lookback_rows):
        """Keep the three."""
        self.name, self.kernel, self.lookback_rows = name, kernel, lookback_rows

    def steps(self, spec, dialect):  # noqa: ARG002 - the protocol's signature
        def kernel(columns):
            return (self.kernel(pd.Series(columns["close"])).to_numpy(copy=True),)

        return (Step((self.name,), ("close",), ({},), kernel, self.lookback_rows),)


LEAKS = {
    "next_close": Kernel("next_close", lambda close: close.shift(-1), 0),
    "centred": Kernel("centred", lambda close: close.rolling(5, center=True).mean(), 4),
    "rank": Kernel("rank", lambda close: close.rank(pct=True), 10),
    "filled": Kernel("filled", lambda close: close.shift(-3).ffill(), 3),
}
SHORT = {
    "too_short": Kernel("too_short", lambda close: close.rolling(30).mean(), 12),
    "total": Kernel("total", lambda close: close.cumsum(), 50),
}


def plan_with(*names):
    specs = [talib(["close"], "SMA", 3), *(GeneratorSpec(name) for name in names)]
    return compile_features(specs, generators={**registered_generators(), **LEAKS, **SHORT})


@pytest.fixture(scope="module")
def data():
    return make_data(9000)


@pytest.mark.parametrize("leak", LEAKS)
def test_a_leak_is_found_by_name_and_first_time(data, leak):
    cut = data["timestamp"].iloc[5000]
    found = find_look_ahead(plan_with(leak), data, [cut])
    assert [difference.feature for difference in found] == [leak]
    assert found[0].cut == cut
    assert found[0].first_time < cut
    if leak == "centred":
        assert found[0].first_time == data["timestamp"].iloc[4998]
        assert found[0].rows == 2
        assert found[0].largest == np.inf  # it was unknown without the later rows


def test_a_leak_is_found_at_every_cut_and_said_in_one_message(data):
    cuts = data["timestamp"].iloc[[1000, 4321]]
    found = find_look_ahead(plan_with("next_close", "centred"), data, cuts)
    assert len(found) == 4
    with pytest.raises(LookAheadError, match=r"4 features[\s\S]*next_close: rows after 2024-03-"):
        require_no_differences(found)
    require_no_differences([])


def test_a_leak_from_far_ahead_is_found_against_the_stored_features(data):
    """Rank among all rows: the later half is beyond the rows that a check adds by itself."""
    plan = plan_with("rank")
    cut = data["timestamp"].iloc[100]
    found = find_look_ahead(plan, data, [cut], later_rows=0, features=plan.compute(data))
    assert [difference.feature for difference in found] == ["rank"]


def test_honest_features_pass_at_every_cut(data):
    plan = compile_features(aggressive())
    cuts = data["timestamp"].iloc[[1, 50, 3000, 8999]]
    assert find_look_ahead(plan, data, cuts) == []
    assert find_look_ahead(plan, data, cuts, features=plan.compute(data)) == []


def test_cuts_outside_the_data_are_passed_over(data):
    day = pd.Timedelta(days=1)
    cuts = [data["timestamp"].iloc[0], data["timestamp"].iloc[-1] + day, data["timestamp"].iloc[0] - day]
    assert find_look_ahead(plan_with("next_close"), data, cuts) == []


def test_the_cost_does_not_grow_with_history(data):
    """Only lookback, compared and later rows are computed."""

    class Counting:
        names, lookback_rows, rows = ("close_SMA_3",), 47, []
        inner = plan_with()

        def compute(self, part):
            self.rows.append(len(part))
            return self.inner.compute(part)

    plan = Counting()
    find_look_ahead(plan, data, [data["timestamp"].iloc[8000]], rows=20, later_rows=100)
    find_serve_differences(plan, data, plan_with().compute(data), 12)
    assert plan.rows == [67, 167, 59]


@pytest.mark.parametrize("short", SHORT)
def test_a_reach_that_is_too_short_is_found_when_serving(data, short):
    plan = plan_with(short)
    found = find_serve_differences(plan, data, plan.compute(data).tail(40), 40)
    assert [difference.feature for difference in found] == [short]
    assert found[0].cut is None
    assert "serving differs from batch" in str(found[0])


def test_serving_equals_batch_for_honest_features(data):
    plan = compile_features(aggressive())
    assert find_serve_differences(plan, data, plan.compute(data).tail(500), 12) == []


def test_stored_features_that_lack_the_rows_are_refused(data):
    plan = plan_with()
    with pytest.raises(DataContractError, match="12 of 12 rows to compare are not among the features"):
        find_serve_differences(plan, data, plan.compute(data).head(500), 12)
