"""What cannot be trained on is refused by name: a matrix's faults, too few rows, one class, wrong words.

What a lawful matrix gives belongs to `test_training_train`.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from training_making import FEATURES, MATRIX, make_matrix, make_spec, train

from itb_assets.domain.specs import AlgorithmSpec
from itb_assets.domain.training import train_models
from itb_assets.errors import ConfigError, DataContractError


def test_every_fault_of_a_matrix_is_told():
    broken = MATRIX.drop(columns=["noise", "timestamp"]).assign(down=1.5)
    with pytest.raises(DataContractError) as refused:
        train_models(broken, ["up", "down", "sideways"], make_spec(features=(*FEATURES, "up")))
    for told in (
        "label 'sideways' is missing",
        "label 'down' is of type float64: expected boolean",
        "label 'up' is also a feature",
        "column 'timestamp' is missing",
    ):
        assert told in str(refused.value)
    with pytest.raises(DataContractError, match="feature 'noise' is missing"):
        train(MATRIX.drop(columns="noise"))
    with pytest.raises(DataContractError, match="feature 'noise' is of type object: expected float64"):
        train(MATRIX.astype({"noise": object}))
    with pytest.raises(DataContractError, match="named twice"):
        train(spec=make_spec(features=("calm", "calm")))
    with pytest.raises(DataContractError, match="no features are named"):
        train(spec=make_spec(features=()))


def test_time_must_be_in_order():
    with pytest.raises(DataContractError, match="not sorted and unique"):
        train(MATRIX.iloc[::-1])
    with pytest.raises(DataContractError, match="not sorted and unique"):
        train(pd.concat([MATRIX.iloc[:1], MATRIX]))
    with pytest.raises(DataContractError, match=r"expected datetime64\[ns, UTC\]"):
        train(MATRIX.assign(timestamp=range(1200)))


def test_infinity_is_refused_by_name():
    broken = make_matrix()
    broken.loc[5, "noise"] = np.inf
    with pytest.raises(DataContractError, match=r"features \['noise'\] hold inf"):
        train(broken)


def test_too_few_usable_rows_name_the_features_to_look_at():
    sparse = make_matrix()
    sparse.loc[:1000, "noise"] = np.nan
    with pytest.raises(
        DataContractError, match=r"labels up: 195 usable rows.*unknown in noise \(1001 rows\)"
    ):
        train(sparse)


def test_one_class_names_the_label_and_the_fold():
    flat = make_matrix()
    flat.loc[:1100, "up"] = False
    with pytest.raises(DataContractError, match="labels up, fold 2: all 1087 training labels are False"):
        train(flat)


def test_unknown_hyperparameters_are_refused_before_any_work():
    with pytest.raises(ConfigError, match=r"train\.leaves is not known"):
        train(pd.DataFrame(), spec=make_spec(AlgorithmSpec("a", "lgbm", train={"leaves": 3})))
