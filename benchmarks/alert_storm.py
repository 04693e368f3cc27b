"""A storm of alerts: many events a second, a dispatcher that is killed, a Bot API that fails in every way.

The Bot API is local and holds to the published limits. Prints what arrived, how late and how often; the last
lines give each promise as kept or BROKEN, and the exit code is 1 when one is broken.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import random
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path += [str(HERE.parent / "itb_assets_tests" / "alerts")]  # the local Bot API lives there

import machine  # noqa: E402 - after the path is set
import server  # noqa: E402 - same
import sqlalchemy as sa  # noqa: E402 - same
from alert_storm_judge import Storm, findings, verdicts  # noqa: E402 - same
from bot_api import BotApi  # noqa: E402 - same

from itb_assets.domain.alerts import Level, Occurrence, Routing  # noqa: E402 - same
from itb_assets.observability.alerts.store import report  # noqa: E402 - same
from itb_assets.storage.database.migrations import migrate  # noqa: E402 - same

TOKEN = "123456:AAof-no-bot-at-all"  # noqa: S105 - of no bot
GROUP = -1001
FEEDERS = 3
ROUTING = Routing(channels=dict.fromkeys(Level, ("telegram",)))
_LIBRARIES = ("sqlalchemy", "psycopg2-binary", "requests")
_DRAIN_S = 180.0


def main(arguments: Sequence[str] | None = None) -> int:
    """Make a storm and print what became of it; return 1 when a promise is broken."""
    options = _parse(arguments)
    described = machine.describe(_LIBRARIES, {})
    with contextlib.ExitStack() as stack:
        base = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="itb-storm-", dir=options.folder)))
        url = stack.enter_context(server.running(base)).database("storm")
        engine = sa.create_engine(url, pool_size=FEEDERS + 2)
        stack.callback(engine.dispose)
        migrate(engine)
        api = stack.enter_context(BotApi(TOKEN, chats=[GROUP]))
        found = findings(engine, api, _storm(engine, url, api, options))
    judged = verdicts(found)
    if options.json:
        said = [{"kept": kept, "promise": line} for kept, line in judged]
        print(json.dumps({"machine": described, "found": found, "verdicts": said}, indent=1))
    else:
        print(machine.as_line(described))
        print("\n".join(f"{name}: {value}" for name, value in found.items()))
        print("\n".join(f"{'kept' if kept else 'BROKEN'}: {line}" for kept, line in judged))
    return 0 if all(kept for kept, _ in judged) else 1


def _storm(engine: sa.Engine, url: str, api: BotApi, options: argparse.Namespace) -> Storm:
    storm = Storm(options.seconds)
    lost = api.fault("lost_answer", times=None, share=options.lost)
    asked = api.fault("too_many", times=None, share=options.too_many, retry_after=2)
    with _dispatcher(url, api, storm, options) as calm:
        over = threading.Event()
        trouble = threading.Thread(target=_outage, args=(api, storm, options, over))
        trouble.start()
        _feed(engine, storm, options)
        over.set()
        trouble.join()
        calm.set()
        api.lift()
        begun = time.monotonic()
        while (waits := _waiting(engine)) and time.monotonic() - begun < _DRAIN_S:
            time.sleep(0.2)
        storm.drained, storm.drain_s = not waits, time.monotonic() - begun
    storm.faults = {"lost_answer": lost.hits, "too_many": asked.hits}
    return storm


def _feed(engine: sa.Engine, storm: Storm, options: argparse.Namespace) -> None:
    """Tell events at an even rate, each in a transaction of its own, by several threads."""
    begun = time.monotonic()
    told: list[list[str]] = [[] for _ in range(FEEDERS)]

    def tell(feeder: int) -> None:
        for number in range(feeder, int(options.seconds * options.rate), FEEDERS):
            late = begun + number / options.rate - time.monotonic()
            if late > 0:
                time.sleep(late)
            occurrence = _occurrence(number, options)
            with engine.begin() as connection:
                report(connection, occurrence, now=datetime.now(UTC), routing=ROUTING)
            told[feeder].append(occurrence.event_id)

    threads = [threading.Thread(target=tell, args=(feeder,)) for feeder in range(FEEDERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    storm.told = [event for each in told for event in each]
    storm.late_s = time.monotonic() - begun - options.seconds


def _occurrence(number: int, options: argparse.Namespace) -> Occurrence:
    """Return an event: one in `critical_every` is critical and like no other, the rest are of few kinds."""
    critical = number % options.critical_every == 0
    which = random.Random(number).randrange(options.identities)  # noqa: S311 - not secret
    of = f"C{number}" if critical else f"W{which}"
    level = Level.CRITICAL if critical else (Level.ERROR, Level.WARNING)[number % 2]
    return Occurrence(
        event_id=f"event {number}",
        rule="storm_critical" if critical else "storm",
        level=level,
        labels={"symbol": of},
        title=f"case-{number} went wrong",
        at=datetime.now(UTC),
    )


def _outage(api: BotApi, storm: Storm, options: argparse.Namespace, over: threading.Event) -> None:
    """Let the Bot API be away for a while in the middle."""
    if options.outage <= 0 or over.wait(options.seconds * 0.4):
        return
    storm.outages.append(datetime.now(UTC))
    with api.outage():
        time.sleep(options.outage)


@contextlib.contextmanager
def _dispatcher(
    url: str, api: BotApi, storm: Storm, options: argparse.Namespace
) -> Iterator[threading.Event]:
    """Keep a dispatcher running, killed and started anew until the event that is yielded is set."""
    calm, ended = threading.Event(), threading.Event()
    when = random.Random(options.seed)  # noqa: S311 - not secret
    given = {
        "database_url": url,
        "telegram_url": api.url,
        "slack_url": api.slack_url,
        "token": TOKEN,
        "chat": GROUP,
    }
    command = [sys.executable, str(HERE / "alert_dispatcher.py"), json.dumps(given)]

    def keep() -> None:
        while not ended.is_set():
            with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
                process.stdout.readline()  # type: ignore[union-attr]
                if calm.wait(when.uniform(0.5, 1.5) * options.kill_every):
                    ended.wait()
                    process.terminate()
                    return
                process.kill()
                storm.kills.append(datetime.now(UTC))

    keeper = threading.Thread(target=keep)
    keeper.start()
    try:
        yield calm
    finally:
        calm.set()
        ended.set()
        keeper.join()


def _waiting(engine: sa.Engine) -> bool:
    found = "SELECT EXISTS (SELECT FROM alert_outbox WHERE sent_at IS NULL AND dead_at IS NULL)"
    with engine.connect() as connection:
        return bool(connection.scalar(sa.text(found)))


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--seconds", type=float, default=60, help="length of the storm (default 60)")
    add("--rate", type=float, default=100, help="events a second (default 100)")
    add("--critical-every", type=int, default=50, help="one event in so many is critical (default 50)")
    add("--identities", type=int, default=200, help="how many things the others are of (default 200)")
    add("--kill-every", type=float, default=3, help="seconds a dispatcher lives on average (default 3)")
    add("--lost", type=float, default=0.08, help="share of answers that are lost (default 0.08)")
    add("--too-many", type=float, default=0.05, help="share of requests answered 429 (default 0.05)")
    add("--outage", type=float, default=10, help="seconds that the Bot API is away (default 10)")
    add("--seed", type=int, default=7, help="of when it is killed (default 7)")
    add("--json", action="store_true", help="print everything as JSON")
    add("--folder", help="where to work (default: the system's temporary folder)")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
