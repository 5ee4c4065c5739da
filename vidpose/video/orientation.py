"""How the pictures of a video are turned and mirrored when they are shown."""

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

_MATRIX = "DISPLAYMATRIX"
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
        try:
            side_data: Any = frame.side_data.get(_MATRIX)
        except ValueError:  # PyAV does not know all kinds of side data, such as Exif
            side_data = _without_unknown_kinds(frame).side_data.get(_MATRIX)
        if side_data is None:
            return cls()
        # Row vectors: x' = a x + c y, y' = b x + d y, in 16.16 fixed point.
        a, b, _, c, d = np.frombuffer(side_data, np.int32)[:5].tolist()
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
