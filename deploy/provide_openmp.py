"""Give LightGBM an OpenMP library on a Linux that has none, so that no system package is needed.

LightGBM's wheel links to the system's `libgomp.so.1` and brings none; scikit-learn's wheel carries the
same library under a name of its own. This copies it under the plain name into the virtual environment
that runs this script, and loads it there when Python starts. Where LightGBM loads anyway it does nothing.
"""  # noqa: INP001 -- a script the Makefile runs, not a package

from __future__ import annotations

import ctypes
import sys
import sysconfig
from pathlib import Path

PLAIN_NAME = b"libgomp.so.1"


def renamed(library: bytes, name: bytes) -> bytes:
    """Return the library with its own name (SONAME) replaced by the plain one, at the same length."""
    found = library.count(name + b"\0")
    if found != 1:
        message = f"found the name {name.decode()} {found} times in the library, expected once"
        raise ValueError(message)
    return library.replace(name + b"\0", PLAIN_NAME.ljust(len(name) + 1, b"\0"))


def loads(path: str) -> bool:
    """Return whether the dynamic linker can load a library."""
    try:
        ctypes.CDLL(path)
    except OSError:
        return False
    return True


def provide(site_packages: Path) -> Path:
    """Write the copy and the start-up line into `site_packages`; return the copy's path."""
    source = next((site_packages / "scikit_learn.libs").glob("libgomp-*.so*"), None)
    if source is None:
        message = "scikit-learn carries no OpenMP library here: install libgomp1 (Debian) or libgomp"
        raise SystemExit(message)
    target = site_packages / "itb_openmp" / PLAIN_NAME.decode()
    target.parent.mkdir(exist_ok=True)
    target.write_bytes(renamed(source.read_bytes(), source.name.encode()))
    line = f"import ctypes; ctypes.CDLL({str(target)!r}, mode=ctypes.RTLD_GLOBAL)\n"
    (site_packages / "itb_openmp.pth").write_text(line, "utf-8")
    return target


def main() -> int:
    """Provide the library where it is missing."""
    if sys.platform != "linux" or loads(PLAIN_NAME.decode()):
        return 0
    target = provide(Path(sysconfig.get_path("purelib")))
    sys.stdout.write(f"This system has no libgomp.so.1: LightGBM uses {target}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
