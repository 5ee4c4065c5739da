"""The embedded detector: MediaPipe's BlazePose, with the models that lie in its wheel.

BlazePose works in two stages (`blazepose`), and MediaPipe's own task ties them together over the
complete picture. Its first stage sees that picture at 224 x 224 pixels and misses whoever is far
away, so here the two stages are run one by one:

1. A *search* with the pose detector, several times a second, over square tiles of the picture.
2. The *landmarks* of each person in every frame, in the region where the last frame's landmarks
   say the person is. Where they are not, the pose detector takes a second look around. With the
   *flip test* they are found in the mirrored picture, too.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from math import ceil
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from vidpose.detect.base import Detections, is_distinct, is_plausible, pose_sizes
from vidpose.detect.blazepose import (
    VERSION,
    LandmarkNetwork,
    PersonNetwork,
    Picture,
    Pose,
    Region,
    Window,
    quiet,
    weights,
)
from vidpose.skeleton import BLAZEPOSE33

if TYPE_CHECKING:
    from vidpose.video import Frame

SEARCH_PERIOD_S = 0.2
"""How often newcomers are looked for; nobody is found later than this after coming into view."""
TILE_OVERLAP = 1 / 3
"""Neighbouring tiles share at least this part of their side, so that a person of that width is
whole in one of them."""
MAX_TILES_SIDE_BY_SIDE = 4
"""A picture longer than this many times its width gets larger tiles, to bound the cost."""
SECOND_LOOK = 2.0
"""The second look sees a square this many times as wide as the region a person was lost in."""
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
"""A look takes all of a pair of limbs, or of the body, for the other side's."""


class _Person(NamedTuple):
    region: Region
    lost_s: float = np.inf
    """Since when they are looked for in vain."""


class MediaPipeDetector:
    """33 BlazePose joints of up to `num_people` people a frame, on the CPU.

    Joints outside the picture are guessed by the network, with a low score, and left where
    they are. The same frames with the same times give the same detections.

    Args:
        num_people: no more than this many people are followed at a time.
        detection_confidence: 0 to 1, how sure the search must be to take something for a person.
        presence_confidence: 0 to 1, how sure the landmarks must be that a person is there.
        flip_test: find the landmarks in the mirrored picture, too, and take the mean; see
            `merge_flipped`. Nearly twice the work; the second look has a thread of its own.
    """

    name = "mediapipe"
    skeleton = BLAZEPOSE33

    def __init__(
        self,
        num_people: int = 8,
        detection_confidence: float = 0.5,
        presence_confidence: float = 0.5,
        flip_test: bool = True,
    ) -> None:
        self._num_people = num_people
        self._flip_test = flip_test
        self._people: list[_Person]
        self._next_search_s: float
        self.reset()
        self.description: dict[str, Any] = {
            "name": self.name,
            "version": VERSION,
            "weights": weights(),
            "options": {
                "num_people": num_people,
                "detection_confidence": detection_confidence,
                "presence_confidence": presence_confidence,
                "flip_test": flip_test,
            },
        }
        with quiet():
            self._find = PersonNetwork(num_people, detection_confidence)
            self._landmarks = [LandmarkNetwork(presence_confidence) for _ in range(1 + flip_test)]
            # The networks are loaded, and the log lines about it written, at the first use.
            blank = np.zeros((16, 16, 3), np.uint8)
            self._find(blank, Window(0, 0, 16, 16))
            for landmarks in self._landmarks:
                landmarks(Picture(blank), Region(7.5, 7.5, 16, 0))
        self._thread = ThreadPoolExecutor(1, "vidpose-flip-test")

    def detect(self, frames: Iterable[Frame]) -> Iterator[Detections]:
        """See `Detector.detect`."""
        for frame in frames:
            yield self.detect_image(frame.image, frame.time_s)

    def reset(self) -> None:
        """See `Detector.reset`. MediaPipe's graphs treat every picture by itself, so they stay."""
        self._people, self._next_search_s = [], -np.inf

    def memory(self) -> Any:
        """See `Detector.memory`."""
        return {
            "people": [[*person.region, person.lost_s] for person in self._people],
            "next_search_s": self._next_search_s,
        }

    def remember(self, memory: Any) -> None:
        """See `Detector.remember`."""
        self._people = [_Person(Region(*region), lost_s) for *region, lost_s in memory["people"]]
        self._next_search_s = memory["next_search_s"]

    def detect_image(self, image: NDArray[np.uint8], time_s: float) -> Detections:
        """The people in the next frame of the video.

        Args:
            image: (H, W, 3) RGB, upright.
            time_s: seconds, rising from call to call.
        """
        picture = Picture(image)
        looks = [self._follow(picture, person) for person in self._people]
        poses = [pose for pose in looks if pose]
        if time_s >= self._next_search_s:
            self._next_search_s = time_s + SEARCH_PERIOD_S
            poses += self._search(picture, poses)
        found = Detections(
            np.array([pose.keypoints for pose in poses], np.float32).reshape(-1, 33, 2),
            np.array([pose.scores for pose in poses], np.float32).reshape(-1, 33),
            self.skeleton,
            np.array([pose.disputed for pose in poses], bool).reshape(-1, 33),
        )
        keep = np.flatnonzero(is_plausible(found, picture.width, picture.height))
        keep = keep[is_distinct(found[keep])][: self._num_people]
        self._remember([poses[i] for i in keep], time_s)
        return found[keep]

    def _follow(self, picture: Picture, person: _Person) -> Pose | None:
        """The known person: where they were, or else near there."""
        if pose := self._landmarks_in(picture, person.region):
            return pose
        x, y, side, _ = person.region
        longer = max(picture.width, picture.height)
        wide = min(max(ceil(SECOND_LOOK * side), 16), longer)  # never nothing, nor vast
        around = Window(round(x + 0.5 - wide / 2), round(y + 0.5 - wide / 2), wide, wide)
        regions = self._find(picture.image, around)
        if not regions:
            return None
        nearest = min(regions, key=person.region.distance)
        return self._landmarks_in(picture, nearest)

    def _search(self, picture: Picture, known: list[Pose]) -> list[Pose]:
        """People in the whole picture that are not among the known ones."""
        taken = [pose.next_region for pose in known]
        poses = []
        for window in windows(picture.width, picture.height):
            for region in self._find(picture.image, window):
                if any(region.distance(other) < SAME_REGION for other in taken):
                    continue
                taken.append(region)
                if pose := self._landmarks_in(picture, region):
                    poses.append(pose)
        return poses

    def _remember(self, poses: list[Pose], time_s: float) -> None:
        """Where to look in the next frame: at everybody found, and at those just lost."""
        regions = [pose.next_region for pose in poses]
        lost = [
            _Person(person.region, min(person.lost_s, time_s))
            for person in self._people
            if not any(person.region.distance(region) < SAME_REGION for region in regions)
        ]
        self._people = [_Person(region) for region in regions]
        self._people += [person for person in lost if time_s - person.lost_s < LOST_AFTER_S]

    def _landmarks_in(self, picture: Picture, region: Region) -> Pose | None:
        """The landmarks in one region of the picture, if somebody is there."""
        if not self._flip_test:
            return self._landmarks[0](picture, region)
        x, y, side, turn = region
        mirrored = Region(picture.width - 1 - x, y, side, -turn)
        # MediaPipe computes in one thread and lets others run meanwhile.
        second = self._thread.submit(self._landmarks[1], picture.mirrored, mirrored)
        pose, other = self._landmarks[0](picture, region), second.result()
        if pose is None:
            return None
        if other is None:
            return Pose(pose.keypoints, pose.scores / 2, pose.next_region)
        order = BLAZEPOSE33.mirrored
        back = other.keypoints[order]
        back[:, 0] = picture.width - 1 - back[:, 0]
        keypoints, scores, disputed = merge_flipped(
            pose.keypoints, pose.scores, back, other.scores[order]
        )
        return Pose(keypoints, scores, pose.next_region, disputed)

    def close(self) -> None:
        self._thread.shutdown()
        self._find.close()
        for landmarks in self._landmarks:
            landmarks.close()

    def __enter__(self) -> MediaPipeDetector:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


def merge_flipped(
    keypoints: NDArray[np.float32],
    scores: NDArray[np.float32],
    mirrored_keypoints: NDArray[np.float32],
    mirrored_scores: NDArray[np.float32],
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.bool_]]:
    """One pose from the looks at the picture and at the mirrored one: their mean.

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
        return keypoints, scores / 2, np.zeros(len(order), bool)
    disputed = order != np.arange(len(order))
    scores = np.where(disputed, DISPUTED_SCORE, (scores + mirrored_scores[order]) / 2)
    return (keypoints + there) / 2, scores, disputed


def windows(width: int, height: int) -> list[Window]:
    """What a search looks at: the whole picture, for people close to the camera, and
    overlapping squares that cover it, for those further away.
    """
    whole = Window(0, 0, width, height)
    short, length = sorted((width, height))
    if short == length:
        return [whole]
    side = max(short, ceil(length / MAX_TILES_SIDE_BY_SIDE))
    count = ceil((length - side) / ((1 - TILE_OVERLAP) * side)) + 1
    starts = np.linspace(0, length - side, count).round().astype(int).tolist()
    if width > height:
        return [whole, *(Window(start, 0, side, side) for start in starts)]
    return [whole, *(Window(0, start, side, side) for start in starts)]
