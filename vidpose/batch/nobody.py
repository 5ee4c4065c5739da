"""Records of videos in which nobody was found, so that the next batch need not search them again.

A record is a small hidden file where the result would be, `.<name>.nobody`: the `meta` of the
detection, as in a result, and the number of frames.
"""

from __future__ import annotations

import json
import os
from contextlib import suppress
from pathlib import Path

import numpy as np

from vidpose.detect.cache import cache_folder
from vidpose.errors import NoPersonError, ResultFileError, VidposeError
from vidpose.poses import ResultMetadata, read_meta
from vidpose.utils.files import obstacle, replacing
from vidpose.utils.outside import reading, whole

FORMAT = "vidpose-nobody/1"
LARGEST_BYTES = 1_000_000
MOST_FRAMES = 10**12


def record_path(target: Path) -> Path:
    """Return the path of the record for a result file that was not written."""
    return cache_folder(target).with_suffix(".nobody")


def write_record(target: Path, error: NoPersonError) -> None:
    """Record that nobody was found.

    Raises:
        VidposeError: the disk is full or the like.
    """
    if error.meta is None:
        return
    entries = {"format": FORMAT, "frames": error.frames, **error.meta}
    with replacing(record_path(target)) as temporary:
        temporary.write_text(json.dumps(entries))


def read_record(target: Path) -> ResultMetadata | None:
    """Read the record; None if there is none, or it cannot be read."""
    path = record_path(target)
    try:
        if obstacle(path, "") or path.stat().st_size > LARGEST_BYTES:
            return None
        with reading(path, ResultFileError, "is no record"):
            meta = read_meta({"meta": np.array(path.read_text())})
            if meta.get("format") != FORMAT:
                return None
            return ResultMetadata(meta, 0, whole("frames", meta.get("frames"), 0, MOST_FRAMES))
    except (OSError, VidposeError):
        return None


def remove_record(target: Path) -> None:
    """Remove the record of an earlier run, once there is a result."""
    if read_record(target) is not None:
        with suppress(OSError):
            os.unlink(record_path(target))
