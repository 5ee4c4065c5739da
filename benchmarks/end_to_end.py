"""Speed of `vidpose infer` from video to files, and of its detector alone; frames/s.

python benchmarks/run.py --only end_to_end [--quick] [--runs N] [--cpu-time]
"""

from __future__ import annotations

import os
import tempfile
from collections import deque
from contextlib import redirect_stderr, redirect_stdout
from functools import partial
from itertools import islice
from pathlib import Path

import torch
from common import Settings, Table, alternate

from vidpose.cli import main
from vidpose.detect import open_detector
from vidpose.options import DetectorOptions
from vidpose.poses import load
from vidpose.video import VideoReader, VideoWriter

QUICK_FRAMES = 45


def table(settings: Settings) -> Table:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        video = settings.video
        if settings.quick:
            video = _first_frames(video, folder / "short.mp4")
        ways = {
            "the detector alone": partial(_detect, video),
            "... with the flip test": partial(_detect, video, flip_test=True),
            "`vidpose infer`": partial(infer, video, folder),
            "`vidpose infer --render`": partial(infer, video, folder, "--render"),
        }
        seconds = alternate(ways, settings.runs, settings.cpu_time)
        infer(video, folder)
        result = load(folder / "result" / f"{video.stem}.npz")
    rates = {name: result.frames / some for name, some in seconds.items()}
    alone = rates["the detector alone"]
    return Table(
        title="Video to files",
        note=f"{result.frames} frames of {result.frame_size[0]}x{result.frame_size[1]}, "
        f"{result.people} people, the embedded detector. The detector's time includes "
        "decoding the video.",
        header=("stage", "frames/s", "relative to the detector"),
        rows=[(name, f"{rate:.1f}", f"{rate / alone:.0%}") for name, rate in rates.items()],
    )


def _first_frames(video: Path, out: Path) -> Path:
    with VideoReader(video) as reader, VideoWriter(out, reader.size) as writer:
        for frame in islice(reader, QUICK_FRAMES):
            writer.write(frame.image, frame.time_s)
    return out


def _detect(video: Path, flip_test: bool | None = None) -> None:
    options = DetectorOptions(detector="mediapipe", flip_test=flip_test)
    detector, _ = open_detector(options, torch.device("cpu"))
    with VideoReader(video) as reader, detector:
        deque(detector.detect(reader), maxlen=0)


def infer(video: Path, folder: Path, *options: str) -> None:
    """Run the command into an empty folder."""
    out = folder / "result"
    for old in out.glob("*"):
        old.unlink()
    arguments = ["infer", str(video), "-o", str(out), "--detector", "mediapipe", *options]
    with open(os.devnull, "w") as nowhere, redirect_stdout(nowhere), redirect_stderr(nowhere):
        main(arguments, standalone_mode=False)
