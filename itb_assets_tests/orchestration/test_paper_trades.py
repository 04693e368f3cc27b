"""Paper trades and what they earn, as assets: made once, gone on with, never of rows trained on."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import pandas as pd
import pytest
from pipeline_making import NOW, WOLF, Pipeline, open_pipeline, pages, problems
from quick_strategies import brisk, steady

from itb_assets.domain.trading.paper import simulate
from itb_assets.domain.trading.performance import daily_by_sample
from itb_assets.domain.trading.trades import check_trades, is_closed
from itb_assets.orchestration.results import result_rows, trade_rows
from itb_assets.orchestration.verify import Finding, verify

CANDLE = timedelta(minutes=5)
VARIANTS = ("brisk", "steady")
CHAIN = ["raw/klines", "processed/data", "processed/features"]
CHAIN += [
    f"{stage}/{variant}"
    for stage in ("predictions", "signals", "trades", "performance")
    for variant in VARIANTS
]
"""All that what is earned depends on, models left as they are."""
STEADY = [asset for asset in CHAIN if not asset.endswith("/brisk")]
ENDS = [f"{stage}/{variant}" for stage in ("trades", "performance") for variant in VARIANTS]
TO_MIDNIGHT = datetime(2024, 3, 6, 0, 0, 30, tzinfo=UTC)


def all_at_once(pipeline: Pipeline, variant: str) -> pd.DataFrame:
    """Return what one simulation over everything stored gives."""
    rule = pipeline.platform.trading_rule(variant)
    signals, data = pipeline.frame(f"signals/{variant}"), pipeline.frame("processed/data")
    data = data[data["timestamp"] >= signals["timestamp"].iloc[0]].reset_index(drop=True)
    return simulate(signals, data, rule, WOLF).trades


def assert_follow(pipeline: Pipeline) -> None:
    """Require that trades and days are what one computation over everything stored gives."""
    for variant in VARIANTS:
        trades = pipeline.frame(f"trades/{variant}")
        check_trades(trades)
        pd.testing.assert_frame_equal(trades, all_at_once(pipeline, variant), check_exact=True)
        days = daily_by_sample(trades, WOLF, model_name=variant)
        pd.testing.assert_frame_equal(pipeline.frame(f"performance/{variant}"), days, check_exact=True)


def test_trades_follow_from_signals_and_klines_by_the_rule(built):
    assert_follow(built)
    for variant in VARIANTS:
        trades = built.frame(f"trades/{variant}")
        assert len(trades) > 5
        assert set(trades["sample"]) <= {"out_of_sample", "live"}
        assert built.manifest(f"trades/{variant}").digest == built.platform.trading_rule(variant).digest


def test_two_places_are_used(built):
    """What goes on between positions that overlap is tested only where some do."""
    trades = built.frame("trades/steady")
    closed = trades[is_closed(trades)]
    entered = closed["timestamp"].astype("int64") // 1_000_000
    assert (entered.to_numpy()[1:] < closed["exit_time_ms"].to_numpy()[:-1]).any()


@pytest.mark.parametrize("steps", [[1, 2, 9], [13, 14, 40]], ids=str)
def test_going_on_gives_what_one_run_gives(built, steps):
    """Whatever was open, waiting or shared a day with live rows when the run before ended."""
    for candles in steps:
        built.at(NOW + candles * CANDLE).run_well(assets=CHAIN)
        assert_follow(built)
    assert set(built.frame("trades/steady")["sample"]) == {"out_of_sample", "live"}


def test_an_update_costs_the_new_rows(built):
    built.at(NOW + 12 * CANDLE).run_well(assets=CHAIN)
    made = pages(built.at(NOW + 13 * CANDLE).run_well(assets=CHAIN))
    for variant in VARIANTS:
        rule = built.platform.trading_rule(variant)
        assert made[f"trades/{variant}"]["rows_computed"] <= rule.max_positions + 2
        assert made[f"trades/{variant}"]["signals_computed"]["signals"] <= rule.lookback_rows + 2
        assert made[f"performance/{variant}"]["rows_computed"] <= 2


def test_the_same_again_changes_nothing(built):
    before = {asset: built.manifest(asset) for asset in ENDS}
    made = pages(built.run_well())
    assert {asset: built.manifest(asset) for asset in ENDS} == before
    assert all(made[asset]["rows_computed"] == 0 for asset in ENDS)


@pytest.mark.parametrize("row", [-9, -180], ids=["live", "out of sample"])
def test_a_kline_that_vanishes_and_comes_back(built, row):
    """A position is not entered in a gap and leaves after it; then all is as before."""
    built.at(NOW + 20 * CANDLE).run_well(assets=CHAIN)
    before = {asset: built.frame(asset) for asset in ENDS}
    klines = built.frame("raw/klines")
    built.rewrite("raw/klines", klines.drop(klines.index[row]).reset_index(drop=True))
    built.run_well(assets=CHAIN)
    assert_follow(built)
    built.run_well(assets=CHAIN, config={"repair_gaps": True})
    for asset in ENDS:
        pd.testing.assert_frame_equal(built.frame(asset), before[asset], rtol=1e-9, atol=1e-12)


def test_another_rule_makes_them_anew_and_nothing_else(built):
    """Fees are of the rule: signals and models stay as they are."""
    changed = built.with_strategies(brisk(paper_trading={"fee_pct": 0.1}), steady())
    made = pages(changed.run_well())
    assert {asset for asset, page in made.items() if page["rows_computed"]} == {
        "trades/brisk",
        "performance/brisk",
    }
    assert_follow(changed)
    assert not any(asset.startswith("models") for asset in made)


def test_a_rule_that_stays_open_fails_with_what_to_set_and_leaves_the_rest(built):
    """Labels of two horizons behind one signal: nobody decides between them in silence."""
    changed = built.with_strategies(brisk(), steady(paper_trading={"max_positions": 1}))
    result = changed.at(NOW + CANDLE).run()
    assert set(problems(result)) == {"trades__steady"}
    said = problems(result)["trades__steady"]
    assert "steady.jsonc: paper_trading: 1 problem found" in said
    assert "time_limit_rows is not set, and the labels behind the signals disagree" in said
    assert "high_020_4 4, low_020_12 12" in said
    assert "set time_limit_rows in paper_trading" in said
    assert "performance/brisk" in pages(result)


def test_signals_that_neither_buy_nor_sell_are_not_traded(tmp_path):
    rule = {
        "generator": "combine",
        "config": {"columns": ["high_020_4_lgbm", "low_020_4_lgbm"], "names": "s", "combine": "difference"},
    }
    with open_pipeline(tmp_path / "data", brisk(signal_sets=[rule]), steady()) as pipeline:
        names = pipeline.platform.frame_names()
        keys = {"/".join(key.path) for key in pipeline.defs.resolve_asset_graph().get_all_asset_keys()}
    assert {"trades/steady", "performance/steady", "signals/brisk"} <= set(names) & keys
    assert not {"trades/brisk", "performance/brisk"} & (set(names) | keys)


def test_signals_of_rows_trained_on_are_refused(built):
    signals = built.frame("signals/brisk")
    signals.loc[3, "sample"] = "in_sample"
    built.rewrite("signals/brisk", signals)
    result = built.run(assets=["trades/brisk", "performance/brisk"])
    assert set(problems(result)) == {"trades__brisk"}
    assert "signals of the samples ['in_sample'] cannot be traded" in problems(result)["trades__brisk"]


def test_trades_of_rows_trained_on_reach_no_figure(built):
    trades = built.frame("trades/brisk")
    trades.loc[3, "sample"] = "in_sample"
    built.rewrite("trades/brisk", trades)
    result = built.run(assets=["performance/brisk"])
    assert set(problems(result)) == {"performance__brisk"}
    assert "no metric is computed on rows the model was trained on" in problems(result)["performance__brisk"]


def test_the_page_of_trades(built):
    """Results a sample, what became of the signals, the newest positions, and the rule."""
    made = pages(built.at(NOW + 40 * CANDLE).run_well(assets=CHAIN))
    for variant in VARIANTS:
        page, trades = made[f"trades/{variant}"], built.frame(f"trades/{variant}")
        fates = page["signals_computed"]
        entered = fates["signals"] - fates["busy"] - fates["without_kline"] - fates["waiting"]
        assert entered == fates["entered"] == page["rows_computed"]
        for sample in trades["sample"].unique():
            own = trades[(trades["sample"] == sample) & is_closed(trades)]
            (line,) = [
                line for line in page["results_of_newest_1000"].splitlines() if f"| {sample} |" in line
            ]
            assert f"| {len(own)} |" in line
            assert re.search(r"\| \d+\.\d% \(\d+\.\d% to \d+\.\d%\) \|", line)
            assert f"{own['pnl'].sum():,.2f}" in line
        assert f"{trades['timestamp'].iloc[-1]:%Y-%m-%d %H:%M} UTC" in page["newest"].splitlines()[2]
        assert page["rule"]["fee_pct"] == 0.04


def test_pictures_are_drawn_when_a_day_is_complete_and_not_at_every_kline(built):
    """The last kline of a day may come in with others, before or after it."""
    for now, drawn in (
        (TO_MIDNIGHT - 20 * CANDLE, False),
        (TO_MIDNIGHT, True),
        (TO_MIDNIGHT + CANDLE, False),
        (TO_MIDNIGHT + timedelta(days=1, hours=1), True),
        (TO_MIDNIGHT + timedelta(days=1, hours=1, minutes=5), False),
    ):
        page = pages(built.at(now).run_well(assets=STEADY))["performance/steady"]
        assert ("data:image/png" in page["plots"]) == drawn, now
        assert ("Sharpe" in page.get("key_figures", "")) == drawn
        assert len(page["plots"]) < (400_000 if drawn else 300)
        assert "| live |" in page["results"]
        assert "| out of sample |" in page["results"]
    assert "klines until 2024-03-07 00:00 UTC or later" in page["plots"]


def test_everything_anew_draws_every_sample(built):
    built.at(NOW + 40 * CANDLE).run_well(assets=STEADY)
    changed = built.with_strategies(brisk(), steady(paper_trading={"time_limit_rows": 8}))
    page = pages(changed.run_well(assets=STEADY))["performance/steady"]
    for sample in ("out_of_sample", "live"):
        assert f"![equity and drawdown, {sample}]" in page["plots"]
        assert f"![win rate by hour, {sample}]" in page["plots"]
    lines = page["key_figures"].splitlines()
    assert [line.split(" | ")[0] for line in lines[2:]] == ["| out of sample", "| live"]


def test_rows_for_the_command_line_are_those_stored(built):
    built.at(NOW + 40 * CANDLE).run_well(assets=CHAIN)
    rows = result_rows(built.platform, [WOLF])
    assert {(row["variant"], row["sample"]) for row in rows} == {
        (variant, sample) for variant in VARIANTS for sample in ("out_of_sample", "live")
    }
    for row in rows:
        trades = built.frame(f"trades/{row['variant']}")
        own = trades[(trades["sample"] == row["sample"]) & is_closed(trades)]
        assert (row["trades"], row["pnl_after_fees"]) == (len(own), round(own["pnl"].sum(), 2))
        capital = 2000 if row["variant"] == "steady" else 1000
        assert row["return_pct"] == pytest.approx(own["pnl"].sum() / capital * 100, abs=0.006)
    newest = trade_rows(built.platform, [WOLF], variant="brisk", newest=3)
    assert len(newest) == 3
    assert newest[0]["entered"] >= newest[-1]["entered"]


def test_a_trade_that_the_rule_does_not_give_is_found(built):
    trades = built.frame("trades/brisk")
    row = trades.index[is_closed(trades)][-1]
    trades.loc[row, ["gross_pnl", "pnl", "return_pct"]] += 1.0
    built.rewrite("trades/brisk", trades)
    found = built.check("trades/brisk", "rule")
    assert not found.passed
    assert found.metadata["different"].value == 3
    assert f"{trades['trade_id'][row]} | pnl is " in found.metadata["differences"].value


@pytest.mark.parametrize("drop", [-2, -5])
def test_a_trade_that_is_missing_is_found(built, drop):
    trades = built.frame("trades/steady")
    built.rewrite("trades/steady", trades.drop(trades.index[drop]).reset_index(drop=True))
    found = built.check("trades/steady", "rule")
    assert not found.passed
    assert "given by the rule, not stored" in found.metadata["differences"].value


def test_a_trade_on_a_row_trained_on_is_found(built):
    trades = built.frame("trades/brisk")
    trades.loc[0, "sample"] = "in_sample"
    built.rewrite("trades/brisk", trades)
    found = built.check("trades/brisk", "rule")
    assert not found.passed
    assert "in_sample" in found.metadata["samples"].value


def test_trades_that_lag_behind_klines_and_signals_are_right_still(built):
    built.at(NOW + 30 * CANDLE).run_well(
        assets=["raw/klines", "processed/data", "processed/features"]
        + [f"{stage}/{variant}" for stage in ("predictions", "signals") for variant in VARIANTS]
    )
    for variant in VARIANTS:
        found = built.check(f"trades/{variant}", "rule")
        assert found.passed, found.metadata
        assert found.metadata["compared"].value > 5


def test_verify_reads_the_executed_trades_where_there_are_any(built):
    def found() -> list[Finding]:
        return [item for item in verify(built.platform) if item.what == "executed trades"]

    assert found() == []
    built.platform.layout.executed_fills.parent.mkdir()
    built.platform.layout.executed_fills.write_bytes(b"torn")
    (finding,) = found()
    assert "cannot be read" in finding.problem
