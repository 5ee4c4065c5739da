"""Drawing primitives of overlay and scene: shapes with sub-pixel edges, and text."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from vidpose.render.colours import Colour
from vidpose.skeleton import H36M17

Image = NDArray[np.uint8]

BONES = H36M17.bones
PARENTS, CHILDREN = (np.array(ends) for ends in zip(*BONES, strict=True))

SUBPIXEL_BITS = 4
FARTHEST_PX = 16_000
ROUND_STEPS = 7
"""Segments of half a circle."""
_ANGLES = np.linspace(-np.pi / 2, np.pi / 2, ROUND_STEPS + 1)
HALF_CIRCLE = np.stack([np.cos(_ANGLES), np.sin(_ANGLES)], axis=1)
"""(steps + 1, 2) its corners, along the line and across it."""


def capsules(
    start: NDArray[np.floating[Any]],
    end: NDArray[np.floating[Any]],
    radii: NDArray[np.floating[Any]],
) -> NDArray[np.int32]:
    """Outlines of thick lines with round ends.

    Args:
        start, end: (N, 2) pixels.
        radii: (N, 2) pixels, at start and at end.

    Returns:
        (N, 2 * (ROUND_STEPS + 1), 2) corners in fixed point for `fill`.
    """
    along = end - start
    length = np.hypot(along[:, 0], along[:, 1])
    ahead = np.divide(along, length[:, None], where=length[:, None] > 0, out=_to_the_right(along))
    aside = np.stack([-ahead[:, 1], ahead[:, 0]], axis=1)
    # (N, steps + 1, 2): half a circle around the direction of the line.
    cap = HALF_CIRCLE[:, :1] * ahead[:, None] + HALF_CIRCLE[:, 1:] * aside[:, None]
    outline = np.concatenate(
        [
            end[:, None] + radii[:, 1, None, None] * cap,
            start[:, None] - radii[:, 0, None, None] * cap,
        ],
        axis=1,
    )
    return fixed(outline)


def _to_the_right(along: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
    """(N, 2): direction of lines of length zero."""
    return np.broadcast_to((1.0, 0.0), along.shape).copy()


def fixed(points: NDArray[np.floating[Any]]) -> NDArray[np.int32]:
    """Pixels -> fixed point; points far outside are clipped to stay representable."""
    inside = np.minimum(np.maximum(points, -FARTHEST_PX), FARTHEST_PX)
    return np.rint(inside * (1 << SUBPIXEL_BITS)).astype(np.int32)


def _fixed(pixel: float) -> int:
    """`fixed` for one number, which is faster without NumPy."""
    return round(min(max(pixel, -FARTHEST_PX), FARTHEST_PX) * (1 << SUBPIXEL_BITS))


def fill(image: Image, outline: NDArray[np.int32], colour: Colour | int) -> None:
    """Fill a convex outline in fixed point, with antialiasing."""
    cv2.fillConvexPoly(image, outline, _scalar(colour), cv2.LINE_AA, SUBPIXEL_BITS)


def bar(
    image: Image,
    start: tuple[float, float],
    end: tuple[float, float],
    radius: float,
    colour: Colour,
) -> None:
    """Fill a line with round ends; all in pixels."""
    outline = capsules(np.array([start]), np.array([end]), np.full((1, 2), radius))
    fill(image, outline[0], colour)


def disc(image: Image, centre: NDArray[np.floating[Any]], radius: float, colour: Colour) -> None:
    """Fill a circle; centre and radius in pixels."""
    x, y = centre.tolist()
    size = max(1, round(radius * (1 << SUBPIXEL_BITS)))
    cv2.circle(
        image, (_fixed(x), _fixed(y)), size, _scalar(colour), cv2.FILLED, cv2.LINE_AA, SUBPIXEL_BITS
    )


def _scalar(colour: Colour | int) -> tuple[float, ...]:
    return (colour,) if isinstance(colour, int) else colour


FONT = cv2.FONT_HERSHEY_DUPLEX


def text_size(text: str, height: float) -> tuple[int, int]:
    """Width and height in pixels of a line of text with capitals `height` pixels high."""
    (width, tall), _ = cv2.getTextSize(text, FONT, _font_scale(height), _weight(height))
    return width, tall


def write(
    image: Image, text: str, left: float, baseline: float, height: float, colour: Colour
) -> None:
    """Draw a line of text with capitals `height` pixels high."""
    cv2.putText(
        image,
        text,
        (round(left), round(baseline)),
        FONT,
        _font_scale(height),
        colour,
        _weight(height),
        cv2.LINE_AA,
    )


def _font_scale(height: float) -> float:
    return height / 21  # this font's capitals are 21 pixels high at scale 1


def _weight(height: float) -> int:
    return max(1, round(height / 14))
