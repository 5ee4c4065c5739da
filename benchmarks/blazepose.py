"""Joints and speed of the embedded detector compared with MediaPipe's own.

    python benchmarks/blazepose.py VIDEO... [--no-flip-test] [--end S] [-o outputs/blazepose.md]

Needs the package mediapipe 0.10.21; if it is missing, the error says how to install it. For every
video:

- *same regions*: MediaPipe gets exactly our regions of interest, and the joints are compared. It
  samples the corner of each pixel (see `blazepose_regions.crop`), so our joints are compared with
  both kinds of sampling.
- *independently*: both track people through the video, frame by frame in turn. The landmarks in
  one frame determine the region in the next, so small differences grow until they are as large as
  the network's own noise.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

import numpy as np
from common import argument_parser, machine, markdown_table, publish, require_mediapipe, run_script
from numpy.typing import NDArray

from vidpose.detect.base import Detections, pose_sizes
from vidpose.detect.blazepose import BlazePoseDetector
from vidpose.detect.blazepose_network import JOINTS, Landmarks, Networks, OnnxNetworks
from vidpose.detect.blazepose_regions import Region
from vidpose.utils.files import check_writable
from vidpose.video import VideoReader

PRESENT = 0.5
SAME = 0.3
"""Body sizes: two poses whose mean joint distance is below this are the same person."""


class FromCorner:
    """Our networks, with crops sampled at pixel corners like MediaPipe's.

    So sampled, a region differs from its mirrored crop; therefore the image is mirrored.
    """

    def __init__(self) -> None:
        self._networks = OnnxNetworks("full", from_corner=True)
        self.description, self.mixed = self._networks.description, False

    def find(
        self, image: NDArray[np.uint8], windows: list[Region], min_confidence: float
    ) -> list[list[Region]]:
        return self._networks.find(image, windows, min_confidence)

    def landmarks(
        self, image: NDArray[np.uint8], regions: list[Region], *, mirrored: bool, accurate: bool
    ) -> Landmarks:
        found = self._networks.landmarks(image, regions, mirrored=False, accurate=accurate)
        if not mirrored:
            return found
        width = image.shape[1]
        other = [Region(width - 1 - x, y, side, -turn) for x, y, side, turn in regions]
        image = np.ascontiguousarray(image[:, ::-1])
        second = self._networks.landmarks(image, other, mirrored=False, accurate=accurate)
        return Landmarks(
            np.concatenate([found.points, second.points]),
            np.concatenate([found.visibility, second.visibility]),
            np.concatenate([found.presence, second.presence]),
        )


class Watched:
    """Our networks; records the differences from MediaPipe on the same regions."""

    def __init__(self, ours: Networks, theirs: Networks, also: Networks) -> None:
        self._ours, self._theirs, self._also = ours, theirs, also
        self.description: dict[str, Any] = {}
        self.mixed = False
        self.off: list[NDArray[np.float64]] = []
        """(33,) pixels for each region where both detect a person."""
        self.off_also: list[NDArray[np.float64]] = []
        self.seen = self.alike = 0
        """Number of regions, and of those where both agree whether a person is there."""
        self.regions_ours = self.regions_theirs = self.regions_same = 0
        self.region_off: list[float] = []

    def find(
        self, image: NDArray[np.uint8], windows: list[Region], min_confidence: float
    ) -> list[list[Region]]:
        found = self._ours.find(image, windows, min_confidence)
        for some, others in zip(
            found, self._theirs.find(image, windows, min_confidence), strict=True
        ):
            self.regions_ours += len(some)
            self.regions_theirs += len(others)
            near = [min((a.distance(b) for b in others), default=1.0) for a in some]
            self.regions_same += sum(d < 0.1 for d in near)
            self.region_off += [d for d in near if d < 0.1]
        return found

    def landmarks(
        self, image: NDArray[np.uint8], regions: list[Region], *, mirrored: bool, accurate: bool
    ) -> Landmarks:
        ours, theirs, also = (
            networks.landmarks(image, regions, mirrored=mirrored, accurate=accurate)
            for networks in (self._ours, self._theirs, self._also)
        )
        both = (ours.presence > PRESENT) & (theirs.presence > PRESENT)
        self.seen += len(both)
        self.alike += int(((ours.presence > PRESENT) == (theirs.presence > PRESENT)).sum())
        for n in np.flatnonzero(both):
            side = regions[n % len(regions)].side
            for found, kept in ((ours, self.off), (also, self.off_also)):
                away = found.points[n, :JOINTS] - theirs.points[n, :JOINTS]
                kept.append(side * np.linalg.norm(away, axis=1))
        return ours


def mediapipe_networks() -> Networks:
    from mediapipe_networks import MediaPipeNetworks  # needs an optional package

    return MediaPipeNetworks()


def same_regions(video: Path, flip_test: bool, end_s: float | None) -> tuple[str, ...]:
    """One row of the first table."""
    watched = Watched(FromCorner(), mediapipe_networks(), OnnxNetworks("full"))
    detector = BlazePoseDetector(flip_test=flip_test, networks=watched)
    with VideoReader(video, end_s=end_s) as frames:
        for _ in detector.detect(frames):
            pass
    off, also = (np.array(part).reshape(-1, JOINTS) for part in (watched.off, watched.off_also))
    regions = (watched.regions_ours, watched.regions_theirs, watched.regions_same)
    return (
        video.name,
        f"{watched.seen}",
        f"{watched.alike / max(watched.seen, 1):.2%}",
        f"{off.mean():.3f}",
        f"{np.median(off):.3f}",
        f"{also.mean():.2f}",
        f"{np.median(also):.2f}",
        " / ".join(str(n) for n in regions),
        f"{np.median(watched.region_off):.5f}",
    )


def by_itself(video: Path, flip_test: bool, end_s: float | None) -> tuple[str, ...]:
    """One row of the second table."""
    ours = BlazePoseDetector(flip_test=flip_test, size="full")
    theirs = BlazePoseDetector(flip_test=flip_test, networks=mediapipe_networks())
    seconds = dict.fromkeys((ours, theirs), 0.0)
    people = dict.fromkeys((ours, theirs), 0)
    off: list[float] = []
    frames = 0
    with VideoReader(video, end_s=end_s) as reader:
        for frame in reader:
            found = {}
            for detector in (ours, theirs):
                start = time.perf_counter()
                found[detector] = detector.detect_image(frame.image, frame.time_s)
                seconds[detector] += time.perf_counter() - start
                people[detector] += len(found[detector])
            off += distances(found[ours], found[theirs])
            frames += 1
    return (
        video.name,
        f"{frames}",
        f"{people[ours]}",
        f"{people[theirs]}",
        f"{len(off)}",
        f"{np.median(off):.2f}",
        f"{np.mean(off):.2f}",
        f"{frames / seconds[ours]:.1f}",
        f"{frames / seconds[theirs]:.1f}",
    )


def distances(ours: Detections, theirs: Detections) -> list[float]:
    """Mean joint distance, pixels, for each of our people that MediaPipe found, too."""
    off = []
    for pose, size in zip(ours.keypoints, pose_sizes(ours.keypoints), strict=True):
        away = np.linalg.norm(theirs.keypoints - pose, axis=2).mean(axis=1)
        if len(away) and away.min() < SAME * size:
            off.append(float(away.min()))
    return off


SAME_HEADER = (
    *("video", "regions", "same presence", "mean, px", "median, px", "pixel centres: mean, px"),
    *("median, px", "people found: ours / MediaPipe / same", "region error, sides"),
)
ITSELF_HEADER = (
    *("video", "frames", "people, ours", "people, MediaPipe", "matched", "median, px", "mean, px"),
    *("frames/s, ours", "frames/s, MediaPipe"),
)


def measure(videos: list[Path], flip_test: bool, end_s: float | None, out: Path) -> None:
    check_writable(out)
    require_mediapipe()
    how = "with" if flip_test else "without"
    text = f"# BlazePose, ours and MediaPipe's\n\n{machine()}; {how} test-time flip augmentation.\n"
    same = [same_regions(video, flip_test, end_s) for video in videos]
    text += f"\n## Same regions\n\n{markdown_table(SAME_HEADER, same)}"
    itself = [by_itself(video, flip_test, end_s) for video in videos]
    text += f"\n## Independently\n\n{markdown_table(ITSELF_HEADER, itself)}"
    publish(text, out)


def main() -> None:
    parser = argument_parser(__doc__)
    parser.add_argument("videos", type=Path, nargs="+")
    parser.add_argument("--end", type=float, metavar="S", help="stop after S seconds of video")
    parser.add_argument("--flip-test", action=argparse.BooleanOptionalAction, default=True)
    parser.add_argument("-o", "--out", type=Path, default=Path("outputs/blazepose.md"))
    given = parser.parse_args()
    measure(given.videos, given.flip_test, given.end, given.out)


if __name__ == "__main__":
    run_script(main)
