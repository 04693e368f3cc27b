"""Write the generated parts of the docs: settings, exit codes, queries, rules of alerts, `.env.example`.

What a person writes does not belong here; a test fails while a generated part is out of date (`make docs`).
"""  # noqa: INP001 -- a script beside the pages it writes, not a package

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path

from pydantic.fields import FieldInfo

from itb_assets import errors
from itb_assets.observability.alerts.rules.table import markdown_table as rules_table
from itb_assets.settings import Settings
from itb_assets.storage.queries.files import markdown_table

ROOT = Path(__file__).resolve().parents[1]
OPERATIONS = ROOT / "docs" / "operations.md"
ALERTS = ROOT / "docs" / "alerts.md"
QUERIES = ROOT / "docs" / "queries" / "README.md"
ENV_EXAMPLE = ROOT / ".env.example"

ENV_HEAD = """\
# Copy this file to `.env` and uncomment what you want to change; every line shows the default.
# A variable of the environment wins over a line of `.env`.
"""
ENV_COMPOSE = """\
# Only for docker compose, which has no default for them. Letters and digits only: openssl rand -hex 24
# ITB_POSTGRES_PASSWORD=
# ITB_DB_PASSWORD=
# ITB_DAGSTER_DB_PASSWORD=
"""


def default_text(field: FieldInfo) -> str:
    """Return a setting's default the way it is written in the environment; empty when unset."""
    value = field.default
    if value is None:
        return ""
    if isinstance(value, tuple):
        return ",".join(map(str, value))
    return value.isoformat() if isinstance(value, datetime) else str(value)


def env_example() -> str:
    """Return the text of `.env.example`."""
    blocks = [
        f"# {field.description}\n# ITB_{name.upper()}={default_text(field)}\n"
        for name, field in Settings.model_fields.items()
    ]
    return "\n".join([ENV_HEAD, *blocks, ENV_COMPOSE])


def settings_table() -> str:
    """Return the Markdown table of all settings."""
    rows = ["| variable | default | meaning |", "|---|---|---|"]
    for name, field in Settings.model_fields.items():
        default = default_text(field)
        shown = f"`{default}`" if default else "unset"
        rows.append(f"| `ITB_{name.upper()}` | {shown} | {field.description} |")
    return "\n".join(rows)


def error_types(root: type[errors.ItbError] = errors.ItbError) -> Iterator[type[errors.ItbError]]:
    """Yield every error below `root`, parents first."""
    for kind in root.__subclasses__():
        yield kind
        yield from error_types(kind)


def exit_code_table() -> str:
    """Return the Markdown table of exit codes and the errors behind them."""
    rows = [
        "| exit code | error | meaning |",
        "|---|---|---|",
        "| 0 | | all that was asked for was done |",
        "| 1 | | `doctor`, `verify` or a check found problems; or a bug, shown with its traceback |",
    ]
    found = sorted(error_types(), key=lambda kind: kind.exit_code)
    for kind in found:
        meaning = (inspect.getdoc(kind) or "").split("\n")[0].rstrip(".")
        rows.append(f"| {kind.exit_code} | `{kind.__name__}` | {meaning} |")
    return "\n".join(rows)


def filled(path: Path, tables: Mapping[str, str]) -> str:
    """Return a page with the text between its markers replaced by the generated tables."""
    page = path.read_text("utf-8")
    for name, table in tables.items():
        pattern = rf"(<!-- generated: {name} -->\n).*?(\n<!-- end -->)"
        page, count = re.subn(
            pattern, lambda match, text=table: match[1] + text + match[2], page, flags=re.DOTALL
        )
        if count != 1:
            message = f"{path}: found {count} markers for {name}, expected one; put it back"
            raise SystemExit(message)
    return page


def main(arguments: list[str]) -> int:
    """Write the generated parts; with `--check` write nothing and return 1 when one is out of date."""
    wanted = {
        OPERATIONS: filled(OPERATIONS, {"settings": settings_table(), "exit-codes": exit_code_table()}),
        QUERIES: filled(QUERIES, {"queries": markdown_table()}),
        ALERTS: filled(ALERTS, {"alert rules": rules_table()}),
        ENV_EXAMPLE: env_example(),
    }
    stale = [path for path, text in wanted.items() if not path.exists() or path.read_text("utf-8") != text]
    for path in stale:
        if "--check" not in arguments:
            path.write_text(wanted[path], "utf-8")
        sys.stdout.write(f"{'out of date' if '--check' in arguments else 'written'}: {path.name}\n")
    return int(bool(stale) and "--check" in arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
