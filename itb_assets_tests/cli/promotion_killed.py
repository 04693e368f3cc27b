"""What the killed process of the tests of promotion does: the command itself, up to a given moment."""

from __future__ import annotations

import os
import sys

from dying import die_before


def die_at(arguments: list[str], environment: dict[str, str], folder: str, step: int) -> None:
    """Run `itb` and be killed just before the `step`th change that a disk would see."""
    from itb_assets.cli import main  # noqa: PLC0415 - after the fork's own environment is known

    os.environ.update(environment)
    os.chdir(folder)
    with open(os.devnull, "w") as silence:  # noqa: PTH123 - what it says is looked at elsewhere
        os.dup2(silence.fileno(), 1)
    die_before(step)
    sys.argv = ["itb", *arguments]
    main()
