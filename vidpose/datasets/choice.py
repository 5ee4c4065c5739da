"""Selection of a part of a dataset, and checks of what was read, for all readers."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vidpose.errors import DataError, UsageError

LARGEST = 1e9
"""Upper bound of coordinates in any unit."""
FURTHEST_M = 100.0
"""Upper bound of coordinates in metres; larger numbers must have another unit."""
LARGEST_BODY_M = 20.0
"""Upper bound of the sides of a pose's bounding box, for the same reason."""


@dataclass(frozen=True, kw_only=True)
class Choice:
    """The part of a dataset to open.

    Raises:
        UsageError: a subject is in both splits, or `downsample` is below 1.
    """

    keypoints: str
    train_subjects: tuple[str, ...]
    test_subjects: tuple[str, ...]
    actions: tuple[str, ...] | None = None
    """Exact names of action groups, see `action_group`; None: all."""
    downsample: int = 1
    """Take every n-th frame, starting with the first."""

    def __post_init__(self) -> None:
        both = sorted(set(self.train_subjects) & set(self.test_subjects))
        if both:
            raise UsageError(f"{both[0]} is both a training and a test subject; choose one.")
        if self.downsample < 1:
            raise UsageError(f"downsample {self.downsample}: give 1 or more.")

    @property
    def subjects(self) -> tuple[str, ...]:
        return self.train_subjects + self.test_subjects

    def wants(self, action: str) -> bool:
        """Whether an action is in one of the groups."""
        return self.actions is None or action_group(action) in self.actions


def action_group(action: str) -> str:
    """Strip the take number from an action: "Sitting 1" -> "Sitting".

    Groups are compared by their full names: "Sitting" is not "SittingDown".
    """
    return action.split(" ")[0]


def check_known(place: str, kind: str, wanted: Iterable[str], known: Iterable[str]) -> None:
    """Raise a DataError for a wanted name that is not among the known ones.

    Args:
        place: the file or folder, and the location in it, for the message.
        kind: subject or action.
        wanted: names to look up.
        known: names in the file.
    """
    names = sorted(set(known))
    for name in wanted:
        if name not in names:
            raise DataError(f"{place} has no {kind} {name}; it has {', '.join(names) or 'none'}.")


def branch(path: Path, key: str, value: Any, kind: type = dict) -> Any:
    """Return a value from a file, checked to be a list or a dict with string keys.

    Raises:
        DataError: it is something else.
    """
    if not isinstance(value, kind):
        raise DataError(f"{path}: {key}: expected a {kind.__name__}, found {describe(value)}.")
    if isinstance(value, dict) and (
        strange := [name for name in value if not isinstance(name, str)]
    ):
        raise DataError(f"{path}: {key}: expected names, found {describe(strange[0])}.")
    return value


def joint_array(
    path: Path, key: str, value: Any, joints: int, dims: tuple[int, ...]
) -> NDArray[np.float32]:
    """Check one array of joints.

    Args:
        path: the file it comes from.
        key: its location in the file, for the message.
        value: the value found there.
        joints: expected number of joints.
        dims: allowed lengths of the last axis.

    Returns:
        (T, joints, one of dims) float32, all finite.

    Raises:
        DataError: it is something else; the message names file and key, what was expected and
            what was found.
    """
    fits = (
        isinstance(value, np.ndarray)
        and value.dtype.kind in "fiu"
        and value.ndim == 3
        and len(value) > 0
        and value.shape[1] == joints
        and value.shape[2] in dims
    )
    if not fits:
        wanted = f"numbers (frames, {joints}, {' or '.join(map(str, dims))})"
        raise DataError(f"{path}: {key}: expected {wanted}, found {describe(value)}.")
    bad = ~np.isfinite(value).all(axis=(1, 2))
    if bad.any():
        raise DataError(
            f"{path}: {key}: expected finite numbers, found NaN or infinity in {bad.sum()} of "
            f"{len(bad)} frames, first in frame {int(bad.argmax())}."
        )
    if (np.abs(value) > LARGEST).any():
        raise DataError(f"{path}: {key}: expected pixels or metres, found more than {LARGEST:g}.")
    return np.asarray(value, np.float32)


def check_metres(path: Path, key: str, joints: NDArray[np.floating], unit: str = "metres") -> None:
    """Raise a DataError if joints are too far away, or bodies too large, to be in metres."""
    furthest = float(np.abs(joints).max())
    if furthest > FURTHEST_M:
        raise DataError(
            f"{path}: {key}: expected {unit}, found a joint {furthest:.0f} metres away if they are."
        )
    size = float(np.ptp(joints, axis=1).max())
    if size > LARGEST_BODY_M:
        raise DataError(
            f"{path}: {key}: expected {unit}, found a person of {size:.0f} metres if they are."
        )


def describe(value: Any) -> str:
    """Describe a value for a message."""
    if isinstance(value, np.ndarray):
        return f"{value.dtype} {value.shape}"
    if isinstance(value, dict | list | tuple):
        return f"a {type(value).__name__} of {len(value)}"
    return f"{value!r:.40}"


def split(
    choice: Choice, read: Callable[[str], Iterable[Any]]
) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
    """Read the training and the test sequences, subject by subject."""
    train = tuple(s for subject in choice.train_subjects for s in read(subject))
    test = tuple(s for subject in choice.test_subjects for s in read(subject))
    return train, test
