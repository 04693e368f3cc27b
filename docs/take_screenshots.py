"""Draw the pictures of the README and of docs/ from the UI of the demo: run it by `make screenshots`.

What a page must show is tested in itb_assets_tests/integration/test_ui.py. Needs Chromium.
"""  # noqa: INP001 -- a script beside the pages it draws for, not a package

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import requests
import sqlalchemy as sa
from playwright.sync_api import Browser, Page, sync_playwright

from itb_assets.domain.alerts import Level, Occurrence
from itb_assets.observability.alerts import store
from itb_assets.observability.alerts.config import load_config
from itb_assets.storage.layout import Layout
from itb_assets.storage.server.embedded import EmbeddedPostgres

IMAGES = Path(__file__).parent / "images"
DEMO_ROOT = Path(".demo")
ITB = Path(sys.executable).with_name("itb")
PORT = 3055
URL = f"http://127.0.0.1:{PORT}"
START_S = 180
SETTLE_MS = 3_000
CHROMIUM = ("--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking")
MARKET = "5m|DEMOWOLFUSDT"
PLOTS = re.compile(r"^plots?$")
MATERIALIZATIONS = """
query Materializations($key: AssetKeyInput!, $partitions: [String!]) {
  assetOrError(assetKey: $key) { ... on Asset {
    assetMaterializations(partitions: $partitions, limit: 500) {
      timestamp metadataEntries { __typename label }
    }
  } }
}"""


def main(data_root: Path = DEMO_ROOT) -> None:
    """Run the demo unless it has run, open its UI, and write each picture."""
    if not data_root.exists():
        subprocess.run([ITB, "demo"], check=True)  # noqa: S603 - our own command
    IMAGES.mkdir(exist_ok=True)
    with serving(data_root), sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium(), args=list(CHROMIUM))
        pictures = {draw.__name__: draw for draw in (lineage, model, signals, performance)}
        for name, draw in (pictures | {"incidents": partial(incidents, data_root)}).items():
            picture = IMAGES / f"{name}.png"
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
    page = opened(browser, "/asset-groups", 2800, 1900, scale=0.66)
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
    plots(browser, "models/aggressive/lgbm/high_040_4", picture, height=1560)


def signals(browser: Browser, picture: Path) -> None:
    """Draw the newest signals of a market."""
    plots(browser, "signals/aggressive", picture, height=720)


def performance(browser: Browser, picture: Path) -> None:
    """Draw what a market's signals would have earned on paper."""
    plots(browser, "performance/aggressive", picture, height=1560)


def plots(browser: Browser, asset: str, picture: Path, *, height: int) -> None:
    """Open the newest plots of a market; not every materialization draws them."""
    page = opened(browser, f"/assets/{asset}?view=events&asOf={drawn_at(asset)}", 1500, height)
    entry = page.get_by_role("row").filter(has=page.get_by_text(PLOTS))
    entry.get_by_text("[Show Markdown]").first.click()
    page.wait_for_timeout(SETTLE_MS)
    page.screenshot(path=picture)


def drawn_at(asset: str) -> str:
    """Return the time of the newest materialization of the market that has plots, as Dagster writes it."""
    variables = {"key": {"path": asset.split("/")}, "partitions": [MARKET]}
    asked = {"query": MATERIALIZATIONS, "variables": variables}
    answer: Any = requests.post(f"{URL}/graphql", json=asked, timeout=60).json()
    for found in answer["data"]["assetOrError"]["assetMaterializations"]:
        for entry in found["metadataEntries"]:
            if entry["__typename"] == "MarkdownMetadataEntry" and PLOTS.match(entry["label"]):
                return str(found["timestamp"])
    sys.exit(f"{asset} of {MARKET} was never drawn: remove {DEMO_ROOT} and run `make demo`")


def incidents(data_root: Path, browser: Browser, picture: Path) -> None:
    """Draw the page of open incidents, with three examples that are there only meanwhile."""
    url = EmbeddedPostgres(Layout(data_root).postgres_dir).url("itb")
    engine = sa.create_engine(url, poolclass=sa.NullPool)  # a connection kept would keep the server
    now, page_path = datetime.now(UTC), "/assets/alerts/incidents?view=checks&checkDetail=none_open"
    with engine.begin() as connection:
        told = store.report_all(connection, examples(now), now=now, routing=load_config().routing)
        numbers = [each.incident.id for each in told if each.incident is not None]
        store.acknowledge(connection, numbers[1], "ann", now)
    try:
        page = opened(browser, page_path, 1500, 760)
        page.get_by_text("incidents are open").wait_for(timeout=60_000)
        page.wait_for_timeout(SETTLE_MS)
        page.screenshot(path=picture)
    finally:
        with engine.begin() as connection:
            for number in numbers:
                store.close(connection, number, now)


def examples(now: datetime) -> list[Occurrence]:
    """Return what the picture shows."""
    run = f"{URL}/runs/6f1c9e52-7a40-4c0e-9d43-0f3c1f8a2b11"
    what = (
        ("daily_loss", Level.CRITICAL, "daily loss", "6.20 % lost today, 14 trades ended", ""),
        (
            "training_failed",
            Level.ERROR,
            "models/aggressive/lgbm/high_040_4 of BTCUSDT 5m: training failed",
            "DataContractError: 812 rows with a label, expected at least 1000 (terminal)",
            run,
        ),
        (
            "data_stale",
            Level.WARNING,
            "data of ETHUSDT 5m are late",
            "the newest kline closed 0:23:00 ago",
            "",
        ),
    )
    return [
        Occurrence(
            event_id=f"picture:{rule}:{now.timestamp()}",
            rule=rule,
            level=level,
            labels={"example": "picture"},
            title=title,
            detail=detail,
            url=url,
            at=now - timedelta(minutes=17 * number),
        )
        for number, (rule, level, title, detail, url) in enumerate(what, start=1)
    ]


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
