"""How frames are displayed: rotated, mirrored, fitted into one size."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Any, cast

import cv2
import numpy as np
from av.filter import Graph
from av.sidedata.sidedata import Type
from av.video.frame import VideoFrame

from vidpose.video.colours import Image

Size = tuple[int, int]
"""Width and height in pixels."""

SLIGHT = 0.01
"""Bars that would take a smaller share than this are left away: codecs round sizes."""
BOTH_EYES = {
    1: "side by side",
    2: "one above the other",
    3: "in turns",
    **dict.fromkeys((4, 5, 6, 7), "interleaved"),
}
"""FFmpeg's codes for how a frame of a 3D film holds the images of both eyes."""
_KINDS = 40
"""More than FFmpeg has kinds of side data."""


@dataclass(frozen=True)
class Orientation:
    """The relevant part of a display matrix: transpose first, then mirror x, then y."""

    transpose: bool = False
    mirror_x: bool = False
    mirror_y: bool = False

    @classmethod
    def of(cls, frame: VideoFrame) -> Orientation:
        """Read a decoded frame's display matrix, which FFmpeg also makes from Exif orientations."""
        matrix = _side_data(frame, "DISPLAYMATRIX")
        if matrix is None:
            return cls()
        # Row vectors: x' = a x + c y, y' = b x + d y, in 16.16 fixed point.
        a, b, _, c, d = np.frombuffer(matrix, np.int32)[:5].tolist()
        # Round to the nearest quarter turn.
        if abs(b) + abs(c) > abs(a) + abs(d):
            return cls(True, c < 0, b < 0)
        return cls(False, a < 0, d < 0)

    def size(self, size: tuple[int, int]) -> tuple[int, int]:
        """Convert width and height from stored to displayed, or back."""
        return (size[1], size[0]) if self.transpose else size

    def __call__(self, image: Image) -> Image:
        upright: Any = cv2.transpose(image) if self.transpose else image
        for mirrored, axis in ((self.mirror_x, 1), (self.mirror_y, 0)):
            upright = cv2.flip(upright, axis) if mirrored else upright
        return cast(Image, upright)


@dataclass(frozen=True)
class Shown:
    """How a frame is displayed."""

    orientation: Orientation
    size: Size
    """Upright, with square pixels."""


def place(size: Size, whole: Size, picture: Size) -> tuple[int, int, int, int]:
    """Fit a frame into a video of another shape, centred, without cropping.

    Args:
        size: of the frame, as displayed.
        whole: of the video.
        picture: of the output image, which shows the whole video at any scale; the frame is at the
            same relative position in all of them.

    Returns:
        x, y, width, height in the output image, pixels.
    """
    scale = min(whole[0] / size[0], whole[1] / size[1])
    corner, extent = [], []
    for side, across, pixels in zip(size, whole, picture, strict=True):
        share = scale * side / across
        extent.append(pixels if share > 1 - SLIGHT else max(1, round(pixels * share)))
        corner.append((pixels - extent[-1]) // 2)
    return corner[0], corner[1], extent[0], extent[1]


def eyes(frame: VideoFrame) -> str | None:
    """Say how a frame of a 3D film holds the images of both eyes; None if it holds one."""
    stereo = _side_data(frame, "STEREO3D")
    if stereo is None:
        return None
    kind, _, view = np.frombuffer(stereo, np.int32)[:3].tolist()
    # Of spatial video only one eye's frames are decoded; their `view` is not 0.
    return BOTH_EYES.get(kind) if view == 0 else None


def _side_data(frame: VideoFrame, kind: str) -> Any:
    found: Any
    try:
        found = frame.side_data.get(kind)
    except ValueError:  # PyAV does not support all kinds of side data, such as Exif
        found = _without_unknown_kinds(frame).side_data.get(kind)
    return found


def _without_unknown_kinds(frame: VideoFrame) -> VideoFrame:
    """Return the same frame without the side data that PyAV does not support.

    PyAV returns either all side data or none, and `VideoFrame.rotation` ignores mirroring.
    """
    graph = Graph()
    # The pixels and the time of the frame do not matter here.
    last = graph.add_buffer(
        width=frame.width, height=frame.height, format=frame.format, time_base=Fraction(1)
    )
    for kind in set(range(_KINDS)) - {known.value for known in Type}:
        delete = graph.add("sidedata", f"mode=delete:type={kind}")
        last.link_to(delete)
        last = delete
    last.link_to(graph.add("buffersink"))
    graph.configure()
    graph.vpush(frame)
    return graph.vpull()
