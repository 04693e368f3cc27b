"""The whole schema as SQL that an administrator can read, review and run by psql.

The statements themselves belong to `administration`, `migrations`, `roles` and `timescale`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from itb_assets.storage.database.administration import Step
from itb_assets.storage.database.migrations import RECORD, migrations
from itb_assets.storage.database.roles import GRANTS
from itb_assets.storage.database.timescale import Policies, Tier, policy_statements


@dataclass(frozen=True)
class Part:
    """A part of the script: what it is for, who runs it in which database, and its statements."""

    part: str
    run_by: str
    database: str
    sql: str


def script(
    steps: Sequence[Step], tier: Tier, policies: Policies, *, database: str, role: str
) -> Iterator[Part]:
    """Yield the parts in order: what the administrator does, then what the owner of the database does."""
    for step in steps:
        if tier is Tier.POSTGRES and step.optional:
            continue
        yield Part(step.what, "administrator", step.database or "postgres", f"{step.shown};")
    yield Part("record of migrations", role, database, f"{RECORD};")
    for migration in migrations():
        if migration.tier > tier:
            continue
        recorded = (
            "INSERT INTO schema_migrations (number, name, sha256)\n"
            f"VALUES ({migration.number}, '{migration.name}', '{migration.sha256}');"
        )
        statements = f"BEGIN;\n{migration.statements.strip()}\n\n{recorded}\nCOMMIT;"
        yield Part(f"migration {migration.name}", role, database, statements)
    if steps:
        yield Part("grants", role, database, f"{GRANTS};")
    if due := policy_statements(tier, policies):
        yield Part("policies", role, database, ";\n".join(due) + ";")


def as_text(parts: Sequence[Part]) -> str:
    """Return the parts as one psql script, which changes database and role where they change."""
    lines = ["\\set ON_ERROR_STOP on"]
    last = ("", "")
    for part in parts:
        place = (part.database, part.run_by)
        if place != last:
            lines += ["", f'\\connect "{part.database}"']
            lines += [f'SET ROLE "{part.run_by}";'] if part.run_by != "administrator" else []
            last = place
        lines += ["", f"-- {part.part}", part.sql]
    return "\n".join(lines)
