"""What the settings want of the database: tier, chunks, compression, retention.

How that is done belongs to the storage room.
"""

from __future__ import annotations

from itb_assets.settings import Settings
from itb_assets.storage.database.timescale import Policies, Tier


def policies_of(settings: Settings) -> Policies:
    """Return what the settings want of the database; raise InputError for what cannot be meant."""
    kept = dict(part.split("=") for part in settings.retention_days)
    return Policies(
        compress_after_days=settings.compress_after_days or None,
        chunk_days=settings.chunk_days,
        retention_days={table: int(days) for table, days in kept.items()},
        tier=Tier.named(settings.database_tier) if settings.database_tier else Tier.POSTGRES,
    )
