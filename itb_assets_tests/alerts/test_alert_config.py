"""The alerts' file: what is shipped, what is laid over it, and every mistake by name."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, time, timedelta

import pytest

from itb_assets.domain.alerts import Level, Occurrence, Repeat
from itb_assets.errors import ConfigError, InputError
from itb_assets.observability.alerts.config import AlertConfig, load_config, shipped_text
from itb_assets.observability.alerts.rules import RULES, markdown_table
from itb_assets.observability.alerts.rules.table import MEANING

PLANNED = {
    "daily_loss": ("critical", 5.0),
    "trading_halted": ("critical", 120.0),
    "cloud_cost_over_budget": ("critical", 100.0),
    "api_authentication_failed": ("critical", None),
    "training_failed": ("error", None),
    "pipeline_error": ("error", None),
    "orderbook_stopped": ("error", 7.0),
    "win_rate_low": ("error", 0.5),
    "api_latency": ("warning", 1.0),
    "model_drift": ("warning", None),
    "unusual_volume": ("warning", 6.0),
    "unusual_volatility": ("warning", 6.0),
    "cloud_cost_near_budget": ("warning", 80.0),
    "data_stale": ("warning", 2.0),
    "gap_found": ("warning", 0.0),
    "feature_drift": ("warning", None),
    "alert_delivery_lagging": ("warning", 60.0),
    "daily_pnl": ("info", None),
    "model_summary": ("info", None),
    "cost_summary": ("info", None),
}


MUTING = '[[inhibitions]]\nsource_level = "critical"\ntarget_level = "warning"\n'


def refused(tmp_path, text: str) -> list[str]:
    """Return the problems found in a file."""
    file = tmp_path / "own.toml"
    file.write_text(text, "utf-8")
    with pytest.raises(ConfigError) as caught:
        load_config(file)
    assert str(file) in str(caught.value)
    return list(caught.value.problems)


def over(tmp_path, text: str) -> AlertConfig:
    """Return the configuration with a file over it."""
    file = tmp_path / "own.toml"
    file.write_text(text, "utf-8")
    return load_config(file)


def test_the_shipped_file_has_every_planned_rule_at_its_level():
    rules = load_config().rules.named()
    for name, (level, threshold) in PLANNED.items():
        assert rules[name].level.label == level, name
        assert getattr(rules[name], "threshold", None) == threshold, name
    assert rules["win_rate_low"].enabled
    assert not rules["win_rate_low_days"].enabled


def test_every_key_of_the_shipped_file_is_explained():
    """A comment stands above every table."""
    lines = shipped_text().splitlines()
    for number, line in enumerate(lines):
        if line.startswith("[") and not line.startswith("[rules."):
            above = lines[number - 1]
            assert above.startswith(("#", "[")), line


def test_the_store_is_given_what_it_decides_by():
    routing = load_config().routing
    assert routing.of(Level.CRITICAL) == ("telegram",)
    assert routing.repeat == Repeat()
    assert routing.stale_after == timedelta(hours=24)
    assert [each.equal for each in routing.inhibitions] == [("symbol",), ("currency",), ("api",)]


def test_an_own_file_says_only_what_is_different(tmp_path):
    config = over(
        tmp_path,
        """
        [channels]
        critical = ["telegram", "slack"]
        info = []
        [repeat]
        critical = "5m"
        warning = "never"
        [capital.executed]
        USDT = 2500
        [rules.daily_loss]
        threshold = 3
        clear = 2.5
        [rules.daily_pnl]
        at = "23:59"
        """,
    )
    assert config.routing.of(Level.CRITICAL) == ("telegram", "slack")
    assert config.routing.of(Level.INFO) == ()
    assert config.routing.of(Level.ERROR) == ("telegram",)
    assert config.routing.repeat.critical == timedelta(minutes=5)
    assert config.routing.repeat.warning is None
    assert config.capital.executed == {"USDT": 2500.0}
    assert (config.rules.daily_loss.threshold, config.rules.daily_loss.clear) == (3.0, 2.5)
    assert config.rules.daily_loss.level is Level.CRITICAL
    assert config.rules.daily_pnl.at == time(23, 59)
    assert config.rules.trading_halted == load_config().rules.trading_halted


def test_the_language_of_the_environment_wins(tmp_path):
    assert over(tmp_path, 'language = "pt"').language == "pt"
    file = tmp_path / "own.toml"
    assert load_config(file, language="en").language == "en"


def test_every_mistake_is_listed_with_what_is_allowed(tmp_path):
    problems = refused(
        tmp_path,
        """
        langage = "en"
        [channels]
        critical = ["telegramm"]
        [repeat]
        error = "4 hours"
        [rules.dayly_loss]
        threshold = 3
        [rules.daily_loss]
        treshold = 3
        level = "fatal"
        min_sample = 0
        [rules.data_stale]
        threshold = "2"
        clear = 1.0
        enabled = 1
        [rules.training_failed]
        threshold = 1
        """,
    )
    found = {problem.split(":")[0]: problem for problem in problems}
    assert "did you mean language" in found["langage"]
    assert "'telegram', 'slack' or 'apprise'" in found["channels.critical.0"]
    assert "'telegramm'" in found["channels.critical.0"]
    assert '"4h"' in found["repeat.error"]
    assert "never" in found["repeat.error"]
    assert "did you mean daily_loss" in found["rules.dayly_loss"]
    assert "did you mean threshold" in found["rules.daily_loss.treshold"]
    assert "min_sample" in found["rules.daily_loss.treshold"]
    assert "info, warning, error, critical" in found["rules.daily_loss.level"]
    assert "greater than or equal to 1" in found["rules.daily_loss.min_sample"]
    assert "expected a number, found '2'" in found["rules.data_stale.threshold"]
    assert "expected true or false, found 1" in found["rules.data_stale.enabled"]
    assert "allowed: enabled, level" in found["rules.training_failed.threshold"]
    assert len(problems) == len(found) == 10


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[rules.daily_loss]\nclear = 6.0\n", "clear = 6: expected at most the threshold, 5"),
        ("[rules.win_rate_low]\nclear = 0.4\n", "clear = 0.4: expected at least the threshold, 0.5"),
        ("[rules.daily_loss]\nthreshold = nan\n", "finite number"),
        ('[rules.daily_loss]\nwindow = "0s"\n', "above zero"),
        ("[rules.daily_loss]\nwindow = 90\n", '"3d", found 90'),
        ('[rules.daily_pnl]\nat = "24:00"\n', '"00:10"'),
        ("[rules.unusual_volume]\nmin_sample = 40\n", "expected at most earlier_days, 28"),
        ("[rules.win_rate_low]\nconfidence = 95\n", "less than 1"),
        ('[rules.trading_halted]\nexpected = "trading"\n', "expected a list"),
        ("[capital.executed]\nUSDT = 0\n", "greater than 0"),
        ('[budget]\nUSD = "much"\n', "expected a number"),
        ("[capital]\nreal = 5\n", "allowed: executed, paper"),
        ("budget = 5\n", "expected a table"),
        ("[rules]\ndaily_loss = false\n", "expected a table"),
        ('[[inhibitions]]\nsource_level = "warning"\ntarget_level = "error"\nequal = ["symbol"]\n', "worse"),
        (f"{MUTING}equal = []\n", "labels"),
        (
            f'{MUTING}equal = ["symbol"]\nsource_rule = "halted"\n',
            "trading_halted",
        ),
        ('language = "de"\n', "'en' or 'pt'"),
        ('[escalation]\nchannel = "mail"\n', "'none'"),
        ("rules = [\n", "is no TOML"),
        ("[rules.daily_loss]\nthreshold = 3\n", "clear = 4.5: expected at most the threshold, 3; say both"),
        ("[rules.daily_loss]\nthreshold = -5\nclear = -6\n", "greater than or equal to 0, found -5"),
        ("[rules.daily_loss]\nthreshold = true\n", "expected a number, found True"),
        ('[rules.daily_loss]\nwindow = "-5d"\n', "found '-5d'"),
        ('[rules.daily_loss]\nwindow = "5w"\n', '"3d", found'),
        ('[rules.daily_loss]\nwindow = "\u0663d"\n', '"3d", found'),
        ('[rules.daily_loss]\nwindow = "999999d"\n', 'up to "3650d"'),
        ("[rules.daily_loss]\nwindow = 2024-01-01\n", "expected a length of time"),
        ('[rules.gap_found]\nevery = "0s"\n', "above zero"),
        ("[rules.gap_found]\nmin_sample = 2.0\n", "expected a whole number, found 2.0"),
        ('[rules.trading_halted]\nexpected = [""]\n', "none of them empty"),
        ('[rules.trading_halted]\nexpected = ["trading", "trading"]\n', "each once"),
        ("[budget]\nusd = 3\n", "expected a currency in capitals"),
        ('[capital.paper]\n"" = 3\n', "expected a currency in capitals"),
        ("inhibitions = [1]\n", "expected a table"),
        (MUTING, "inhibitions.0.equal: is missing"),
        ("[rules.gap_found]\nthreshold = 1\nthreshold = 2\n", "line 3"),
        ('{"language": "pt"}', "line 1, column 1"),
        ('language = "\x00"', "Illegal character"),
    ],
)
def test_a_value_that_makes_no_sense_is_refused(tmp_path, text, said):
    problems = refused(tmp_path, text)
    assert any(said in problem for problem in problems), problems


def test_a_file_that_is_not_there_or_unreadable_is_named(tmp_path):
    with pytest.raises(ConfigError, match="no such file"):
        load_config(tmp_path / "none.toml")
    with pytest.raises(ConfigError, match="cannot be read"):
        load_config(tmp_path)
    (tmp_path / "latin.toml").write_bytes(b'language = "\xe9"')
    with pytest.raises(ConfigError, match="not UTF-8"):
        load_config(tmp_path / "latin.toml")


def test_a_file_of_nothing_changes_nothing(tmp_path):
    for text in ("", "\n\n", "# only words\n", "\ufeff", "[rules]\n", "[rules.daily_loss]\r\n"):
        assert over(tmp_path, text) == load_config()
    assert over(tmp_path, '\ufefflanguage = "pt"\r\n').language == "pt"


def test_a_file_that_is_too_much_is_refused_at_once(tmp_path):
    for text, said in (
        ("# " + "x" * 10_000_000, "larger than 1,000,000 bytes"),
        ("".join(f"k{number} = 1\n" for number in range(200_000)), "larger than"),
        ("a = " + "[" * 100_000, "brackets in brackets"),
        (f"[rules.daily_loss]\nthreshold = {'9' * 5000}\n", "is no TOML"),
        (f"[rules.daily_loss]\nthreshold = {'9' * 400}\n", "expected a number"),
    ):
        [problem] = refused(tmp_path, text)
        assert said in problem
        assert len(problem) < 300


def test_a_configuration_cannot_be_changed():
    config = load_config()
    with pytest.raises(ValueError, match="frozen"):
        config.language = "pt"  # type: ignore[misc]


TOLD = Occurrence(
    event_id="1", rule="check_failed", level=Level.ERROR, title="t", at=datetime(2026, 1, 1, tzinfo=UTC)
)


def test_what_an_event_tells_has_the_level_of_its_rule(tmp_path):
    config = over(tmp_path, '[rules.check_failed]\nlevel = "critical"\n')
    assert config.applied(TOLD) == replace(TOLD, level=Level.CRITICAL)
    warned = replace(TOLD, level=Level.WARNING)
    assert config.applied(warned) == warned
    other = replace(TOLD, rule="something_of_ones_own")
    assert config.applied(other) == other


def test_a_rule_of_events_can_be_switched_off_and_still_ends(tmp_path):
    config = over(tmp_path, "[rules.check_failed]\nenabled = false\n")
    assert config.applied(TOLD) is None
    assert config.applied(replace(TOLD, resolves=True)) is not None


def test_a_name_that_is_no_rule_is_refused_with_those_that_are():
    with pytest.raises(InputError, match="trading_halted"):
        load_config().rule("halted")


def test_every_rule_is_computed_told_by_events_or_a_summary():
    computed = {name for name, rule in load_config().rules.named().items() if hasattr(rule, "every")}
    assert computed == set(RULES)


def test_the_table_of_the_documentation_has_every_rule():
    rows = markdown_table().splitlines()
    names = list(load_config().rules.named())
    assert set(MEANING) == set(names)
    assert len(rows) == len(names) + 2
    assert len({row.count("|") for row in rows}) == 1
    assert rows[2].startswith("| `daily_loss` | critical |")
    assert "| 5 % | 4.5 % | 90d | 1 | every 10s | tables |" in rows[2]
    assert any(row.startswith("| `win_rate_low_days` (off) |") for row in rows)


def test_the_table_follows_the_configuration(tmp_path):
    config = over(tmp_path, '[rules.daily_loss]\nthreshold = 7\nlevel = "warning"\n')
    row = next(row for row in markdown_table(config).splitlines() if "`daily_loss`" in row)
    assert "| warning |" in row
    assert "| 7 % |" in row
