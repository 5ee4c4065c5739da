"""The common form of all datasets: sequences of 2D and 3D joints.

Each dataset's reader is a module in this folder; training and evaluation depend only on this one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from vidpose.datasets.marks import NOT_REAL
from vidpose.errors import DataError
from vidpose.skeleton import Skeleton


@dataclass(frozen=True)
class MotionClip:
    """One motion-capture clip."""

    name: str
    subject: str
    joints: NDArray[np.float32]
    """(T, 17, 3), h36m17, metres, world frame: z up, x and y horizontal."""
    fps: float
    recording: str = ""
    """The recording it is a part of, if it is one."""

    @property
    def take(self) -> tuple[str, str]:
        """See `PoseSequence.take`."""
        return self.subject, self.name

    @property
    def origin(self) -> tuple[str, str]:
        """See `PoseSequence.origin`."""
        return self.subject, self.recording or self.name

    def __len__(self) -> int:
        return len(self.joints)


@dataclass(frozen=True, kw_only=True, eq=False)
class PoseSequence:
    """One motion seen by one camera; T frames, J joints.

    Raises:
        ValueError: a field has the wrong shape or type, or is not finite.
    """

    subject: str
    action: str
    """Its name in the dataset's files: "Directions 1"."""
    camera: str
    keypoints_2d: NDArray[np.float32]
    """(T, J, 2), pixels, origin top left."""
    joints_3d: NDArray[np.float32]
    """(T, J, 3), metres, camera frame (x right, y down, z away from the camera)."""
    valid: NDArray[np.bool_]
    """(T,), the frames to train on and to score; the others are context."""
    frame_size: tuple[int, int]
    """Width and height of the image, pixels."""
    fps: float
    focal_px: float | None = None
    """The camera's focal length, if known."""
    recording: str = ""
    """The recording it is a part of, if it is one."""

    def __post_init__(self) -> None:
        frames, joints = self.keypoints_2d.shape[:2]
        shapes = {"keypoints_2d": (frames, joints, 2), "joints_3d": (frames, joints, 3)}
        for field, shape in shapes.items():
            array = getattr(self, field)
            if array.shape != shape or array.dtype != np.float32:
                raise ValueError(
                    f"{self.name}: {field}: expected {shape} float32, "
                    f"got {array.shape} {array.dtype}"
                )
            if not np.isfinite(array).all():
                raise ValueError(f"{self.name}: {field}: a value is not a number")
        if self.valid.shape != (frames,) or self.valid.dtype != np.bool_:
            raise ValueError(f"{self.name}: valid: expected ({frames},) bool")

    @property
    def name(self) -> str:
        return f"{self.subject}/{self.action}/{self.camera}"

    @property
    def take(self) -> tuple[str, str]:
        """Identifies the motion; the same for all cameras."""
        return self.subject, self.action

    @property
    def origin(self) -> tuple[str, str]:
        """Identifies the recording that the take is, or is a part of."""
        return self.subject, self.recording or self.action

    def downsampled(self, step: int) -> PoseSequence:
        """Take every `step`-th frame, starting with the first."""
        return replace(
            self,
            keypoints_2d=self.keypoints_2d[::step],
            joints_3d=self.joints_3d[::step],
            valid=self.valid[::step],
            fps=self.fps / step,
        )

    def __len__(self) -> int:
        return len(self.keypoints_2d)


@dataclass(frozen=True, kw_only=True, eq=False)
class Dataset:
    """A dataset with training and test sequences.

    Raises:
        ValueError: a sequence has another number of joints than the skeleton.
    """

    name: str
    keypoints: str
    """Source of the 2D joints: `gt`, `cpn_ft_h36m_dbb` ..."""
    skeleton: Skeleton
    train: tuple[PoseSequence, ...]
    test: tuple[PoseSequence, ...]
    synthetic: bool = False
    """Whether its files are marked as synthetic, see `marks`."""

    @property
    def title(self) -> str:
        """Its name, with a note if it is synthetic."""
        return f"{self.name}, {NOT_REAL}" if self.synthetic else self.name

    def __post_init__(self) -> None:
        for sequence in self.train + self.test:
            joints = sequence.keypoints_2d.shape[1]
            if joints != len(self.skeleton):
                raise ValueError(
                    f"{sequence.name}: {joints} joints, but {self.skeleton.name} has "
                    f"{len(self.skeleton)}"
                )


class Recorded(Protocol):
    """A `PoseSequence` or a `MotionClip`."""

    @property
    def take(self) -> tuple[str, str]: ...

    @property
    def origin(self) -> tuple[str, str]: ...

    def __len__(self) -> int: ...


Item = TypeVar("Item", bound=Recorded)


LARGEST_ASIDE, LARGEST_SHARE = 4, 0.5
"""Longest takes that may be set aside: 4 times the wanted number of frames, half of all frames."""


def hold_out(
    sequences: Sequence[Item], fraction: float, seed: int = 0, *, by_count: bool = False
) -> tuple[list[Item], list[Item]]:
    """Set takes aside for validation, with all their cameras.

    Takes are drawn at random until they hold at least `fraction` of the takes and of the frames.
    Subjects are the same as in training, but no take is in both parts. As far as possible, each
    take is from another recording, since a few short pieces of one motion would say little about
    other motions.

    Args:
        sequences: the sequences to split.
        fraction: above 0 and below 1.
        seed: random seed.
        by_count: draw this fraction of the takes regardless of length and recording, as older
            versions did.

    Returns:
        The training sequences and the validation sequences.

    Raises:
        DataError: there are fewer than two takes.
    """
    takes = sorted({sequence.take for sequence in sequences})
    if len(takes) < 2:
        raise DataError(
            f"there are {len(takes)} takes to train on; give at least two, one of them for "
            "validation."
        )
    order = np.random.default_rng(seed).permutation(len(takes))
    shuffled = [takes[i] for i in order]
    count = min(len(takes) - 1, max(1, round(fraction * len(takes))))
    aside = set(shuffled[:count]) if by_count else _draw_takes(sequences, shuffled, count, fraction)
    return (
        [sequence for sequence in sequences if sequence.take not in aside],
        [sequence for sequence in sequences if sequence.take in aside],
    )


def _draw_takes(
    sequences: Sequence[Recorded], shuffled: Sequence[tuple[str, str]], count: int, fraction: float
) -> set[tuple[str, str]]:
    """Choose the takes for `hold_out`: `count` of them, or more until there are enough frames."""
    frames: Counter[tuple[str, str]] = Counter()
    origins = {}
    for sequence in sequences:
        frames[sequence.take] += len(sequence)
        origins[sequence.take] = sequence.origin
    earlier: Counter[tuple[str, str]] = Counter()
    rounds = {}
    for take in shuffled:  # first one take of every recording, then second ones ...
        rounds[take] = earlier[origins[take]]
        earlier[origins[take]] += 1
    enough = fraction * frames.total()
    most = min(LARGEST_ASIDE * enough, LARGEST_SHARE * frames.total())
    aside: set[tuple[str, str]] = set()
    for take in sorted(shuffled, key=rounds.__getitem__):
        if len(aside) >= count and sum(frames[one] for one in aside) >= enough:
            break
        if frames[take] <= most and len(aside) < len(shuffled) - 1:
            aside.add(take)
    return aside or {min(shuffled, key=frames.__getitem__)}
