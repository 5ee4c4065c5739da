"""Errors of the embedded detector's knees and ankles against hand annotations; pixels.

    python benchmarks/marked_legs.py [--demo demo_videos/demo.mp4] [--more demo_videos/more]
        [--sizes mixed ...] [--each] [-o outputs/marked_legs.md]

Measures every size of the landmark network, without and with test-time flip augmentation, as
detected and after tracking as in `vidpose infer`. --more is the folder of
`demo_videos/fetch_more.py`. --each lists every frame with an error.

The annotations in marked_legs.json were made by eye in enlarged frames with a pixel grid and
checked in overlays. A knee is the middle of the joint, an ankle is level with the ankle bone; the
origin is the middle of the first pixel; left and right are the person's. `uncertainty_px` is the
uncertainty of an annotation. `hidden` marks an occluded joint, placed with the help of neighbouring
frames and the length of the shin; it is excluded from the errors and used only to detect swaps.
`box` is the approximate bounding box, `height_px` the height of the person if they stood upright
there. Frames are counted from 0; `time_s` is from the first frame. Joint names are those of h36m17.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
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
from vidpose.detect.blazepose_network import SIZES
from vidpose.detect.video_detections import VideoDetections
from vidpose.errors import DataError
from vidpose.options import DetectorOptions
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
"""Leg lengths: legs are merged if their knees and ankles are this close on average, and apart from
twice this distance on."""
FAR = 0.1
"""Body heights: a joint is wrong if its error is larger."""
SAME_PERSON = 0.3
"""Minimum IoU of a person's bounding box and the annotation's."""
AFTER_S = 1.0
"""Tracking's corrections look at most this far ahead."""
HEADER = (
    "network",
    "flip test",
    "stage",
    "mean px",
    "median px",
    "mean, % of height",
    "error > 10 % of height",
    "swapped",
    "merged",
    "not found",
    "CPU ms per frame",
)

Floats = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Mark:
    """The annotated legs of one person in one frame; the joints are `NAMES`."""

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
        """Mean distance of left and right knee and ankle, in leg lengths."""
        away = np.linalg.norm(joints[:2] - joints[2:], axis=1)
        return float(away.mean()) / (LEG * self.height_px)

    def pick(self, people: NDArray[np.floating[Any]]) -> Floats:
        """(4, 2), the joints of the annotated person among `people` (N, 17, 2); NaN if missing."""
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
    """The annotations of each video.

    Args:
        folders: path of the demo video and of the other videos' folder, by "demo.mp4" and "more".

    Raises:
        DataError: a video is missing or differs from the annotated one.
    """
    marks = {}
    for entry in json.loads(MARKS.read_text())["videos"]:
        first, _, rest = entry["video"].partition("/")
        path = folders[first] / rest if rest else folders[first]
        if not path.is_file():
            raise DataError(f"{path} is missing; `make demo` and demo_videos/fetch_more.py get it.")
        if sha256(path) != entry["sha256"]:
            raise DataError(f"{path} is not the annotated video; fetch it again.")
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
    """Detect and track a video as `vidpose infer` does, until `AFTER_S` after the last annotation.

    Returns:
        the annotated joints as found, by stage; CPU seconds, decoding included; number of frames.
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
    """Errors that concern whole legs."""
    if np.isnan(found).all():
        return ["not found"]
    if not mark.apart(mark.joints) > 2 * TOGETHER:  # unknown, or too close to tell
        return []
    if mark.apart(found) < TOGETHER:
        return ["merged"]
    as_named, swapped = (
        np.linalg.norm(found - joints, axis=1).sum()
        for joints in (mark.joints, mark.joints[OTHER_SIDE])
    )
    return ["swapped"] if swapped < as_named else []


def row(marks: list[Mark], found: list[Floats]) -> Iterator[str]:
    """A table row without its first cells: errors of the joints found, then counts."""
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
    yield f"{wrong.count('swapped')} of {apart}"
    yield f"{wrong.count('merged')} of {apart}"
    yield f"{wrong.count('not found')} of {len(marks)}"


def measure(marks: dict[Path, list[Mark]], sizes: Sequence[str], each: bool) -> str:
    all_marks = [mark for some in marks.values() for mark in some]
    rows, wrong = [], []
    for size in sizes:
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
        f"# Annotated legs\n\n{len(all_marks)} people in {frames_marked} frames of {len(marks)} "
        f"videos. {machine()}.\n\n{markdown_table(HEADER, rows)}"
    )
    if each:
        header = ("network", "flip test", "stage", "video", "frame", "error")
        text += f"\n{markdown_table(header, wrong)}"
    return text


def main() -> None:
    parser = argument_parser(__doc__)
    parser.add_argument("--demo", type=Path, default=DEMO)
    parser.add_argument("--more", type=Path, default=ROOT / "demo_videos" / "more")
    parser.add_argument("--sizes", nargs="+", choices=SIZES, default=SIZES)
    parser.add_argument("--each", action="store_true", help="list frames with errors")
    parser.add_argument("-o", "--out", type=Path, default=Path("outputs/marked_legs.md"))
    given = parser.parse_args()
    check_writable(given.out)
    publish(
        measure(read_marks({"demo.mp4": given.demo, "more": given.more}), given.sizes, given.each),
        given.out,
    )


if __name__ == "__main__":
    run_script(main)
