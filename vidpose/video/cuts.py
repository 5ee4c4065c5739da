"""Find cuts: frames that show another scene than the frame before.

Neighbouring frames of a shot look alike even when they are reduced to a thumbnail. At a cut the
brightness of the thumbnail changes its pattern, and its colours change, too. A fast pan keeps the
colours, a flash keeps the pattern. Frames that show nothing, such as black ones, do not count: the
frame after them is compared with the one before them. Fades and dissolves have no such frame and
are not found.
"""

from __future__ import annotations

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


class CutFinder:
    """Finds cuts in a video, frame by frame."""

    def __init__(self) -> None:
        self._last: NDArray[np.uint8] | None = None

    def is_cut(self, image: Image) -> bool:
        """Whether the next frame begins another shot than the one before; the first does not."""
        thumbnail = _thumbnail(image)
        if np.abs(_pattern(thumbnail)).mean() < PLAIN:
            return False
        last, self._last = self._last, thumbnail
        return last is not None and _differ(last, thumbnail)


def _thumbnail(image: Image) -> NDArray[np.uint8]:
    step = max(1, min(image.shape[0] // (SAMPLES * HEIGHT), image.shape[1] // (SAMPLES * WIDTH)))
    small = np.ascontiguousarray(image[::step, ::step])
    return np.asarray(cv2.resize(small, (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA), np.uint8)


def _pattern(thumbnail: NDArray[np.uint8]) -> NDArray[np.float64]:
    """(HEIGHT, WIDTH), how much brighter than the mean each pixel is."""
    brightness = thumbnail.mean(axis=2)
    return np.asarray(brightness - brightness.mean(), np.float64)


def _differ(a: NDArray[np.uint8], b: NDArray[np.uint8]) -> bool:
    patterns = [_pattern(x) for x in (a, b)]
    if np.abs(patterns[0] - patterns[1]).mean() < LEAST_CONTRAST:
        return False
    product = np.square(patterns[0]).sum() * np.square(patterns[1]).sum()
    if (patterns[0] * patterns[1]).sum() > SAME_PATTERN * np.sqrt(product):
        return False
    return bool(np.minimum(_colours(a), _colours(b)).sum() < SAME_COLOURS * WIDTH * HEIGHT)


def _colours(thumbnail: NDArray[np.uint8]) -> NDArray[np.intp]:
    """How many pixels have each of the colours, a pixel's channels reduced to `COLOURS` levels."""
    levels = thumbnail.reshape(-1, 3).astype(np.intp) * COLOURS // 256
    return np.bincount(levels @ [COLOURS**2, COLOURS, 1], minlength=COLOURS**3)
