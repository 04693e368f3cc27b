"""How long it takes from something going wrong to the message about it, in a deployment that is real.

PostgreSQL, code server, daemon, web server, `itb alerter` and a local Bot API are started as processes. Then
trouble is made, kind by kind and trial by trial, each trial of a market of its own:

  step       an error raised in an asset's step          from the raise, as the step's process sees it
  worker     kill -9 of the process of a run             from the kill
  check      a blocking asset check that fails           from its evaluation, as the run's process sees it
  drift      the drift asset finds drift                 from the transaction that records it
  collector  kill -9 of an order-book collector          from the kill
  server     kill -9 of the code server                  from the kill; it stays away until it is told

up to the moment at which the Bot API accepted the first message that names it. Each cause comes a random part
of 5 s after all is ready. A trial of each kind makes a round; the server is killed last, when no run is under
way. Twenty rounds take about 20 minutes. The last lines give each promise as kept or BROKEN, and the exit
code is 1 when one is broken.

  python benchmarks/alert_latency.py --trials 2                        all of it, in some minutes
  python benchmarks/alert_latency.py --trials 1 --only server --keep   one kind; the logs stay
"""

from __future__ import annotations

import argparse
import contextlib
import json
import math
import signal
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from types import FrameType

import machine
from alert_latency_causes import Room, restarted, symbol_of
from alert_latency_deployment import LOCATION, Deployment, Undone, deployed
from alert_latency_judge import KINDS, Trial, as_text, table, verdicts
from alert_latency_runs import Runs, opened_instance
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
)

_LIBRARIES = ("dagster", "sqlalchemy", "psycopg2-binary", "requests")
_STOPPED = 130  # exit code of what was ended by Ctrl-C
_UNDONE = 2
_ALONE = "server"
"""The kind that takes away what the others need."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Make trouble and print how soon it was told; return 1 when a promise is broken."""
    options = _parse(arguments)
    described = machine.describe(_LIBRARIES, {"OMP_NUM_THREADS": "1"})
    signal.signal(signal.SIGTERM, _leave)
    began = time.monotonic()
    try:
        trials, refused = _measured(options)
    except KeyboardInterrupt:
        print("stopped, and all that was started", file=sys.stderr)
        return _STOPPED
    except Undone as error:
        print(f"not measured: {error}", file=sys.stderr)
        return _UNDONE
    rows = table(trials)
    judged = verdicts(rows, options.trials)
    if options.json:
        said = [{"kept": kept, "promise": line} for kept, line in judged]
        told = [{name: None if value == math.inf else value for name, value in row.items()} for row in rows]
        found = {"machine": described, "table": told, "verdicts": said, "refused": refused}
        print(json.dumps(found | {"trials": [vars(trial) for trial in trials]}, indent=1))
    else:
        print(machine.as_line(described))
        print(f"{time.monotonic() - began:.0f} s; seconds from the cause to the message:\n")
        print(as_text(rows))
        print(f"\nrequests refused by the Bot API: {refused}")
        undone = [trial for trial in trials if trial.cause_at is None]
        print("".join(f"no cause: {trial.kind} {trial.number + 1}: {trial.trouble}\n" for trial in undone))
        print("\n".join(f"{'kept' if kept else 'BROKEN'}: {line}" for kept, line in judged))
    return 0 if all(kept for kept, _ in judged) else 1


def _measured(options: argparse.Namespace) -> tuple[list[Trial], int]:
    """Return all trials, and how many messages the Bot API refused."""
    kinds = [kind for kind in KINDS if not options.only or kind in options.only]
    symbols = {kind: [symbol_of(kind, number) for number in range(options.trials)] for kind in kinds}
    prepared = {
        "plain": [
            symbol for kind in kinds if kind in ("step", "worker", "check") for symbol in symbols[kind]
        ],
        "drifting": symbols.get("drift", []),
    }
    with contextlib.ExitStack() as stack:
        base = _folder(stack, options)
        shown = stack.enter_context(_Shown.opened(len(kinds) * options.trials))
        made = stack.enter_context(deployed(base, prepared, shown.say))
        instance = stack.enter_context(opened_instance(base / "home", made.environment["ITB_DAGSTER_URL"]))
        runs = Runs(instance, made.ports["webserver"], LOCATION)
        runs.follow([*prepared["plain"], *prepared["drifting"]])
        room = Room(made, runs, options.seed)
        made.until(runs.served, 120.0, "the web server")
        stack.callback(signal.signal, signal.SIGINT, signal.SIG_IGN)  # who is impatient leaves nothing behind
        return list(_rounds(room, kinds, options.trials, shown)), len(made.inbox.refusals)


def _rounds(room: Room, kinds: Sequence[str], trials: int, shown: _Shown) -> Iterator[Trial]:
    """Yield trial by trial: in each round one of every kind, the code server when all is quiet."""
    together = [kind for kind in kinds if kind != _ALONE]
    with ThreadPoolExecutor(max_workers=max(1, len(together))) as pool:
        for number in range(trials):
            with _ending(room.made):
                waiting = [pool.submit(room.trial, kind, number) for kind in together]
                for done in as_completed(waiting):
                    yield shown.done(done.result())
                if _ALONE in kinds:
                    yield shown.done(room.trial(_ALONE, number))
                    _restart(room, shown)


def _restart(room: Room, shown: _Shown) -> None:
    """Have the code server back; where it does not come, the trials that need it say so."""
    try:
        restarted(room)
    except Undone as error:
        shown.say(str(error))


@contextlib.contextmanager
def _ending(made: Deployment) -> Iterator[None]:
    """Have the threads of trials end when the block is left by an error, or by Ctrl-C."""
    try:
        yield
    except BaseException:
        made.ending.set()
        raise


def _folder(stack: contextlib.ExitStack, options: argparse.Namespace) -> Path:
    if options.keep:
        base = Path(tempfile.mkdtemp(prefix="itb-latency-", dir=options.folder))
        print(f"logs and data stay in {base}", file=sys.stderr, flush=True)
        return base
    made = tempfile.TemporaryDirectory(prefix="itb-latency-", dir=options.folder, ignore_cleanup_errors=True)
    return Path(stack.enter_context(made))


class _Shown:
    """How far it has come: a bar on a terminal, and a line for each trial."""

    def __init__(self, progress: Progress, total: int) -> None:
        self._progress = progress
        self._task = progress.add_task("", total=total)

    @classmethod
    @contextlib.contextmanager
    def opened(cls, total: int) -> Iterator[_Shown]:
        """Show it until the block ends."""
        console = Console(stderr=True, highlight=False)
        columns = (SpinnerColumn(), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        text = TextColumn("{task.description}")
        with Progress(
            *columns, text, console=console, transient=True, disable=not console.is_terminal
        ) as progress:
            yield cls(progress, total)

    def say(self, what: str) -> None:
        """Say what is under way."""
        self._progress.update(self._task, description=what)

    def done(self, trial: Trial) -> Trial:
        """Say how a trial went."""
        self._progress.update(self._task, advance=1, description=trial.kind)
        how = f"{trial.latency_s:5.1f} s by {trial.rule}" if trial.told_at else trial.trouble
        self._progress.console.print(f"{trial.kind:<9} {trial.number + 1:>3}  {how}")
        return trial


def _leave(number: int, frame: FrameType | None) -> None:
    """End as Ctrl-C does."""
    del number, frame
    raise KeyboardInterrupt


def _some(text: str) -> int:
    """Return a number of one or more; what is kept by nothing promises nothing."""
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{number} trials: expected one or more")
    return number


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--trials", type=_some, default=20, help="trials of each kind (default 20); one takes about a minute")
    add("--only", action="append", choices=list(KINDS), help="this kind alone; may be given several times")
    add("--seed", type=int, default=7, help="of the moments of the causes (default 7)")
    add("--json", action="store_true", help="print everything as JSON, every trial with its times")
    add("--keep", action="store_true", help="leave the folder with the logs of all parts, and say where")
    add("--folder", help="where to work (default: the system's temporary folder)")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
