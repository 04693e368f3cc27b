"""Labels: what came true after each kline, computed from rows that a feature must never see.

The door of this room: name a strategy's labels, compile them, compute them. Features, and anything
that may be known at the moment of a kline, do not belong here.
"""

from itb_assets.domain.labels.plan import LabelPlan, compile_labels
from itb_assets.domain.labels.registry import generator_names, output_names

__all__ = ["LabelPlan", "compile_labels", "generator_names", "output_names"]
