"""`itb performance`: several in a row each, one in full, as JSON, as a page, as a picture."""

from __future__ import annotations

import re

import pytest
from itb_command import MARKET, SMALL_STRATEGIES, Itb

from itb_assets.storage.files.frames import FrameStore, Record
from itb_assets.storage.server.embedded import EmbeddedPostgres

ONE = ("performance", "--symbol", MARKET.symbol, "--variant", "aggressive")


def rewrite(itb: Itb, asset: str, change) -> None:
    """Store other rows of an asset under the record of those there."""
    path, frames = itb.root / MARKET.symbol / MARKET.freq / f"{asset}.csv", FrameStore()
    stored = frames.open(path)
    old = stored.manifest
    about = Record(old.asset, old.symbol, old.freq, "test", old.written_at, old.digest, old.sources)
    frames.write(path, change(stored.read()), record=about)


def test_several_are_a_row_each(built):
    rows = built("performance", "--json").json()
    assert {row["variant"] for row in rows} == {"aggressive", "conservative"}
    assert {row["market"] for row in rows} == {str(MARKET)}
    assert all(row["sample"] in ("out_of_sample", "live", None) for row in rows)
    said = built("performance")
    assert said.code == 0
    assert "Paper trades, after fees" in said.out
    assert f"itb performance --symbol {MARKET.symbol} --freq 1h --variant aggressive" in said.out
    only = built("performance", "--json", "--sample", "out_of_sample").json()
    assert {row["sample"] for row in only} == {"out_of_sample"}


def test_one_is_shown_in_full(built):
    said = built(*ONE)
    assert said.code == 0, said
    words = " ".join(said.out.split())
    assert f"{MARKET} aggressive, 2024-" in words
    assert re.search(r"After fees the strategy (lost|gained|neither) ", words)
    assert "Out of sample: every signal came from a model that had not seen the prices" in words
    assert "Traded on paper: no order was sent to an exchange." in words
    for name in ("Profit factor", "Sharpe ratio", "Sortino ratio", "Worst drawdown", "Won", "Luck"):
        assert name in said.out
    assert "By day of entry, UTC" in said.out
    assert "By hour of entry, UTC" in said.out


def test_json_says_it_all_and_agrees_with_the_rows(built):
    document = built(*ONE, "--json").json()
    rows = built("performance", "--json").json()
    (row,) = (row for row in rows if row["variant"] == "aggressive" and row["sample"] == "out_of_sample")
    assert (document["sample"], document["trades"]) == ("out_of_sample", row["trades"])
    assert document["total_pnl"] == pytest.approx(row["pnl_after_fees"], abs=0.005)
    assert document["return_pct"] == pytest.approx(row["return_pct"], abs=0.005)
    assert document["win_rate_low"] < document["win_rate"] < document["win_rate_high"]
    assert document["gross_pnl"] - document["fees"] == pytest.approx(document["total_pnl"])
    assert sum(day["total_trades"] for day in document["daily"]) == document["trades"]
    assert sum(hour["trades"] for hour in document["by_hour"]) == document["trades"]
    assert document["rule"]["direction"] == "long"
    assert document["rule"]["fee_pct"] == 0.04
    measurement = document["measurement"]
    assert (measurement["scheme"], len(measurement["windows"])) == ("expanding", 2)
    assert measurement["windows"][0]["train_end"] < measurement["windows"][0]["score_start"]
    assert "buy_signal_threshold 0.036" in str(measurement["thresholds"])
    (model,) = document["models"]
    assert model["name"] == "high_040_4_lgbm"
    assert model["auc_low"] is None or model["auc_low"] < model["auc"] < model["auc_high"]
    shifted, deflated = document["luck"]
    assert 0 < shifted["p_value"] <= 1
    assert 0 <= deflated["p_value"] <= 1
    assert document["p_value"] == max(shifted["p_value"], deflated["p_value"])
    assert len(document["fingerprint"]["raw/klines"]) == 64
    assert built(*ONE, "--json").json() | {"made_at": ""} == document | {"made_at": ""}


def test_the_last_days_alone(built):
    whole, last = (built(*ONE, *more, "--json").json() for more in ((), ("--days", "7")))
    assert last["end"] == whole["end"]
    assert last["start"] > whole["start"]
    assert 0 < last["trades"] < whole["trades"]
    assert last["daily"] == whole["daily"][-len(last["daily"]) :]


def test_live_is_another_measurement(built):
    """The one live signal is of the newest kline: the next one, at whose open it counts, is not there."""
    said = built(*ONE, "--sample", "live")
    assert said.code == 2
    assert "has no live signals of aggressive yet: look at the other sample" in said.err


def test_a_page_that_asks_nobody(built, tmp_path):
    """Nothing in it is loaded from anywhere, and the newest numbers are in it."""
    file = tmp_path / "a report.html"
    said = built(*ONE, "--html", str(file))
    assert said.code == 0, said
    assert f"written: {file}" in said.out
    page = file.read_text("utf-8")
    loads = re.findall(r"""(?:src|href|action|poster|data)\s*=\s*["']?([^"'\s>]+)""", page)
    assert all(target.startswith(("#", "data:")) for target in loads)
    assert "<script" not in page
    assert "@import" not in page
    assert not re.findall(r"url\((?!['\"]?(?:data:|#))", page)
    document = built(*ONE, "--json").json()
    for words in (document["headline"], MARKET.symbol, "aggressive", "high_040_4_lgbm"):
        assert words.split(".")[0] in page.replace("&#39;", "'")
    assert document["fingerprint"]["raw/klines"] in page


@pytest.mark.browser
def test_the_page_opens_in_a_browser_without_a_request(built, tmp_path, chromium):
    from playwright.sync_api import sync_playwright  # noqa: PLC0415 - only this test needs it

    file = tmp_path / "report.html"
    assert built(*ONE, "--html", str(file)).code == 0
    asked: list[str] = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_page()
        page.on("request", lambda request: asked.append(request.url))
        page.on("console", lambda message: asked.append(message.text))
        page.goto(file.as_uri())
        assert page.locator("svg").count() > 0
        assert MARKET.symbol in page.title() + page.inner_text("body")
        browser.close()
    assert asked == [file.as_uri()]


def test_a_picture(built, tmp_path):
    file = tmp_path / "equity.png"
    assert built(*ONE, "--plot", str(file)).code == 0
    assert file.read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("option", ["--html", "--plot"])
def test_no_file_is_replaced_without_being_told(built, tmp_path, option):
    file = tmp_path / "mine"
    file.write_text("mine")
    said = built(*ONE, option, str(file))
    assert (said.code, file.read_text()) == (2, "mine")
    assert "is there already" in said.err
    assert "--force" in said.err
    assert built(*ONE, option, str(file), "--force").code == 0
    assert file.read_bytes() != b"mine"
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--symbol", "NOSUCHUSDT"), "no paper trades of these: stored are those of"),
        (("--symbol", "no such"), "symbol"),
        (("--freq", "7m"), "7m"),
        (("--variant", "nosuch"), "variant 'nosuch' is not known: expected one of aggressive, conservative"),
        (("--sample", "in_sample"), "sample 'in_sample' is not known: expected out_of_sample or live"),
        (("--html", "/nosuch/folder/report.html"), "the folder /nosuch/folder does not exist"),
        (("--html", "/"), "/ is a folder"),
        (("--html", "report.html"), "choose with --symbol, --freq and --variant among"),
        (("--days", "7"), "choose with --symbol, --freq and --variant among"),
        (("--days", "0"), "Invalid value for '--days'"),
    ],
)
def test_what_cannot_be_asked(built, options, said):
    answer = built("performance", *options)
    assert answer.code == 2, answer
    assert said in " ".join(answer.err.split())


def test_nothing_is_stored_yet(built, tmp_path):
    empty = Itb(tmp_path, {**built.environment, "ITB_DATA_ROOT": str(tmp_path / "none")})
    said = empty("performance")
    assert (said.code, said.out) == (0, "no paper trades are stored yet: `itb run` makes them\n")
    assert empty("performance", "--json").json() == []
    assert empty("performance", "--html", "x.html").code == 2
    assert list(tmp_path.iterdir()) == []


def test_everything_that_loses_is_told_so(built, copied):
    """Whatever the demo market brings, fees of 2 % a side eat it."""
    folder = copied.folder / "strategies"
    folder.mkdir()
    for name in ("aggressive", "conservative"):
        text = (SMALL_STRATEGIES / f"{name}.jsonc").read_text("utf-8")
        changed = text.replace('"direction": "long"', '"direction": "long", "fee_pct": 2')
        (folder / f"{name}.jsonc").write_text(changed, "utf-8")
    server = EmbeddedPostgres(built.root / ".itb" / "postgres")
    server.ensure_database("losing")
    settings = {"ITB_STRATEGIES_DIR": str(folder), "ITB_DATABASE_URL": server.url("losing")}
    said = copied(*ONE, **settings)
    assert said.code == 4
    assert "were made by another rule than that of" in said.err
    ran = copied("run", "--symbols", MARKET.symbol, "--freqs", MARKET.freq, "--end", "2024-05-31", **settings)
    assert ran.code == 0, ran
    assert "Everything here loses money after fees." in ran.out
    assert "Everything here loses money after fees." in copied("performance", **settings).out
    one = copied(*ONE, **settings)
    assert "After fees the strategy lost " in one.out


def test_rows_trained_on_reach_no_figure(copied):
    def spoil(trades):
        return trades.assign(sample=trades["sample"].where(trades.index != 1, "in_sample"))

    whole = copied(*ONE, "--json").json()
    rewrite(copied, "trades/aggressive", spoil)
    assert copied(*ONE, "--json").json()["trades"] == whole["trades"] - 1
