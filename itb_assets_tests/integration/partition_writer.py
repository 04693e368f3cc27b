"""A process of `test_many_partitions`: writes all frames of some markets, from when all are ready."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from endurance_frames import Chain, keeper_of

from itb_assets.domain.markets import Market
from itb_assets.storage.phases import Phase


@dataclass(frozen=True)
class Share:
    """What one process writes: all frames of its markets up to a generation, with its features."""

    root: Path
    phase: Phase
    url: str
    markets: tuple[Market, ...]
    features: tuple[str, ...]
    definitions: dict[str, dict[str, str]]
    generation: int


def write_share(share: Share, barrier: Any, answers: Any) -> None:
    """Write, and answer with nothing, or with what went wrong; connections are closed in the end."""
    keeper = keeper_of(share.root, share.phase, share.url, share.definitions)
    try:
        barrier.wait(60)
        for market in share.markets:
            for _ in Chain(keeper, market, share.features).write(share.generation):
                pass
    except BaseException as error:
        answers.put(f"{type(error).__name__}: {error}")
        raise
    answers.put("")
