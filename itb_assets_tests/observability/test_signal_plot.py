"""The picture that every update of the signals draws: small, whole SVG, honest about what is unknown."""

from __future__ import annotations

import re
from xml.etree import ElementTree as ET

import numpy as np
import pandas as pd
import pytest

from itb_assets.observability.signal_plot import signal_plot

SVG = "{http://www.w3.org/2000/svg}"
BLUE, VERMILION, GREY = "#0072B2", "#D55E00", "#6b7280"


def prices(rows: int) -> pd.DataFrame:
    rng = np.random.default_rng(1)
    times = pd.date_range("2025-02-01", periods=rows, freq="5min", tz="UTC")
    return pd.DataFrame({"timestamp": times, "close": 90_000 * np.exp(np.cumsum(rng.normal(0, 1e-3, rows)))})


def every(rows: int, step: int) -> np.ndarray:
    return np.arange(rows) % step == 0


def elements(svg: bytes) -> list[ET.Element]:
    return list(ET.fromstring(svg).iter())  # noqa: S314 - our own


def path(svg: bytes, **attributes: str) -> str:
    """Return what the first path with these attributes draws."""
    return next(
        element.attrib["d"]
        for element in elements(svg)
        if element.tag == f"{SVG}path" and attributes.items() <= element.attrib.items()
    )


def words(svg: bytes) -> list[str]:
    return [str(element.text) for element in elements(svg) if element.tag == f"{SVG}text"]


@pytest.mark.parametrize("rows", [1, 2, 288, 60_000])
def test_close_and_every_signal_are_drawn(rows):
    buy, sell = every(rows, 50), every(rows, 70)
    svg = signal_plot(prices(rows), buy, sell, title="BTCUSDT 5m")
    assert f"buy {buy.sum():,}" in words(svg)
    assert f"sell {sell.sum():,}" in words(svg)
    assert path(svg, stroke=GREY).count("M") == 1
    assert path(svg, stroke=BLUE).count("M") == buy.sum()
    if rows == 288:
        assert path(svg, fill=BLUE).count("z") == buy.sum()
        assert path(svg, fill=VERMILION).count("z") == sell.sum()
        assert len(svg) < 10_000


def test_a_gap_interrupts_the_line_and_marks_nothing():
    frame = prices(300)
    frame.loc[100:140, "close"] = np.nan
    buy = pd.Series([True, None, False] * 100, dtype="boolean")
    svg = signal_plot(frame, buy, ~buy, title="gap")
    assert path(svg, stroke=GREY).count("M") == 2
    assert "nan" not in svg.decode().lower()


def test_the_highest_price_is_the_highest_point():
    frame = prices(50)
    line = path(signal_plot(frame, [False] * 50, [False] * 50, title="t"), stroke=GREY)
    heights = [float(y) for y in re.findall(r"[ML][\d.]+ ([\d.]+)", line)]
    assert int(np.argmin(heights)) == int(frame["close"].argmax())
    assert int(np.argmax(heights)) == int(frame["close"].argmin())


def test_nothing_to_draw_says_so():
    unknown = prices(3).assign(close=np.nan)
    for frame in (prices(0), unknown):
        assert "no klines to show" in words(signal_plot(frame, [], [], title="none"))


def test_a_flat_price_and_a_hostile_title():
    frame = prices(5).assign(close=1e-8)
    svg = signal_plot(frame, [True] * 5, [False] * 5, title='<script>"&')
    assert '<script>"&' in words(svg)
    assert f"{SVG}script" not in {element.tag for element in elements(svg)}
