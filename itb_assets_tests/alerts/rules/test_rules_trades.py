"""Rules over trades: loss of the day and win rates, on rows of the table."""

from __future__ import annotations

from datetime import timedelta

import pytest
from rule_making import (
    DAY,
    HOUR,
    MINUTE,
    NOW,
    TODAY,
    config_of,
    executed,
    insert,
    looked,
    only,
    results,
    trade,
)

from itb_assets.domain.alerts import Level
from itb_assets.observability.alerts.catalogue import MINUS

CAPITAL = "[capital.executed]\nUSDT = 10000\n"


def test_a_loss_of_more_than_5_per_cent_of_the_capital_is_critical(connection, tmp_path):
    insert(connection, "trades", [executed(1, -400.0, ended=NOW - HOUR), executed(2, -101.0, ended=NOW)])
    found = only(looked(connection, "daily_loss", config_of(tmp_path, CAPITAL)))
    assert (found.state, found.level) == ("firing", Level.CRITICAL)
    assert found.value == pytest.approx(5.01)
    assert found.labels == {"account": "binance_spot main", "currency": "USDT"}
    assert f"{MINUS}501.00 USDT of 10,000.00" in found.detail


def test_exactly_5_per_cent_is_not_more(connection, tmp_path):
    insert(connection, "trades", [executed(1, -500.0, ended=NOW)])
    assert only(looked(connection, "daily_loss", config_of(tmp_path, CAPITAL))).state == "ok"


@pytest.mark.parametrize(
    "other",
    [
        executed(2, -900.0, ended=TODAY - MINUTE),  # yesterday, UTC
        executed(2, -900.0, ended=NOW + HOUR),  # not over yet
        executed(2, None, ended=None),
        trade(2, -900.0, ended=NOW),  # on paper
        executed(2, -900.0, ended=NOW, symbol="ETHBTC"),  # another currency
        executed(2, -900.0, ended=NOW, account="other"),
    ],
)
def test_what_is_no_loss_of_this_day_and_account_is_not_counted(connection, tmp_path, other):
    insert(connection, "trades", [executed(1, -100.0, ended=NOW), other])
    found = looked(connection, "daily_loss", config_of(tmp_path, CAPITAL))
    mine = next(each for each in found if each.labels == {"account": "binance_spot main", "currency": "USDT"})
    assert (mine.state, mine.value) == ("ok", pytest.approx(1.0))


def test_a_position_of_many_days_counts_on_the_day_it_ends(connection, tmp_path):
    insert(connection, "trades", [executed(1, -600.0, ended=NOW, held=80 * DAY)])
    assert only(looked(connection, "daily_loss", config_of(tmp_path, CAPITAL))).state == "firing"


def test_without_executed_trades_it_says_what_brings_them(connection, tmp_path):
    insert(connection, "trades", [trade(1, -600.0, ended=NOW)])
    found = only(looked(connection, "daily_loss", config_of(tmp_path, CAPITAL)))
    assert found.state == "no_data"
    assert "itb trades import" in found.detail


def test_without_a_capital_it_says_so_and_is_not_green(connection):
    insert(connection, "trades", [executed(1, -6000.0, ended=NOW)])
    found = only(looked(connection, "daily_loss"))
    assert found.state == "no_data"
    assert "[capital.executed] USDT" in found.detail


def test_a_symbol_of_unknown_currency_is_told(connection, tmp_path):
    insert(connection, "trades", [executed(1, -6000.0, ended=NOW, symbol="ABCXYZ")])
    assert only(looked(connection, "daily_loss", config_of(tmp_path, CAPITAL))).state == "no_data"


def test_no_news_is_not_no_loss(connection, tmp_path):
    insert(connection, "trades", [executed(1, -1.0, ended=NOW - 37 * HOUR)])
    found = only(looked(connection, "daily_loss", config_of(tmp_path, CAPITAL)))
    assert found.state == "insufficient"
    insert(connection, "trades", [executed(2, None, ended=None)])
    assert only(looked(connection, "daily_loss", config_of(tmp_path, CAPITAL))).state == "ok"


def test_fewer_trades_than_asked_for_are_insufficient(connection, tmp_path):
    insert(connection, "trades", [executed(1, -900.0, ended=NOW)])
    config = config_of(tmp_path, CAPITAL + "[rules.daily_loss]\nmin_sample = 2\n")
    assert only(looked(connection, "daily_loss", config)).state == "insufficient"


def test_paper_losses_are_told_apart_and_milder(connection):
    insert(connection, "trades", [trade(1, -60.0, ended=NOW), executed(1, -9000.0, ended=NOW)])
    found = only(looked(connection, "daily_loss_paper"))
    assert (found.state, found.level, found.value) == ("firing", Level.WARNING, pytest.approx(6.0))
    assert found.labels == {"symbol": "BTCUSDT", "freq": "5m", "variant": "aggressive"}


def test_back_tested_trades_are_no_loss(connection):
    insert(connection, "trades", [trade(1, -60.0, ended=NOW, sample="out_of_sample")])
    found = only(looked(connection, "daily_loss_paper"))
    assert found.state == "no_data"


def test_a_capital_of_ones_own_is_used_on_paper(connection, tmp_path):
    insert(connection, "trades", [trade(1, -60.0, ended=NOW)])
    found = only(
        looked(connection, "daily_loss_paper", config_of(tmp_path, "[capital.paper]\nUSDT = 6000\n"))
    )
    assert (found.state, found.value) == ("ok", pytest.approx(1.0))


def test_few_paper_trades_are_insufficient(connection, tmp_path):
    insert(connection, "trades", [trade(1, -60.0, ended=NOW)])
    config = config_of(tmp_path, "[rules.daily_loss_paper]\nmin_sample = 3\n")
    assert only(looked(connection, "daily_loss_paper", config)).state == "insufficient"


def test_a_win_rate_that_chance_does_not_explain_fires(connection):
    insert(connection, "trades", results(12, 38, ended=NOW - MINUTE, step=HOUR))
    found = only(looked(connection, "win_rate_low"))
    assert (found.state, found.level, found.value) == ("firing", Level.ERROR, pytest.approx(0.24))
    assert found.labels == {"symbol": "BTCUSDT", "freq": "5m", "variant": "aggressive"}
    assert "won 24.0% of 50 trades in 3 days" in found.detail


def test_a_win_rate_that_may_be_bad_luck_does_not(connection):
    insert(connection, "trades", results(20, 30, ended=NOW, step=HOUR))
    assert only(looked(connection, "win_rate_low")).state == "ok"


def test_few_trades_cannot_tell(connection):
    insert(connection, "trades", results(0, 29, ended=NOW - MINUTE))
    found = only(looked(connection, "win_rate_low"))
    assert found.state == "insufficient"
    assert "won 0 of 29 trades" in found.detail


def test_trades_before_the_window_do_not_count(connection):
    insert(connection, "trades", results(0, 60, ended=NOW - 3 * DAY))
    assert only(looked(connection, "win_rate_low")).state == "insufficient"


def test_without_trades_a_win_rate_says_what_brings_them(connection):
    for rule in ("win_rate_low", "win_rate_low_days"):
        found = only(looked(connection, rule))
        assert found.state == "no_data"
        assert "itb trades import" in found.detail


def test_back_tested_trades_have_no_say(connection):
    insert(connection, "trades", results(0, 60, ended=NOW, sample="out_of_sample"))
    assert only(looked(connection, "win_rate_low")).state == "no_data"


def test_executed_trades_are_pooled_by_account(connection):
    own = {"source": "binance_spot", "account": "main", "freq": "", "sample": None}
    rows = [
        row | {"symbol": "ETHUSDT" if n % 2 else "BTCUSDT"} for n, row in enumerate(results(5, 40, ended=NOW))
    ]
    insert(connection, "trades", [row | own for row in rows])
    found = only(looked(connection, "win_rate_low"))
    assert (found.state, found.labels) == ("firing", {"account": "binance_spot main"})


def of_days(*days: tuple[int, int]) -> list[dict]:
    """Return the trades of whole days, the last of which is yesterday: how many won and lost."""
    rows = []
    for back, (wins, losses) in enumerate(reversed(days), start=1):
        day = TODAY - back * DAY
        rows += [
            row | {"trade_id": f"d{back}-{row['trade_id']}"}
            for row in results(wins, losses, ended=day + 20 * HOUR)
        ]
    return rows


def test_three_low_days_fire_the_rule_of_thumb(connection):
    insert(connection, "trades", of_days((7, 8), (4, 6), (0, 10)))
    found = only(looked(connection, "win_rate_low_days"))
    assert (found.state, found.value, found.threshold) == ("firing", 3.0, 3.0)


@pytest.mark.parametrize("days", [((7, 8), (5, 5), (0, 10)), ((8, 8), (4, 6), (0, 10))])
def test_a_day_at_one_half_ends_the_row(connection, days):
    insert(connection, "trades", of_days(*days))
    assert only(looked(connection, "win_rate_low_days")).state == "ok"


def test_a_thin_day_cannot_tell(connection):
    insert(connection, "trades", of_days((4, 6), (4, 5), (0, 10)))
    found = only(looked(connection, "win_rate_low_days"))
    assert found.state == "insufficient"
    assert "(10, 9, 10)" in found.detail


def test_today_is_no_whole_day(connection):
    rows = of_days((4, 6), (4, 6), (5, 5))
    rows += [row | {"trade_id": f"n{row['trade_id']}"} for row in results(0, 20, ended=NOW)]
    insert(connection, "trades", rows)
    assert only(looked(connection, "win_rate_low_days")).state == "ok"


def test_by_chance_the_rule_of_thumb_fires_where_the_default_does_not(connection):
    """Forty-five trades of which 42 % won, as a model of 58 % has them now and then."""
    insert(connection, "trades", of_days((7, 8), (6, 9), (6, 9)))
    assert only(looked(connection, "win_rate_low_days")).state == "firing"
    assert only(looked(connection, "win_rate_low", now=NOW - timedelta(hours=14))).state == "ok"
