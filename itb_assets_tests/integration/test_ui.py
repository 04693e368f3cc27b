"""The UI as a person meets it: its pages load, symbols are added, a backfill runs, it stops as a whole."""

from __future__ import annotations

import re
import signal
import socket
import subprocess
from collections.abc import Callable, Iterator
from urllib.parse import quote

import dagster as dg
import pytest
from free_ports import free_port
from playwright.sync_api import Browser, Locator, Page, expect
from ui_browser import opened_browser, shown, watched_page
from ui_process import ITB, START_S, STOP_S, Ui, environment, make_demo_root, wait_for

from itb_assets.demo.market import DEMO_SYMBOLS
from itb_assets.domain.markets import Market
from itb_assets.orchestration.instance import running_instance
from itb_assets.settings import load_settings
from itb_assets.storage.disk.locks import market_lock
from itb_assets.storage.layout import Layout

pytestmark = pytest.mark.slow

DAYS = 100
FIRST = DEMO_SYMBOLS[0]
PARTITION = f"1h|{FIRST}"
SYMBOLS = DEMO_SYMBOLS[:5]
FREQS = ("1h", "2h", "4h")
GROUPS = (
    "raw",
    "processed",
    "labeled",
    "models_aggressive",
    "models_conservative",
    "predictions",
    "signals",
    "trades",
    "performance",
    "drift",
    "alerts",
)
ASSETS = (
    "klines",
    "data",
    "features",
    "matrix",
    "high_040_4",
    "low_040_4",
    "aggressive",
    "conservative",
    "incidents",
)
MODEL = "/assets/models/aggressive/lgbm/high_040_4"
RUN_S = 240
BACKFILL_S = 600


@pytest.fixture(scope="module")
def ui(tmp_path_factory) -> Iterator[Ui]:
    """Return a UI on a data root where nothing was run yet."""
    running = Ui.start(make_demo_root(tmp_path_factory.mktemp("ui") / "data", days=DAYS))
    try:
        yield running.ready()
    finally:
        if running.process.poll() is None:
            running.stop()


@pytest.fixture(scope="module")
def first_run(ui) -> str:
    """Add a symbol while the UI runs, launch the job on it and return the run, not waited for."""
    ui.add_symbol(FIRST)
    return ui.launch("build_market", PARTITION)


@pytest.fixture(scope="module")
def run_id(ui, first_run) -> str:
    """Return the run that made the first market."""
    wait_for(lambda: ui.finished(first_run), RUN_S, "the first market is built")
    return first_run


@pytest.fixture(scope="module")
def browser(chromium) -> Iterator[Browser]:
    """Return a headless browser."""
    with opened_browser(chromium) as opened:
        yield opened


@pytest.fixture(scope="module")
def backfill(ui, browser, first_run, tmp_path_factory) -> None:
    """Add four more symbols, each in one of the ways there are, and launch a backfill as a person does."""
    from_cli, from_dialog, from_api = SYMBOLS[1:3], SYMBOLS[3], SYMBOLS[4]
    ui.add_symbol(from_api)
    added = [str(ITB), "symbols", "add", "--no-check", *from_cli]
    subprocess.run(added, env=environment(ui.root), check=True, timeout=START_S)
    with watched_page(browser, tmp_path_factory.mktemp("backfill") / "page.png") as page:
        page.goto(
            ui.url + "/asset-groups" + quote('~key:"raw/klines" or key:"processed/data"', safe="~") + "/"
        )
        page.get_by_role("button", name="Materialize").first.click()
        dialog = page.get_by_role("dialog").first
        shown(dialog, "Launch runs to materialize 2 assets")
        dialog.get_by_text("Add a partition").click()
        page.get_by_placeholder("name", exact=True).fill(from_dialog)
        page.get_by_role("button", name="Save").click()
        wait_until_listed(page, dialog, len(SYMBOLS))
        choose_freqs(page, dialog)
        dialog.get_by_role("button", name="All", exact=True).last.click()
        shown(dialog, "15 partitions")
        dialog.get_by_role("button", name="Launch backfill").click()


def wait_until_listed(page: Page, dialog: Locator, symbols: int) -> None:
    """Wait for the dialog's list of symbols: it is loaded anew after one was added, and `All` takes it."""
    dialog.get_by_text("Select a partition or create one").last.click()
    expect(page.get_by_text(f"Select all ({symbols})")).to_be_visible()
    page.keyboard.press("Escape")


def choose_freqs(page: Page, dialog: Locator) -> None:
    """Tick three freqs in the dialog's list."""
    dialog.get_by_text("Select a partition or create one").first.click()
    for freq in FREQS:
        page.get_by_role("menuitem").filter(has_text=re.compile(rf"^\s*{freq}")).first.click()
    page.keyboard.press("Escape")


@pytest.fixture
def visit(browser, ui, tmp_path) -> Iterator[Callable[[str], Page]]:
    """Return what opens a page of the UI; its picture is in `tmp_path` afterwards."""
    with watched_page(browser, tmp_path / "page.png") as page:

        def visit(path: str) -> Page:
            page.goto(ui.url + path)
            return page

        yield visit


@pytest.mark.browser
def test_the_first_page_has_no_dialog_and_no_banner(visit, backfill):
    """Neither a newsletter nor a telemetry notice stands in the way; runs are under way meanwhile."""
    page = visit("/")
    shown(page, "Lineage", "Runs", "Automation")


@pytest.mark.browser
def test_the_lineage_shows_every_asset(visit, run_id):
    """From klines to signals, every group and every asset in it."""
    expanded = ",".join(f"global@global:{group}" for group in GROUPS)
    page = visit(f"/asset-groups?expanded={quote(expanded)}")
    shown(page, "Global asset lineage", *GROUPS, *ASSETS)


@pytest.mark.browser
def test_a_partition_page_tells_what_is_stored(visit, run_id):
    """Rows, times and file of one market's features."""
    page = visit(f"/assets/processed/features?view=partitions&partition={quote(PARTITION)}")
    shown(page, PARTITION, "dagster/row_count", "first", "last", "sha256")
    expect(page.get_by_text("processed/features.csv")).to_be_visible()


@pytest.mark.browser
def test_a_model_page_shows_its_figures_and_plots(visit, run_id):
    """AUC out of sample as a number, and three plots that the browser can draw."""
    page = visit(f"{MODEL}?view=overview")
    shown(page, "auc", "win_rate", "walk_forward", "plots")
    page.get_by_text("[Show Markdown]").first.click()
    plots = page.get_by_role("dialog").locator("img[src^='data:image/png;base64,']")
    expect(plots).to_have_count(3)
    for plot in plots.all():
        wait_for(lambda plot=plot: plot.evaluate("image => image.naturalWidth") > 300, 60, "a plot is drawn")
    page.get_by_role("button", name="Close").click()


@pytest.mark.browser
def test_the_checks_of_an_asset_have_passed(visit, run_id):
    """Each check is listed with what it means."""
    page = visit("/assets/processed/features?view=checks")
    shown(page, "look_ahead", "serve_parity")
    expect(page.get_by_text("Stored features are what they were").first).to_be_visible()
    expect(page.get_by_text("Passed").first).to_be_visible()


@pytest.mark.browser
def test_a_run_page_shows_its_steps(visit, run_id):
    """One run of one market, green."""
    page = visit(f"/runs/{run_id}")
    shown(page, "Success")
    expect(page.get_by_text(PARTITION).first).to_be_visible()
    expect(page.get_by_text("signals__conservative").first).to_be_visible()


@pytest.mark.browser
def test_a_backfill_of_five_symbols_and_three_freqs(ui, backfill, run_id):
    """Symbols were added while everything ran; all that the dialog launched succeeds."""
    wait_for(lambda: backfilled(ui), BACKFILL_S, "all 15 runs of the backfill succeed")
    for symbol in SYMBOLS:
        for freq in FREQS:
            assert (ui.root / symbol / freq / "raw" / "klines.parquet").is_file()
            assert (ui.root / symbol / freq / "processed" / "data.csv").is_file()


def backfilled(ui: Ui) -> bool:
    """Tell whether each of the 15 markets has its run of the backfill, and all have succeeded."""
    runs = [run for run in ui.runs() if "dagster/backfill" in run["tags"]]
    assert not [run for run in runs if run["status"] in ("FAILURE", "CANCELED")], ui.log("code_server")
    done = {run["tags"]["dagster/partition"] for run in runs if run["status"] == "SUCCESS"}
    return done == {f"{freq}|{symbol}" for symbol in SYMBOLS for freq in FREQS}


def test_without_a_channel_a_line_says_how_to_have_alerts(ui):
    """No alerter runs beside the servers."""
    wait_for(lambda: "Alerts: no channel is set up, so nobody is told" in ui.said, 60, "the line is there")
    assert "ITB_TELEGRAM_TOKEN" in ui.said
    assert not (ui.root / "logs" / "alerter.log").exists()


def test_a_second_ui_on_the_same_data_is_refused(ui):
    """Two daemons over one instance would launch every run twice."""
    second = Ui.start(ui.root, port=free_port())
    assert second.process.wait(START_S) == 4
    assert "another `itb ui` serves" in second.said


def test_a_server_that_dies_ends_everything_and_says_so(ui, first_run):
    """The message names the server and its log; no process is left, the database's neither, nor a run."""
    # the run waits for the lock, so it cannot end before it is cut
    with market_lock(Layout(ui.root).market_lock(Market(FIRST, "30m"))):
        cut = ui.launch("build_market", f"30m|{FIRST}")
        wait_for(lambda: ui.runs(runIds=[cut], statuses=["STARTED"]), RUN_S, "the run begins")
        ui.child("dagster-daemon").kill()
        assert ui.process.wait(STOP_S) == 4
    assert "the daemon ended by itself with exit code -9" in ui.said
    assert str(ui.root / "logs" / "daemon.log") in ui.said.replace(" ", "")
    wait_for(lambda: not ui.processes(), 60, "every process has ended")
    settings = load_settings(data_root=ui.root, database_url=None, dagster_url=None)
    with running_instance(settings) as (_, instance):
        run = instance.get_run_by_id(cut)
        assert run is not None
        assert run.status is dg.DagsterRunStatus.CANCELED


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGHUP])
def test_a_signal_during_the_start_stops_everything(tmp_path, number):
    """However early, whatever was started already is stopped; nothing waits for a second Ctrl-C."""
    starting = Ui.start(make_demo_root(tmp_path / "data", days=1))
    wait_for(lambda: len(starting.processes()) > 1, START_S, "a first server runs")
    assert starting.stop(number) == 0
    assert "Stopped." in starting.said
    wait_for(lambda: not starting.processes(), 60, "every process has ended")


def test_a_taken_port_is_refused_before_anything_is_started(tmp_path):
    """No database, no folder, exit code 4 and what to do."""
    root = tmp_path / "data"
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        refused = Ui.start(make_demo_root(root, days=1), port=port)
        assert refused.process.wait(START_S) == 4
    assert f"127.0.0.1:{port} cannot be listened on" in refused.said
    assert "--port" in refused.said
    assert [path.name for path in (root / ".itb").iterdir()] == ["demo.json"]
