"""The versions of a model for people: listed, promoted and rolled back under the market's lock.

Comparing models belongs to `model_comparison`, what a training does with its result to `promotion`.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import pandas as pd

from itb_assets.domain.markets import Market
from itb_assets.errors import InputError, ModelNotFound, ModelRejected
from itb_assets.orchestration.platform import Platform
from itb_assets.orchestration.promotion import decide, model_path
from itb_assets.storage.disk.locks import market_lock
from itb_assets.storage.layout import ModelAddress
from itb_assets.storage.models.registry import ModelVersion

MODEL_PARTS = ("SYMBOL", "FREQ", "VARIANT", "ALGO", "LABEL")
LOCK_WAIT_S = 5.0
"""How long a person waits for a run that is writing the market."""


def parse_model(text: str) -> ModelAddress:
    """Read SYMBOL/FREQ/VARIANT/ALGO/LABEL; raise InputError for anything else."""
    parts = text.split("/")
    if len(parts) != len(MODEL_PARTS):
        raise InputError(
            f"model {text!r} is not valid: expected {'/'.join(MODEL_PARTS)}, as `itb models list` shows it"
        )
    symbol, freq, variant, algo, label = parts
    return ModelAddress(Market(symbol, freq), variant, algo, label)


def version_rows(platform: Platform, address: ModelAddress) -> list[dict[str, Any]]:
    """Describe every version, newest first: what it is worth, why it is used or what is wrong with it."""
    versions = platform.registry.versions(address)
    if not versions:
        raise ModelNotFound(f"no version of {model_path(address)}: `itb run` trains it")
    reasons = {
        event.version: f"{event.kind.replace('_', ' ')} by {event.by or 'nobody named'}: {event.reason}"
        for event in platform.registry.events(address)
        if event.kind in ("promoted", "rolled_back")
    }
    return [_version_row(version, reasons) for version in reversed(versions)]


def used_words(platform: Platform, address: ModelAddress) -> str:
    """Say which version is in use, why, and whether a newer one is not."""
    versions = platform.registry.versions(address)
    used = next((item for item in versions if item.state == "promoted"), None)
    if used is None:
        return "no version"
    events = reversed(platform.registry.events(address))
    last = next((item for item in events if item.kind in ("promoted", "rolled_back")), None)
    reason = f": {last.reason}" if last is not None and last.reason else ""
    newer = [str(item.number) for item in versions if item.number > used.number]
    later = f"; newer, not in use: {', '.join(newer)}" if newer else ""
    return f"version {used.number} of {len(versions)}{reason}{later}"


def _version_row(version: ModelVersion, reasons: Mapping[int, str]) -> dict[str, Any]:
    metadata, trading = version.metadata, version.metrics.get("trading") or {}
    comparison = metadata.get("comparison") or {}
    return {
        "version": version.number,
        "state": "broken" if version.error else version.state,
        "saved_at": minute(metadata.get("saved_at")),
        "trained_until": minute(metadata.get("train_end")),
        "auc": (version.metrics.get("overall") or {}).get("auc"),
        "trades": trading.get("trades"),
        "expectancy_pct": trading.get("expectancy_pct"),
        "why": version.error or reasons.get(version.number) or comparison.get("reason", ""),
    }


def promote(
    platform: Platform, address: ModelAddress, number: int, *, reason: str, by: str, dry_run: bool = False
) -> dict[str, Any]:
    """Use a version from now on, or say what that would do; return it beside the version used before.

    Raises InputError without a reason, ModelNotFound for a version that is not there, ModelRejected for a
    broken one, MarketBusy while a run writes the market; nothing has changed then.
    """
    if not reason.strip():
        raise InputError("the reason is empty: say in --reason why this version is to be used")
    if dry_run:
        return _step(platform, address, platform.registry.promoted(address), number, changed=False)
    platform.registry.load_version(address, number)  # what is not there is told without waiting for the lock
    with market_lock(platform.layout.market_lock(address.market), wait_s=LOCK_WAIT_S):
        before = platform.registry.promoted(address)
        told = _step(platform, address, before, number, changed=True)
        platform.registry.promote(address, number, reason=reason, by=by, now=platform.clock())
    return told


def roll_back(
    platform: Platform, address: ModelAddress, *, reason: str, by: str, dry_run: bool = False
) -> dict[str, Any]:
    """Use the version that was promoted before, or say which that is; errors are those of `promote`."""
    registry = platform.registry
    if dry_run:
        return _step(
            platform, address, registry.promoted(address), _previous(platform, address), changed=False
        )
    _previous(platform, address)
    with market_lock(platform.layout.market_lock(address.market), wait_s=LOCK_WAIT_S):
        before = registry.promoted(address)
        told = _step(platform, address, before, _previous(platform, address), changed=True)
        registry.rollback(address, by=by, now=platform.clock(), reason=reason)
    return told


def _previous(platform: Platform, address: ModelAddress) -> int:
    found = [item.number for item in platform.registry.versions(address) if item.state == "previous"]
    if not found:
        raise ModelNotFound(
            f"no version of {model_path(address)} was in use before the present one: "
            "list them with `itb models versions`, and promote one"
        )
    return found[0]


def _step(
    platform: Platform, address: ModelAddress, before: ModelVersion | None, number: int, *, changed: bool
) -> dict[str, Any]:
    """Describe going from one version to another, compared on the rows both scored where that can be."""
    wanted = platform.registry.load_version(address, number)
    comparison = "no other version is in use"
    if before is not None and before.number == number:
        comparison = "it is the version in use"
    elif before is not None:
        comparison = f"version {before.number} cannot be read to compare it"
        with suppress(ModelRejected, ModelNotFound):
            used = platform.registry.load_version(address, before.number)
            comparison = decide(used, before.number, wanted.metadata, wanted.scores()).reason
    return {
        "model": model_path(address),
        "from_version": None if before is None else before.number,
        "to_version": number,
        "comparison": comparison,
        "changed": changed and (before is None or before.number != number or bool(before.error)),
    }


def minute(time: object) -> str | None:
    """Write a stored time to the minute; None of what is no time."""
    with suppress(ValueError, TypeError):
        return f"{pd.Timestamp(time):%Y-%m-%d %H:%M}" if isinstance(time, str | pd.Timestamp) else None
    return None
