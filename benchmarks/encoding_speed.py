"""x264's presets for the overlay video: frames/s, file size and PSNR.

python benchmarks/run.py --only encoding_speed [--quick] [--runs N] [--cpu-time]
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from functools import partial
from itertools import islice
from pathlib import Path
from unittest.mock import patch

import numpy as np
from common import Settings, Table, alternate
from numpy.typing import NDArray
from synthetic_people import people

from vidpose.render.compose import Layout, compose_frame
from vidpose.render.scene import ScenePanel
from vidpose.render.view import VIEWS
from vidpose.video import VideoReader, VideoWriter, writer

PRESETS = ("ultrafast", "superfast", "veryfast", "faster")
QUALITIES = (20, 23)
FRAMES_PER_S = 30


def table(settings: Settings) -> Table:
    pictures = _pictures(settings.video, 6 if settings.quick else 80)
    ways = [(preset, crf) for preset in PRESETS for crf in QUALITIES]
    with tempfile.TemporaryDirectory() as folder:
        files = {way: Path(folder) / f"{way[0]}_{way[1]}.mp4" for way in ways}
        seconds = alternate(
            {str(way): partial(encode, pictures, *way, files[way]) for way in ways},
            settings.runs,
            settings.cpu_time,
        )
        rows: list[tuple[str, ...]] = [
            (
                preset,
                str(crf),
                f"{len(pictures) / seconds[str((preset, crf))]:.0f}",
                f"{files[preset, crf].stat().st_size * FRAMES_PER_S / len(pictures) / 1e3:.0f}",
                f"{psnr(pictures, files[preset, crf]):.1f}",
            )
            for preset, crf in ways
        ]
    height, width = pictures[0].shape[:2]
    return Table(
        title="Encoding",
        note=f"{len(pictures)} overlay frames of {width}x{height}, from the demo video. PSNR is "
        "of RGB, over all frames; even a perfect codec loses colour detail, which is stored at "
        "half the resolution.",
        header=("preset", "CRF", "frames/s", "kB per second of video", "PSNR, dB"),
        rows=rows,
    )


def _pictures(video: Path, count: int) -> list[NDArray[np.uint8]]:
    with VideoReader(video) as reader:
        size = reader.size
    layout = Layout.of(size)
    result = people(2, count, size)
    scene = ScenePanel(result, layout.panel, VIEWS["three-quarter"])
    with VideoReader(video, picture_size=layout.picture) as reader:
        frames = enumerate(islice(reader, count))
        pictures = [compose_frame(result, t, frame.image, scene, layout) for t, frame in frames]
    height, width = pictures[0].shape[:2]
    return [picture[: height - height % 2, : width - width % 2] for picture in pictures]


def encode(pictures: list[NDArray[np.uint8]], preset: str, crf: int, out: Path) -> None:
    height, width = pictures[0].shape[:2]
    with (
        patch.object(writer, "PRESET", preset),
        VideoWriter(out, (width, height), crf=crf) as video,
    ):
        for n, picture in enumerate(pictures):
            video.write(picture, n / FRAMES_PER_S)


def psnr(pictures: list[NDArray[np.uint8]], video: Path) -> float:
    """Peak signal-to-noise ratio, decibels."""

    def squares() -> Iterator[float]:
        with VideoReader(video) as reader:
            for picture, frame in zip(pictures, reader, strict=True):
                yield float(np.square(picture.astype(np.float32) - frame.image).mean())

    return float(10 * np.log10(255**2 / np.mean(list(squares()))))
