"""Whether a model just trained takes the place of the one in use, by a stated test; it is kept either way.

The test belongs to `domain.evaluation.compare`, versions and promoting to the registry.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import dagster as dg
import pandas as pd

from itb_assets.domain.markets import Market
from itb_assets.errors import DataContractError, ModelRejected
from itb_assets.orchestration.models import ModelUpdate
from itb_assets.orchestration.platform import Platform
from itb_assets.orchestration.run_log import asset_log
from itb_assets.storage.layout import ModelAddress
from itb_assets.storage.models.folder import StoredModel
from itb_assets.storage.models.registry import ModelVersion

if TYPE_CHECKING:
    from itb_assets.domain.evaluation.compare import Comparison

_OUTCOMES = {"label_definition": "the label", "dialect": "the dialect"}


@dataclass(frozen=True)
class Decision:
    """Whether a model is to be used from now on, why, and the numbers of the test where there was one."""

    promote: bool
    reason: str
    verdict: str
    compared_with: int | None = None
    numbers: Mapping[str, Any] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """Return plain data, as it is kept in the metadata of the version."""
        about = {"promote": self.promote, "verdict": self.verdict, "reason": self.reason}
        return {**about, "compared_with": self.compared_with, **self.numbers}


@dataclass(frozen=True)
class Kept:
    """The version a trained model became, what was decided of it, and which version is in use now."""

    address: ModelAddress
    version: ModelVersion
    decision: Decision
    in_use: int

    @property
    def promoted(self) -> bool:
        """Whether it is in use."""
        return self.version.state == "promoted"


def keep_model(platform: Platform, market: Market, update: ModelUpdate, *, run_id: str) -> Kept:
    """Keep a trained model as a version and use it unless it is worse; the caller holds the market's lock."""
    registry, address = platform.registry, update.name.at(market)
    before, now = registry.promoted(address), platform.clock()
    decision = _first_of(before)
    if before is not None and not before.error:
        used = registry.load_version(address, before.number)
        decision = decide(used, before.number, update.metadata, update.trained.scores)
    version = registry.save_version(
        address,
        payload=update.trained.payload,
        metadata=update.metadata,
        metrics=update.metrics,
        scores=update.trained.scores,
        run_id=run_id,
        now=now,
        comparison=decision.as_dict(),
    )
    if decision.promote and version.state != "promoted":
        by = f"run {run_id}"
        version = registry.promote(address, version.number, reason=decision.reason, by=by, now=now)
    in_use = registry.promoted(address)
    return Kept(address, version, decision, in_use.number if in_use else version.number)


def tell_kept(context: dg.OutputContext, update: ModelUpdate, market: Market, kept: Kept) -> None:
    """Log what became of the model: a warning where it was found worse."""
    with asset_log(context, "/".join(update.name.key), market) as log:
        about = log.bind(version=kept.version.number, in_use=kept.in_use, reason=kept.decision.reason)
        if kept.promoted:
            about.info("model promoted")
        else:
            about.warning("model not promoted")


def kept_page(kept: Kept) -> dict[str, Any]:
    """Return the entries of the asset's page that say which version it is and whether it is used."""
    number, address = kept.version.number, kept.address
    if kept.promoted:
        return {"version": number, "in_use": f"this one, version {number}: {kept.decision.reason}"}
    told = f"version {kept.in_use}, not this one: {kept.decision.reason}; {how_to_promote(address, number)}"
    return {"version": number, "in_use": told}


def decide(used: StoredModel, number: int, metadata: Mapping[str, Any], scores: pd.DataFrame) -> Decision:
    """Compare a model with the one in use, version `number`, on the rows both scored out of sample.

    A model of other features or of another label is not compared: a person changed what is asked.
    """
    from itb_assets.domain.evaluation.compare import compare_scores  # noqa: PLC0415 - SciPy loads slowly

    if changed := definition_changes(used.metadata, metadata):
        reason = f"another definition than version {number}: {changed}; not compared"
        return Decision(promote=True, reason=reason, verdict="not comparable", compared_with=number)
    try:
        found = compare_scores(out_of_sample(used.scores()), out_of_sample(scores))
    except (DataContractError, ModelRejected) as error:
        reason = f"version {number} could not be compared: {error}"
        return Decision(promote=True, reason=reason, verdict="not comparable", compared_with=number)
    reason = f"{found.verdict} than version {number}: {_in_words(found)}"
    if found.verdict == "insufficient data":
        reason = f"too few rows, or too dependent ones, to tell from version {number}: {_in_words(found)}"
    return Decision(found.verdict != "worse", reason, found.verdict, number, found.as_dict())


def definition_changes(used: Mapping[str, Any], metadata: Mapping[str, Any]) -> str:
    """Say what two models were asked differently, so that their results cannot be compared, or nothing."""
    changed = [what for key, what in _OUTCOMES.items() if used.get(key) != metadata.get(key)]
    before, after = (dict(item.get("feature_definitions") or {}) for item in (used, metadata))
    if other := [name for name in after if name in before and before[name] != after[name]]:
        changed.append(f"features defined otherwise: {', '.join(other)}")
    if added := [name for name in after if name not in before]:
        changed.append(f"features added: {', '.join(added)}")
    if removed := [name for name in before if name not in after]:
        changed.append(f"features removed: {', '.join(removed)}")
    return "; ".join(changed)


def out_of_sample(scores: pd.DataFrame) -> pd.DataFrame:
    """Return a model's stored scores, walk-forward ones all of them, with their sample beside them."""
    return scores.assign(sample="out_of_sample")


def how_to_promote(address: ModelAddress, number: int) -> str:
    """Say how a person uses a version all the same."""
    return f"to use it all the same: itb models promote {model_path(address)} {number} --reason '...'"


def model_path(address: ModelAddress) -> str:
    """Name a model as the command line does: SYMBOL/FREQ/VARIANT/ALGO/LABEL."""
    return "/".join(address.identity.values())


def _first_of(before: ModelVersion | None) -> Decision:
    if before is None:
        return Decision(promote=True, reason="first version", verdict="first")
    reason = f"version {before.number} is refused: {before.error}"
    return Decision(promote=True, reason=reason, verdict="not comparable", compared_with=before.number)


def _in_words(found: Comparison) -> str:
    def four(value: float | None) -> str:
        return "unknown" if value is None else f"{value:.4f}"

    chances = {"worse": ("worse", found.p_worse), "better": ("better", found.p_better)}
    what, chance = chances.get(found.verdict, ("worse", found.p_worse))
    luck = "" if chance is None else f" (chance of looking as much {what} by luck {four(chance)})"
    return (
        f"log loss {four(found.log_loss_candidate)} against {four(found.log_loss_promoted)} "
        f"on {found.rows:,} rows that both scored out of sample{luck}, "
        f"AUC {four(found.auc_candidate)} against {four(found.auc_promoted)}"
    )
