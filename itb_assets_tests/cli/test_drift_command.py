"""`itb drift` shows people and machines what the newest look found, and fails when something alarms."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime

import pandas as pd
import pytest
from itb_command import MARKET, Itb
from refusals import RUN, WRONG, refused

from itb_assets.domain.drift import DriftEvaluation, Look, looks_frame, read_looks
from itb_assets.storage.files.frames import FrameStore, Record
from itb_assets.storage.layout import Layout
from itb_assets.storage.server.embedded import EmbeddedPostgres
from itb_assets.storage.tables.database import SqlStore

KEYS = ["market", "variant", "looked_at", "metric", "value", "n", "threshold", "verdict", "detail"]


def look_again(itb: Itb, *evaluations: DriftEvaluation) -> Look:
    """Store a look a day after the newest, as the asset does."""
    store, path = FrameStore(), Layout(itb.root).drift(MARKET, "aggressive")
    (newest,) = read_looks(store.open(path).tail(1))
    look = replace(newest, at=newest.at + pd.Timedelta(days=1), evaluations=evaluations)
    manifest = store.open(path).manifest
    record = Record(
        asset="drift/aggressive",
        symbol=MARKET.symbol,
        freq=MARKET.freq,
        digest=manifest.digest,
        sources=manifest.sources,
        run_id="test",
        written_at=datetime(2024, 6, 1, tzinfo=UTC),
    )
    store.splice(path, looks_frame(look), record=record)
    return look


def test_what_the_newest_look_found(built):
    said = built("drift")
    assert said.code == 0, said
    for words in (
        "Newest look for drift",
        "win_rate",
        "insufficient",
        "drifted_features",
        "the reference won",
    ):
        assert words in said.out
    assert "psi:" not in said.out
    assert "single features and scores do not alarm: --all lists them" in said.out
    assert "psi:" in built("drift", "--all").out


def test_machines_are_told_every_measure(built):
    rows = built("drift", "--json").json()
    assert all(list(row) == KEYS for row in rows)
    assert {row["market"] for row in rows} == {str(MARKET)}
    metrics = {row["metric"] for row in rows if row["variant"] == "aggressive"}
    assert {"win_rate", "drifted_features", "drifted_scores", "brier:high_040_4_lgbm"} <= metrics
    assert any(name.startswith("psi:") for name in metrics)
    assert all(row["detail"] for row in rows if row["verdict"] == "insufficient data")
    (brier,) = (row for row in rows if row["metric"] == "brier:high_040_4_lgbm")
    assert "need 500 rows and 10 blocks" in brier["detail"]


def test_one_variant_of_one_market(built):
    everything = built("drift", "--json").json()
    one = built(
        "drift", "--symbol", MARKET.symbol, "--freq", MARKET.freq, "--variant", "aggressive", "--json"
    )
    assert one.json() == [row for row in everything if row["variant"] == "aggressive"]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--symbol", "NOSUCHUSDT"), "no market NOSUCHUSDT is stored: there are"),
        (("--freq", "5m"), "no market 5m is stored: there are"),
        (("--variant", "nosuch"), "no strategy is called 'nosuch'"),
        (("--symbol", "../x"), "symbol '../x' is not valid"),
        (("--freq", "7m"), "freq '7m' is not valid"),
    ],
)
def test_what_is_not_there(built, options, words):
    refused(built("drift", *options), WRONG, words)


def test_before_anything_ran(built, tmp_path):
    itb = replace(built, environment={**built.environment, "ITB_DATA_ROOT": str(tmp_path / "nothing")})
    said = itb("drift")
    assert (said.code, said.err) == (0, "")
    assert "nobody has looked for drift yet" in said.out
    assert itb("drift", "--json").json() == []


def test_an_alarm_is_shown_first_and_is_the_exit_code(copied):
    quiet = DriftEvaluation("brier:high_040_4_lgbm", 0.2, 900, 0.3, "ok", "fits")
    moved = DriftEvaluation("psi:close_SMA_3", 0.4, 900, 0.25, "error", "the price is elsewhere")
    look = look_again(copied, quiet, moved)
    said = copied("drift", "--variant", "aggressive")
    assert said.code == 1
    assert said.out.index("psi:close_SMA_3") < said.out.index("brier:high_040_4_lgbm")
    assert f"{look.at:%Y-%m-%d %H:%M}" in said.out
    assert copied("drift", "--variant", "aggressive", "--json").code == 1


def test_looks_are_rows_of_a_table_too(built):
    """Once each, however often it is run; unknown values are NULL."""
    database = SqlStore(EmbeddedPostgres(built.root / ".itb" / "postgres").url("itb"))
    with closing(database):
        query = "SELECT * FROM model_drift ORDER BY model_name, time, metric"
        before = database.query(query)
        assert built(*RUN).code == 0
        assert database.query(query) == before
    told = built("drift", "--history", "--json").json()
    assert len(before) == len(told) > 0
    by_metric = {(row["variant"], row["looked_at"], row["metric"]): row for row in told}
    for row in before:
        shown = by_metric[row["model_name"], f"{row['time']:%Y-%m-%d %H:%M}", row["metric"]]
        assert all(row[name] == shown[name] for name in ("value", "n", "threshold", "verdict", "detail"))


def test_looks_of_a_time_without_a_database_come_with_the_next_one(copied, built):
    server = EmbeddedPostgres(built.root / ".itb" / "postgres")
    server.ensure_database("drift")
    itb = replace(
        copied,
        environment={
            **copied.environment,
            "ITB_DATABASE_URL": server.url("drift"),
            "ITB_STORAGE_PHASE": "dual",
        },
    )
    assert itb("run", "--symbols", MARKET.symbol, "--freqs", MARKET.freq, "--end", "2024-06-02").code == 0
    told = itb("drift", "--history", "--json").json()
    with closing(SqlStore(server.url("drift"))) as database:
        stored = database.query("SELECT model_name, metric, time FROM model_drift")
    assert len({row["looked_at"] for row in told}) == 2
    assert len(stored) == len(told)


def test_every_look_there_was(copied):
    """Old alarms are no reason to fail today."""
    before = copied("drift", "--variant", "aggressive", "--history", "--json").json()
    look_again(copied, DriftEvaluation("win_rate", 0.4, 300, 0.5, "warning", "fell", "below"))
    look_again(copied, DriftEvaluation("win_rate", 0.6, 600, 0.5, "ok", "well again", "below"))
    said = copied("drift", "--variant", "aggressive", "--history", "--json")
    assert said.code == 0
    rows = said.json()
    assert rows[: len(before)] == before
    assert [row["verdict"] for row in rows[len(before) :]] == ["warning", "ok"]
    assert "Looks for drift" in copied("drift", "--variant", "aggressive", "--history").out
