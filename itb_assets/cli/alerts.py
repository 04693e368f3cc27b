"""Commands about alerts: `itb alerts list|ack|close|silence|unsilence|test|rules|replay`.

What each of them does is the alerts' own; here it is asked for and shown.
"""

from __future__ import annotations

import getpass
from datetime import UTC, datetime, timedelta
from typing import Annotated

import typer
from pydantic import TypeAdapter, ValidationError

from itb_assets.cli.output import JsonOption, console, emit, errors
from itb_assets.domain.alerts import Silence
from itb_assets.errors import InputError
from itb_assets.observability.alerts import outbox, store
from itb_assets.observability.alerts.config_values import Length
from itb_assets.orchestration.alerts.channels import NO_LINKS, config_of
from itb_assets.orchestration.alerts.desk import (
    SILENT_S,
    alerts_open,
    matchers_of,
    rule_known,
    send_test,
    silent_s,
)
from itb_assets.orchestration.alerts.rows import (
    dead_rows,
    dead_table,
    incident_rows,
    incident_table,
    labels_text,
    rule_rows,
    rule_table,
    time_text,
)
from itb_assets.settings import load_settings

DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would be done, and do nothing.")]
MOST = 10_000
"""So many open incidents are looked through at most."""

Who = Annotated[str, typer.Option(help="Who does it, for others to ask; default: your user name.")]

alerts_app = typer.Typer(no_args_is_help=True, help="What is wrong, who looks after it, and who is told.")


def register(app: typer.Typer) -> None:
    """Add the commands to the application."""
    app.add_typer(alerts_app, name="alerts")


@alerts_app.command("list")
def alerts_list(
    *,
    everything: Annotated[bool, typer.Option("--all", help="Also incidents that are over.")] = False,
    silences: Annotated[bool, typer.Option("--silences", help="Silences in force instead.")] = False,
    newest: Annotated[int, typer.Option(min=1, max=MOST, help="How many at most.")] = 100,
    as_json: Annotated[bool, JsonOption] = False,
) -> None:
    """List open incidents, the worst first; each is one thing that is wrong, however often it was told.

    Example: `itb alerts list --all`
    """
    if silences:
        _list_silences(as_json=as_json)
        return
    with alerts_open(load_settings()) as connection:
        found = store.incidents(connection, open_only=not everything, limit=newest + 1)
        age_s = silent_s(connection, datetime.now(UTC))
    rows = incident_rows(found[:newest])
    title = "Incidents" if everything else "Open incidents"
    empty = "there was no incident" if everything else "no incident is open"
    emit(rows if as_json else incident_table(rows), title=title, as_json=as_json, empty=empty)
    if len(found) > newest and not as_json:
        console.print(f"there are more than {newest}: --newest {newest * 10} shows more")
    if not as_json and (age_s is None or age_s > SILENT_S):
        heard = "never ran" if age_s is None else f"was last seen {timedelta(seconds=round(age_s))} ago"
        errors.print(
            f"`itb alerter` {heard}: no rule is computed and nobody is told meanwhile",
            style="yellow",
            soft_wrap=True,
        )


def _list_silences(*, as_json: bool) -> None:
    with alerts_open(load_settings()) as connection:
        rows = [_silence_row(each) for each in store.silences(connection, now=datetime.now(UTC))]
    emit(rows, title="Silences", as_json=as_json, empty="no silence is in force")


@alerts_app.command("ack")
def alerts_ack(
    incident: Annotated[int, typer.Argument(help="Number of the incident, as `itb alerts list` shows it.")],
    *,
    who: Who = "",
    dry_run: DryRun = False,
    as_json: Annotated[bool, JsonOption] = False,
) -> None:
    """Acknowledge an open incident: somebody looks after it, so it is not repeated unless it gets worse.

    Example: `itb alerts ack 17 --who maria`
    """
    with alerts_open(load_settings()) as connection:
        found = store.acknowledge(connection, incident, who or _user(), datetime.now(UTC))
        rows = incident_rows([found])
        if dry_run:
            connection.rollback()
    title = "Would acknowledge" if dry_run else "Acknowledged"
    emit(rows if as_json else incident_table(rows), title=title, as_json=as_json, empty="")


@alerts_app.command("close")
def alerts_close(
    incident: Annotated[int, typer.Argument(help="Number of the incident, as `itb alerts list` shows it.")],
    *,
    dry_run: DryRun = False,
    as_json: Annotated[bool, JsonOption] = False,
) -> None:
    """End an incident that nothing else will end, such as one of an asset that is gone; nobody is told.

    Example: `itb alerts close 17`
    """
    with alerts_open(load_settings()) as connection:
        rows = incident_rows([store.close(connection, incident, datetime.now(UTC))])
        if dry_run:
            connection.rollback()
    title = "Would close" if dry_run else "Closed"
    emit(rows if as_json else incident_table(rows), title=title, as_json=as_json, empty="")


@alerts_app.command("silence")
def alerts_silence(
    matchers: Annotated[
        list[str], typer.Argument(help="What is kept quiet: rule=NAME, label=VALUE; * ends a value.")
    ],
    *,
    why: Annotated[str, typer.Option(help="Why, for whoever finds it quiet.")],
    length: Annotated[str, typer.Option("--for", help="How long, such as 90s, 30m, 2h or 3d.")] = "2h",
    who: Who = "",
    dry_run: DryRun = False,
    as_json: Annotated[bool, JsonOption] = False,
) -> None:
    """Keep quiet for a while about what fits all matchers; incidents are still kept and listed.

    Example: `itb alerts silence rule=data_stale symbol=BTC* --for 2h --why "exchange maintenance"`
    """
    now, settings = datetime.now(UTC), load_settings()
    silence = Silence(
        matchers=matchers_of(matchers), until=now + _length(length), who=who or _user(), why=why
    )
    with alerts_open(settings) as connection:
        rule_known(connection, config_of(settings), silence.matchers)
        number = store.add_silence(connection, silence, now)
        fits = sum(
            silence.covers(each.rule, each.labels, now) for each in store.incidents(connection, limit=MOST)
        )
        if dry_run:
            connection.rollback()
    row = _silence_row(silence) | {"id": None if dry_run else number, "open_now": fits}
    emit([row], title="Would silence" if dry_run else "Silenced", as_json=as_json, empty="")


@alerts_app.command("unsilence")
def alerts_unsilence(
    silence: Annotated[
        int, typer.Argument(help="Number of the silence, as `itb alerts list --silences` shows it.")
    ],
    *,
    dry_run: DryRun = False,
    as_json: Annotated[bool, JsonOption] = False,
) -> None:
    """End a silence before its time; its record stays.

    Example: `itb alerts unsilence 3`
    """
    now = datetime.now(UTC)
    with alerts_open(load_settings()) as connection:
        rows = [_silence_row(each) for each in store.silences(connection, now=now) if each.id == silence]
        if not rows:
            raise InputError(
                f"no silence {silence} is in force: `itb alerts list --silences` shows those that are"
            )
        if not dry_run:
            store.remove_silence(connection, silence, now)
    emit(rows, title="Would end" if dry_run else "Ended", as_json=as_json, empty="")


@alerts_app.command("test")
def alerts_test(
    text: Annotated[str, typer.Argument(help="What the message says; default: that alerts arrive.")] = "",
    *,
    channel: Annotated[
        str | None, typer.Option(help="Only this one: telegram, slack or apprise. Default: all.")
    ] = None,
    dry_run: DryRun = False,
    as_json: Annotated[bool, JsonOption] = False,
) -> None:
    """Put a test message in for every channel that is set up; `itb alerter` delivers it within seconds.

    Example: `itb alerts test --channel apprise`
    """
    settings = load_settings()
    with alerts_open(settings) as connection:
        made = send_test(connection, settings, text, datetime.now(UTC), channel=channel)
        rows = [{"id": row.id, "channel": row.channel} for row in outbox.numbered(connection, made)]
        if dry_run:
            connection.rollback()
    emit(rows, title="Would send" if dry_run else "Waits to be sent", as_json=as_json, empty="")
    if not settings.docs_url:
        errors.print(NO_LINKS, style="yellow", soft_wrap=True)


@alerts_app.command("rules")
def alerts_rules(
    *,
    firing: Annotated[bool, typer.Option("--firing", help="Only rules that find something wrong.")] = False,
    as_json: Annotated[bool, JsonOption] = False,
) -> None:
    """Show every rule with what it last found, and what it lacks where it could not tell.

    Example: `itb alerts rules --firing`

    "insufficient" has too few data or too old ones, "no_data" has none; neither is the same as "ok".
    """
    settings = load_settings()
    config = config_of(settings)
    with alerts_open(settings) as connection:
        rows = rule_rows(connection, config, datetime.now(UTC))
    rows = [row for row in rows if not firing or row["state"] == "firing"]
    shown = rows if as_json else rule_table(rows)
    emit(shown, title="Rules", as_json=as_json, empty="no rule finds anything wrong")
    if len(shown) < len(rows):
        console.print("what is fine of one rule shares a line: --json has each, with value and threshold")


@alerts_app.command("replay")
def alerts_replay(
    messages: Annotated[
        list[int] | None, typer.Argument(help="Numbers of messages; without any they are listed.")
    ] = None,
    *,
    everything: Annotated[bool, typer.Option("--all", help="All, also those that are not listed.")] = False,
    dry_run: DryRun = False,
    as_json: Annotated[bool, JsonOption] = False,
) -> None:
    """List messages that were given up because their channel refuses them, or send some or all again.

    Example: `itb alerts replay 41 42`

    The newest 1,000 are listed. One that was sent again is not: it goes out once more only by its number.
    """
    if messages and everything:
        raise InputError("numbers and --all were given: expected one of the two")
    with alerts_open(load_settings()) as connection:
        rows, count, again = dead_rows(connection, messages or ()), outbox.given_up(connection), 0
        if everything and not as_json:
            console.print(f"{count:,} given up")
        if sends := bool(messages) or everything:
            again = len(outbox.replay(connection, messages or None, datetime.now(UTC)))
        if dry_run:
            connection.rollback()
    title = ("Would send again" if dry_run else "Sent again") if sends else "Given up"
    emit(rows if as_json else dead_table(rows), title=title, as_json=as_json, empty="no message was given up")
    hint = "`itb alerts replay NUMBER` sends one again, --all every one, once its channel takes messages"
    if rows and not as_json:
        console.print(f"{again:,} {'would go' if dry_run else 'go'} out again" if sends else hint)
    if not messages and (more := (again if everything else count) - len(rows)) > 0:
        (errors if as_json else console).print(f"{more:,} more than are listed")


def _silence_row(silence: Silence) -> dict[str, object]:
    return {
        "id": silence.id,
        "what": labels_text(silence.matchers),
        "until": time_text(silence.until),
        "who": silence.who,
        "why": silence.why,
    }


def _user() -> str:
    """Return who is at the terminal; raise InputError where the machine has no name for him."""
    try:
        return getpass.getuser()
    except (KeyError, OSError, ImportError):
        raise InputError("this machine does not know your name: say --who NAME") from None


def _length(text: str) -> timedelta:
    """Read a length of time as the alerts' file has it; raise InputError for what is none."""
    try:
        found: timedelta = TypeAdapter(Length).validate_python(text)
    except ValidationError:
        expected = "expected a length of time such as 90s, 30m, 2h or 3d, up to 3650d"
        raise InputError(f"--for {text!r}: {expected}") from None
    return found
