"""A chart of an alert is a small PNG that Telegram takes, whatever the numbers are."""

from __future__ import annotations

import io
from datetime import UTC, date, datetime, timedelta

import numpy as np
import pytest
from PIL import Image

from itb_assets.observability.alerts.charts import measure_chart, pnl_chart
from itb_assets.observability.plot_style import HEIGHT_PX, WIDTH_PX

NAN, INF = float("nan"), float("inf")


def times(count):
    return [datetime(2026, 11, 20, tzinfo=UTC) + timedelta(hours=hour) for hour in range(count)]


def days(count):
    return [date(2026, 10, 1) + timedelta(days=day) for day in range(count)]


def pixels(png):
    assert len(png) < 60_000
    image = Image.open(io.BytesIO(png))
    assert image.format == "PNG"
    assert image.size in {(900, 540), (WIDTH_PX, HEIGHT_PX)}
    return np.asarray(image.convert("RGB")).astype(int)


def has(png, red, green, blue):
    """Return whether a colour was drawn with, give or take what the palette makes of it."""
    return bool((np.abs(pixels(png) - [red, green, blue]).max(axis=2) < 24).sum() > 30)


VERMILION, BLUE = (0xD5, 0x5E, 0x00), (0x00, 0x72, 0xB2)


def test_a_measure_is_drawn_with_the_limit_it_crossed():
    values = [0.1 * hour for hour in range(48)]
    with_limit = measure_chart(times(48), values, limit=3.0, title="Drift of high_20", unit="CUSUM")
    assert has(with_limit, *BLUE)
    assert has(with_limit, *VERMILION)
    assert not has(measure_chart(times(48), values, limit=None, title="t"), *VERMILION)


def test_profits_and_losses_have_colours_of_their_own():
    assert not has(pnl_chart(days(9), [5.0] * 9, title="P&L"), *VERMILION)
    both = pnl_chart(days(9), [5.0, -3.0, NAN, None, 1.0, -8.0, 0.0, 2.0, 2.0], title="P&L", currency="USDT")
    assert has(both, *VERMILION)
    assert has(both, *BLUE)
    assert has(pnl_chart(days(9), [5.0] * 9, title="P&L", limit=-2.0), *VERMILION)


@pytest.mark.parametrize("values", [[], [NAN], [None, INF], [-INF, NAN, None]])
def test_nothing_to_draw_is_said_in_words(values):
    empty = measure_chart(times(len(values)), values, limit=1.0, title="Drift")
    assert not has(empty, *BLUE)
    assert (pixels(empty) < 200).any()
    pixels(pnl_chart(days(len(values)), values, title="P&L", language="pt"))


@pytest.mark.parametrize(
    "values",
    [[1.0], [0.0, 0.0], [1e12, -1e12], [1e-9, 2e-9], [1.0, INF, 2.0], list(np.sin(np.arange(50_000)))],
)
def test_odd_numbers_are_drawn_all_the_same(values):
    for language in ("en", "pt"):
        pixels(measure_chart(times(len(values)), values, limit=0.5, title="$a$ <b>", language=language))
    pixels(pnl_chart(days(min(len(values), 400)), values[:400], title="P&L", limit=-1.0))


def test_the_extremes_of_many_points_are_kept():
    """One bad value among fifty thousand is what the alert is about."""
    values = [0.0] * 50_000
    values[12_345] = 9.0
    flat = pixels(measure_chart(times(50_000), [0.0] * 50_000, limit=None, title="t"))
    assert (pixels(measure_chart(times(50_000), values, limit=None, title="t")) != flat).any()


def test_times_and_values_have_to_match():
    with pytest.raises(ValueError, match="2 times and 1 values"):
        measure_chart(times(2), [1.0], limit=None, title="t")
    with pytest.raises(ValueError, match="1 days and 2 numbers"):
        pnl_chart(days(1), [1.0, 2.0], title="t")
