"""The Dagster project that a code location loads.

It reads the settings, assembles and computes nothing.
"""

from __future__ import annotations

from itb_assets.observability.logs import configure_logging
from itb_assets.orchestration.build import build_defs
from itb_assets.orchestration.instance import register_secrets
from itb_assets.settings import load_settings

settings = load_settings()
configure_logging(settings.log_level)
register_secrets(settings)
defs = build_defs(settings=settings)
