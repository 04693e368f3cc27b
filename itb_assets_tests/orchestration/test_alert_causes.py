"""What an error of a step comes down to: the innermost of ours, its first line, and whether it may pass."""

from __future__ import annotations

import sys

import dagster as dg
import pytest
from dagster._utils.error import serializable_error_info_from_exc_info

from itb_assets.errors import (
    ConfigError,
    DatabaseUnavailable,
    DataContractError,
    ExchangeUnavailable,
    ItbError,
    RateLimited,
)
from itb_assets.observability.logs import register_secret
from itb_assets.orchestration.alerts.causes import MAX_LINE, cause_of_info, first_line
from itb_assets.orchestration.failures import as_failures


def info_of(raised: BaseException):
    """Return an error as Dagster keeps it."""
    try:
        _raise(raised)
    except BaseException:  # noqa: BLE001
        return serializable_error_info_from_exc_info(sys.exc_info())


def _raise(error: BaseException, cause: BaseException | None = None) -> None:
    if cause is None:
        raise error
    raise error from cause


def raised_by(error: Exception, *, retry: bool = True) -> BaseException:
    """Return what a step raises for an error of ours."""
    try:
        with as_failures(retry=retry):
            raise error
    except (dg.Failure, dg.RetryRequested) as found:
        return found


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (DataContractError("klines are unsorted\n  - here"), "terminal"),
        (ExchangeUnavailable("no answer"), "transient"),
        (RateLimited("slow down", retry_after_s=5), "transient"),
        (DatabaseUnavailable("gone"), "transient"),
        (ItbError("some of ours"), "unexpected"),
    ],
)
def test_an_error_of_ours_is_named_behind_dagsters(error, kind):
    cause = cause_of_info(info_of(raised_by(error)))
    assert (cause.error, cause.kind) == (type(error).__name__, kind)
    assert cause.line == str(error).partition("\n")[0]


def test_the_innermost_of_several_is_told():
    inner = ExchangeUnavailable("no answer")
    with pytest.raises(DataContractError) as outer:
        _raise(DataContractError("nothing to check"), inner)
    assert cause_of_info(info_of(outer.value)).words == "ExchangeUnavailable: no answer (transient)"


def test_a_bug_is_told_by_its_root():
    with pytest.raises(RuntimeError) as outer:
        _raise(RuntimeError("while computing"), KeyError("missing"))
    cause = cause_of_info(info_of(outer.value))
    assert (cause.error, cause.line, cause.kind) == ("KeyError", "'missing'", "unexpected")


def test_a_list_of_problems_is_told_by_its_head():
    cause = cause_of_info(info_of(ConfigError(["one", "two"], origin="settings")))
    assert cause.line == "settings: 2 problems found"


def test_without_an_error_the_words_of_the_failure_are_told():
    assert cause_of_info(None, "found this").line == "found this"
    assert cause_of_info(None).words == "no error was recorded (unexpected)"


def test_an_error_without_words_is_told_by_its_name():
    assert cause_of_info(info_of(ZeroDivisionError())).words == "ZeroDivisionError (unexpected)"


def test_no_secret_and_no_novel():
    register_secret("s3cr3t-of-this-test")
    line = first_line(f"\n  login s3cr3t-of-this-test at postgresql://u:pw12345@h/d {'x' * 900}\nmore")
    assert "s3cr3t" not in line
    assert "pw12345" not in line
    assert len(line) == MAX_LINE
    assert "more" not in line
