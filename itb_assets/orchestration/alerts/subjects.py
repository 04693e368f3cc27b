"""What an event of Dagster is about: asset, check, model and market, out of step keys and partition keys.

What is said of it belongs to `events`. Nothing here asks Dagster's records.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import dagster as dg

from itb_assets.errors import InvalidMarket
from itb_assets.observability.alerts.catalogue import Language
from itb_assets.orchestration.alerts.phrases import phrase
from itb_assets.orchestration.partitions import market_of
from itb_assets.orchestration.platform import BY_VARIANT

PARTITION = "dagster/partition"
RANGE_START, RANGE_END = "dagster/asset_partition_range_start", "dagster/asset_partition_range_end"
WILL_RETRY = "dagster/will_retry"
ASSET_JOB = "__ASSET_JOB"
"""Name that Dagster gives the job of assets that somebody picked by hand."""


@dataclass(frozen=True)
class Subject:
    """What a step computes: an asset, a check of one, or, where both are empty, the op of that name."""

    step: str
    asset: str = ""
    check: str = ""

    @property
    def labels(self) -> dict[str, str]:
        """Identity of the asset, of the model where it is one, and of the check."""
        if not self.asset:
            return {"step": self.step}
        labels = {"asset": self.asset}
        stage, *rest = self.asset.split("/")
        if stage == "models":
            labels |= dict(zip(("variant", "algo", "label"), rest, strict=False))
        elif stage in BY_VARIANT and rest:
            labels["variant"] = rest[0]
        return labels | ({"check": self.check} if self.check else {})

    @property
    def name(self) -> str:
        """What it is called in a title."""
        return self.asset or self.step


class Subjects:
    """The assets of a project by the keys of their steps."""

    def __init__(self, assets: Iterable[str], *, left_to_rules: Iterable[tuple[str, str]] = ()) -> None:
        """Know the assets, named as `processed/features`, and the checks that are not told by events."""
        self.left_to_rules = frozenset(left_to_rules)
        self._assets = {dg.AssetKey(name.split("/")).to_python_identifier(): name for name in assets}

    def of_step(self, step: str) -> Subject:
        """Return what a step computes; the step of a check is named by its asset and the check."""
        if step in self._assets:
            return Subject(step, self._assets[step])
        of_checks = [key for key in self._assets if step.startswith(f"{key}_")]
        if not of_checks:
            return Subject(step)
        asset = max(of_checks, key=len)
        return Subject(step, self._assets[asset], step[len(asset) + 1 :])


@dataclass(frozen=True)
class RunFacts:
    """What an event's own words leave out: the run's job, its tags and the address of its page.

    `launched` is a run that Dagster itself started; one of the command line it cannot start again.
    """

    run_id: str
    job: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)
    url: str = ""
    launched: bool = False

    @classmethod
    def of(cls, run: dg.DagsterRun, ui_url: str) -> RunFacts:
        """Take what is needed of a run."""
        launched = run.remote_job_origin is not None
        return cls(run.run_id, run.job_name, run.tags, page_of(ui_url, run.run_id), launched)

    @property
    def partition(self) -> str:
        """Partition that it is for, a range of them as `first...last`; empty where it names none."""
        if PARTITION in self.tags:
            return self.tags[PARTITION]
        ends = [self.tags.get(name, "") for name in (RANGE_START, RANGE_END)]
        return "...".join(ends) if all(ends) else ""

    @property
    def will_retry(self) -> bool:
        """Whether Dagster starts it again by itself; it notes that even of runs that it cannot start."""
        return self.launched and self.tags.get(WILL_RETRY) == "true"


def page_of(ui_url: str, run_id: str) -> str:
    """Return the address of a run's page in the UI."""
    return f"{ui_url.rstrip('/')}/runs/{run_id}" if ui_url and run_id else ""


def market_labels(partition: str) -> dict[str, str]:
    """Return the symbol and freq that a partition key names, or the key where it names no market."""
    if not partition:
        return {}
    try:
        market = market_of(partition)
    except InvalidMarket:
        return {"partition": partition}
    return {"symbol": market.symbol, "freq": market.freq}


def words_of(labels: Mapping[str, str], language: Language) -> str:
    """Return the market of labels as it ends a title: ` of BTCUSDT 5m`, or nothing."""
    market = [labels[name] for name in ("symbol", "freq", "partition") if name in labels]
    return phrase("of", language, " ".join(market)) if market else ""
