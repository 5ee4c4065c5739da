"""MediaPipe Pose's landmarks in JSON. MediaPipe writes no files itself; users save them as

    [{"frame": 0, "landmarks": [{"x": 0.5, "y": 0.4, "z": -0.1, "visibility": 0.99}, ...]}, ...]

or with other keys, objects by frame, several people a frame, or lists [x, y, z, visibility] as
landmarks. There are 33, or those of a whole-body model, with these 33 first. x and y are fractions
of width and height, or pixels if the user multiplied them; z is ignored. TensorFlow.js has the same
layout with a `name` and a `score` for each joint.
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
"""Minimum number of points of a person; named points may lack those that were not detected."""
SCORES = ("visibility", "score", "presence", "confidence")


def matches(item: Item) -> bool:
    """Whether a JSON file holds landmarks."""
    return nested.has_people(item.value, _is_person)


def read(item: Item, asked: Asked = NOTHING) -> KeypointFile:
    """Parse the content of a JSON file.

    Args:
        item: the whole file.
        asked: by default the skeleton is that of the joint names, else MediaPipe's 33.

    Raises:
        KeypointsError: the file holds no landmarks, or world landmarks.
        UsageError: there are several videos and none was chosen.
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
    """Whether a value is a list of landmarks, or an object of landmarks by name."""
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
    """Return the points, and their names if they have any."""
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
            f"has {len(points)} landmarks, not MediaPipe's {len(BLAZEPOSE33)}, and no known "
            "joint names; give --skeleton"
        )
    return BLAZEPOSE33


def _score_at(everybody: Sequence[Item], skeleton: Skeleton) -> int:
    """Find the position of the score in landmarks that are lists.

    MediaPipe's third number is a depth, which is negative for half of the joints; in other formats
    it is the score.
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
    """Reads the joints of the people of a file."""

    skeleton: Skeleton
    names: tuple[str, ...]
    """The joint names as in the file, in the skeleton's order; empty if joints go by position."""
    score_at: int
    """See `_score_at`."""

    def person(self, person: Item, id: int | None) -> PersonKeypoints | None:
        points, names = _points(person)
        count = len(self.skeleton)
        rows = np.tile([np.nan, np.nan, 0.0], (count, 1))
        if self.names:  # in any order; missing ones were not detected
            place = {name: j for j, name in enumerate(self.names)}
            at = [place[name] for name in names]
        elif len(points) != count and len(points) not in WITH_FACE_OR_HANDS:
            person.fail(f"has {len(points)} landmarks, not {count} ({self.skeleton.name})")
        else:
            at = list(range(count))
        for j, point in zip(
            at, points, strict=False
        ):  # those of the whole body come after the pose
            rows[j] = _numbers(point, self.score_at)
        return person.person(rows[:, :2], rows[:, 2], id)


def _numbers(point: Item, score_at: int) -> NDArray[np.float64]:
    """Return x, y and the score of a landmark, in a list at `score_at`; by default 1."""
    if isinstance(point.value, list):
        numbers = point.array(len(point.value))
        return np.array([*numbers[:2], *numbers[score_at : score_at + 1], 1.0][:3])
    key = next((key for key in SCORES if point.value.get(key) is not None), None)
    score = point[key].array() if key else 1.0
    return np.array([point["x"].array(), point["y"].array(), score])
