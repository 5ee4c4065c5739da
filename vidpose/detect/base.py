"""The interface of all 2D detectors, and what they return."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from vidpose.skeleton import Skeleton, conversion

if TYPE_CHECKING:
    from vidpose.video import Frame

DUPLICATE_OUTLINE = 0.1
DUPLICATE_MIDDLE = 0.2
"""Two poses are duplicates of one person if, in body sizes, the joints of one are this close to the
nearest joint of the other on average (the first number), and their centres this close to each other
(the second). Joints are not compared by name, since a duplicate often has left and right swapped,
or only half a body. Of two real people this close, one hides the other."""
MIN_MEAN_SCORE = 0.3
"""A pose with a lower mean joint score is probably a false detection, such as leaves or shadows."""
MIN_SIZE_PX = 12.0
"""A person smaller than this has a forearm of about half a pixel, too small to detect."""
MIN_INSIDE = 0.25
"""A pose with a smaller share of its joints inside the frame is mostly extrapolated."""


@dataclass(frozen=True, eq=False)
class Detections:
    """The people found in one frame; N people, J joints. N may be 0.

    Raises:
        ValueError: a field has the wrong shape, type or range.
    """

    keypoints: NDArray[np.float32]
    """(N, J, 2), pixels of the upright frame, origin in its top left corner; may lie outside
    the frame; NaN for a missing joint."""
    scores: NDArray[np.float32]
    """(N, J), confidence, 0 to 1; 0 for a missing joint."""
    skeleton: Skeleton
    disputed: NDArray[np.bool_] = None  # type: ignore[assignment]
    """(N, J), joints about which the detector contradicts itself, left or right; by default
    none."""
    shift: NDArray[np.float32] = None  # type: ignore[assignment]
    """(N, J, 2), pixels, for a detector with keyframes: how far the heavy network moved the joint
    from where the fast network, corrected from the keyframe before, put it. NaN in in-between
    frames. By default 0: the detector makes no difference between frames."""

    def __post_init__(self) -> None:
        people, joints = len(self.keypoints), len(self.skeleton)
        if self.disputed is None:
            missing = np.zeros((people, joints), bool)  # type: ignore[unreachable]
            object.__setattr__(self, "disputed", missing)
        if self.shift is None:
            zero = np.zeros((people, joints, 2), np.float32)  # type: ignore[unreachable]
            object.__setattr__(self, "shift", zero)
        expected = {
            "keypoints": ((people, joints, 2), "float32"),
            "scores": ((people, joints), "float32"),
            "disputed": ((people, joints), "bool"),
            "shift": ((people, joints, 2), "float32"),
        }
        for name, (shape, dtype) in expected.items():
            array = getattr(self, name)
            if array.shape != shape:
                raise ValueError(f"{name}: expected {shape}, got {array.shape}")
            if array.dtype != dtype:
                raise ValueError(f"{name}: expected {dtype}, got {array.dtype}")
        if not ((self.scores >= 0) & (self.scores <= 1)).all():
            raise ValueError("scores: not between 0 and 1")
        if self.scores[~np.isfinite(self.keypoints).all(axis=2)].any():
            raise ValueError("scores: not 0 where the keypoint is missing")
        if np.isinf(self.shift).any():
            raise ValueError("shift: infinite")

    def __len__(self) -> int:
        return len(self.keypoints)

    def __getitem__(self, people: Any) -> Detections:
        """Select people with an index array, boolean mask or slice."""
        return Detections(
            self.keypoints[people],
            self.scores[people],
            self.skeleton,
            self.disputed[people],
            self.shift[people],
        )

    def converted(self, target: Skeleton) -> Detections:
        """Convert to another skeleton; a joint derived from a disputed one is disputed.

        Raises:
            ValueError: there is no conversion.
        """
        if self.skeleton == target:
            return self
        convert = conversion(self.skeleton.name, target.name)
        keypoints, scores = convert(self.keypoints, self.scores)
        disputed = np.zeros(scores.shape, bool)
        if self.disputed.any():  # rare
            there = np.isfinite(keypoints).all(axis=2)
            disputed = there & (convert(self.keypoints, 1.0 - self.disputed)[1] == 0)
        shift = np.zeros_like(keypoints)
        if self.shift.any():
            shift = keypoints - convert(self.keypoints - self.shift, self.scores)[0]
        return Detections(
            keypoints.astype(np.float32),
            scores.astype(np.float32),
            target,
            disputed,
            shift.astype(np.float32),
        )


class FrameDetections(NamedTuple):
    """The detections in one frame."""

    frame_index: int
    """Position in the source video."""
    time_s: float
    detections: Detections
    begins_shot: bool = False
    """Whether there is a cut before this frame: the people of the frame before are not there."""


class Detector(Protocol):
    """Finds the joints of the people in the frames of videos, one video after another.

    A context manager. It may keep state from frame to frame: call `reset` before another video.
    """

    name: str
    skeleton: Skeleton
    description: dict[str, Any]
    """For the metadata of the result file (JSON values): name, version, weights with their
    SHA-256, options."""

    def detect(self, frames: Iterable[Frame]) -> Iterator[Detections]:
        """Yield one `Detections` for every frame, in the order of the frames.

        A detector may read a bounded number of frames ahead, to infer in batches.
        """
        ...

    def reset(self) -> None:
        """Clear the state, as in a detector that was just opened."""
        ...

    def memory(self) -> Any:
        """Return the state after the last frame that `detect` yielded; JSON values."""
        ...

    def remember(self, memory: Any) -> None:
        """Restore a state that `memory` returned.

        The next call of `detect` continues as if there had been no interruption.

        Raises:
            AttributeError, KeyError, TypeError, ValueError, OverflowError: it is no such state.
        """
        ...

    def close(self) -> None: ...

    def __enter__(self) -> Detector: ...

    def __exit__(self, *error: object) -> None: ...


def detect_frames(
    detector: Detector, frames: Iterable[Frame], before: Frame | None = None
) -> Iterator[FrameDetections]:
    """Yield the detections of each frame, with its index and time.

    The detector is reset at cuts.

    Args:
        detector: has detected the frames before, or was reset.
        frames: the frames of a video, or of the rest of one.
        before: the frame before these.
    """
    # The detector may read ahead, so the indices and times wait here for its detections.
    waiting: deque[tuple[int, float]] = deque()

    def noted(shot: Iterable[Frame]) -> Iterator[Frame]:
        for frame in shot:
            waiting.append((frame.index, frame.time_s))
            yield frame

    for number, shot in _shots(frames, before):
        if number:
            detector.reset()
        begins = number > 0
        for detections in detector.detect(noted(shot)):
            yield FrameDetections(*waiting.popleft(), detections, begins)
            begins = False


def _shots(frames: Iterable[Frame], before: Frame | None) -> Iterator[tuple[int, Iterable[Frame]]]:
    """Split frames at cuts; shot 0 is that of the frame before, or the first."""
    from vidpose.video.cuts import CutFinder  # only where frames are

    cuts, number = CutFinder(), 0
    if before is not None:
        cuts.is_cut(before.image)

    def number_of(frame: Frame) -> int:
        nonlocal number
        number += cuts.is_cut(frame.image)
        return number

    return groupby(frames, number_of)


def pose_sizes(keypoints: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
    """(N,) diagonal of the bounding box of the joints, in the unit of `keypoints` (N, J, 2).

    This body length changes least when a person turns or bends. NaN joints are ignored; a pose
    without joints has size 0.
    """
    missing = ~np.isfinite(keypoints).all(axis=2)
    low = np.where(missing[..., None], np.inf, keypoints).min(axis=1)
    high = np.where(missing[..., None], -np.inf, keypoints).max(axis=1)
    sides = np.maximum(np.where(missing.all(axis=1)[:, None], 0, high - low), 0)
    return np.asarray(np.hypot(sides[:, 0], sides[:, 1]), np.float64)


def is_plausible(found: Detections, width: int, height: int) -> NDArray[np.bool_]:
    """(N,) False for poses with low scores, too small or too far outside a frame of this size."""
    x, y = found.keypoints[..., 0], found.keypoints[..., 1]
    inside = (x >= 0) & (x < width) & (y >= 0) & (y < height)
    return np.asarray(
        (found.scores.mean(axis=1) >= MIN_MEAN_SCORE)
        & (pose_sizes(found.keypoints) >= MIN_SIZE_PX)
        & (inside.mean(axis=1) >= MIN_INSIDE)
    )


def is_distinct(found: Detections) -> NDArray[np.bool_]:
    """(N,) True for one pose of every person: the one with the highest mean score.

    See `DUPLICATE_OUTLINE` for the definition of a duplicate.
    """
    distinct: list[int] = []
    for i in np.argsort(-found.scores.mean(axis=1), kind="stable").tolist():
        if not any(_is_same_person(found.keypoints[i], found.keypoints[k]) for k in distinct):
            distinct.append(i)
    return np.isin(np.arange(len(found)), distinct)


def _is_same_person(a: NDArray[np.floating[Any]], b: NDArray[np.floating[Any]]) -> bool:
    """Whether the poses a and b, (J, 2) each, are duplicates of one person."""
    a, b = (pose[np.isfinite(pose).all(axis=1)] for pose in (a, b))
    if not len(a) or not len(b):
        return False
    size_a, size_b = pose_sizes(a[None])[0], pose_sizes(b[None])[0]
    apart = np.linalg.norm(a[:, None] - b[None], axis=2)  # (joints of a, joints of b)
    outline = min(
        apart.min(axis=1).mean() / max(size_b, 1e-9), apart.min(axis=0).mean() / max(size_a, 1e-9)
    )
    middle = np.linalg.norm(a.mean(axis=0) - b.mean(axis=0)) / max(size_a, size_b, 1e-9)
    return bool(outline < DUPLICATE_OUTLINE and middle < DUPLICATE_MIDDLE)
