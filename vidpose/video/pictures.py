"""A folder of numbered images as a video."""

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
from vidpose.video.orientation import Orientation, Size
from vidpose.video.streams import AS_NAMED

PICTURE_SUFFIXES = (".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp")
OTHER_SUFFIXES = (
    *(".arw", ".avif", ".cr2", ".cr3", ".dng", ".exr", ".gif", ".heic", ".heif", ".jp2", ".jpe"),
    *(".jxl", ".nef", ".pgm", ".ppm", ".tga"),
)
"""Suffixes of images that cannot be read."""
SAMPLE = 15
"""Number of images from which the most frequent size is found."""

Parts = list[tuple[int, str]]
"""The parts of a name: numbers as (number, ""), other text as (-1, text)."""


class PictureSequence:
    """The images of a folder, one frame each, in the order of the numbers in their names.

    Pictures in subfolders do not count.

    Raises:
        VideoError: the folder holds no image.
        UsageError: no valid frame rate is given.
    """

    def __init__(self, folder: Path, fps: float | None) -> None:
        self.paths = pictures_in(folder)
        twins = {path.stem.lower() for path in self.paths}  # cameras write raw images, too
        others = _files_in(folder, OTHER_SUFFIXES)
        self._others = [path for path in others if path.stem.lower() not in twins]
        if not self.paths and self._others:
            raise VideoError(
                f"{folder} holds images that cannot be read here, such as {self._others[0].name};"
                " convert them to .jpg or .png."
            )
        if not self.paths:
            raise VideoError(
                f"{folder} is a folder without images; give the path of a video file, or of a "
                "folder of images."
            )
        if fps is None:
            raise UsageError(f"{folder} is a folder of images; give their frame rate with --fps.")
        self.rate = rate_of(fps)
        self.folder = folder
        self.warnings: list[str] = []
        self._unreadable: list[Path] = []
        self._paged: list[Path] = []
        self._cut_off: list[Path] = []

    def usual_size(self) -> Size | None:
        """Return the most frequent size as displayed; None if no image can be read.

        It is found from up to `SAMPLE` evenly spaced images; ties go to the first one.
        """
        sample = map(_decoded, self.paths[:: -(-len(self.paths) // SAMPLE)])
        sizes = Counter(Orientation.of(f).size((f.width, f.height)) for f in sample if f)
        return sizes.most_common(1)[0][0] if sizes else None

    def frames(self) -> Iterator[VideoFrame]:
        """Yield every image that can be read; `pts` is its position, from 0."""
        for place, path in enumerate(self.paths):
            frame = _decoded(path)
            if frame is None:
                self._unreadable.append(path)
                continue
            if _has_pages(path):
                self._paged.append(path)
            if frame.is_corrupt or _is_cut_off_jpeg(path):
                self._cut_off.append(path)
            frame.pts, frame.time_base = place, 1 / self.rate
            frame.duration = 1
            yield frame

    def conclude(self, ended: bool) -> None:
        """Add the problems of the images that were read to `warnings`.

        Args:
            ended: `frames` was read to its end; only then are the names checked.
        """
        if self._unreadable:
            self.warnings.append(
                f"{len(self._unreadable)} of {len(self.paths)} images in {self.folder} cannot be "
                f"read, the first of them {self._unreadable[0].name}; their times stay empty."
            )
        if self._paged:
            self.warnings.append(
                f"{len(self._paged)} of {len(self.paths)} images in {self.folder} have several "
                f"pages, the first of them {self._paged[0].name}; only the first page is read."
            )
        if self._cut_off:
            self.warnings.append(
                f"{len(self._cut_off)} of {len(self.paths)} images in {self.folder} lack their "
                f"end, the first of them {self._cut_off[0].name}; what is missing is grey."
            )
        if self._others:
            self.warnings.append(
                f"{self.folder} also holds images of kinds that are not read "
                f"({len(self._others)}, the first is {self._others[0].name}); they are left out."
            )
        if breaks := _breaks(self.paths) if ended else ():
            before, after = breaks[0]
            places = "one place" if len(breaks) == 1 else f"{len(breaks)} places"
            self.warnings.append(
                f"The numbering of the images in {self.folder} breaks in {places}, first from "
                f"{before.name} to {after.name}; all are taken as one video in this order: give "
                "each video a folder of its own."
            )
        kinds = sorted({path.suffix.lower().replace("jpeg", "jpg") for path in self.paths})
        if len(kinds) > 1:
            self.warnings.append(
                f"{self.folder} holds {' and '.join(kinds)} images; all of them are taken, in "
                "the order of their names."
            )
        if hole := _hole(self.paths) if ended else None:
            self.warnings.append(
                f"The numbers of the images in {self.folder} have gaps, the first after "
                f"{hole.name}; all images are taken to be equally far apart in time."
            )


def rate_of(fps: float) -> Fraction:
    """Return the frame rate as a fraction: NTSC rates exactly, others to FFmpeg's precision.

    Raises:
        UsageError: a folder of images cannot have such a rate.
    """
    rate = Fraction(fps).limit_denominator(100_000) if math.isfinite(fps) else Fraction(0)
    if not 0 < rate <= 0.5 / NEAREST_S:
        raise UsageError(f"--fps {fps:g}: a folder of images cannot have such a rate.")
    return rate


def pictures_in(folder: Path) -> list[Path]:
    """List the images in a folder, `2.jpg` before `10.jpg`, without hidden files.

    Raises:
        VideoError: the folder may not be read.
    """
    return _files_in(folder, PICTURE_SUFFIXES)


def _files_in(folder: Path, suffixes: tuple[str, ...]) -> list[Path]:
    try:
        paths = list(folder.iterdir())
    except OSError as error:
        raise VideoError(f"{folder} cannot be read ({error.strerror}).") from None
    found = [
        path
        for path in paths
        if path.suffix.lower() in suffixes and not path.name.startswith(".") and path.is_file()
    ]
    return sorted(found, key=lambda path: (_natural(path.name), path.name))


def content_hash(video: Path) -> str:
    """Return the SHA-256 of a video file, or of the names and contents of a folder of images."""
    if not video.is_dir():
        return sha256(video)
    digest = hashlib.sha256()
    for path in pictures_in(video):
        digest.update(f"{path.name}\0{sha256(path)}\0".encode("utf-8", "surrogateescape"))
    return digest.hexdigest()


def _natural(name: str) -> Parts:
    """Split a name such as `a10b` into text and numbers, for natural sorting."""
    parts = re.findall(r"[0-9]+|[^0-9]+", name.lower())
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in parts]


def _hole(paths: list[Path]) -> Path | None:
    """Return the image after which the first number is missing."""
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
    """Whether a file is a TIFF with more than one image."""
    orders: dict[bytes, Literal["little", "big"]] = {b"II*\0": "little", b"MM\0*": "big"}
    with open(path, "rb") as stream:
        order = orders.get(stream.read(4))
        if order is None:
            return False
        stream.seek(int.from_bytes(stream.read(4), order))
        entries = int.from_bytes(stream.read(2), order)
        stream.seek(12 * entries, os.SEEK_CUR)
        return stream.read(4) not in (b"", bytes(4))


def _breaks(paths: list[Path]) -> list[tuple[Path, Path]]:
    """Find neighbours whose names do not continue the numbering: they differ in text, or in another
    number than elsewhere. Pictures of another camera do, or a cover.
    """
    names = [_natural(path.stem) for path in paths]
    places = [_first_difference(one, two) for one, two in pairwise(names)]
    counted = Counter(place for place in places if place is not None)
    frame = max(counted, key=lambda place: (counted[place], place), default=0)

    def count_on(one: Parts, two: Parts, place: int | None) -> bool:
        if place is None or place == frame:
            return place == frame
        if _is_time(one) and _is_time(two):
            return True
        if place < frame < min(len(one), len(two)) and one[frame] < two[frame]:
            return True  # such as a day in front of the frame number
        return one[min(place, frame) + 1 : max(place, frame)] == [(-1, ".")]  # as in 12.5 seconds

    pairs = zip(pairwise(paths), pairwise(names), places, strict=True)
    return [paths for paths, names, place in pairs if not count_on(*names, place)]


def _is_time(name: Parts) -> bool:
    """Whether a name contains a date or a time of day."""
    numbers = [number for number, _ in name if number >= 0]
    dates = any(19_000_101 <= n // 10**e <= 21_001_231 for n in numbers for e in (0, 6))
    return dates or (len(numbers) > 2 and max(numbers[-2:]) < 60)


def _first_difference(one: Parts, two: Parts) -> int | None:
    """Return the position of the first difference between two names, if that is a number."""
    for place, (a, b) in enumerate(zip(one, two, strict=False)):
        if a != b:
            return place if min(a, b) >= (0, "") else None
    return None


def _is_cut_off_jpeg(path: Path) -> bool:
    """Whether a JPEG is truncated; FFmpeg fills the missing part with grey."""
    if path.suffix.lower() not in (".jpg", ".jpeg"):
        return False
    data = path.read_bytes()
    at = 2
    # From segment to segment: one of them may hold a thumbnail with an end marker of its own.
    while data[at : at + 1] == b"\xff" and data[at + 1 : at + 2] != b"\xda":
        fill = data[at + 1 : at + 2] == b"\xff"
        at += 1 if fill else 2 + int.from_bytes(data[at + 2 : at + 4], "big")
    return data[:2] == b"\xff\xd8" and data.find(b"\xff\xd9", at) < 0


def _decoded(path: Path) -> VideoFrame | None:
    try:
        with av.open(str(path.absolute()), options=AS_NAMED) as container:
            stream: Any = container.streams.video[0]
            return next(container.decode(stream), None)
    except (av.FFmpegError, OSError, IndexError, ValueError):
        return None
