"""A folder of numbered pictures as a video."""

from __future__ import annotations

import hashlib
import math
import os
import re
from collections import Counter
from collections.abc import Iterator
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal

import av
import numpy as np
from av.video.frame import VideoFrame

from vidpose.errors import UsageError, VideoError
from vidpose.utils.files import sha256
from vidpose.utils.gaps import NEAREST_S

PICTURE_SUFFIXES = (".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp")


class PictureSequence:
    """The pictures of a folder, one frame each, in the order of the numbers in their names.

    Only those that lie in the folder itself count, not those in folders within it.

    Raises:
        VideoError: the folder holds no picture.
        UsageError: no sensible frame rate is given.
    """

    def __init__(self, folder: Path, fps: float | None) -> None:
        self.paths = pictures_in(folder)
        if not self.paths:
            raise VideoError(
                f"{folder} is a directory; give the path of a video file, or of a "
                "folder of pictures."
            )
        if fps is None:
            raise UsageError(f"{folder} is a folder of pictures; say their frames/s with --fps.")
        self.rate = rate_of(fps)
        self.folder = folder
        self.warnings: list[str] = []
        self._unreadable: list[Path] = []
        self._paged: list[Path] = []
        self._sizes: Counter[tuple[int, int]] = Counter()

    def frames(self) -> Iterator[VideoFrame]:
        """Every picture that can be read; `pts` is its place in the order, from 0."""
        for place, path in enumerate(self.paths):
            frame = _decoded(path)
            if frame is None:
                self._unreadable.append(path)
                continue
            self._sizes[frame.width, frame.height] += 1
            if _has_pages(path):
                self._paged.append(path)
            frame.pts, frame.time_base = place, 1 / self.rate
            frame.duration = 1
            yield frame

    def conclude(self) -> None:
        """Say in `warnings` what was wrong, once `frames` has ended."""
        if self._unreadable:
            self.warnings.append(
                f"{len(self._unreadable)} of {len(self.paths)} pictures in {self.folder} cannot be "
                f"read, the first of them {self._unreadable[0].name}; their times stay empty."
            )
        if self._paged:
            self.warnings.append(
                f"{len(self._paged)} of {len(self.paths)} pictures in {self.folder} have several "
                f"pages, the first of them {self._paged[0].name}; only the first page is read."
            )
        if len(self._sizes) > 1:
            sizes = ", ".join(f"{width}x{height}" for (width, height), _ in self._sizes.items())
            self.warnings.append(
                f"The pictures in {self.folder} are of several sizes ({sizes}); all are scaled to "
                "that of the first one."
            )
        kinds = sorted({path.suffix.lower().replace("jpeg", "jpg") for path in self.paths})
        if len(kinds) > 1:
            self.warnings.append(
                f"{self.folder} holds {' and '.join(kinds)} pictures; all of them are taken, in "
                "the order of their names."
            )
        if hole := _hole(self.paths):
            self.warnings.append(
                f"The numbers of the pictures in {self.folder} have gaps, the first after "
                f"{hole.name}; all pictures are taken to be equally far apart in time."
            )


def rate_of(fps: float) -> Fraction:
    """Frames a second; NTSC's exactly, others as exactly as FFmpeg's clocks can be.

    Raises:
        UsageError: a folder of pictures cannot have such a rate.
    """
    rate = Fraction(fps).limit_denominator(100_000) if math.isfinite(fps) else Fraction(0)
    if not 0 < rate <= 0.5 / NEAREST_S:
        raise UsageError(f"--fps {fps:g}: a folder of pictures cannot have such a rate.")
    return rate


def pictures_in(folder: Path) -> list[Path]:
    """The pictures that lie in a folder, `2.jpg` before `10.jpg`; hidden files are left out.

    Raises:
        VideoError: the folder may not be read.
    """
    try:
        paths = list(folder.iterdir())
    except OSError as error:
        raise VideoError(f"{folder} cannot be read ({error.strerror}).") from None
    found = [
        path
        for path in paths
        if path.suffix.lower() in PICTURE_SUFFIXES
        and not path.name.startswith(".")
        and path.is_file()
    ]
    return sorted(found, key=lambda path: (_natural(path.name), path.name))


def content_hash(video: Path) -> str:
    """The SHA-256 of a video file; of a folder of pictures, that of their names and contents."""
    if not video.is_dir():
        return sha256(video)
    digest = hashlib.sha256()
    for path in pictures_in(video):
        digest.update(f"{path.name}\0{sha256(path)}\0".encode("utf-8", "surrogateescape"))
    return digest.hexdigest()


def _natural(name: str) -> list[tuple[int, str]]:
    """`a10b` -> letters and numbers that compare as such."""
    parts = re.findall(r"[0-9]+|[^0-9]+", name.lower())
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in parts]


def _hole(paths: list[Path]) -> Path | None:
    """The picture after which the first number is missing."""
    found = [re.findall(r"[0-9]+", path.stem) for path in paths]
    if not all(found):
        return None
    numbers = [int(numbers[-1]) for numbers in found]
    steps = [after - before for before, after in pairwise(numbers)]
    if not steps or min(steps) <= 0:
        return None
    usual = int(np.median(steps))
    return next((path for path, step in zip(paths, steps, strict=False) if step > usual), None)


def _has_pages(path: Path) -> bool:
    """Whether a file is a TIFF with more than one picture."""
    orders: dict[bytes, Literal["little", "big"]] = {b"II*\0": "little", b"MM\0*": "big"}
    with open(path, "rb") as stream:
        order = orders.get(stream.read(4))
        if order is None:
            return False
        stream.seek(int.from_bytes(stream.read(4), order))
        entries = int.from_bytes(stream.read(2), order)
        stream.seek(12 * entries, os.SEEK_CUR)
        return stream.read(4) not in (b"", bytes(4))


def _decoded(path: Path) -> VideoFrame | None:
    try:
        with av.open(str(path.absolute())) as container:
            stream: Any = container.streams.video[0]
            return next(container.decode(stream), None)
    except (av.FFmpegError, OSError, IndexError, ValueError):
        return None
