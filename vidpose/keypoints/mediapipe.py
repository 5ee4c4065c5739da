"""MediaPipe Pose's landmarks in JSON. MediaPipe writes none itself; people write them out as

    [{"frame": 0, "landmarks": [{"x": 0.5, "y": 0.4, "z": -0.1, "visibility": 0.99}, ...]}, ...]

with other keys, objects by frame, several people a frame, or lists [x, y, z, visibility] as
landmarks. There are 33, or whole-body models' with those 33 first. x and y are parts of width and
height, or pixels if people multiplied them; z is no 2D. TensorFlow.js writes the same with a
`name` and a `score` for each joint.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vidpose.keypoints import nested
from vidpose.keypoints.base import (
    NOTHING,
    Asked,
    Item,
    KeypointFile,
    PersonKeypoints,
    agreed,
    are_normalised,
    check_not_world,
)
from vidpose.keypoints.joint_names import skeleton_of_names
from vidpose.keypoints.tables import WITH_FACE_OR_HANDS
from vidpose.skeleton import BLAZEPOSE33, Skeleton

NAME = "mediapipe"
FEWEST, FEWEST_NAMED = 17, 5
"""A list of fewer points is no person; those that have names may leave out what was not seen."""
SCORES = ("visibility", "score", "presence", "confidence")


def matches(item: Item) -> bool:
    """Whether the content of a JSON file is landmarks."""
    return nested.has_people(item.value, _is_person)


def read(item: Item, asked: Asked = NOTHING) -> KeypointFile:
    """Understand the content of a JSON file.

    Args:
        item: all of the file.
        asked: the skeleton is by default what the joints' names say, else MediaPipe's 33.

    Raises:
        KeypointsError: the content is no landmarks, or world landmarks.
        UsageError: there are several videos and none is chosen.
    """
    found, warnings = nested.frames(item, _is_person, asked.video)
    everybody = [person for people in found.values() for person in people]
    names = tuple(dict.fromkeys(name for person in everybody for name in _points(person)[1]))
    named = skeleton_of_names(names) if names else None
    if named is not None:
        skeleton = agreed(named, asked.skeleton, item.path)
    else:
        names = ()
        skeleton = asked.skeleton or (_unnamed(everybody[0]) if everybody else BLAZEPOSE33)
    joints = _Joints(skeleton, names, _score_at(everybody, skeleton))
    alone = max((len(people) for people in found.values()), default=0) <= 1
    frames: dict[int, list[PersonKeypoints]] = {}
    for index, people in found.items():
        seen = [joints.person(person, 1 if alone else None) for person in people]
        frames[index] = [one for one in seen if one is not None]
    check_not_world(item.path, skeleton, frames)
    return KeypointFile(
        path=item.path,
        format=NAME,
        skeleton=skeleton,
        frames=frames,
        normalised=are_normalised(frames),
        video=asked.video,
        warnings=warnings,
    )


def _is_person(value: Any) -> bool:
    """Whether it is a list of landmarks, or an object of them by name."""
    points = list(value.values()) if isinstance(value, dict) else value
    if not isinstance(points, list) or len(points) < FEWEST_NAMED:
        return False
    if all(isinstance(point, dict) for point in points):
        named = isinstance(value, dict) or all("name" in point for point in points)
        enough = named or len(points) >= FEWEST
        return enough and all("x" in point and "y" in point for point in points)
    return (
        isinstance(value, list)
        and len(points) >= FEWEST
        and all(
            isinstance(point, list)
            and 2 <= len(point) <= 5
            and all(isinstance(number, int | float) for number in point)
            for point in points
        )
    )


def _points(person: Item) -> tuple[list[Item], list[str]]:
    """The points, and their names if they have some."""
    if isinstance(person.value, dict):
        return [person[key] for key in person.value], list(person.value)
    points = list(person)
    if isinstance(points[0].value, dict) and "name" in points[0].value:
        return points, [str(point.value.get("name")) for point in points]
    return points, []


def _unnamed(person: Item) -> Skeleton:
    points, _ = _points(person)
    if len(points) not in (len(BLAZEPOSE33), *WITH_FACE_OR_HANDS):
        person.fail(
            f"has {len(points)} landmarks, not MediaPipe's {len(BLAZEPOSE33)}, and no names of "
            "joints known here; name them with --skeleton"
        )
    return BLAZEPOSE33


def _score_at(everybody: Sequence[Item], skeleton: Skeleton) -> int:
    """Where the score stands in a landmark that is a list.

    MediaPipe's third number is a depth, which is negative for half of the joints; others have a
    score there.
    """
    thirds = [
        point[2]
        for person in everybody
        if isinstance(person.value, list)
        for point in person.value
        if isinstance(point, list) and len(point) == 3
    ]
    depths = skeleton == BLAZEPOSE33 and not all(0 <= third <= 1 for third in thirds)
    return 3 if depths or (skeleton == BLAZEPOSE33 and not thirds) else 2


@dataclass(frozen=True)
class _Joints:
    """How the joints of a file's people are read."""

    skeleton: Skeleton
    names: tuple[str, ...]
    """Of the skeleton's joints, as the file spells them; empty where they go by position."""
    score_at: int
    """See `_score_at`."""

    def person(self, person: Item, id: int | None) -> PersonKeypoints | None:
        points, names = _points(person)
        count = len(self.skeleton)
        rows = np.tile([np.nan, np.nan, 0.0], (count, 1))
        if self.names:  # in any order; what is not there was not seen
            place = {name: j for j, name in enumerate(self.names)}
            at = [place[name] for name in names]
        elif len(points) != count and len(points) not in WITH_FACE_OR_HANDS:
            person.fail(f"has {len(points)} landmarks, not {count} ({self.skeleton.name})")
        else:
            at = list(range(count))
        for j, point in zip(at, points, strict=False):  # a whole body's come behind the pose's
            rows[j] = _numbers(point, self.score_at)
        return person.person(rows[:, :2], rows[:, 2], id)


def _numbers(point: Item, score_at: int) -> NDArray[np.float64]:
    """x, y and the score of a landmark, which in a list stands at `score_at`; by default 1."""
    if isinstance(point.value, list):
        numbers = point.array(len(point.value))
        return np.array([*numbers[:2], *numbers[score_at : score_at + 1], 1.0][:3])
    key = next((key for key in SCORES if point.value.get(key) is not None), None)
    score = point[key].array() if key else 1.0
    return np.array([point["x"].array(), point["y"].array(), score])
