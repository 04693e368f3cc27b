"""Write the messages that docs/alerts.md shows, and draw its chart: run it after changing how messages read.

What the page says around them belongs to the page; a test fails while it shows what is not sent.
"""  # noqa: INP001 -- a script beside the page it writes for, not a package

from __future__ import annotations

import random
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "itb_assets_tests" / "alerts"))

from bot_html import shown_text  # noqa: E402 - beside the tests
from message_making import DOCS, examples, storm, training_failed  # noqa: E402 - as above

from itb_assets.observability.alerts.charts import measure_chart  # noqa: E402 - as above
from itb_assets.observability.alerts.digest import digest  # noqa: E402 - as above
from itb_assets.observability.alerts.markup import to_mrkdwn  # noqa: E402 - as above
from itb_assets.observability.alerts.messages import render  # noqa: E402 - as above

PAGE = ROOT / "docs" / "alerts.md"
CHART = ROOT / "docs" / "images" / "alert_chart.png"


def blocks() -> dict[str, str]:
    """Return what the page shows below each name."""
    shown = {
        name: shown_text(render(kind, message, docs_url=DOCS, **how))
        for name, (kind, message, how) in examples().items()
    }
    shown["Twenty alerts in one message"] = shown_text(digest(storm()))
    shown["The first one as Slack reads it"] = to_mrkdwn(render("opened", training_failed(), docs_url=DOCS))
    return {name: text.replace("\N{NO-BREAK SPACE}", " ") for name, text in shown.items()}


def written(page: str) -> str:
    """Return the page with each block as it is sent today; exit for a name that it lacks."""
    for name, text in blocks().items():
        head = f"{name}:\n\n```text\n"
        before, found, rest = page.partition(head)
        if not found:
            sys.exit(f"docs/alerts.md has no block below {name!r}")
        page = f"{before}{head}{text}\n```{rest.partition(chr(10) + '```')[2]}"
    return page


def chart() -> bytes:
    """Return the picture of an alert of drift, from numbers that look like one."""
    dice = random.Random(3)  # noqa: S311 - a picture
    values, value = [], 0.0
    for drift in [-0.02] * 90 + [0.105] * 80:
        value = max(0.0, value + dice.gauss(drift, 0.25))
        values.append(value)
    first = datetime(2026, 11, 15, 10, tzinfo=UTC)
    times = [first + timedelta(hours=hour) for hour in range(len(values))]
    return measure_chart(times, values, limit=6.5, title="BTCUSDT 5m high_20: CUSUM of the win rate")


def main() -> None:
    """Write the page and its picture."""
    PAGE.write_text(written(PAGE.read_text("utf-8")), "utf-8")
    CHART.write_bytes(chart())


if __name__ == "__main__":
    main()
