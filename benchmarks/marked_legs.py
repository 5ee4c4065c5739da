"""Knees and ankles of the embedded detector against marks made by hand in real video; pixels.

    python benchmarks/marked_legs.py [--demo demo_videos/demo.mp4] [--more demo_videos/more]
        [--each] [-o outputs/marked_legs.md]

Every size of the landmark network, without and with test-time flip augmentation, as detected and
as `vidpose infer` tracks it. --more is what `demo_videos/fetch_more.py` fetches. --each names each
frame in which something is wrong.

The marks, marked_legs.json, were made by eye in enlarged pictures with a pixel grid and checked by
drawing them back. A knee is the middle of the joint, an ankle is level with the ankle bone; the
origin is the middle of the first pixel; left and right are the person's. `uncertainty_px` is how
far a mark may be off. `hidden` is a joint behind something, placed by the frames around and by the
length of the shin: it plays no part in the errors, only in whose leg is where. `box` says roughly
where the person is, `height_px` is the height of the person if they stood upright there. Frames
are counted from 0; `time_s` is from the first frame. The joints are in h36m17's names.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
from common import DEMO, ROOT, argument_parser, machine, markdown_table, publish, run_script
from numpy.typing import NDArray

from vidpose.detect import open_detector
from vidpose.detect.base import Detector
from vidpose.detect.video_detections import VideoDetections
from vidpose.errors import DataError
from vidpose.options import DetectorOptions, options_of
from vidpose.skeleton import H36M17
from vidpose.tracking.collector import PoseCollector
from vidpose.utils.files import check_writable, sha256

MARKS = Path(__file__).with_suffix(".json")
NAMES = ("LKnee", "LFoot", "RKnee", "RFoot")
JOINTS = [H36M17.index(name) for name in NAMES]
OTHER_SIDE = [2, 3, 0, 1]
LEG = 0.5
"""The length of a leg, in body heights."""
TOGETHER = 0.06
"""Legs whose knees and ankles are this close on average, in legs, lie on one another; twice as far
they are apart."""
FAR = 0.1
"""A joint is far off by more than this, in body heights."""
SAME_PERSON = 0.3
"""The least overlap of a person's box with that of the mark, intersection over union."""
AFTER_S = 1.0
"""No correction of tracking looks further ahead."""
HEADER = (
    "network",
    "flip test",
    "stage",
    "mean px",
    "median px",
    "mean, % of height",
    "off by > 10 % of height",
    "exchanged",
    "two legs on one",
    "not found",
    "CPU ms a frame",
)

Floats = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Mark:
    """The legs of one person in one frame; the joints are `NAMES`."""

    video: str
    frame: int
    time_s: float
    box: Floats
    """(4,) left, top, right, bottom."""
    height_px: float
    joints: Floats
    """(4, 2), NaN where unknown."""
    hidden: NDArray[np.bool_]
    """(4,)"""

    def apart(self, joints: Floats) -> float:
        """How far the knees and the ankles are from each other on average, in legs."""
        away = np.linalg.norm(joints[:2] - joints[2:], axis=1)
        return float(away.mean()) / (LEG * self.height_px)

    def pick(self, people: NDArray[np.floating[Any]]) -> Floats:
        """(4, 2), the joints of the one of some people (N, 17, 2) who is meant; NaN if none is."""
        overlaps = [self._overlap(person) for person in people]
        if not overlaps or max(overlaps) < SAME_PERSON:
            return np.full((4, 2), np.nan)
        return np.asarray(people[int(np.argmax(overlaps))][JOINTS], np.float64)

    def _overlap(self, person: NDArray[np.floating[Any]]) -> float:
        if np.isnan(person).all():
            return 0.0
        low, high = np.nanmin(person, axis=0), np.nanmax(person, axis=0)
        sides = np.minimum(high, self.box[2:]) - np.maximum(low, self.box[:2])
        both = float(np.prod(np.maximum(sides, 0)))
        return both / float(np.prod(high - low) + np.prod(self.box[2:] - self.box[:2]) - both)


def read_marks(folders: dict[str, Path]) -> dict[Path, list[Mark]]:
    """The marks of each video.

    Args:
        folders: where the videos of demo.mp4, more/cam01.mp4 ... are, by the first part.

    Raises:
        DataError: a video is missing or another one.
    """
    marks = {}
    for entry in json.loads(MARKS.read_text())["videos"]:
        first, _, rest = entry["video"].partition("/")
        path = folders[first] / rest if rest else folders[first]
        if not path.is_file():
            raise DataError(f"{path} is missing; `make demo` and demo_videos/fetch_more.py get it.")
        if sha256(path) != entry["sha256"]:
            raise DataError(f"{path} is another video than the one that was marked.")
        marks[path] = [_mark(entry["video"], person) for person in entry["people"]]
    return marks


def _mark(video: str, person: dict[str, Any]) -> Mark:
    known = [person["joints"].get(name) for name in NAMES]
    return Mark(
        video=video,
        frame=person["frame"],
        time_s=person["time_s"],
        box=np.array(person["box"], np.float64),
        height_px=person["height_px"],
        joints=np.array([(j["x"], j["y"]) if j else (np.nan, np.nan) for j in known]),
        hidden=np.array([bool(j and j["hidden"]) for j in known]),
    )


def detect(
    detector: Detector, video: Path, marks: list[Mark]
) -> tuple[dict[str, list[Floats]], float, int]:
    """What becomes of the marked joints, by stage; processor seconds, decoding included; frames.

    The video is detected and tracked as by `vidpose infer`, until `AFTER_S` after the last mark.
    """
    end_s = max(mark.time_s for mark in marks) + AFTER_S
    collector, wanted = PoseCollector(), {mark.frame for mark in marks}
    raw: dict[int, NDArray[np.floating[Any]]] = {}
    start = time.process_time()
    with VideoDetections(detector, video, end=end_s) as detections:
        for frame in detections:
            collector.add(frame)
            if frame.frame_index in wanted:
                raw[frame.frame_index] = frame.detections.converted(H36M17).keypoints
        poses = collector.finish(detections.fps, detections.frame_size)
    seconds = time.process_time() - start
    rows = {int(index): row for row, index in enumerate(poses.frame_indices)}
    found = {
        "detected": [mark.pick(raw[mark.frame]) for mark in marks],
        "tracked": [mark.pick(poses.keypoints_2d[:, rows[mark.frame]]) for mark in marks],
    }
    return found, seconds, poses.frames


def faults(mark: Mark, found: Floats) -> list[str]:
    """What is wrong with a leg as a whole."""
    if np.isnan(found).all():
        return ["not found"]
    if not mark.apart(mark.joints) > 2 * TOGETHER:  # unknown, or who could tell
        return []
    if mark.apart(found) < TOGETHER:
        return ["two legs on one"]
    as_named, exchanged = (
        np.linalg.norm(found - joints, axis=1).sum()
        for joints in (mark.joints, mark.joints[OTHER_SIDE])
    )
    return ["exchanged"] if exchanged < as_named else []


def row(marks: list[Mark], found: list[Floats]) -> Iterator[str]:
    """The cells of one way: errors of what was found, then counts."""
    away, height = [], []
    for mark, joints in zip(marks, found, strict=True):
        error = np.linalg.norm(joints - mark.joints, axis=1)
        error = error[np.isfinite(error) & ~mark.hidden]
        away += error.tolist()
        height += [mark.height_px] * len(error)
    relative = np.divide(away, height)
    yield f"{np.mean(away):.1f}"
    yield f"{median(away):.1f}"
    yield f"{100 * relative.mean():.1f}"
    yield f"{(relative > FAR).mean():.1%}"
    wrong = [
        fault for mark, joints in zip(marks, found, strict=True) for fault in faults(mark, joints)
    ]
    apart = sum(mark.apart(mark.joints) > 2 * TOGETHER for mark in marks)
    yield f"{wrong.count('exchanged')} of {apart}"
    yield f"{wrong.count('two legs on one')} of {apart}"
    yield f"{wrong.count('not found')} of {len(marks)}"


def measure(marks: dict[Path, list[Mark]], each: bool) -> str:
    all_marks = [mark for some in marks.values() for mark in some]
    rows, wrong = [], []
    for size in options_of(DetectorOptions)["detector_size"].choices:
        for flip_test in (False, True):
            options = DetectorOptions(detector="mediapipe", detector_size=size, flip_test=flip_test)
            found: dict[str, list[Floats]] = {}
            seconds, frames = 0.0, 0
            detector, _ = open_detector(options, torch.device("cpu"))
            with detector:
                for video, some in marks.items():
                    stages, took, length = detect(detector, video, some)
                    for stage, joints in stages.items():
                        found.setdefault(stage, []).extend(joints)
                    seconds, frames = seconds + took, frames + length
            name = "yes" if flip_test else "no"
            for stage, joints in found.items():
                ms = f"{1000 * seconds / frames:.0f}"
                rows.append((str(size), name, stage, *row(all_marks, joints), ms))
                wrong += [
                    (str(size), name, stage, mark.video, str(mark.frame), ", ".join(what))
                    for mark, one in zip(all_marks, joints, strict=True)
                    if (what := faults(mark, one))
                ]
    frames_marked = len({(mark.video, mark.frame) for mark in all_marks})
    text = (
        f"# Marked legs\n\n{len(all_marks)} people in {frames_marked} frames of {len(marks)} "
        f"videos. {machine()}.\n\n{markdown_table(HEADER, rows)}"
    )
    if each:
        header = ("network", "flip test", "stage", "video", "frame", "what")
        text += f"\n{markdown_table(header, wrong)}"
    return text


def main() -> None:
    parser = argument_parser(__doc__)
    parser.add_argument("--demo", type=Path, default=DEMO)
    parser.add_argument("--more", type=Path, default=ROOT / "demo_videos" / "more")
    parser.add_argument("--each", action="store_true", help="name the frames that are wrong")
    parser.add_argument("-o", "--out", type=Path, default=Path("outputs/marked_legs.md"))
    given = parser.parse_args()
    check_writable(given.out)
    publish(
        measure(read_marks({"demo.mp4": given.demo, "more": given.more}), given.each), given.out
    )


if __name__ == "__main__":
    run_script(main)
