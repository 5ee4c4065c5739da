"""What every dataset gives, whatever its files look like: sequences of 2D and 3D joints.

One file of this folder reads each dataset; training and evaluation see only what is here.
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
    """One motion."""

    name: str
    subject: str
    joints: NDArray[np.float32]
    """(T, 17, 3), h36m17, metres, world frame: z up, x and y level."""
    fps: float
    recording: str = ""
    """What it is a piece of, if it is one."""

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
    """As the dataset's files call it: "Directions 1"."""
    camera: str
    keypoints_2d: NDArray[np.float32]
    """(T, J, 2), pixels, origin top left."""
    joints_3d: NDArray[np.float32]
    """(T, J, 3), metres, camera frame (x right, y down, z away from the camera)."""
    valid: NDArray[np.bool_]
    """(T,), the frames that are trained on and scored; the others are context for them."""
    frame_size: tuple[int, int]
    """Width and height of the picture, pixels."""
    fps: float
    focal_px: float | None = None
    """The camera's focal length, where it is known."""
    recording: str = ""
    """What it is a piece of, if it is one."""

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
        """What was filmed: the same for all cameras that saw it."""
        return self.subject, self.action

    @property
    def origin(self) -> tuple[str, str]:
        """The recording that the take is, or is a piece of."""
        return self.subject, self.recording or self.action

    def thinned(self, step: int) -> PoseSequence:
        """Every `step`-th frame, from the first on."""
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
    """A dataset with its split into people to train on and people to test on.

    Raises:
        ValueError: a sequence has another number of joints than the skeleton.
    """

    name: str
    keypoints: str
    """Where the 2D joints come from: `gt`, `cpn_ft_h36m_dbb` ..."""
    skeleton: Skeleton
    train: tuple[PoseSequence, ...]
    test: tuple[PoseSequence, ...]
    synthetic: bool = False
    """Its files have the mark of synthetic data, see `marks`."""

    @property
    def title(self) -> str:
        """Its name, and that it is synthetic."""
        return f"{self.name}, {NOT_REAL}" if self.synthetic else self.name

    def __post_init__(self) -> None:
        for sequence in self.train + self.test:
            joints = sequence.keypoints_2d.shape[1]
            if joints != len(self.skeleton):
                raise ValueError(
                    f"{sequence.name}: {joints} joints, but {self.skeleton.name} has "
                    f"{len(self.skeleton)}"
                )


class Taken(Protocol):
    """Anything that was filmed: a `PoseSequence`, or a clip of motion capture."""

    @property
    def take(self) -> tuple[str, str]: ...

    @property
    def origin(self) -> tuple[str, str]: ...

    def __len__(self) -> int: ...


Item = TypeVar("Item", bound=Taken)


LARGEST_ASIDE, LARGEST_SHARE = 4, 0.5
"""A take with more than so many times the share that is wanted, or with more than so much of all
frames, is trained on."""


def hold_out(
    sequences: Sequence[Item], fraction: float, seed: int = 0, *, by_count: bool = False
) -> tuple[list[Item], list[Item]]:
    """Set takes aside for validation, with all cameras that saw them.

    They are drawn at random until they are at least this fraction of the takes and of the frames.
    The people are those of training, but no take is in both parts. Each is of another recording, as
    far as there are enough: a few short pieces of one motion would say little about others.

    Args:
        sequences: to split.
        fraction: above 0 and below 1.
        seed: decides which.
        by_count: this fraction of the takes, whatever their lengths and recordings, as older
            versions drew them.

    Returns:
        The sequences to train on, and those set aside.

    Raises:
        DataError: there are fewer than two takes.
    """
    takes = sorted({sequence.take for sequence in sequences})
    if len(takes) < 2:
        raise DataError(
            f"there are {len(takes)} takes to train on; at least two are needed, for one is set "
            "aside to choose the best weights."
        )
    order = np.random.default_rng(seed).permutation(len(takes))
    shuffled = [takes[i] for i in order]
    count = min(len(takes) - 1, max(1, round(fraction * len(takes))))
    aside = set(shuffled[:count]) if by_count else _drawn(sequences, shuffled, count, fraction)
    return (
        [sequence for sequence in sequences if sequence.take not in aside],
        [sequence for sequence in sequences if sequence.take in aside],
    )


def _drawn(
    sequences: Sequence[Taken], shuffled: Sequence[tuple[str, str]], count: int, fraction: float
) -> set[tuple[str, str]]:
    """The takes that `hold_out` sets aside: `count` of them, or more until the frames suffice."""
    frames: Counter[tuple[str, str]] = Counter()
    origins = {}
    for sequence in sequences:
        frames[sequence.take] += len(sequence)
        origins[sequence.take] = sequence.origin
    earlier: Counter[tuple[str, str]] = Counter()
    rounds = {}
    for take in shuffled:  # the first of every recording, then the second ones ...
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
