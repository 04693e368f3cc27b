"""Two runs of one market at once: the slower one never writes over what the faster one stored."""

from __future__ import annotations

from dataclasses import replace

import pytest
from pipeline_making import WOLF

from itb_assets.errors import MarketBusy, RateLimited
from itb_assets.orchestration import io_managers
from itb_assets.orchestration.failures import LONGEST_WAIT_S, as_failures
from itb_assets.orchestration.updates import FrameUpdate


def test_rows_computed_beside_an_older_version_are_refused(built):
    stored = built.platform.stored(WOLF, "raw/klines")
    update = FrameUpdate(stored.read().tail(3), "klines", {}, base=stored.manifest.version - 1)
    with pytest.raises(MarketBusy, match="was written by another run meanwhile"):
        io_managers._refuse_stale(WOLF, "raw/klines", update, stored)
    io_managers._refuse_stale(WOLF, "raw/klines", replace(update, base=stored.manifest.version), stored)


def test_a_ban_of_days_ends_the_run_instead_of_putting_it_to_sleep():
    with pytest.raises(Exception, match="three days") as caught, as_failures():
        raise RateLimited("banned for three days", retry_after_s=LONGEST_WAIT_S + 1)
    assert type(caught.value).__name__ == "Failure"
