"""How many of 20 people in one image are detected, and CPU time per frame.

    python benchmarks/crowd.py FOLDER [--frames 60] [-o outputs/crowd.md]

FOLDER contains the videos of `demo_videos/fetch_more.py`. The image is a montage, 10 x 2 cells of
270 x 480 pixels, of an athlete filmed by four cameras, at five times each. The detector may track
20 people. If the package mediapipe 0.10.21 is installed, BlazePose on its runtime is measured, too,
with two passes as in earlier versions of vidpose.
"""

from __future__ import annotations

import importlib.util
import time
from pathlib import Path

import cv2
import numpy as np
from common import argument_parser, machine, markdown_table, publish, run_script
from numpy.typing import NDArray
from real_cameras import CAMERAS

from vidpose.detect.blazepose import BlazePoseDetector
from vidpose.options import DetectorOptions, options_of
from vidpose.tracking.tracker import Tracker
from vidpose.utils.files import check_writable
from vidpose.video import VideoReader

ROWS, COLUMNS = 2, 10
PEOPLE = ROWS * COLUMNS
CELL = (270, 480)
"""Width and height, pixels."""
STEP_FRAMES = 8
"""Time offset between the copies of a camera."""

Images = list[NDArray[np.uint8]]


def montage(videos: list[Images], frame: int) -> NDArray[np.uint8]:
    """(960, 2700, 3), one person per cell, each video PEOPLE / len(videos) times."""
    cells = [
        video[(frame + STEP_FRAMES * n) % len(video)]
        for n in range(PEOPLE // len(videos))
        for video in videos
    ]
    return np.vstack([np.hstack(cells[row * COLUMNS :][:COLUMNS]) for row in range(ROWS)])


def cell_of(x: float, y: float) -> int:
    """The index of the cell that contains a point of the montage."""
    return int(y // CELL[1]) * COLUMNS + int(x // CELL[0])


def small(video: Path) -> Images:
    with VideoReader(video) as reader:
        return [
            np.asarray(cv2.resize(frame.image, CELL, interpolation=cv2.INTER_AREA), np.uint8)
            for frame in reader
        ]


def follow(detector: BlazePoseDetector, pictures: Images) -> tuple[str, ...]:
    """One detector's table row."""
    tracker, seconds = Tracker(), 0.0
    found, ids, nobody = [], [set[int]() for _ in range(PEOPLE)], 0
    for n, picture in enumerate(pictures):
        start = time.process_time()
        people = detector.detect_image(picture, n / 30)
        seconds += time.process_time() - start
        hips = people.keypoints[:, 23:25].mean(axis=1)
        seen = [cell_of(x, y) for x, y in hips]
        found.append(len(set(seen)))
        nobody += len(seen) - len(set(seen))
        for cell, person in zip(seen, tracker.update(people, n / 30), strict=True):
            ids[cell].add(person)
    return (
        f"{1000 * seconds / len(pictures):.0f}",
        f"{np.mean(found):.2f}",
        str(min(found)),
        str(sum(len(some) for some in ids)),
        str(nobody),
    )


def measure(folder: Path, frames: int, out: Path) -> None:
    check_writable(out)
    videos = [small(folder / f"{name}.mp4") for name in CAMERAS]
    pictures = [montage(videos, n) for n in range(frames)]
    rows = []
    if importlib.util.find_spec("mediapipe"):
        from mediapipe_networks import MediaPipeNetworks

        theirs = BlazePoseDetector(PEOPLE, flip_test=True, networks=MediaPipeNetworks())
        rows.append(("mediapipe 0.10.21", "2", *follow(theirs, pictures)))
    for flip_test in (True, False):
        for size in options_of(DetectorOptions)["detector_size"].choices:
            with BlazePoseDetector(PEOPLE, size=size, flip_test=flip_test) as detector:
                rows.append((size, "2" if flip_test else "1", *follow(detector, pictures)))
    header = (
        "network",
        "passes",
        "CPU ms per frame",
        "people found, mean",
        "least",
        "ids",
        "doubles",
    )
    publish(f"# {PEOPLE} people\n\n{machine()}.\n\n{markdown_table(header, rows)}", out)


def main() -> None:
    parser = argument_parser(__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--frames", type=int, default=60)
    parser.add_argument("-o", "--out", type=Path, default=Path("outputs/crowd.md"))
    given = parser.parse_args()
    measure(given.folder, given.frames, given.out)


if __name__ == "__main__":
    run_script(main)
