"""No metric over rows the model was trained on, nor over a mixture: one rule for scores and trades."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from itb_assets.domain.samples import require_one_sample
from itb_assets.errors import DataContractError

SAMPLES = ["in_sample", "out_of_sample", "live"]


@pytest.mark.parametrize("sample", ["out_of_sample", "live"])
def test_one_sample_is_named(sample):
    assert require_one_sample(np.array([sample] * 3, dtype=object)) == sample
    assert require_one_sample(pd.Series([sample] * 3, index=[7, 8, 9])) == sample
    assert require_one_sample(pd.Series([sample] * 3, dtype="category")) == sample


def test_no_rows_claim_nothing():
    assert require_one_sample(np.empty(0, dtype=object)) == "out_of_sample"


@pytest.mark.parametrize(
    ("samples", "told"),
    [
        (["live", "out_of_sample", "live"], r"mixed, \{'live': 2, 'out_of_sample': 1\}: expected"),
        (["in_sample"] * 2, "2 of 2 rows are in_sample: no metric"),
        (["live", "in_sample"], "1 of 2 rows are in_sample"),
        (["test"], r"samples \['test'\]: expected one of in_sample, out_of_sample, live"),
        (["live", pd.NA], r"samples \['<NA>'\]"),
        ([None, None], r"samples \['None'\]"),
        ([np.nan, "live"], r"samples \['nan'\]"),
    ],
)
def test_what_must_not_be_measured_is_refused(samples, told):
    with pytest.raises(DataContractError, match=told):
        require_one_sample(np.array(samples, dtype=object))


@given(st.lists(st.sampled_from(SAMPLES), min_size=1, max_size=30))
def test_only_rows_of_one_measurable_sample_pass(samples):
    texts = np.array(samples, dtype=object)
    if len(set(samples)) == 1 and samples[0] != "in_sample":
        assert require_one_sample(texts) == samples[0]
    else:
        with pytest.raises(DataContractError, match="rows cannot be measured"):
            require_one_sample(texts)
