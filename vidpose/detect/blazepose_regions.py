"""BlazePose's regions of interest: squares in the image, rotated with the person."""

from __future__ import annotations

from math import atan2, ceil, cos, hypot, sin
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

MARGIN = 1.25
"""A region is this much larger than the circle around the person that the networks predict."""
TILE_OVERLAP = 1 / 3
"""Neighbouring tiles overlap by at least this share of their side, so that one of them contains all
of a person who is no wider than the overlap."""
MAX_TILES_SIDE_BY_SIDE = 4
"""An image longer than this many times its width gets larger tiles, to bound the cost."""
SMALLEST_TILE_PX = 224
"""The input size of the person detector: smaller tiles would only be upscaled."""
SMALL_TILE = 0.75
"""Small tiles have at most this share of the image's shorter side."""


class Region(NamedTuple):
    """A square in the image, in pixels; (0, 0) is the centre of the first pixel."""

    x: float
    y: float
    """Its centre."""
    side: float
    turn: float
    """Radians, clockwise: rotation of the person, who is upright in the square."""

    def distance(self, other: Region) -> float:
        """Distance of the centres, in sides of the larger region."""
        return hypot(self.x - other.x, self.y - other.y) / max(self.side, other.side, 1e-9)

    def to_picture(self, points: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
        """(..., 2), pixels of the image, from points in sides of the square from its centre."""
        return np.asarray(self.side * points @ self._axes() + (self.x, self.y), np.float64)

    def to_square(self, points: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
        """The inverse of `to_picture`."""
        away = np.asarray(points, np.float64) - (self.x, self.y)
        return np.asarray(away @ self._axes().T / max(self.side, 1e-9), np.float64)

    def contains(self, points: NDArray[np.floating[Any]]) -> NDArray[np.bool_]:
        """(J,), which of the points (J, 2), pixels, lie in the square."""
        return np.asarray((np.abs(self.to_square(points)) <= 0.5).all(axis=1))

    def _axes(self) -> NDArray[np.float64]:
        """(2, 2), the square's directions right and down, in the image."""
        c, s = cos(self.turn), sin(self.turn)
        return np.array([[c, s], [-s, c]])


def around_person(hip: NDArray[np.floating[Any]], circle: NDArray[np.floating[Any]]) -> Region:
    """Return the region of a person.

    Args:
        hip: (2,) pixels, the midpoint of the hips.
        circle: (2,) pixels, where the person's axis, from the hips through the shoulders, meets
            the circle around the whole body.
    """
    x, y = (float(value) for value in hip)
    across, down = (float(value) for value in circle - hip)
    return Region(x, y, 2 * MARGIN * hypot(across, down), atan2(across, -down))


def crop(
    image: NDArray[np.uint8],
    region: Region,
    out: NDArray[np.uint8],
    *,
    border: int = cv2.BORDER_REPLICATE,
    from_corner: bool = False,
) -> None:
    """Resample a region of the image into `out`.

    Args:
        image: (H, W, 3).
        region: may reach beyond the image.
        out: (size, size, 3).
        border: how to fill what lies outside the image, an OpenCV border type.
        from_corner: sample at the top left corners of the pixels of `out`, not at their centres.
            MediaPipe does; the landmarks are then off by about 0.3 of these pixels to the right
            and down.
    """
    size = len(out)
    first = 0.0 if from_corner else 0.5
    step = region.side / size * region._axes().T
    corner = region.to_picture(np.array([first / size - 0.5, first / size - 0.5]))
    # Half a pixel: MediaPipe puts the origin at the corner of the first pixel.
    start = corner + 0.5 if from_corner else corner
    cv2.warpAffine(
        image,
        np.column_stack([step, start]),
        (size, size),
        dst=out,
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=border,
    )


def tiles(width: int, height: int) -> list[Region]:
    """Tiles of a search: the whole image, for people close to the camera, and overlapping squares
    that cover it, for people further away.
    """
    short, length = sorted((width, height))
    whole = Region((width - 1) / 2, (height - 1) / 2, float(length), 0.0)
    if short == length:
        return [whole]
    return [whole, *_grid(width, height, max(short, ceil(length / MAX_TILES_SIDE_BY_SIDE)))]


def small_tiles(width: int, height: int) -> list[Region]:
    """Squares of half the side, for people even further away, row by row.

    There are none if the image is so small that they would show no more detail.
    """
    short, length = sorted((width, height))
    side = max(ceil(short / 2), ceil(length / (2 * MAX_TILES_SIDE_BY_SIDE)), SMALLEST_TILE_PX)
    return _grid(width, height, side) if side <= SMALL_TILE * short else []


def _grid(width: int, height: int, side: int) -> list[Region]:
    across, down = (_centres(length, side) for length in (width, height))
    return [Region(x, y, float(side), 0.0) for y in down for x in across]


def _centres(length: int, side: int) -> list[float]:
    """Centres of the tiles along one side of the image; a single tile if it is longer than that."""
    if length <= side:
        return [(side - 1) / 2]
    count = ceil((length - side) / ((1 - TILE_OVERLAP) * side)) + 1
    centres = np.linspace(0, length - side, count).round() + (side - 1) / 2
    return [float(centre) for centre in centres]
