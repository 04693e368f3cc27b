"""The report in a browser: light and dark, on a phone and on paper, without a single request."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, sync_playwright
from report_making import make_report, without_trades

from itb_assets.observability.report import render_report

pytestmark = pytest.mark.browser

ARGS = ("--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update")
LONG = "a_name_without_any_place_to_break_" * 4


@pytest.fixture(scope="module")
def browser(chromium) -> Iterator[Browser]:
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=chromium, args=list(ARGS))
        yield opened
        opened.close()


def open_page(browser: Browser, html: str, *, width: int = 1100, scheme: str = "light") -> Page:
    """Show a page; any request or complaint of the browser fails the test."""
    page = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme).new_page()
    page.on("request", lambda request: pytest.fail(f"asked for {request.url}"))
    page.on("console", lambda message: pytest.fail(message.text))
    page.set_content(html)
    return page


def background(page: Page) -> str:
    return page.evaluate("getComputedStyle(document.body).backgroundColor")


def test_light_and_dark_follow_the_reader(browser):
    html = render_report(make_report())
    seen = {scheme: background(open_page(browser, html, scheme=scheme)) for scheme in ("light", "dark")}
    assert seen == {"light": "rgb(255, 255, 255)", "dark": "rgb(20, 23, 28)"}


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_stands_out_from_its_background(browser, scheme):
    """Every colour of text has a contrast of at least 4.5 on the page, as WCAG AA asks."""
    page = open_page(browser, render_report(make_report()), scheme=scheme)
    lowest = page.evaluate(
        """() => {
          const light = c => { const [r, g, b] = c.match(/\\d+/g).map(v => v / 255)
            .map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
            return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
          const under = e => { for (; e; e = e.parentElement) {
            const c = getComputedStyle(e).backgroundColor; if (!c.endsWith(', 0)')) return c; } };
          let worst = [99, ''];
          for (const e of document.querySelectorAll('main *:not(svg):not(svg *)')) {
            const [a, b] = [light(getComputedStyle(e).color), light(under(e))].sort((x, y) => y - x);
            const ratio = (a + 0.05) / (b + 0.05);
            if (ratio < worst[0]) worst = [ratio, e.outerHTML.slice(0, 80)];
          }
          return worst;
        }"""
    )
    assert lowest[0] >= 4.5, lowest


@pytest.mark.parametrize(
    "report", [make_report(word=LONG), without_trades(variant=LONG)], ids=["full", "no trades"]
)
def test_a_phone_shows_it_without_scrolling_sideways(browser, report):
    page = open_page(browser, render_report(report), width=390)
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    sizes = page.evaluate(
        """[...document.querySelectorAll('.chart span, td, p, dd')]
             .map(e => parseFloat(getComputedStyle(e).fontSize))"""
    )
    assert min(sizes) >= 11


def test_labels_of_a_chart_do_not_touch(browser):
    for width in (390, 1100):
        page = open_page(browser, render_report(make_report()), width=width)
        overlaps = page.evaluate(
            """() => [...document.querySelectorAll('.up, .along')].flatMap(axis => {
              const boxes = [...axis.children].map(e => e.getBoundingClientRect()).filter(b => b.width);
              return boxes.flatMap((a, i) => boxes.slice(i + 1).filter(b =>
                a.left < b.right && b.left < a.right && a.top < b.bottom && b.top < a.bottom));
            }).length"""
        )
        assert overlaps == 0, width


def test_charts_are_drawn_and_days_unfold(browser):
    page = open_page(browser, render_report(make_report()))
    assert page.locator("svg.mark").count() == 2
    boxes = [chart.bounding_box() for chart in page.locator(".chart svg").all()]
    assert len(boxes) == 5
    assert all(box is not None and box["width"] > 600 and box["height"] > 60 for box in boxes)
    row = page.get_by_text("2024-11-25", exact=True)
    assert not row.is_visible()
    page.get_by_text("Every day, the last one first").click()
    assert row.is_visible()


def test_paper_shows_every_day_in_dark_ink(browser):
    page = open_page(browser, render_report(make_report()), width=680, scheme="dark")
    page.emulate_media(media="print", color_scheme="dark")
    assert page.evaluate("document.documentElement.scrollWidth") == 680, "fits A4 with its margins"
    assert background(page) == "rgb(255, 255, 255)"
    assert page.get_by_text("2024-11-25", exact=True).is_visible()
    pdf = page.pdf(format="A4")
    assert pdf.startswith(b"%PDF")
