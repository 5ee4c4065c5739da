"""The embedded detector: MediaPipe's BlazePose, in two stages.

1. A *search* with the person detector, several times a second, over square tiles of the picture:
   its 224 x 224 pixels miss whoever is far away in a large picture. Smaller tiles, for those still
   further away, take turns, a few in each search.
2. The *landmarks* of each person in every frame, in the region where the last frame's landmarks
   say the person is. Where they are not, the person detector searches around there. With test-time
   flip augmentation they are found in the mirrored region, too.

A mixed detector, the default, has two landmark networks: a sure one for a close look at a frame
every `SURE_PERIOD_S`, and a quick one for those between, corrected by what both differed in last.
When the next close look is known, tracking corrects them again (`tracking/close_looks.py`).

All people of a frame, and their mirror images, go through a network together.
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
"""Changes when the same frames give other detections, or its memory another form."""
SEARCH_PERIOD_S = 0.3
"""How often newcomers are looked for; nobody large is found later than this after coming into
view."""
SMALL_TILES_IN = 5
"""Searches in which every small tile has its turn. While nobody is known all are searched at once,
so that those who are there at the beginning are found there."""
SURE_PERIOD_S = 0.09
"""How often a mixed detector finds the landmarks with its surest network: in every third frame of
30 a second. Tracking corrects the frames between (`tracking/close_looks.py`)."""
SAME_JOINT = 0.02
"""Both networks see the same joint if their points are this close, in sides of the region. There,
what they differ in lasts, so the quick one's points are corrected by it until the next sure frame:
else joints that stand still would tremble from network to network."""
SEARCH_AROUND = 2.0
"""A lost person is searched in a square this many times as wide as the region they were in."""
SEARCH_AROUND_MIN_PX = 16.0
LOST_AFTER_S = 0.5
"""For how long a person lost from sight is looked for, from the first frame without them."""
SAME_REGION = 0.25
"""Regions whose middles are closer than this, in sides of the larger, hold the same person."""
DISPUTED = 0.03
"""What is found in the picture and in the mirrored one disagrees about which side is which, if the
joints lie nearer to each other the other way round by this much on average, in body sizes."""
DISPUTED_SCORE = np.float32(0.4)
"""The score of a disputed joint: neither finding is worth much there."""
APART = 0.15
"""They have not found the same if their joints lie this far apart on average, body sizes: there is
nobody, or two people, or hardly anything to be seen of one."""
BELOW_THE_HIP = ("knee", "ankle", "heel", "foot_index")
BELOW_THE_SHOULDER = ("elbow", "wrist", "pinky", "index", "thumb")
LEGS, ARMS = (
    [n for n, name in enumerate(BLAZEPOSE33.joint_names) if name.partition("_")[2] in ends]
    for ends in (BELOW_THE_HIP, BELOW_THE_SHOULDER)
)
TRUNK = [n for n in range(len(BLAZEPOSE33)) if n not in LEGS + ARMS]
"""A network mistakes all of a pair of limbs, or of the body, for the other side's."""


@dataclass(frozen=True, eq=False)
class Pose:
    """One person in one frame."""

    keypoints: NDArray[np.float32]
    """(33, 2), pixels."""
    scores: NDArray[np.float32]
    """(33,), visibility, 0 to 1; 0 outside the region of the network."""
    disputed: NDArray[np.bool_]
    """(33,), see `Detections.disputed`."""
    next_region: Region
    """Where to look for the landmarks in the next frame."""
    correction: NDArray[np.float64]
    """(passes, 35, 2), what to add to the quick network's points; see `SAME_JOINT`."""
    shift: NDArray[np.float32] = field(default_factory=lambda: np.zeros((JOINTS, 2), np.float32))
    """(33, 2) pixels, see `Detections`."""


class _Person(NamedTuple):
    region: Region
    correction: NDArray[np.float64]
    """See `Pose`."""
    lost_s: float = np.inf
    """Since when they are looked for in vain."""


class BlazePoseDetector:
    """33 BlazePose joints of up to `num_people` people a frame, on the CPU.

    Joints outside the picture are guessed by the network, with a low score, and left where
    they are. The same frames with the same times give the same detections.

    Args:
        num_people: no more than this many people are followed at a time.
        detection_confidence: 0 to 1, how sure the search must be to take something for a person.
        presence_confidence: 0 to 1, how sure the landmarks must be that a person is there.
        flip_test: find the landmarks in the mirrored region, too, and take the mean; see
            `merge_flipped`. Twice the work for the landmarks.
        size: of the landmark network: lite, full, heavy, or mixed, which is full, and heavy every
            `SURE_PERIOD_S`; see `OnnxNetworks`.
        networks: in place of those of that size.

    Raises:
        WeightsError: the networks are not here.
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
        self._next_sure_s: float
        self._searches: int
        self._sure = True
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
        self._people, self._next_search_s, self._next_sure_s = [], -np.inf, -np.inf
        self._searches = 0

    def memory(self) -> Any:
        """See `Detector.memory`."""
        return {
            "people": [
                [*person.region, person.correction.tolist(), person.lost_s]
                for person in self._people
            ],
            "next_search_s": self._next_search_s,
            "next_sure_s": self._next_sure_s,
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
        self._next_sure_s = float(memory["next_sure_s"])
        self._searches = int(memory["searches"])

    def _remembered(self, correction: NDArray[np.float64]) -> NDArray[np.float64]:
        if correction.shape != (1 + self._flip_test, CIRCLE + 1, 2):
            raise ValueError("a correction of another shape")
        if not (np.linalg.norm(correction, axis=2) <= SAME_JOINT).all():
            raise ValueError("a correction that is none")
        return correction

    def detect_image(self, image: NDArray[np.uint8], time_s: float) -> Detections:
        """The people in the next frame of the video.

        Args:
            image: (H, W, 3) RGB, upright.
            time_s: seconds, rising from call to call.
        """
        image = np.ascontiguousarray(image)  # else OpenCV copies it for each region
        height, width = image.shape[:2]
        self._sure = time_s >= self._next_sure_s
        if self._sure:
            self._next_sure_s = time_s + SURE_PERIOD_S
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
        """The known people: where they were, or else near there."""
        longer = max(image.shape[:2])
        corrections = [person.correction for person in self._people]
        poses = self._landmarks(image, [person.region for person in self._people], corrections)
        lost = [n for n, pose in enumerate(poses) if pose is None]
        around = []
        for n in lost:
            x, y, side, _ = self._people[n].region
            # Never nothing, nor vast.
            wide = min(max(SEARCH_AROUND * side, SEARCH_AROUND_MIN_PX), longer)
            around.append(Region(x, y, wide, 0.0))
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
        """People in the whole picture that are not among the known ones."""
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
        """Where to look in the next frame: at everybody found, and at those just lost."""
        regions = [pose.next_region for pose in poses]
        lost = [
            person._replace(lost_s=min(person.lost_s, time_s))
            for person in self._people
            if not any(person.region.distance(region) < SAME_REGION for region in regions)
        ]
        self._people = [_Person(pose.next_region, pose.correction) for pose in poses]
        self._people += [person for person in lost if time_s - person.lost_s < LOST_AFTER_S]

    def _find(self, image: NDArray[np.uint8], windows: list[Region]) -> list[list[Region]]:
        """Where the person detector sees people in each of some windows of the picture."""
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
        """The landmarks in each of some regions of the picture, if somebody is there.

        Args:
            corrections: of each region's person, see `Pose`.
        """
        if not regions:
            return []
        found, quick, corrections = self._found(image, regions, corrections)
        there = found.presence > self._presence_confidence
        poses: list[Pose | None] = []
        for n, (region, correction) in enumerate(zip(regions, corrections, strict=True)):
            if not there[n]:
                poses.append(None)
                continue
            pose = self._pose(region, found, n, there, correction)
            if quick is not None:
                expected = self._pose(region, quick, n, there, correction)
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
        """What was found in the n-th region, and in the mirrored one if it is searched, too.

        Args:
            there: of each square, whether somebody is in it.
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
        """What the network whose turn it is says of some regions.

        Returns:
            That; if it was the surest, what the quick one says, corrected as before; and the
            corrections from now.
        """
        mirrored, networks = self._flip_test, self._networks
        found = networks.landmarks(image, regions, mirrored=mirrored, sure=self._sure)
        if not networks.mixed:
            return found, None, corrections
        add = np.stack(corrections, axis=1).reshape(found.points.shape)
        if not self._sure:
            return found._replace(points=found.points + add), None, corrections
        quick = networks.landmarks(image, regions, mirrored=mirrored, sure=False)
        shape = (-1, len(regions), CIRCLE + 1, 2)
        differ = (found.points - quick.points).reshape(shape).swapaxes(0, 1)
        same = np.linalg.norm(differ, axis=3, keepdims=True) < SAME_JOINT
        quick = quick._replace(points=quick.points + add)
        return found, quick, list(np.where(same, differ, 0))

    def close(self) -> None:
        """Nothing is open."""

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
"""Points (35, 2), sides of the square from its middle, and visibility (33,)."""


def _pose(region: Region, found: _Found, correction: NDArray[np.float64]) -> Pose:
    keypoints, scores = _joints(region, *found)
    hip, circle = region.to_picture(found[0][[HIP, CIRCLE]])
    around = around_person(hip, circle)
    return Pose(keypoints, scores, np.zeros(JOINTS, bool), around, correction)


def _flipped_pose(
    region: Region, found: _Found, mirrored: _Found, correction: NDArray[np.float64]
) -> Pose:
    """The pose from what is in the region and what is in it as in a mirror."""
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
    # The network cannot see beyond its square, though it likes to guess.
    inside = (np.abs(points[:JOINTS]) <= 0.5).all(axis=1)
    return keypoints, np.where(inside, visibility, np.float32(0))


def merge_flipped(
    keypoints: NDArray[np.float32],
    scores: NDArray[np.float32],
    mirrored_keypoints: NDArray[np.float32],
    mirrored_scores: NDArray[np.float32],
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.bool_]]:
    """One pose from what is in the picture and in the mirrored one: their mean.

    Where they dispute which leg, arm or side of the body is which, a joint is the mean of what
    lies in the same place, named as in the picture, with `DISPUTED_SCORE`. Where they have not
    found the same it is what is in the picture, half as sure.

    Args:
        keypoints, scores: (33, 2) pixels and (33,), from the picture.
        mirrored_keypoints, mirrored_scores: likewise, brought back from the mirrored picture,
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
