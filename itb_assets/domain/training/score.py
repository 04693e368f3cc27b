"""Probabilities for rows a stored model is asked about, by the model's own features in its own order.

Naming their sample and measuring them belong to the caller and to `metrics`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from itb_assets.domain.training.estimators import load_model
from itb_assets.domain.training.protocol import Floats, payload_field
from itb_assets.domain.training.table import read_features
from itb_assets.errors import ModelRejected


def score_rows(
    payload: Mapping[str, Any], features: Sequence[str], frame: pd.DataFrame, *, threads: int = 1
) -> Floats:
    """Return one probability a row of `frame`, NaN where any feature is unknown.

    `features` are what the caller takes for the model's features, in any order: ModelRejected names each one
    that the model does not know, lacks, or that `frame` does not have. Other columns of `frame` are not read.
    """
    model = load_model(payload)
    own = payload_field(payload, "features", list)
    problems = [f"feature {name!r} is unknown to the model" for name in features if name not in own]
    problems += [f"feature {name!r} is missing from what is offered" for name in own if name not in features]
    problems += [f"feature {name!r} is missing from the rows" for name in own if name not in frame.columns]
    if model.n_features != len(own):
        problems.append(f"the model has {model.n_features} inputs, its payload names {len(own)} features")
    if problems:
        raise ModelRejected(
            f"model cannot score these rows: {'; '.join(problems)}; expected exactly {', '.join(own)}; "
            "train again if the strategy's train_features changed"
        )
    return model.predict(read_features(frame, own), threads=threads)
