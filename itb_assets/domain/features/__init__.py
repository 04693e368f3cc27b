"""Features: from a strategy's `feature_sets` to a frame of float64 columns, in either dialect.

Labels and signals have rooms of their own; reading a strategy file belongs to `domain.strategy`.
"""

from itb_assets.domain.features.plan import DATA_COLUMNS, FeaturePlan, compile_features, output_names
from itb_assets.domain.features.registry import ENTRY_POINT_GROUP, registered_generators
from itb_assets.domain.features.steps import TIMESTAMP, Array, Columns, FeatureGenerator, Kernel, Step

__all__ = [
    "DATA_COLUMNS",
    "ENTRY_POINT_GROUP",
    "TIMESTAMP",
    "Array",
    "Columns",
    "FeatureGenerator",
    "FeaturePlan",
    "Kernel",
    "Step",
    "compile_features",
    "output_names",
    "registered_generators",
]
