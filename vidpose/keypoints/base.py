"""Common types of the adapters for files of 2D joints, and validation of what they read."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from vidpose.errors import KeypointsError, UsageError
from vidpose.keypoints.joint_names import NAMED
from vidpose.skeleton import Skeleton
from vidpose.utils.files import obstacle
from vidpose.utils.outside import parse_json, reading

FURTHEST_PX = 1e6
"""Maximum distance of a joint from the frame's corner; larger numbers are not pixels."""
LAST_FRAME = 2**31
"""Frame numbers are below this."""
DIGITS = re.compile("[0-9]{1,18}")
"""A whole number as text."""


@dataclass(frozen=True)
class Asked:
    """What the user states about a file that the file leaves open."""

    skeleton: Skeleton | None = None
    """Skeleton of the joints."""
    video: str | None = None
    """Which video of several."""


NOTHING = Asked()


@dataclass(frozen=True, eq=False)
class PersonKeypoints:
    """One person in one frame, J joints."""

    keypoints: NDArray[np.float32]
    """(J, 2), pixels, or fractions of width and height (`KeypointFile.normalised`); NaN where
    missing."""
    scores: NDArray[np.float32]
    """(J,), 0 to 1; 0 where missing."""
    person: int | None = None
    """The person's ID, if the file has one."""


@dataclass(frozen=True, eq=False, kw_only=True)
class KeypointFile:
    """Content of a file of 2D joints."""

    path: Path
    format: str
    skeleton: Skeleton
    frames: dict[int, list[PersonKeypoints]]
    """By the frame's position in the video, counted from 0; in any order, with gaps."""
    fps: float | None = None
    frame_size: tuple[int, int] | None = None
    """Width and height, pixels."""
    video: str | None = None
    """The video that was read, if one was requested and the file names its videos."""
    normalised: bool = False
    """Joints are fractions of the frame's width and height, from its top left corner."""
    warnings: tuple[str, ...] = ()
    """Warnings for the user, one sentence each."""


@dataclass(frozen=True)
class Item:
    """A value of a JSON file with its place in the file, for error messages.

    Raises (all methods):
        KeypointsError: the value is invalid; names the file and the key.
    """

    value: Any
    path: Path
    place: str = ""

    def fail(self, what: str) -> NoReturn:
        raise KeypointsError(f"{self.path}: {self.place or 'the file'} {what}.")

    def __getitem__(self, key: str) -> Item:
        found = self.get(key)
        if found is None:
            self.fail(f"has no '{key}'")
        return found

    def get(self, key: str) -> Item | None:
        """Return the entry `key` of an object; None if it is missing or null."""
        if not isinstance(self.value, dict):
            self.fail(f"is not an object (but {_shown(self.value)})")
        if self.value.get(key) is None:
            return None
        return Item(self.value[key], self.path, f"{self.place}.{key}" if self.place else key)

    def __iter__(self) -> Iterator[Item]:
        """Iterate over the entries of a list."""
        if not isinstance(self.value, list):
            self.fail(f"is not a list (but {_shown(self.value)})")
        for i, value in enumerate(self.value):
            yield Item(value, self.path, f"{self.place}[{i}]")

    def integer(self, last: int = LAST_FRAME) -> int:
        """Return an integer from 0 to below `last`; 3.0 and "3" count as integers."""
        value = self.value
        if isinstance(value, str) and DIGITS.fullmatch(value):
            value = int(value)
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if not number or value != value or value in (np.inf, -np.inf) or value != int(value):
            self.fail(f"is not a whole number (but {_shown(value)})")
        if not 0 <= value < last:
            self.fail(f"is {_shown(value)}, not between 0 and {last - 1}")
        return int(value)

    def person_id(self) -> int | None:
        """Return a person's ID; None for -1, which means not tracked.

        Some programs wrap the number in lists; if people were merged, the first one counts.
        """
        one: Item | None = self
        while one is not None and isinstance(one.value, list):
            one = next(iter(one), None)
        return None if one is None or one.value in (-1, "-1") else one.integer()

    def positive(self) -> float:
        """Return a positive number."""
        value = self.value
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if not number or not 0 < value < np.inf:
            self.fail(f"is not a positive number (but {_shown(value)})")
        return float(value)

    def picture_size(self, width: str, height: str) -> tuple[int, int] | None:
        """Return width and height from these keys; None if one is 0, as some programs write for
        unknown.
        """
        across, high = self.get(width), self.get(height)
        numbers = (across.integer(), high.integer()) if across and high else (0, 0)
        return numbers if all(numbers) else None

    def text(self) -> str:
        if not isinstance(self.value, str):
            self.fail(f"is not a text (but {_shown(self.value)})")
        return self.value

    def array(self, *shape: int, of: Skeleton | None = None) -> NDArray[np.float64]:
        """Return numbers nested to this shape; `of`: the skeleton, for the message."""
        array = _as_numbers(self.value)
        if array is None:
            self.fail("holds something else than numbers")
        if array.shape != shape:
            joints = f" ({len(of)} joints of {of.name})" if of else ""
            self.fail(f"has {_sized(array.shape)} numbers, not {_sized(shape)}{joints}")
        return array

    def triplets(self, skeleton: Skeleton) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """x1, y1, score1, x2 ... -> (J, 2) and (J,) scores; also nested as [[x1, y1, score1], ...].

        Raises:
            KeypointsError: the number of values does not fit the skeleton.
        """
        array = _as_numbers(self.value)
        if array is None or array.shape != (len(skeleton), 3):
            array = self.array(3 * len(skeleton), of=skeleton).reshape(-1, 3)
        return array[:, :2], array[:, 2]

    def person(
        self, xy: NDArray[np.floating], scores: NDArray[np.floating], id: int | None = None
    ) -> PersonKeypoints | None:
        """Check the joints of a person; None if all are missing.

        A joint is missing if a coordinate is NaN, or both are 0 or both -1, as most programs write
        it, whatever its score. Scores beyond 0 to 1, which some networks give, are clipped.

        Args:
            xy: (J, 2), pixels.
            scores: (J,).
            id: the person's ID, if the file has one.
        """
        missing = np.isnan(xy).any(axis=1)
        for nowhere in (0, -1):
            missing |= (xy == nowhere).all(axis=1)
        if (np.abs(xy[~missing]) > FURTHEST_PX).any():
            self.fail(f"has a joint more than {FURTHEST_PX:.0f} pixels away")
        if np.isnan(scores[~missing]).any():
            self.fail("has a joint whose score is NaN")
        if missing.all():
            return None
        scores = np.clip(np.where(missing, 0, scores), 0, 1)
        xy = np.where(missing[:, None], np.nan, xy)
        return PersonKeypoints(xy.astype(np.float32), scores.astype(np.float32), id)


def check_exists(path: Path) -> None:
    """Raise KeypointsError if the file or folder is missing or cannot be read."""
    if why := obstacle(path, "give a file of 2D joints, or a folder of them", folder_will_do=True):
        raise KeypointsError(f"{path} {why}.")


def read_json(path: Path) -> Item:
    """Read a JSON file.

    Raises:
        KeypointsError: it is missing or not JSON.
    """
    advice = "give a file of 2D joints; docs/keypoints.md lists the formats"
    with reading(path, KeypointsError, "is not a JSON file", advice):
        return Item(_parsed(path.read_bytes()), path)


def skeleton_by_size(joints: Item, per_joint: int, *known: Skeleton) -> Skeleton:
    """Choose among the skeletons of a format by the number of joints.

    Args:
        joints: the joints of one person, a list.
        per_joint: numbers per joint if the list is flat.
        known: the skeletons of the format, each with another number of joints.

    Raises:
        KeypointsError: none of them fits.
    """
    entries = list(joints)
    if entries and isinstance(entries[0].value, list):
        per_joint = 1
    by_count = {per_joint * len(skeleton): skeleton for skeleton in known}
    if len(entries) not in by_count:
        expected = " or ".join(f"{n} ({skeleton.name})" for n, skeleton in by_count.items())
        what = "joints" if per_joint == 1 else "numbers"
        joints.fail(f"has {len(entries)} {what}, not {expected}; see --skeleton for others")
    return by_count[len(entries)]


def ask_for_17(path: Path, models: str) -> NoReturn:
    """Raise UsageError: COCO and Human3.6M both have 17 joints, and the file has no names."""
    raise UsageError(
        f"{path} does not state the skeleton of its 17 joints; give --skeleton coco17, which "
        f"{models} have, or h36m17."
    )


def agreed(found: Skeleton, asked: Skeleton | None, path: Path) -> Skeleton:
    """Return the skeleton that the file states, if the user did not request another.

    Raises:
        UsageError: --skeleton contradicts the file.
    """
    if asked is None or asked == found:
        return found
    holds = found.name
    if holds == NAMED:
        holds = f"joints in another order ({', '.join(found.joint_names[:3])} ...)"
    raise UsageError(f"--skeleton {asked.name}: {path} says that it holds {holds}.")


def _parsed(content: bytes) -> Any:
    """Parse JSON, or JSON lines as a list.

    Raises:
        ValueError: it is neither.
    """
    try:
        return parse_json(content)
    except json.JSONDecodeError as error:
        if error.msg != "Extra data":
            raise
        lines = [line for line in content.splitlines() if line.strip()]
        try:
            return [parse_json(line) for line in lines]
        except ValueError:
            raise error from None


def _as_numbers(value: Any) -> NDArray[np.float64] | None:
    try:
        array = np.asarray(value)
    except (ValueError, OverflowError):
        return None
    return array.astype(np.float64) if array.dtype.kind in "iuf" else None


def _sized(shape: tuple[int, ...]) -> str:
    return " x ".join(map(str, shape)) or "single"


def _shown(value: Any) -> str:
    if isinstance(value, dict | list):
        return "an object" if isinstance(value, dict) else "a list"
    text = json.dumps(value)
    return text if len(text) <= 40 else f"{text[:40]}..."


def are_normalised(frames: Mapping[int, Sequence[PersonKeypoints]]) -> bool:
    """Whether joints are fractions of the frame's width and height, not pixels.

    In pixels no person's joints are this close together; a few joints may lie far outside.
    """
    joints = _all_joints(frames)
    return bool(len(joints) and np.mean((joints > -0.5) & (joints < 1.5)) > 0.9)


def check_not_world(
    path: Path, skeleton: Skeleton, frames: Mapping[int, Sequence[PersonKeypoints]]
) -> None:
    """Raise KeypointsError if joints are in metres from the midpoint of the hips, as MediaPipe's
    world landmarks are.
    """
    if not {"left_hip", "right_hip"} <= set(skeleton.joint_names) or not are_normalised(frames):
        return
    hips = [skeleton.index("left_hip"), skeleton.index("right_hip")]
    middles = [one.keypoints[hips].mean(axis=0) for people in frames.values() for one in people]
    middle = np.array([point for point in middles if np.isfinite(point).all()])
    if len(middle) and np.mean(np.abs(middle).max(axis=1) < 0.02) > 0.9:
        raise KeypointsError(
            f"{path} holds joints in metres from the hips (world landmarks); write the landmarks "
            "in the image instead (MediaPipe's pose_landmarks)."
        )


def _all_joints(frames: Mapping[int, Sequence[PersonKeypoints]]) -> NDArray[np.float32]:
    """(N, 2), the known joints of all people."""
    everybody = [one.keypoints for people in frames.values() for one in people]
    joints = np.concatenate([np.zeros((0, 2), np.float32), *everybody])
    return joints[np.isfinite(joints).all(axis=1)]
