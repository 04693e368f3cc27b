"""When an identity starts and ends to come and go, at the edges."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from itb_assets.domain.alerts import Level, RecentChanges, flaps

AT = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("openings", "began", "goes_on"), [(2, False, False), (3, False, True), (5, True, True)]
)
def test_it_starts_with_more_openings_than_it_goes_on_with(openings, began, goes_on):
    """So one that fails every seven minutes is not told as calm, and as flapping, in turn."""
    assert flaps(RecentChanges(openings)) is began
    assert flaps(RecentChanges(openings, AT, Level.ERROR)) is goes_on


def test_four_openings_are_not_yet_flapping():
    assert not flaps(RecentChanges(4))
