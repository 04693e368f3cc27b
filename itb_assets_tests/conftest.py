"""What every test may ask for: market data, a browser, databases; and how a missing one is reported.

A room's own fixtures do not belong here. With `CI=true` what is missing is a
failure, not a skip.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Generator
from pathlib import Path

import hypothesis
import pytest

from itb_assets.observability import logs

# No test is timed: on a busy machine the same example takes five times as long. CI tries the same
# examples every time, so that a change is judged by itself.
hypothesis.settings.register_profile(
    "itb",
    deadline=None,
    derandomize=os.environ.get("CI", "").lower() in {"true", "1"},
    suppress_health_check=[hypothesis.HealthCheck.too_slow],
)
hypothesis.settings.load_profile("itb")

pytest_plugins = ["benchmark_modules", "databases"]

REPOSITORY = Path(__file__).resolve().parents[1]
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
REQUIRED_ON_CI = {"data", "browser"}
REQUIRED_FIXTURES = {"test_data", "chromium"}
REQUIRED_REASONS = ("ITB_TEST_DATA", "ITB_TEST_TIMESCALEDB")


def on_ci() -> bool:
    """Return whether these tests run on CI, where nothing they need may be missing."""
    return os.environ.get("CI", "").lower() in {"true", "1"}


@pytest.fixture(scope="session")
def repository() -> Path:
    """Return the top of the checkout."""
    return REPOSITORY


@pytest.fixture(scope="session")
def test_data() -> Path:
    """Return the folder of recorded market data, or skip."""
    folder = Path(os.environ.get("ITB_TEST_DATA") or REPOSITORY.parent / "shared" / "data")
    if not folder.is_dir():
        pytest.skip(f"no recorded market data at {folder}: set ITB_TEST_DATA to its folder")
    return folder


@pytest.fixture(scope="session")
def chromium() -> Path:
    """Return the path of a Chromium or Chrome, or skip."""
    names = [os.environ.get("ITB_TEST_CHROMIUM", ""), *BROWSERS]
    found = next((path for name in names if name and (path := shutil.which(name))), None)
    if found is None:
        pytest.skip("no Chromium or Chrome here: install chromium or set ITB_TEST_CHROMIUM")
    return Path(found)


@pytest.fixture(autouse=True)
def forgotten_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    """Forget the secrets that a test registers: one named `other` would be hidden in every later word."""
    monkeypatch.setattr(logs, "_secrets", list(logs._secrets))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Turn a skip for want of data, browser or TimescaleDB into a failure on CI."""
    report = yield
    if report.skipped and not hasattr(report, "wasxfail") and on_ci() and _required(item, report):
        report.outcome = "failed"
        report.longrepr = f"skipped on CI, where it must run: {_reason(report)}"
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(
    collector: pytest.Collector,
) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """Do the same for a file that skips itself as a whole."""
    report = yield
    if report.skipped and on_ci() and _for_want(report):
        report.outcome = "failed"
        report.longrepr = f"skipped on CI, where it must run: {_reason(report)}"
    return report


def _required(item: pytest.Item, report: pytest.TestReport) -> bool:
    marked = any(item.get_closest_marker(name) for name in REQUIRED_ON_CI)
    uses = REQUIRED_FIXTURES.intersection(getattr(item, "fixturenames", ()))
    return marked or bool(uses) or _for_want(report)


def _for_want(report: pytest.TestReport | pytest.CollectReport) -> bool:
    return any(name in _reason(report) for name in REQUIRED_REASONS)


def _reason(report: pytest.TestReport | pytest.CollectReport) -> str:
    longrepr = report.longrepr
    return str(longrepr[2]) if isinstance(longrepr, tuple) else str(longrepr)
