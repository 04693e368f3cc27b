"""Draw the pictures of the README and of docs/ from the UI of the demo: run it by `make screenshots`.

What a page must show is tested in itb_assets_tests/integration/test_ui.py. Needs Chromium.
"""  # noqa: INP001 -- a script beside the pages it draws for, not a package

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

from playwright.sync_api import Browser, Page, sync_playwright

IMAGES = Path(__file__).parent / "images"
DEMO_ROOT = Path(".demo")
ITB = Path(sys.executable).with_name("itb")
PORT = 3055
URL = f"http://127.0.0.1:{PORT}"
START_S = 180
SETTLE_MS = 3_000
CHROMIUM = ("--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking")
MARKET = "5m|DEMOWOLFUSDT"


def main(data_root: Path = DEMO_ROOT) -> None:
    """Run the demo unless it has run, open its UI, and write each picture."""
    if not data_root.exists():
        subprocess.run([ITB, "demo"], check=True)  # noqa: S603 - our own command
    IMAGES.mkdir(exist_ok=True)
    with serving(data_root), sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium(), args=list(CHROMIUM))
        for draw in (lineage, model, signals, performance):
            picture = IMAGES / f"{draw.__name__}.png"
            draw(browser, picture)
            print(f"{picture}: {picture.stat().st_size / 1000:.0f} kB")  # noqa: T201 - what was made
        browser.close()


def chromium() -> str:
    """Return the path of a Chromium."""
    names = (os.environ.get("ITB_TEST_CHROMIUM", ""), "chromium", "chromium-browser", "google-chrome")
    found = next((path for name in names if name and (path := shutil.which(name))), None)
    if found is None:
        sys.exit("no Chromium here: install chromium or set ITB_TEST_CHROMIUM")
    return found


@contextmanager
def serving(data_root: Path) -> Iterator[None]:
    """Keep the UI up for a while; no schedule starts a run in front of the camera."""
    command = [str(ITB), "ui", "--data-root", str(data_root), "--port", str(PORT)]
    environment = os.environ | {"ITB_SCHEDULES": "stopped"}
    process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE)  # noqa: S603 - our own
    try:
        deadline = time.monotonic() + START_S
        while process.stdout is not None and URL not in process.stdout.readline().decode():
            if process.poll() is not None or time.monotonic() > deadline:
                sys.exit("the UI did not start")
        yield
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait()


def opened(browser: Browser, path: str, width: int, height: int, *, scale: float = 1) -> Page:
    """Open a page of the UI and wait until it has settled."""
    context = browser.new_context(viewport={"width": width, "height": height}, device_scale_factor=scale)
    page = context.new_page()
    page.goto(URL + path)
    page.wait_for_timeout(SETTLE_MS)
    return page


def lineage(browser: Browser, picture: Path) -> None:
    """Draw all assets from klines to signals, both side bars folded away."""
    page = opened(browser, "/asset-groups", 2800, 1800, scale=0.66)
    page.get_by_text("Hide navigation").click()
    page.get_by_role("button").filter(has=page.get_by_role("img", name="panel_show_right")).last.click()
    page.keyboard.press("Alt+e")  # expand all groups
    page.wait_for_timeout(SETTLE_MS)
    page.mouse.move(1400, 1500)
    page.mouse.wheel(0, 175)  # the undermost group is not quite in sight
    page.wait_for_timeout(SETTLE_MS)
    page.screenshot(path=picture)


def model(browser: Browser, picture: Path) -> None:
    """Draw a model's plots as its page shows them."""
    path = f"/assets/models/aggressive/lgbm/high_040_4?view=partitions&partition={quote(MARKET)}"
    plots(opened(browser, path, 1500, 1560), picture)


def signals(browser: Browser, picture: Path) -> None:
    """Draw the newest signals of a market."""
    path = f"/assets/signals/aggressive?view=partitions&partition={quote(MARKET)}"
    plots(opened(browser, path, 1500, 720), picture)


def performance(browser: Browser, picture: Path) -> None:
    """Draw what a market's signals would have earned on paper."""
    path = f"/assets/performance/aggressive?view=partitions&partition={quote(MARKET)}"
    plots(opened(browser, path, 1500, 1560), picture)


def plots(page: Page, picture: Path) -> None:
    """Open the entry that holds a partition's plots."""
    page.get_by_text("[Show Markdown]").first.click()
    page.wait_for_timeout(SETTLE_MS)
    page.screenshot(path=picture)


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
