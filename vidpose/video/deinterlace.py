"""Interlaced frames to whole ones."""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Iterator
from typing import Any, NamedTuple

import av
from av.filter import Graph
from av.video.frame import VideoFrame

FILTER = "bwdif"


class Decoded(NamedTuple):
    """A frame, and what the decoder said about it."""

    image: VideoFrame
    """Its picture."""
    source: VideoFrame
    """The frame as it was decoded: time stamps and side data."""


def deinterlaced(frames: Iterator[VideoFrame]) -> Generator[Decoded, None, None]:
    """The same frames, as many and in their order; those marked as interlaced without combing.

    Frames come as they are until the first one that is marked; from there on one frame late.
    """
    graph: Graph | None = None
    waiting: deque[VideoFrame] = deque()
    shape: tuple[int, int, str] | None = None
    for frame in frames:
        now = frame.width, frame.height, frame.format.name
        if graph is not None and now != shape:
            yield from _rest(graph, waiting)
            graph = None
        if graph is None:
            if not frame.interlaced_frame:
                yield Decoded(frame, frame)
                continue
            graph, shape = _graph(frame), now
        waiting.append(frame)
        graph.vpush(frame)
        yield from _ready(graph, waiting)
    if graph is not None:
        yield from _rest(graph, waiting)


def _graph(frame: VideoFrame) -> Graph:
    graph = Graph()
    buffer = graph.add_buffer(
        width=frame.width,
        height=frame.height,
        format=frame.format,
        time_base=frame.time_base,
    )
    # One frame for each, at its first field's time; frames that are not marked pass.
    bwdif = graph.add(FILTER, "mode=send_frame:deint=interlaced")
    graph.link_nodes(buffer, bwdif, graph.add("buffersink")).configure()
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
    while waiting:  # the filter never gives fewer; if it did, no frame would be lost
        frame = waiting.popleft()
        yield Decoded(frame, frame)
