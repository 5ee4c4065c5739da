"""Marks in files that vidpose wrote; it replaces and removes no others."""

from __future__ import annotations

import os
from pathlib import Path

from vidpose.errors import UsageError
from vidpose.utils.files import check_writable

LOOKED_AT_BYTES = 1 << 16
"""Bytes to search at the beginning and at the end of a file."""


def check_replaceable(path: Path, mark: bytes, option: str = "-o") -> None:
    """Check early that a file can be written and replaces no file that vidpose did not write.

    Args:
        path: the file.
        mark: see `holds_mark`.
        option: the option that sets the path, for the message.

    Raises:
        UsageError: the file exists and vidpose did not write it.
        VidposeError: the file cannot be written.
    """
    check_writable(path)
    try:
        replaceable = not path.exists() or holds_mark(path, mark)
    except OSError:  # not readable
        replaceable = False
    if not replaceable:
        raise UsageError(f"{path} exists and was not written by vidpose; choose another {option}.")


def check_numbers(csv: Path | None, csv_mark: bytes, json: Path | None, json_mark: bytes) -> None:
    """`check_replaceable` for the files of --csv and --json, which must differ."""
    if csv is not None and json is not None and os.path.realpath(csv) == os.path.realpath(json):
        raise UsageError(f"--csv and --json are both {csv}; give two names.")
    for path, mark, option in ((csv, csv_mark, "--csv"), (json, json_mark, "--json")):
        if path is not None:
            check_replaceable(path, mark, option)


def holds_mark(path: Path, mark: bytes) -> bool:
    """Whether a mark of vidpose is at the beginning or end of a file.

    Raises:
        OSError: the file cannot be read.
    """
    with open(path, "rb") as stream:
        ends = stream.read(LOOKED_AT_BYTES)
        stream.seek(max(0, path.stat().st_size - LOOKED_AT_BYTES))
        ends += stream.read(LOOKED_AT_BYTES)
    return mark in ends
