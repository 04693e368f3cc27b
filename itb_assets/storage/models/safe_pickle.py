"""Pickles of plain data only: dicts, lists, tuples, sets, text, bytes, numbers, None.

A pickle that names any class or function is refused before that name is looked up, and one that would make
the unpickler take more memory than its own length warrants before it is read at all.
"""

from __future__ import annotations

import io
import pickle
import pickletools
from typing import Any, NoReturn

from itb_assets.errors import ModelRejected

PROTOCOL = 5
_MEMO = {"PUT", "BINPUT", "LONG_BINPUT"}
_PLAIN = (str, bytes, bool, int, float, type(None))


def dump_plain(payload: object) -> bytes:
    """Pickle plain data; raise ModelRejected naming the place of anything else."""
    _check_plain(payload, "payload")
    return pickle.dumps(payload, protocol=PROTOCOL)


def load_plain(content: bytes, *, origin: str) -> Any:  # noqa: ANN401 - plain data of any shape
    """Unpickle plain data; raise ModelRejected naming `origin` for a global, a torn or an odd pickle."""
    try:
        _check_memory(content, origin)
        return _PlainUnpickler(io.BytesIO(content), origin).load()
    except ModelRejected:
        raise
    except Exception as error:  # a hostile pickle may raise anything at all while it is read
        raise ModelRejected(
            f"{origin} cannot be read as a pickle ({type(error).__name__}): train it again"
        ) from error


def _check_memory(content: bytes, origin: str) -> None:
    """Refuse a place of the memo that is named by number: nine bytes make the unpickler fill gigabytes."""
    for code, _, _ in pickletools.genops(content):
        if code.name in _MEMO:
            raise ModelRejected(
                f"{origin} numbers its memo itself ({code.name}), which no model of ours does: it may be "
                "hostile, delete it and train again"
            )


class _PlainUnpickler(pickle.Unpickler):
    def __init__(self, file: io.BytesIO, origin: str) -> None:
        super().__init__(file)
        self._origin = origin

    def find_class(self, module_name: str, global_name: str, /) -> NoReturn:
        raise ModelRejected(
            f"{self._origin} asks for {module_name}.{global_name}: a model is plain data and names no code; "
            "it may be hostile, delete it and train again"
        )

    def persistent_load(self, pid: Any) -> NoReturn:  # noqa: ANN401 - the signature of pickle
        raise ModelRejected(
            f"{self._origin} refers to an object outside itself ({pid!r}): expected plain data"
        )


def _check_plain(value: object, place: str) -> None:
    if type(value) in _PLAIN:
        return
    if type(value) is dict:
        for key, item in value.items():
            _check_plain(key, f"key of {place}")
            _check_plain(item, f"{place}[{key!r}]")
    elif type(value) in (list, tuple, set):
        for position, item in enumerate(value):  # type: ignore[arg-type]
            _check_plain(item, f"{place}[{position}]")
    else:
        raise ModelRejected(f"{place} is a {type(value).__qualname__}: a model is stored as plain data only")
