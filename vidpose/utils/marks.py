"""Whose a file is: vidpose replaces and removes only what it wrote itself."""

from __future__ import annotations

from pathlib import Path

LOOKED_AT_BYTES = 1 << 16
"""So much of a file's beginning, and of its end, is looked at."""


def holds_mark(path: Path, mark: bytes) -> bool:
    """Whether a file's beginning or end holds what only files of vidpose's hold there.

    Raises:
        OSError: the file cannot be read.
    """
    with open(path, "rb") as stream:
        ends = stream.read(LOOKED_AT_BYTES)
        stream.seek(max(0, path.stat().st_size - LOOKED_AT_BYTES))
        ends += stream.read(LOOKED_AT_BYTES)
    return mark in ends
