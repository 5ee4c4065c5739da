"""Whose a file is: vidpose replaces and removes only what it wrote itself."""

from __future__ import annotations

import os
from pathlib import Path

from vidpose.errors import UsageError
from vidpose.utils.files import check_writable

LOOKED_AT_BYTES = 1 << 16
"""So much of a file's beginning, and of its end, is looked at."""


def check_replaceable(path: Path, mark: bytes, option: str = "-o") -> None:
    """Before long work: a file can be written there, and replaces none that vidpose did not write.

    Args:
        path: of the file.
        mark: see `holds_mark`.
        option: what the user gives to choose another name.

    Raises:
        UsageError: a file of somebody else's is there.
        VidposeError: none can be written there.
    """
    check_writable(path)
    try:
        replaceable = not path.exists() or holds_mark(path, mark)
    except OSError:  # it may not be read
        replaceable = False
    if not replaceable:
        raise UsageError(
            f"{path} is there already and is not vidpose's to overwrite; choose another {option}."
        )


def check_numbers(csv: Path | None, csv_mark: bytes, json: Path | None, json_mark: bytes) -> None:
    """See `check_replaceable`, for the files of --csv and --json, which may not be the same."""
    if csv is not None and json is not None and os.path.realpath(csv) == os.path.realpath(json):
        raise UsageError(f"--csv and --json are both {csv}; give two names.")
    for path, mark, option in ((csv, csv_mark, "--csv"), (json, json_mark, "--json")):
        if path is not None:
            check_replaceable(path, mark, option)


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
