"""Names and texts as they stand in a statement.

Which statements there are belongs to those who write them.
"""

from __future__ import annotations

from itb_assets.errors import DataContractError


def identifier(name: str) -> str:
    """Return a name in double quotes."""
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    """Return a text in single quotes; raise DataContractError for the one character PostgreSQL cannot hold.

    >>> literal("it's")
    "'it''s'"
    """
    if "\0" in text:
        raise DataContractError(f"{text!r} holds a NUL character, which a database cannot keep: remove it")
    return "'" + text.replace("'", "''") + "'"
