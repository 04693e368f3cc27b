"""Writers killed between table and file, one after the other: whatever comes next goes on from there."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from endurance_frames import SOURCES, Chain, assert_same, chain
from pydantic import SecretStr

from itb_assets.domain.markets import Market
from itb_assets.orchestration.build import build_platform
from itb_assets.orchestration.platform import Platform
from itb_assets.orchestration.storage_phase import backfill
from itb_assets.orchestration.verify import verify
from itb_assets.settings import Settings
from itb_assets.storage.files import adoption, frames

MARKET = Market("BTCUSDT", "5m")
RAW, DATA = tuple(SOURCES)[:2]
ALTERED = tuple(SOURCES)[:7]
"""Frames that every generation alters."""


class Killed(BaseException):
    """Stands for the end of the process."""


@pytest.fixture(params=["dual", "db_read"])
def platform(request, postgres_url, tmp_path) -> Iterator[Platform]:
    """Return the stores of a data root, all frames written once."""
    settings = Settings(
        data_root=tmp_path / "data",
        database_url=SecretStr(postgres_url),
        strategies_dir=Path(__file__).parent / "small_strategies",
        storage_phase=request.param,
    )
    with closing(build_platform(settings)) as platform:
        assert [asset for asset, _ in Chain(platform.keeper, MARKET).write(0)] == list(SOURCES)
        yield platform


@contextmanager
def killed_before_the_rename(monkeypatch, asset: str, generation: int, platform: Platform) -> Iterator[None]:
    """Write a generation up to the moment at which the table of an asset has it and the file has not."""

    def die(*_: object) -> None:
        raise Killed

    written = Chain(platform.keeper, MARKET).write(generation)
    for before in SOURCES:
        if before == asset:
            break
        assert next(written)[0] == before
    with monkeypatch.context() as patch:
        patch.setattr(frames, "commit", die)
        patch.setattr(adoption, "commit", die)
        with pytest.raises(Killed):
            next(written)
    yield


def problems(platform: Platform, *, repair: bool = False) -> dict[str, str]:
    found = verify(platform, repair=repair)
    return {finding.what: finding.mended or finding.problem for finding in found if finding.problem}


def assert_all(platform: Platform, generation: int) -> None:
    """Compare every frame as file and as table."""
    for asset, expected in chain(MARKET, generation).items():
        assert_same(platform.keeper.file(MARKET, asset).read(), expected, f"file of {asset}")
        assert_same(platform.database.find(asset, MARKET).read(), expected, f"table of {asset}")


@pytest.mark.parametrize("asset", ALTERED)
def test_the_next_run_goes_on(platform, monkeypatch, asset):
    """Also where the klines it is made of were altered since."""
    with killed_before_the_rename(monkeypatch, asset, 1, platform):
        assert len(list(Chain(platform.keeper, MARKET).write(2))) == len(SOURCES)
    assert problems(platform) == {}
    assert_all(platform, 2)


@pytest.mark.parametrize("asset", ALTERED[:4])
def test_a_repair_after_two_kills(platform, monkeypatch, asset):
    """The second fell after altered klines: what can no longer be read is loaded from its file."""
    with (
        killed_before_the_rename(monkeypatch, asset, 1, platform),
        killed_before_the_rename(monkeypatch, DATA, 2, platform),
    ):
        mended = problems(platform, repair=True)
    assert mended
    assert all("again from" in text for text in mended.values()), mended
    assert problems(platform) == {}
    list(Chain(platform.keeper, MARKET).write(3))
    assert_all(platform, 3)


def test_a_run_with_nothing_to_do_keeps_what_a_table_is_ahead(platform, monkeypatch):
    """It has read those rows and called them complete; loading files does not take them back either."""
    with killed_before_the_rename(monkeypatch, RAW, 1, platform):
        list(backfill(platform))
        if platform.phase == "db_read":
            assert_same(platform.keeper.find(MARKET, RAW).read(), chain(MARKET, 1)[RAW], RAW)
        platform.keeper.level(MARKET, RAW)
    seen = chain(MARKET, 1 if platform.phase == "db_read" else 0)[RAW]
    assert_same(platform.keeper.file(MARKET, RAW).read(), seen, "file")
    assert_same(platform.database.find(RAW, MARKET).read(), seen, "table")
