"""Deinterlace frames."""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Iterator
from typing import Any, NamedTuple

import av
from av.filter import Graph
from av.video.frame import VideoFrame

from vidpose.video.colours import CONVERTED

FILTER = "bwdif"
COMBED_FRAMES, COMBED_SHARE, MOVING_SHARE = 30, 0.9, 0.5
"""Unmarked frames count as interlaced once this many of them (the first number) are combed with the
same field first, and these are at least this share of the frames with motion (the second) and of
all frames (the third). This excludes telecined film, in which about every third frame is combed,
and stripes that move up or down, which look combed with either field first."""
LONGEST_LOOK = 300
"""Frames to check for combing: up to 4 ms each."""
MOST_ROWS = 1088
"""No camera interlaces frames with more rows."""


class Decoded(NamedTuple):
    """A frame with its deinterlaced image."""

    image: VideoFrame
    """The image, deinterlaced where necessary."""
    source: VideoFrame
    """The frame as it was decoded, with its time stamps and side data."""


class Combing:
    """Checks a video's first frames for interlacing that the file does not declare."""

    found = False
    """Whether they are interlaced."""

    def __init__(self) -> None:
        self._graph: Graph | None = None
        self._shape: tuple[int, int, str, int] | None = None
        self._looked = self._whole = 0
        self._combed = {"tff": 0, "bff": 0}

    def look(self, frame: VideoFrame) -> None:
        """Check the next frame, unless the frames before it have decided."""
        planar = frame.format.name.startswith(("yuv4", "yuvj4"))  # as interlaced cameras write
        decided = self.found or self._looked >= LONGEST_LOOK
        if decided or not planar or frame.height > MOST_ROWS:
            self._graph = None
            return
        self._looked += 1
        if self._graph is None or self._shape != _shape(frame):
            self._graph, self._shape = _graph(frame, "idet"), _shape(frame)
        assert self._graph is not None
        self._graph.vpush(frame)
        try:
            judged: Any = self._graph.vpull()
        except av.BlockingIOError:  # it compares neighbours, so it is one frame late
            return
        kind = judged.metadata["lavfi.idet.single.current_frame"]
        if kind in self._combed:
            self._combed[kind] += 1
        self._whole += kind == "progressive"  # else nothing moves
        alike, moving = max(self._combed.values()), sum(self._combed.values()) + self._whole
        self.found = alike >= max(COMBED_FRAMES, COMBED_SHARE * moving, MOVING_SHARE * self._looked)
        if self._whole > (1 - COMBED_SHARE) * LONGEST_LOOK:  # too many to be interlaced
            self._looked = LONGEST_LOOK


def deinterlaced(
    frames: Iterator[VideoFrame], combing: Combing | None = None, marks_fields: bool = False
) -> Generator[Decoded, None, None]:
    """Yield the same frames in the same order, interlaced ones deinterlaced.

    Frames pass unchanged until one is marked as interlaced or `combing` finds interlacing; from
    then on they are delayed by one frame.

    Args:
        frames: as decoded.
        combing: detects interlacing without marks.
        marks_fields: a marked frame is a single field, which has no combing.
    """
    graph: Graph | None = None
    waiting: deque[VideoFrame] = deque()
    shape: tuple[int, int, str, int] | None = None
    for frame in frames:
        if graph is not None and _shape(frame) != shape:
            yield from _rest(graph, waiting)
            graph = None
        if graph is None:
            # FFmpeg cannot convert unknown colour matrices to a format that the filter takes.
            known = int(frame.colorspace) in CONVERTED and bool(frame.time_base)
            if combing is not None and known and not frame.interlaced_frame:
                combing.look(frame)
            unmarked = combing is not None and combing.found
            marked = frame.interlaced_frame and not marks_fields
            if not (marked or unmarked) or not known:
                yield Decoded(frame, frame)
                continue
            which = "all" if unmarked else "interlaced"  # others pass unchanged
            # One output frame for each input frame, at the time of its first field.
            graph = _graph(frame, FILTER, f"mode=send_frame:deint={which}")
            shape = _shape(frame)
        waiting.append(frame)
        graph.vpush(frame)
        yield from _ready(graph, waiting)
    if graph is not None:
        yield from _rest(graph, waiting)


def _shape(frame: VideoFrame) -> tuple[int, int, str, int]:
    return frame.width, frame.height, frame.format.name, int(frame.colorspace)


def _graph(frame: VideoFrame, name: str, options: str | None = None) -> Graph:
    """Make a graph of one filter for frames like this one."""
    graph = Graph()
    # `add_buffer` takes no colour space; a converter that FFmpeg inserts would have to guess it.
    buffer = graph.add(
        "buffer",
        width=str(frame.width),
        height=str(frame.height),
        pix_fmt=frame.format.name,
        time_base=str(frame.time_base),
        colorspace=str(int(frame.colorspace)),
        range=str(int(frame.color_range)),
    )
    graph.link_nodes(buffer, graph.add(name, options), graph.add("buffersink")).configure()
    return graph


def _ready(graph: Graph, waiting: deque[VideoFrame]) -> Iterator[Decoded]:
    while waiting:
        try:
            image: Any = graph.vpull()
        except (av.BlockingIOError, av.EOFError):
            return
        yield Decoded(image, waiting.popleft())


def _rest(graph: Graph, waiting: deque[VideoFrame]) -> Iterator[Decoded]:
    graph.vpush(None)
    yield from _ready(graph, waiting)
    while waiting:  # if the filter returned fewer frames, none would be lost
        frame = waiting.popleft()
        yield Decoded(frame, frame)
