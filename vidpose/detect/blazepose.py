"""The embedded detector: MediaPipe's BlazePose, in two stages.

1. A *search* with the person detector, several times a second, over square tiles of the frame: at
   224 x 224 pixels for the whole frame, distant people would be missed. Small tiles, for people
   even further away, take turns, a few in each search.
2. The *landmarks* of each person in every frame, in a region of interest predicted from the last
   frame's landmarks. If the person is not there, the person detector searches around it. With
   test-time flip augmentation the landmark network also runs on the mirrored region.

A mixed detector, the default, has two landmark networks: the heavy one for keyframes, one every
`KEYFRAME_PERIOD_S`, and a fast one for the in-between frames, whose points are corrected by the
difference between both at the last keyframe. With the next keyframe, tracking corrects them again
(`tracking/keyframes.py`).

All people of a frame, and their mirror images, go through a network as one batch.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from vidpose.detect.base import Detections, is_distinct, is_plausible, pose_sizes
from vidpose.detect.blazepose_network import (
    CIRCLE,
    DEFAULT_SIZE,
    HIP,
    JOINTS,
    Landmarks,
    Networks,
    OnnxNetworks,
)
from vidpose.detect.blazepose_regions import Region, around_person, small_tiles, tiles
from vidpose.skeleton import BLAZEPOSE33

if TYPE_CHECKING:
    from vidpose.video import Frame

VERSION = "4"
"""Changes when the same frames give other detections, or the detector's memory another format."""
SEARCH_PERIOD_S = 0.3
"""Period of the search for new people. A large person is found at most this long after coming into
view."""
SMALL_TILES_IN = 5
"""Number of searches that cover all small tiles once. While no person is known, every search covers
all of them, so that people who are there from the start are found at the start."""
KEYFRAME_PERIOD_S = 0.09
"""Period of a mixed detector's keyframes: every third frame at 30 frames/s."""
SAME_JOINT = 0.02
"""Both networks see the same joint if their points are this close, in sides of the region. Their
difference then lasts, so it corrects the fast network's points until the next keyframe; otherwise
still joints would jitter whenever the network changes."""
SEARCH_AROUND = 2.0
"""A lost person is searched for in a square this many times as wide as their last region."""
SEARCH_AROUND_MIN_PX = 16.0
LOST_AFTER_S = 0.5
"""How long to search for a lost person, from the first frame without them."""
SAME_REGION = 0.25
"""Regions whose centres are closer than this, in sides of the larger, hold the same person."""
DISPUTED = 0.03
"""The original and the mirrored image disagree about left and right if swapping the sides of one
brings their joints closer by more than this on average, in body sizes."""
DISPUTED_SCORE = np.float32(0.4)
"""The score of a disputed joint: neither result is reliable there."""
APART = 0.15
"""The original and the mirrored image show different things if their joints are further apart than
this on average, in body sizes: no person, two people, or one who is barely visible."""
BELOW_THE_HIP = ("knee", "ankle", "heel", "foot_index")
BELOW_THE_SHOULDER = ("elbow", "wrist", "pinky", "index", "thumb")
LEGS, ARMS = (
    [n for n, name in enumerate(BLAZEPOSE33.joint_names) if name.partition("_")[2] in ends]
    for ends in (BELOW_THE_HIP, BELOW_THE_SHOULDER)
)
TRUNK = [n for n in range(len(BLAZEPOSE33)) if n not in LEGS + ARMS]
"""Groups of joints that a network swaps together: both legs, both arms, the rest of the body."""


@dataclass(frozen=True, eq=False)
class Pose:
    """One person in one frame."""

    keypoints: NDArray[np.float32]
    """(33, 2), pixels."""
    scores: NDArray[np.float32]
    """(33,), visibility, 0 to 1; 0 outside the region."""
    disputed: NDArray[np.bool_]
    """(33,), see `Detections.disputed`."""
    next_region: Region
    """The region of interest in the next frame."""
    correction: NDArray[np.float64]
    """(passes, 35, 2), what to add to the fast network's points; see `SAME_JOINT`."""
    shift: NDArray[np.float32] = field(default_factory=lambda: np.zeros((JOINTS, 2), np.float32))
    """(33, 2) pixels, see `Detections.shift`."""


class _Person(NamedTuple):
    region: Region
    correction: NDArray[np.float64]
    """See `Pose.correction`."""
    lost_s: float = np.inf
    """Time of the first frame without them; infinite while they are found."""


class BlazePoseDetector:
    """33 BlazePose joints of up to `num_people` people a frame, on the CPU.

    Joints outside the frame are guessed by the network, with a low score, and kept. The same
    frames with the same times give the same detections.

    Args:
        num_people: maximum number of people to follow at a time.
        detection_confidence: 0 to 1, minimum confidence of the person detector.
        presence_confidence: 0 to 1, minimum confidence of the landmark network that a person is in
            the region.
        flip_test: also find the landmarks in the mirrored region and take the mean; see
            `merge_flipped`. Doubles the cost of the landmarks.
        size: of the landmark network: lite, full, heavy or mixed (heavy in keyframes, full in the
            frames between); see `OnnxNetworks`.
        networks: used instead of the networks of that size.

    Raises:
        WeightsError: the files of the networks are missing.
    """

    name = "mediapipe"
    skeleton = BLAZEPOSE33

    def __init__(
        self,
        num_people: int = 8,
        detection_confidence: float = 0.5,
        presence_confidence: float = 0.5,
        flip_test: bool = False,
        size: str = DEFAULT_SIZE,
        networks: Networks | None = None,
    ) -> None:
        self._num_people = num_people
        self._detection_confidence = detection_confidence
        self._presence_confidence = presence_confidence
        self._flip_test = flip_test
        self._networks = networks or OnnxNetworks(size)
        self._people: list[_Person]
        self._next_search_s: float
        self._next_keyframe_s: float
        self._searches: int
        self._is_keyframe = True
        self.reset()
        self.description: dict[str, Any] = {
            "name": self.name,
            "version": VERSION,
            **self._networks.description,
            "options": {
                "num_people": num_people,
                "detection_confidence": detection_confidence,
                "presence_confidence": presence_confidence,
                "flip_test": flip_test,
                "size": size,
            },
        }

    def detect(self, frames: Iterable[Frame]) -> Iterator[Detections]:
        """See `Detector.detect`."""
        for frame in frames:
            yield self.detect_image(frame.image, frame.time_s)

    def reset(self) -> None:
        """See `Detector.reset`."""
        self._people, self._next_search_s, self._next_keyframe_s = [], -np.inf, -np.inf
        self._searches = 0

    def memory(self) -> Any:
        """See `Detector.memory`."""
        return {
            "people": [
                [*person.region, person.correction.tolist(), person.lost_s]
                for person in self._people
            ],
            "next_search_s": self._next_search_s,
            "next_sure_s": self._next_keyframe_s,
            "searches": self._searches,
        }

    def remember(self, memory: Any) -> None:
        """See `Detector.remember`."""
        self._people = [
            _Person(
                Region(*map(float, region)),
                self._remembered(np.array(correction, np.float64)),
                float(lost_s),
            )
            for *region, correction, lost_s in memory["people"]
        ]
        self._next_search_s = float(memory["next_search_s"])
        self._next_keyframe_s = float(memory["next_sure_s"])
        self._searches = int(memory["searches"])

    def _remembered(self, correction: NDArray[np.float64]) -> NDArray[np.float64]:
        if correction.shape != (1 + self._flip_test, CIRCLE + 1, 2):
            raise ValueError(f"correction: unexpected shape {correction.shape}")
        if not (np.linalg.norm(correction, axis=2) <= SAME_JOINT).all():
            raise ValueError("correction: larger than SAME_JOINT")
        return correction

    def detect_image(self, image: NDArray[np.uint8], time_s: float) -> Detections:
        """Detect the people in the next frame of the video.

        Args:
            image: (H, W, 3) RGB, upright.
            time_s: seconds, increasing from call to call.
        """
        image = np.ascontiguousarray(image)  # else OpenCV copies it for each region
        height, width = image.shape[:2]
        self._is_keyframe = time_s >= self._next_keyframe_s
        if self._is_keyframe:
            self._next_keyframe_s = time_s + KEYFRAME_PERIOD_S
        poses = self._follow(image)
        if time_s >= self._next_search_s:
            self._next_search_s = time_s + SEARCH_PERIOD_S
            poses += self._search(image, poses)
        found = _detections(poses)
        keep = np.flatnonzero(is_plausible(found, width, height))
        keep = keep[is_distinct(found[keep])][: self._num_people]
        self._remember([poses[i] for i in keep], time_s)
        return found[keep]

    def _follow(self, image: NDArray[np.uint8]) -> list[Pose]:
        """Find the known people in their regions, or else around them."""
        longer = max(image.shape[:2])
        corrections = [person.correction for person in self._people]
        poses = self._landmarks(image, [person.region for person in self._people], corrections)
        lost = [n for n, pose in enumerate(poses) if pose is None]
        around = []
        for n in lost:
            x, y, side, _ = self._people[n].region
            width = min(max(SEARCH_AROUND * side, SEARCH_AROUND_MIN_PX), longer)
            around.append(Region(x, y, width, 0.0))
        found = self._find(image, around)
        nearest = {
            n: min(regions, key=self._people[n].region.distance)
            for n, regions in zip(lost, found, strict=True)
            if regions
        }
        again = self._landmarks(image, list(nearest.values()), [corrections[n] for n in nearest])
        for n, pose in zip(nearest, again, strict=True):
            poses[n] = pose
        return [pose for pose in poses if pose]

    def _search(self, image: NDArray[np.uint8], known: list[Pose]) -> list[Pose]:
        """Find people in the whole frame who are not among the known ones."""
        height, width = image.shape[:2]
        taken = [pose.next_region for pose in known]
        small = small_tiles(width, height)
        if known:
            small = small[self._searches % SMALL_TILES_IN :: SMALL_TILES_IN]
        self._searches += 1
        new: list[Region] = []
        for regions in self._find(image, tiles(width, height) + small):
            for region in regions:
                if all(region.distance(other) >= SAME_REGION for other in taken + new):
                    new.append(region)
        unknown = [np.zeros((1 + self._flip_test, CIRCLE + 1, 2))] * len(new)
        return [pose for pose in self._landmarks(image, new, unknown) if pose]

    def _remember(self, poses: list[Pose], time_s: float) -> None:
        """Set the regions for the next frame: of the people found, and of those just lost."""
        regions = [pose.next_region for pose in poses]
        lost = [
            person._replace(lost_s=min(person.lost_s, time_s))
            for person in self._people
            if not any(person.region.distance(region) < SAME_REGION for region in regions)
        ]
        self._people = [_Person(pose.next_region, pose.correction) for pose in poses]
        self._people += [person for person in lost if time_s - person.lost_s < LOST_AFTER_S]

    def _find(self, image: NDArray[np.uint8], windows: list[Region]) -> list[list[Region]]:
        """Run the person detector on windows of the frame."""
        if not windows:
            return []
        found = self._networks.find(image, windows, self._detection_confidence)
        return [regions[: self._num_people] for regions in found]

    def _landmarks(
        self,
        image: NDArray[np.uint8],
        regions: list[Region],
        corrections: list[NDArray[np.float64]],
    ) -> list[Pose | None]:
        """Find the landmarks in regions of the frame; None where no person is.

        Args:
            corrections: of each region's person, see `Pose.correction`.
        """
        if not regions:
            return []
        found, fast, corrections = self._found(image, regions, corrections)
        there = found.presence > self._presence_confidence
        poses: list[Pose | None] = []
        for n, (region, correction) in enumerate(zip(regions, corrections, strict=True)):
            if not there[n]:
                poses.append(None)
                continue
            pose = self._pose(region, found, n, there, correction)
            if fast is not None:
                expected = self._pose(region, fast, n, there, correction)
                pose = replace(pose, shift=pose.keypoints - expected.keypoints)
            elif self._networks.mixed:
                pose = replace(pose, shift=np.full_like(pose.keypoints, np.nan))
            poses.append(pose)
        return poses

    def _pose(
        self,
        region: Region,
        found: Landmarks,
        n: int,
        there: NDArray[np.bool_],
        correction: NDArray[np.float64],
    ) -> Pose:
        """Make the pose of the n-th region, merged with the mirrored one if there is one.

        Args:
            there: whether a person is in each region; with flip augmentation, then in each mirrored
                region.
        """
        if not self._flip_test:
            return _pose(region, found.of(n), correction)
        second = n + len(there) // 2
        if there[second]:
            return _flipped_pose(region, found.of(n), found.of(second), correction)
        alone = _pose(region, found.of(n), correction)
        return replace(alone, scores=alone.scores * np.float32(0.5))

    def _found(
        self,
        image: NDArray[np.uint8],
        regions: list[Region],
        corrections: list[NDArray[np.float64]],
    ) -> tuple[Landmarks, Landmarks | None, list[NDArray[np.float64]]]:
        """Run the landmark network of this frame.

        Returns:
            Its landmarks; in a keyframe of a mixed detector also those of the fast network, with
            the old corrections, else None; and the corrections for the next frames.
        """
        mirrored, networks = self._flip_test, self._networks
        found = networks.landmarks(image, regions, mirrored=mirrored, accurate=self._is_keyframe)
        if not networks.mixed:
            return found, None, corrections
        add = np.stack(corrections, axis=1).reshape(found.points.shape)
        if not self._is_keyframe:
            return found._replace(points=found.points + add), None, corrections
        fast = networks.landmarks(image, regions, mirrored=mirrored, accurate=False)
        shape = (-1, len(regions), CIRCLE + 1, 2)
        differ = (found.points - fast.points).reshape(shape).swapaxes(0, 1)
        same = np.linalg.norm(differ, axis=3, keepdims=True) < SAME_JOINT
        fast = fast._replace(points=fast.points + add)
        return found, fast, list(np.where(same, differ, 0))

    def close(self) -> None:
        """Do nothing: no resource is held."""

    def __enter__(self) -> BlazePoseDetector:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


def _detections(poses: list[Pose]) -> Detections:
    return Detections(
        np.array([pose.keypoints for pose in poses], np.float32).reshape(-1, JOINTS, 2),
        np.array([pose.scores for pose in poses], np.float32).reshape(-1, JOINTS),
        BLAZEPOSE33,
        np.array([pose.disputed for pose in poses], bool).reshape(-1, JOINTS),
        np.array([pose.shift for pose in poses], np.float32).reshape(-1, JOINTS, 2),
    )


_Found = tuple[NDArray[np.float64], NDArray[np.float32]]
"""Points (35, 2), in sides of the square from its centre, and visibility (33,)."""


def _pose(region: Region, found: _Found, correction: NDArray[np.float64]) -> Pose:
    keypoints, scores = _joints(region, *found)
    hip, circle = region.to_picture(found[0][[HIP, CIRCLE]])
    around = around_person(hip, circle)
    return Pose(keypoints, scores, np.zeros(JOINTS, bool), around, correction)


def _flipped_pose(
    region: Region, found: _Found, mirrored: _Found, correction: NDArray[np.float64]
) -> Pose:
    """Merge the landmarks of a region and of its mirror image into one pose."""
    pose, order = _pose(region, found, correction), BLAZEPOSE33.mirrored
    points, visibility = mirrored
    back = _joints(region, points[order] * (-1, 1), visibility[order])
    merged = merge_flipped(pose.keypoints, pose.scores, *back)
    return Pose(*merged, pose.next_region, correction)


def _joints(
    region: Region, points: NDArray[np.float64], visibility: NDArray[np.float32]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """(33, 2) pixels and (33,) scores."""
    keypoints = region.to_picture(points[:JOINTS]).astype(np.float32)
    # The network cannot see beyond its square; points there are guesses.
    inside = (np.abs(points[:JOINTS]) <= 0.5).all(axis=1)
    return keypoints, np.where(inside, visibility, np.float32(0))


def merge_flipped(
    keypoints: NDArray[np.float32],
    scores: NDArray[np.float32],
    mirrored_keypoints: NDArray[np.float32],
    mirrored_scores: NDArray[np.float32],
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.bool_]]:
    """Merge the poses of the original and the mirrored image: their mean.

    Where the two disagree about left and right of the legs, the arms or the trunk, joints that lie
    in the same place are averaged, named as in the original image, with `DISPUTED_SCORE`. Where
    they show different things, the result is the pose of the original image with half its scores.

    Args:
        keypoints, scores: (33, 2) pixels and (33,), from the original image.
        mirrored_keypoints, mirrored_scores: likewise, mapped back from the mirrored image, with
            left and right as the person's again.

    Returns:
        (33, 2) pixels, (33,) scores, and (33,) which joints are disputed.
    """
    size = max(pose_sizes(keypoints[None])[0], 1e-9)
    order = np.arange(len(keypoints))
    for joints in (LEGS, ARMS, TRUNK):
        crossed = BLAZEPOSE33.mirrored[joints]
        same, other = (
            np.linalg.norm(keypoints[joints] - mirrored_keypoints[names], axis=1).mean() / size
            for names in (joints, crossed)
        )
        if same - other > DISPUTED:
            order[joints] = crossed
    there = mirrored_keypoints[order]
    if np.linalg.norm(keypoints - there, axis=1).mean() / size > APART:
        return keypoints, scores * np.float32(0.5), np.zeros(len(order), bool)
    disputed = order != np.arange(len(order))
    scores = np.where(disputed, DISPUTED_SCORE, (scores + mirrored_scores[order]) / 2)
    return (keypoints + there) * np.float32(0.5), scores, disputed
