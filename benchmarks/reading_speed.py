"""Cost of reading a frame: decoding, conversion to RGB, scaling, a detector crop; ms.

python benchmarks/run.py --only reading_speed [--quick] [--runs N] [--cpu-time]
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
from common import Settings, Table, alternate

from vidpose.detect.blazepose_regions import Region, crop
from vidpose.render.compose import Layout
from vidpose.video import VideoReader


def table(settings: Settings) -> Table:
    video, frames = settings.video, 8 if settings.quick else 100
    with VideoReader(video) as reader:
        size = reader.size
        image = next(iter(reader)).image
    small = Layout.of(size).picture
    decoding = "decode, slice threads (as in vidpose)"
    ways: dict[str, Callable[[], Any]] = {
        decoding: partial(_decode, video, frames, "SLICE"),
        "decode, frame threads": partial(_decode, video, frames, "FRAME"),
        "decode to RGB": partial(_read, video, frames),
        f"decode to RGB of {small[0]}x{small[1]}": partial(_read, video, frames, small),
        f"decode to RGB, then resize to {small[0]}x{small[1]} with OpenCV": partial(
            _read_and_scale, video, frames, small
        ),
        "a crop of a person, 256x256": partial(_crop, image, frames),
    }
    seconds = alternate(ways, settings.runs, settings.cpu_time)
    return Table(
        title="Reading",
        note=f"{frames} frames of {size[0]}x{size[1]}, milliseconds per frame.",
        header=("step", "ms"),
        rows=[(name, f"{1e3 * some / frames:.2f}") for name, some in seconds.items()],
    )


def _decode(video: Path, frames: int, threads: str) -> None:
    with av.open(str(video)) as container:
        stream = container.streams.video[0]
        stream.thread_type = threads
        for _ in islice(container.decode(stream), frames):
            pass


def _read(video: Path, frames: int, size: tuple[int, int] | None = None) -> None:
    with VideoReader(video, picture_size=size) as reader:
        for _ in islice(reader, frames):
            pass


def _read_and_scale(video: Path, frames: int, size: tuple[int, int]) -> None:
    with VideoReader(video) as reader:
        for frame in islice(reader, frames):
            cv2.resize(frame.image, size, interpolation=cv2.INTER_AREA)


def _crop(image: np.ndarray, frames: int) -> None:
    height, width = image.shape[:2]
    square = np.empty((256, 256, 3), np.uint8)
    for _ in range(frames):
        crop(image, Region(width / 2, height / 2, height / 2, 0.1), square)
