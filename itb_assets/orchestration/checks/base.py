"""How a check of one market's asset is defined: partitions, what it looks at, what it says when it fails.

What must hold belongs to the modules beside this one, and the rules themselves to the domain.
"""

import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, cast

import dagster as dg

from itb_assets.domain.markets import Market
from itb_assets.errors import DataContractError, ItbError, StorageError
from itb_assets.observability.logs import redact
from itb_assets.orchestration.failures import as_failures
from itb_assets.orchestration.partitions import MARKETS, market_in
from itb_assets.orchestration.platform import Platform
from itb_assets.storage.files.frames import StoredFrame

SAMPLE_ROWS = 500
"""Newest rows that a check looks at where it does not look at all of them."""


@dataclass(frozen=True)
class Verdict:
    """Whether a check passed and what it found.

    `why` says what is wrong and what to do: it is shown with the check, and a run stopped by a blocking one
    fails with it, as `error`.
    `severity` stands in for that of the check's definition.
    """

    passed: bool
    metadata: Mapping[str, Any] = field(default_factory=dict)
    why: str = ""
    error: type[ItbError] = DataContractError
    severity: dg.AssetCheckSeverity | None = None


Judge = Callable[[Platform, Market], Verdict]
FrameJudge = Callable[[Platform, Market, StoredFrame], Verdict]

NOTHING = Verdict(
    passed=False,
    metadata={"found": "nothing stored for this market"},
    why="nothing is stored for this market; materialize it first",
    error=StorageError,
)


def market_check(
    asset: list[str], name: str, *, blocking: bool = False, warn: bool = False
) -> Callable[[FrameJudge], dg.AssetChecksDefinition]:
    """Define a check of one market's stored frame; its docstring is what the UI shows."""

    def decorate(judge: FrameJudge) -> dg.AssetChecksDefinition:
        def judge_stored(platform: Platform, market: Market) -> Verdict:
            stored = platform.stored(market, "/".join(asset))
            return NOTHING if stored is None else judge(platform, market, stored)

        return define_check(asset, name, judge_stored, judge.__doc__, blocking=blocking, warn=warn)

    return decorate


def define_check(
    asset: list[str],
    name: str,
    judge: Judge,
    description: str | None,
    *,
    blocking: bool = False,
    warn: bool = False,
) -> dg.AssetChecksDefinition:
    """Define a check of one market's asset, partitioned like it: a preview of Dagster 1.13, which is pinned.

    A blocking check that does not pass fails its step with the verdict's words, so that the run says what is
    wrong; Dagster itself would name the check alone.
    """
    severity = dg.AssetCheckSeverity.WARN if warn else dg.AssetCheckSeverity.ERROR

    def check(
        context: dg.AssetCheckExecutionContext, platform: dg.ResourceParam[Platform]
    ) -> Iterator[dg.AssetCheckResult]:
        with as_failures(retry=platform.retry_steps):
            market = market_in(context.op_execution_context)
            verdict = judge(platform, market)
        yield dg.AssetCheckResult(
            passed=verdict.passed,
            severity=verdict.severity or severity,
            description=None if verdict.passed else redact(verdict.why) or None,
            metadata=verdict.metadata,
        )
        if blocking and not verdict.passed:
            with as_failures(retry=False):
                raise verdict.error(f"{'/'.join(asset)} of {market} fails the check {name}: {verdict.why}")

    # the decorator takes a function that yields as well, which its type leaves out
    checking = cast("Callable[..., dg.AssetCheckResult]", check)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", dg.PreviewWarning)
        return dg.asset_check(
            asset=dg.AssetKey(asset),
            name=name,
            description=description,
            blocking=blocking,
            partitions_def=MARKETS,
        )(checking)


def missing(asset: str) -> Verdict:
    """Return the verdict of a check that needs another asset, which is not there."""
    return Verdict(
        passed=False,
        metadata={"found": f"{asset} is missing"},
        why=f"{asset} is missing; materialize it first",
        error=StorageError,
    )
