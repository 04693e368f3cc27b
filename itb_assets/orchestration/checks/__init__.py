"""Asset checks: what must hold of stored data, asked again on the partition page at any time.

The rules are the domain's; a check reads, asks and reports. Blocking checks stop everything downstream.
"""

import dagster as dg

from itb_assets.orchestration.checks.drift import drift_checks
from itb_assets.orchestration.checks.features import features_look_ahead, features_serve_parity
from itb_assets.orchestration.checks.klines import (
    LATE_AFTER_KLINES,
    PUBLISH_GRACE,
    klines_freshness,
    klines_gaps,
    klines_schema,
)
from itb_assets.orchestration.checks.labels import labels_unknown_tail, matrix_label_join
from itb_assets.orchestration.checks.models import model_checks
from itb_assets.orchestration.checks.predictions import prediction_checks
from itb_assets.orchestration.checks.promotion import promotion_checks
from itb_assets.orchestration.checks.trades import trade_checks
from itb_assets.orchestration.platform import Platform

__all__ = ["LATE_AFTER_KLINES", "PUBLISH_GRACE", "all_checks"]


def all_checks(platform: Platform) -> list[dg.AssetChecksDefinition]:
    """Return every check of the platform."""
    return [
        klines_schema,
        klines_gaps,
        klines_freshness,
        features_look_ahead,
        features_serve_parity,
        labels_unknown_tail,
        matrix_label_join,
        *model_checks(platform),
        *promotion_checks(platform),
        *prediction_checks(platform),
        *drift_checks(platform),
        *trade_checks(platform),
    ]
