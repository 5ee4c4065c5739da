"""How the pictures of a video are shown: turned, mirrored, fitted into one shape."""

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
"""No bars where they would take less of the picture: codecs round sizes."""
BOTH_EYES = {
    1: "side by side",
    2: "one above the other",
    3: "in turns",
    **dict.fromkeys((4, 5, 6, 7), "interleaved"),
}
"""FFmpeg's codes for how a frame holds the pictures of both eyes."""
_KINDS = 40
"""More than FFmpeg has of side data."""


@dataclass(frozen=True)
class Orientation:
    """The display matrix's part that matters: transpose first, then mirror x, then y."""

    transpose: bool = False
    mirror_x: bool = False
    mirror_y: bool = False

    @classmethod
    def of(cls, frame: VideoFrame) -> Orientation:
        """What a decoded frame says; FFmpeg also makes a display matrix of an Exif orientation."""
        matrix = _side_data(frame, "DISPLAYMATRIX")
        if matrix is None:
            return cls()
        # Row vectors: x' = a x + c y, y' = b x + d y, in 16.16 fixed point.
        a, b, _, c, d = np.frombuffer(matrix, np.int32)[:5].tolist()
        # An angle that is no quarter turn goes to the nearest one.
        if abs(b) + abs(c) > abs(a) + abs(d):
            return cls(True, c < 0, b < 0)
        return cls(False, a < 0, d < 0)

    def size(self, size: tuple[int, int]) -> tuple[int, int]:
        """Width and height as stored to those as displayed, or back."""
        return (size[1], size[0]) if self.transpose else size

    def __call__(self, image: Image) -> Image:
        upright: Any = cv2.transpose(image) if self.transpose else image
        for mirrored, axis in ((self.mirror_x, 1), (self.mirror_y, 0)):
            upright = cv2.flip(upright, axis) if mirrored else upright
        return cast(Image, upright)


@dataclass(frozen=True)
class Shown:
    """How a frame is shown."""

    orientation: Orientation
    size: Size
    """Upright, with square pixels."""


def place(size: Size, whole: Size, picture: Size) -> tuple[int, int, int, int]:
    """Where a frame lies in a video of another shape: all of it is seen, in the middle.

    Args:
        size: the frame's, as it is displayed.
        whole: the video's.
        picture: that of the image to make, which shows the whole video at any size; a frame lies
            at the same place in all of them.

    Returns:
        x, y, width, height in the image, pixels.
    """
    scale = min(whole[0] / size[0], whole[1] / size[1])
    corner, extent = [], []
    for side, across, pixels in zip(size, whole, picture, strict=True):
        share = scale * side / across
        extent.append(pixels if share > 1 - SLIGHT else max(1, round(pixels * share)))
        corner.append((pixels - extent[-1]) // 2)
    return corner[0], corner[1], extent[0], extent[1]


def eyes(frame: VideoFrame) -> str | None:
    """How a frame of a 3D film holds both eyes' pictures, in words; None if it holds one."""
    stereo = _side_data(frame, "STEREO3D")
    if stereo is None:
        return None
    kind, _, view = np.frombuffer(stereo, np.int32)[:3].tolist()
    # Of spatial video one eye's frames are decoded, which say whose they are.
    return BOTH_EYES.get(kind) if view == 0 else None


def _side_data(frame: VideoFrame, kind: str) -> Any:
    found: Any
    try:
        found = frame.side_data.get(kind)
    except ValueError:  # PyAV does not know all kinds of side data, such as Exif
        found = _without_unknown_kinds(frame).side_data.get(kind)
    return found


def _without_unknown_kinds(frame: VideoFrame) -> VideoFrame:
    """The same frame without the side data that PyAV has no name for.

    It gives either all side data or none, and `VideoFrame.rotation` knows of no mirroring.
    """
    graph = Graph()
    # Its pixels do not matter here, nor does its time.
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
