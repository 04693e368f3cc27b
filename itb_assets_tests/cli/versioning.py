"""The command on a data root of files alone, and what it says of the versions of a model there.

What is asserted of them belongs to the tests.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pandas as pd
from itb_command import MARKET, Itb

from itb_assets.storage.layout import Layout, ModelAddress
from itb_assets.storage.models.folder import ModelStore
from itb_assets.storage.models.registry import ModelRegistry
from itb_assets.storage.server.embedded import EmbeddedPostgres

ADDRESS = ModelAddress(MARKET, "aggressive", "lgbm", "high_040_4")
MODEL = f"{MARKET.symbol}/{MARKET.freq}/aggressive/lgbm/high_040_4"
OTHER = f"{MARKET.symbol}/{MARKET.freq}/conservative/logreg/high_040_4"
LATER = ("--start", "2024-02-01", "--end", "2024-06-05")
RUN = ("run", "--symbols", MARKET.symbol, "--freqs", MARKET.freq)


def of(built: Itb, root: Path) -> Itb:
    """Return the command on a data root without tables."""
    server = EmbeddedPostgres(built.root / ".itb" / "postgres")
    changes = {
        "ITB_DATA_ROOT": str(root),
        "ITB_STORAGE_PHASE": "files",
        "ITB_DATABASE_URL": server.url("itb"),
        "ITB_DAGSTER_URL": server.url("dagster"),
    }
    return replace(built, folder=root.parent, environment={**built.environment, **changes})


def registry_of(itb: Itb) -> ModelRegistry:
    """Return the registry of its models."""
    return ModelRegistry(Layout(itb.root), ModelStore())


def used(itb: Itb) -> int:
    """Return the number of the version in use."""
    (number,) = [row["version"] for row in listed(itb) if row["state"] == "promoted"]
    return int(number)


def listed(itb: Itb) -> list[dict]:
    """Return what is said of each version, the newest first."""
    return itb("models", "versions", MODEL, "--json").json()


def scored_by(itb: Itb, number: int) -> bool:
    """Tell whether the stored predictions are those of a version: its walk-forward scores among them."""
    scores = registry_of(itb).load_version(ADDRESS, number).scores().set_index("timestamp")["score"]
    file = Layout(itb.root).predictions(MARKET, "aggressive")
    frame = pd.read_csv(file, float_precision="round_trip", parse_dates=["timestamp"]).set_index("timestamp")
    tested = frame[frame["sample"] == "out_of_sample"]["high_040_4_lgbm"]
    return len(tested) == len(scores) and bool((tested.to_numpy() == scores.to_numpy()).all())
