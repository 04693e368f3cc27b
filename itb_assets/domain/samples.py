"""The rule that rows a model was trained on, and mixtures of samples, are never measured.

Where a row's sample comes from belongs to whoever scored it; the metrics themselves belong to `evaluation`
and `training`.
"""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np
import numpy.typing as npt
import pandas as pd

from itb_assets.errors import DataContractError

Sample = Literal["in_sample", "out_of_sample", "live"]
"""Where a score comes from: a row trained on, a walk-forward row, or a row newer than the model."""

MeasurableSample = Literal["out_of_sample", "live"]
"""What a metric may be computed on."""

Samples = npt.NDArray[np.object_] | pd.Series
"""One text a row."""


def require_one_sample(samples: Samples) -> MeasurableSample:
    """Return the one sample that all rows have; of no rows at all, `out_of_sample`.

    Raises DataContractError when any row is in_sample, when out_of_sample and live are mixed, and when a
    text is none of the three.
    """
    if problems := sample_problems(samples):
        raise DataContractError("rows cannot be measured: " + "; ".join(problems))
    return "live" if len(samples) and np.asarray(samples, dtype=object)[0] == "live" else "out_of_sample"


def sample_problems(samples: Samples) -> list[str]:
    """Say what forbids a metric over rows of these samples, for a caller that collects other problems too."""
    texts: npt.NDArray[np.object_] = np.asarray(samples, dtype=object)
    distinct = [str(text) for text in pd.unique(texts)]
    if not distinct or (len(distinct) == 1 and distinct[0] in get_args(MeasurableSample)):
        return []
    problems = []
    counts = {str(name): int(n) for name, n in pd.Series(texts).value_counts(dropna=False).items()}
    if unknown := sorted(set(counts) - set(get_args(Sample))):
        problems.append(f"samples {unknown}: expected one of {', '.join(get_args(Sample))}")
    if counts.get("in_sample"):
        problems.append(
            f"{counts['in_sample']} of {len(texts)} rows are in_sample: "
            "no metric is computed on rows the model was trained on"
        )
    elif len(counts) > 1:
        problems.append(f"samples are mixed, {counts}: expected out_of_sample or live alone")
    return problems
