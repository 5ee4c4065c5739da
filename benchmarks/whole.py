"""The whole pipeline against its detector alone, on the same video."""

from __future__ import annotations

import os
import tempfile
from collections import deque
from contextlib import redirect_stderr, redirect_stdout
from functools import partial
from itertools import islice
from pathlib import Path

from measuring import Settings, Table, alternate

from vidpose.cli import main
from vidpose.detect import open_detector
from vidpose.poses import load
from vidpose.video import VideoReader, VideoWriter

QUICK_FRAMES = 45


def table(settings: Settings) -> Table:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        video = settings.video
        if settings.quick:
            video = _beginning(video, folder / "short.mp4")
        ways = {
            "the detector alone": partial(_detect, video),
            "... without the mirrored picture": partial(_detect, video, flip_test=False),
            "`vidpose infer`": partial(infer, video, folder),
            "`vidpose infer --render`": partial(infer, video, folder, "--render"),
        }
        seconds = alternate(ways, settings.runs, settings.cpu_time)
        infer(video, folder)
        result = load(folder / "result" / f"{video.stem}.npz")
    rates = {name: result.frames / some for name, some in seconds.items()}
    alone = rates["the detector alone"]
    return Table(
        title="The whole pipeline",
        note=f"{result.frames} frames of {result.frame_size[0]}x{result.frame_size[1]}, "
        f"{result.people} people, the embedded detector. The detector alone reads the video, too.",
        header=("what", "frames/s", "of the detector alone"),
        rows=[(name, f"{rate:.1f}", f"{rate / alone:.0%}") for name, rate in rates.items()],
    )


def _beginning(video: Path, out: Path) -> Path:
    with VideoReader(video) as reader, VideoWriter(out, reader.size) as writer:
        for frame in islice(reader, QUICK_FRAMES):
            writer.write(frame.image, frame.time_s)
    return out


def _detect(video: Path, flip_test: bool | None = None) -> None:
    detector, _ = open_detector("mediapipe", flip_test=flip_test)
    with VideoReader(video) as reader, detector:
        deque(detector.detect(reader), maxlen=0)


def infer(video: Path, folder: Path, *options: str) -> None:
    """The command, as users give it, into an empty folder."""
    out = folder / "result"
    for old in out.glob("*"):
        old.unlink()
    arguments = ["infer", str(video), "-o", str(out), "--detector", "mediapipe", *options]
    with open(os.devnull, "w") as nowhere, redirect_stdout(nowhere), redirect_stderr(nowhere):
        main(arguments, standalone_mode=False)
