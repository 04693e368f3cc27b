"""Content digests of files: a tree of sha256 over fixed blocks, so that a changed tail re-hashes only itself.

What a digest is compared with belongs to the manifests.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable
from pathlib import Path

BLOCK_BYTES = 4 * 1024 * 1024
"""Length of one leaf of the tree; the last one is shorter."""


def hash_blocks(file: int | Path, *, start: int = 0) -> tuple[str, ...]:
    """Return the hex sha256 of each block from block `start` on; an empty file has none.

    An open descriptor is read by position: its offset does not move.
    """
    if isinstance(file, Path):
        descriptor = os.open(file, os.O_RDONLY)
        try:
            return hash_blocks(descriptor, start=start)
        finally:
            os.close(descriptor)
    buffer = memoryview(bytearray(BLOCK_BYTES))
    leaves = []
    offset = start * BLOCK_BYTES
    while count := _fill(file, buffer, offset):
        leaves.append(hashlib.sha256(buffer[:count]).hexdigest())
        offset += count
    return tuple(leaves)


def tree_digest(leaves: Iterable[str]) -> str:
    """Return the root: the sha256 of the leaves' 32-byte digests, one after the other."""
    return hashlib.sha256(b"".join(map(bytes.fromhex, leaves))).hexdigest()


def _fill(descriptor: int, buffer: memoryview, offset: int) -> int:
    filled = 0
    while filled < len(buffer):
        count = os.preadv(descriptor, [buffer[filled:]], offset + filled)
        if not count:
            break
        filled += count
    return filled
