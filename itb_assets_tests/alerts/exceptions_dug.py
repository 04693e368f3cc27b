"""What an exception shows to whoever digs in it, for tests that nothing secret is there.

Which errors are dug in, and for what, belongs to the tests.
"""

from __future__ import annotations

import traceback


def told_by(error: BaseException) -> str:
    """Return everything that an exception shows to whoever digs: texts, causes, frames with their values."""
    seen, todo = [], [error]
    while todo:
        one = todo.pop()
        seen += [str(one), repr(one), repr(one.args), repr(vars(one))]
        seen.append("".join(traceback.TracebackException.from_exception(one, capture_locals=True).format()))
        todo += [other for other in (one.__cause__, one.__context__) if other is not None]
    return "\n".join(seen)
