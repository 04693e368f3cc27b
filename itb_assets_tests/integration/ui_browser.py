"""A headless browser on the UI's pages, each of which must have had no error to show.

The server behind them is `ui_process`; what a page has to say belongs to the tests.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Browser, Locator, Page, Response, expect, sync_playwright

CHROMIUM = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
TOAST = "[role=alert]:not(#__next-route-announcer__), [data-sonner-toast][data-type=error]"
PAGE_MS = 60_000
BAD_NEWS = re.compile(
    r"an error occurred|unexpected (graphql )?error|something went wrong|pythonerror|could not be loaded"
    r"|failed to load|daemon.{0,40}(not running|stopped)|traceback|page not found",
    re.IGNORECASE,
)


@contextmanager
def opened_browser(chromium: Path) -> Iterator[Browser]:
    """Start a headless browser."""
    expect.set_options(timeout=PAGE_MS)
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=chromium, args=list(CHROMIUM))
        yield opened
        opened.close()


@contextmanager
def watched_page(browser: Browser, picture: Path) -> Iterator[Page]:
    """Open a page; in the end it is drawn to a file and must have had no error to show, nor a dialog open."""
    page = browser.new_context(viewport={"width": 1600, "height": 1000}).new_page()
    page.set_default_timeout(PAGE_MS)
    broken: list[str] = []

    def look(answer: Response) -> None:
        if answer.status >= 400:
            broken.append(f"{answer.status} {answer.url}")

    page.on("pageerror", lambda error: broken.append(str(error)))
    page.on("response", look)
    try:
        yield page
        expect(page.get_by_role("dialog")).to_have_count(0)
    finally:
        page.screenshot(path=picture)
    assert not broken
    assert not BAD_NEWS.search(page.locator("body").inner_text())
    expect(page.locator(TOAST)).to_have_count(0)
    page.context.close()


def shown(page: Page | Locator, *texts: str) -> None:
    """Wait until each text can be seen."""
    for text in texts:
        expect(page.get_by_text(text, exact=True).filter(visible=True).first).to_be_visible()
