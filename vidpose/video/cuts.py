"""Find cuts: frames that show another scene than the frame before.

Neighbouring frames of a shot look alike even when they are reduced to a thumbnail. At a cut the
brightness of the thumbnail changes its pattern, and its colours change, too. A fast pan keeps the
colours, a flash keeps the pattern. Frames that show nothing, such as black ones, do not count: the
frame after them is compared with the one before them. Fades and dissolves have no such frame and
are not found.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from vidpose.video.colours import Image

WIDTH, HEIGHT = 64, 36
"""Size of the thumbnails, pixels."""
SAMPLES = 2
"""Pixels of the image for each of the thumbnail's, along a side."""
SAME_PATTERN = 0.45
"""Correlation of two thumbnails of one shot, at least. In the videos of `demo_videos` it is at
least 0.54 from frame to frame, and at most 0.4 between different ones, nearly always."""
SAME_COLOURS = 0.92
"""Share of the pixels that have the same colours in both, at least."""
COLOURS = 4
"""Levels of each channel, to compare colours."""
LEAST_CONTRAST = 8.0
"""Mean difference of two thumbnails' patterns, of 255; with less, they show noise, or nothing."""
PLAIN = 2.0
"""A thumbnail whose brightness differs by less from its mean, on average, shows nothing."""


MOST_CUTS = 5
"""Maximum number of cuts named in a message."""


class _Thumbnail(NamedTuple):
    image: NDArray[np.uint8]
    """(HEIGHT, WIDTH, 3) RGB."""
    pattern: NDArray[np.float64]
    """(HEIGHT, WIDTH), how much brighter than the mean each pixel is."""


class CutFinder:
    """Finds cuts in a video, frame by frame."""

    def __init__(self) -> None:
        self._last: _Thumbnail | None = None

    def is_cut(self, image: Image) -> bool:
        """Whether the next frame begins another shot than the one before; the first does not."""
        thumbnail = _thumbnail(image)
        if np.abs(thumbnail.pattern).mean() < PLAIN:
            return False
        last, self._last = self._last, thumbnail
        return last is not None and _differ(last, thumbnail)


def _thumbnail(image: Image) -> _Thumbnail:
    step = max(1, min(image.shape[0] // (SAMPLES * HEIGHT), image.shape[1] // (SAMPLES * WIDTH)))
    small = np.ascontiguousarray(image[::step, ::step])
    small = np.asarray(cv2.resize(small, (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA), np.uint8)
    brightness = small.mean(axis=2)
    return _Thumbnail(small, brightness - brightness.mean())


def _differ(a: _Thumbnail, b: _Thumbnail) -> bool:
    if np.abs(a.pattern - b.pattern).mean() < LEAST_CONTRAST:
        return False
    product = np.square(a.pattern).sum() * np.square(b.pattern).sum()
    if (a.pattern * b.pattern).sum() > SAME_PATTERN * np.sqrt(product):
        return False
    same = np.minimum(_colours(a.image), _colours(b.image)).sum()
    return bool(same < SAME_COLOURS * WIDTH * HEIGHT)


def _colours(image: NDArray[np.uint8]) -> NDArray[np.intp]:
    """How many pixels have each of the colours, a pixel's channels reduced to `COLOURS` levels."""
    levels = image.reshape(-1, 3).astype(np.intp) * COLOURS // 256
    return np.bincount(levels @ [COLOURS**2, COLOURS, 1], minlength=COLOURS**3)


def cuts_sentence(times_s: Sequence[float]) -> str:
    """A warning about cuts, at times from the video's first frame."""
    # Rounded down, so that --end there leaves out the frame after the cut and --start keeps it.
    shown = ", ".join(f"{int(time * 1000 + 1e-3) / 1000} s" for time in times_s[:MOST_CUTS])
    there = f"are {len(times_s)} cuts, at" if len(times_s) > 1 else "is a cut at"
    more = ", ..." if len(times_s) > MOST_CUTS else ""
    return (
        f"There {there} {shown}{more}; people get new ids after each. For a world frame, process "
        "each shot on its own, with --start and --end."
    )
