"""What a person sees on an asset's page: how much there is, of when, how good it is, and a picture."""

from __future__ import annotations

import base64
import re
from datetime import timedelta

import pytest
from pipeline_making import ASSETS, BY_KLINE, START, open_pipeline, pages


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Return the pages of a run of everything, across an outage, and of the update after it."""
    start = START.replace(month=5, day=14)
    now = START.replace(month=5, day=18, second=30)
    with open_pipeline(tmp_path_factory.mktemp("pages") / "data", now=now, start=start) as pipeline:
        first = pages(pipeline.run_well())
        return first, pages(pipeline.at(now + timedelta(minutes=15)).run_well())


def pictures(page: dict[str, object]) -> list[bytes]:
    """Return every picture of a page."""
    text = " ".join(value for value in page.values() if isinstance(value, str))
    found = re.findall(r"data:image/(?:png|svg\+xml);base64,([A-Za-z0-9+/=]+)", text)
    return [base64.b64decode(code) for code in found]


def test_every_frame_says_how_many_rows_of_when_lie_where(made):
    for page in made:
        for asset in ASSETS:
            rows = page[asset]["dagster/row_count"]
            assert rows > (100 if asset in BY_KLINE else 0)
            assert page[asset]["dagster/uri"].startswith("/")
            assert page[asset]["dagster/uri"].endswith((".csv", ".parquet"))
            assert re.fullmatch(r"2024-05-1\d \d\d:\d\d UTC", page[asset]["first"])
            assert re.fullmatch(r"2024-05-1\d \d\d:\d\d UTC", page[asset]["last"])
            columns = {column.name: column.type for column in page[asset]["dagster/column_schema"].columns}
            assert columns["timestamp"] == "timestamp"
            assert len(page[asset]["sha256"]) == 64
            assert page[asset]["rows_computed"] >= page[asset]["rows_new"]


def test_an_update_says_how_little_it_computed(made):
    _, update = made
    assert {update[asset]["rows_new"] for asset in BY_KLINE} == {3}
    assert update["raw/klines"]["rows_computed"] == 3
    assert update["labeled/matrix"]["rows_computed"] == 3 + 20


def test_klines_show_their_gaps_and_where_they_came_from(made):
    page = made[0]["raw/klines"]
    assert (page["gaps"], page["missing_rows"]) == (1, 36)
    assert (
        "2024-05-17 13:00 UTC | 2024-05-17 15:55 UTC | 36 | exchange_outage | open" in page["gap_catalogue"]
    )
    (download,) = page["downloads"].values()
    assert download["archives_used"]
    assert download["requests"] > 0


def test_a_model_shows_figures_out_of_sample_and_its_plots(made):
    for variant, algo, labels in (
        ("brisk", "lgbm", ("high_020_4", "low_020_4")),
        ("steady", "logreg", ("high_020_4", "low_020_12")),
    ):
        for label in labels:
            page = made[0][f"models/{variant}/{algo}/{label}"]
            assert 0 < page["auc"] < 1
            assert page["win_rate"] == "too few signals" or 0 <= page["win_rate"] <= 1
            assert 0 < page["base_rate"] < 1
            assert page["out_of_sample_rows"] <= 200
            assert page["train_rows"] > 700
            assert "2024-05-17" in page["trained_until"] or "2024-05-18" in page["trained_until"]
            assert page["path"].endswith(f"{variant}/{algo}/{label}")
            found = pictures(page)
            assert len(found) == 3
            assert all(png.startswith(b"\x89PNG") for png in found)


def test_signals_show_the_newest_prices_after_a_small_update_too(made):
    """The plot reaches back before the rows that were computed."""
    for page in made:
        for variant in ("brisk", "steady"):
            signals = page[f"signals/{variant}"]
            assert 200 < signals["newest_rows"] <= 288
            assert 0 <= signals["newest_buys"] <= signals["newest_rows"]
            assert 0 <= signals["newest_sells"] <= signals["newest_rows"]
            (svg,) = pictures(signals)
            assert svg.startswith(b"<svg")


def test_labels_show_how_often_they_are_true(made):
    rates = made[0]["labeled/matrix"]["label_rates"]
    assert set(rates) == {"high_020_4", "high_030_4", "low_020_4", "high_040_4", "low_020_12", "top_005"}
    assert all(0 < rate < 1 for rate in rates.values())


def test_scores_say_of_which_sample_they_are(made):
    samples = made[0]["predictions/brisk"]["samples_computed"]
    assert samples["out_of_sample"] >= 200
    assert samples["live"] >= 1
    assert made[1]["predictions/brisk"]["samples_computed"] == {"live": 3}
