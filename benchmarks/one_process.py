"""Memory and open files of one `Predictor` over many short videos and a very long one.

    python benchmarks/one_process.py [--clips 1000] [--minutes 120] [--detector mediapipe|fake]
        [--longest 8] [--folder DIR]

Cuts so many half-second clips from the demo video, each from another part, in five sizes, and
repeats the demo, forwards and backwards at five frames/s, as one long video. One `Predictor`
processes the clips and then the long video, and writes every result. The tables have the memory and
open files after some of the clips and along the long video. It fails, with exit code 1, if

- more files are open after the last clip, or anywhere in the long video, than after the first 15
  clips, when every size has occurred,
- memory grows by more than 60 MB from the 100th clip (the 15th, of fewer than 200) to the last,
- memory grows by more than 100 MB from a tenth of the long video to its end, or
- memory with the result, without its arrays, is more than 250 MB above that at a tenth.

--folder keeps the videos and results.
"""

from __future__ import annotations

import gc
import random
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import psutil
from common import DEMO, argument_parser, machine, markdown_table, run_script
from memory import FakeDetector, looped

import vidpose
from vidpose import pipeline
from vidpose.errors import NoPersonError
from vidpose.video import VideoReader, VideoWriter

SIZES = (320, 256, 480, 400, 288)
"""Widths of the clips, in turn."""
CLIP_S = 0.5
LONG_FPS = 5.0
LONG_WIDTH = 320
WARM = 15
"""Number of clips until all sizes and lengths have occurred."""
CLIPS_MB, LONG_MB, END_MB = 60, 100, 250
"""Bounds on the growth of memory; see the module docstring."""
PARTS = (0.1, 0.25, 0.5, 0.75)
"""Fractions of the long video at which memory and files are recorded."""


def pictures(video: Path) -> tuple[list[Any], float]:
    """All frames of a short video, as wide as the widest clip, and its frame rate."""
    with VideoReader(video) as reader:
        size = max(SIZES), max(SIZES) * reader.size[1] // reader.size[0]
        return [cv2.resize(frame.image, size) for frame in reader], reader.fps


def write(path: Path, images: Iterable[Any], width: int, fps: float) -> Path:
    """Write images as a video of the given width in pixels."""
    images = list(images)
    size = width, width * images[0].shape[0] // images[0].shape[1] // 2 * 2
    with VideoWriter(path, size) as writer:
        for number, image in enumerate(images):
            writer.write(cv2.resize(image, size), number / fps)
    return path


def clips(video: Path, folder: Path, count: int) -> Iterator[Path]:
    """Short clips, each from another part, written on demand."""
    images, fps = pictures(video)
    length = round(CLIP_S * fps)
    starts = random.Random(0)
    for number in range(count):
        start = starts.randrange(len(images) - length)
        width = SIZES[number % len(SIZES)]
        yield write(folder / f"{number:04d}.mp4", images[start : start + length], width, fps)


def long_video(video: Path, folder: Path, minutes: float) -> Path:
    """The video forwards and backwards, at a low rate, for so many minutes."""
    images, fps = pictures(video)
    some = images[:: round(fps / LONG_FPS)]
    there_and_back = write(folder / "once.mp4", some + some[::-1], LONG_WIDTH, LONG_FPS)
    return looped(there_and_back, folder / "long.mp4", minutes)


class Watch:
    """Memory, open files and threads of this process over time."""

    def __init__(self) -> None:
        self._process = psutil.Process()
        self._begun = time.monotonic()
        self.rows: dict[str, tuple[float, int]] = {}
        """Memory in MB and the number of open files, by name."""
        self._cells: list[tuple[str, ...]] = []

    def look(self, done: str) -> None:
        """Record memory, files and threads under a name."""
        gc.collect()
        process = self._process
        held = process.memory_info().rss / 1e6
        count = getattr(process, "num_handles", None) or process.num_fds  # Windows, or others
        handles = count()
        self.rows[done] = held, handles
        seconds = time.monotonic() - self._begun
        self._cells.append(
            (done, f"{held:.0f}", f"{handles}", f"{process.num_threads()}", f"{seconds:.0f}")
        )
        print(" | ".join(self._cells[-1]), file=sys.stderr, flush=True)

    def table(self) -> str:
        return markdown_table(("after", "memory, MB", "open files", "threads", "s"), self._cells)

    def grown_mb(self, before: str, after: str) -> float:
        return self.rows[after][0] - self.rows[before][0]

    def opened(self, before: str, after: str) -> int:
        return self.rows[after][1] - self.rows[before][1]


def failures_of_clips(watch: Watch, count: int) -> Iterator[str]:
    """Violated bounds after the last clip, a sentence each."""
    first = "100" if count >= 200 else str(WARM)
    if (files := watch.opened(str(WARM), str(count))) > 0:
        yield f"{files} more files are open after {count} clips than after {WARM}."
    if (grown := watch.grown_mb(first, str(count))) > CLIPS_MB:
        yield f"Memory grew by {grown:.0f} MB from clip {first} to {count}, over {CLIPS_MB}."


def failures_of_long(watch: Watch, arrays_mb: float) -> Iterator[str]:
    """Violated bounds at the end of the long video, a sentence each."""
    for place in ("100 %", "the result"):
        if (files := watch.opened("10 %", place)) > 0:
            yield f"{files} more files are open after {place} than after 10 % of the long video."
    if (grown := watch.grown_mb("10 %", "100 %")) > LONG_MB:
        yield f"Memory grew by {grown:.0f} MB along the long video, over {LONG_MB}."
    if (grown := watch.grown_mb("10 %", "the result") - arrays_mb) > END_MB:
        yield f"Memory grew by {grown:.0f} MB up to the result, over {END_MB} and its arrays."


def along(watch: Watch) -> Any:
    """A progress callback that records at some fractions of detection."""

    def progress(steps: Iterable[Any], total: int | None, label: str) -> Iterator[Any]:
        # The frame count from the container's metadata may be wrong by a few.
        places = {round(part * (total or 0)): f"{part:.0%}".replace("%", " %") for part in PARTS}
        for number, step in enumerate(steps):
            if label == "detecting" and number in places:
                watch.look(places[number])
            yield step
        if label == "detecting":
            watch.look("100 %")

    return progress


def measure(
    video: Path, folder: Path, count: int, minutes: float, detector: str, **options: Any
) -> bool:
    """Whether memory and files stayed within bounds; prints the table and the violations."""
    if detector == "fake":
        vars(pipeline)["open_detector"] = lambda *_, **__: (FakeDetector(), "a stand-in")
        detector = "auto"
    watch = Watch()
    wrong: list[str] = []
    results = 0
    print(f"{machine()}.\n", flush=True)
    with vidpose.Predictor(detector=detector, **options) as predictor:
        for number, clip in enumerate(clips(video, folder, count), start=1):
            with suppress(NoPersonError):
                predictor(clip, folder / "out" / f"{clip.stem}.npz")
                results += 1
            if number in (1, WARM, 50) or number % 100 == 0 or number == count:
                watch.look(str(number))
        if count:
            wrong += failures_of_clips(watch, count)
            print(f"{results} of {count} clips have a result; in the others nobody was found.")
        if minutes:
            path = long_video(video, folder, minutes)
            watch.look("the long video was made")
            result = predictor(path, folder / "out" / "long.npz", progress=along(watch))
            watch.look("the result")
            arrays = [getattr(result, name) for name in result.__dataclass_fields__]
            nbytes = sum(array.nbytes for array in arrays if isinstance(array, np.ndarray))
            wrong += failures_of_long(watch, nbytes / 1e6)
            print(
                f"{result.frames} frames, {result.people} people, result arrays of "
                f"{nbytes / 1e6:.0f} MB."
            )
    print(f"\n{watch.table()}", flush=True)
    print("\n".join(wrong) if wrong else "Memory and open files stayed within their bounds.")
    return not wrong


def main() -> None:
    parser = argument_parser(__doc__)
    parser.add_argument("--clips", type=int, default=1000, help="0 for none; else at least 15")
    parser.add_argument("--minutes", type=float, default=120, help="of the long video; 0 for none")
    parser.add_argument("--detector", choices=["mediapipe", "fake"], default="mediapipe")
    parser.add_argument("--longest", type=int, default=8, help="as of `vidpose infer`")
    parser.add_argument("--video", type=Path, default=DEMO)
    parser.add_argument("--folder", type=Path, help="for videos and results, which are kept")
    given = parser.parse_args()
    if 0 < given.clips < WARM:
        parser.error(f"--clips must be 0, or {WARM} at least.")
    with tempfile.TemporaryDirectory() as name:
        folder = given.folder or Path(name)
        folder.mkdir(parents=True, exist_ok=True)
        passed = measure(
            *(given.video, folder, given.clips, given.minutes, given.detector),
            longest=given.longest,
        )
    sys.exit(0 if passed else 1)


if __name__ == "__main__":
    run_script(main)
