"""The interface of all lifting networks."""

from __future__ import annotations

from collections.abc import Mapping
from inspect import signature
from typing import Any, ClassVar, Protocol

from torch import Tensor, nn

MAX_SIZE = 100_000
"""Upper bound on a network's sizes; a checkpoint with a larger one is damaged or malicious."""
MAX_BLOCKS = 256
MAX_RATIO = 64.0


def check_positive(config: object, *names: str, maximum: int = MAX_SIZE) -> None:
    """Raise ValueError unless these fields are whole numbers from 1 to `maximum`."""
    for name in names:
        value = getattr(config, name)
        if isinstance(value, bool) or not (isinstance(value, int) and value > 0):
            raise ValueError(f"{name}: expected a positive whole number, got {value!r:.40}")
        if value > maximum:
            raise ValueError(f"{name}: expected {maximum:,} at most, got {value!r:.40}")


def check_fraction(config: object, *names: str) -> None:
    """Raise ValueError unless these fields are at least 0 and below 1."""
    for name in names:
        if not 0 <= getattr(config, name) < 1:
            raise ValueError(f"{name}: expected 0 to below 1, got {getattr(config, name)!r:.40}")


def check_window(frames: int) -> None:
    """Raise ValueError unless a window of `frames` frames has a centre frame."""
    if frames % 2 == 0:
        raise ValueError(f"frames: expected an odd number, for a centre frame; got {frames}")


class SlidingForm(Protocol):
    """A network that slides over a track, or its faster `vidpose.models.sliding.sliding_form`."""

    config: Any
    """The network's sizes; has at least `frames` and `joints`."""

    @property
    def context(self) -> int:
        """See `LiftingModel.context`."""

    @property
    def step(self) -> int:
        """See `LiftingModel.step`."""

    def slide(self, keypoints: Tensor) -> Tensor:
        """See `LiftingModel.slide`."""

    def windows(self, keypoints: Tensor) -> Tensor:
        """See `LiftingModel.windows`."""


class LiftingModel(nn.Module):
    """Lifts a window of 2D poses to the 3D pose of its centre frame, or of all its frames.

    `forward` takes (B, F, J, 2) keypoints, normalised as the checkpoint specifies, NaN where a
    joint is missing. It returns (B, 1, J, 3) root-relative metres; (B, F, J, 3) if `all_frames`.
    """

    name: ClassVar[str]
    """Its name in checkpoints and for `vidpose train --model`."""
    config_class: ClassVar[type]
    """Frozen dataclass of the network's sizes, stored in checkpoints; has at least `frames` and
    `joints`. The network's constructor takes the same arguments."""
    all_frames: ClassVar[bool] = False
    """Whether it predicts all frames of a window, not only the centre."""
    knows_missing: ClassVar[bool] = False
    """Whether it can tell a missing joint from a visible one; if not, it sees the joint at the
    root."""
    axes: ClassVar[Mapping[str, str]] = {}
    """What the axes of its tensors mean, for `vidpose.models.transfer.transfer`. Keys are tensor
    names with the wildcards * and ?; tensors not listed have no axis of joints or frames."""
    config: Any
    """The network's sizes; has at least `frames` and `joints`."""

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        if hasattr(cls, "config_class"):
            cls.__signature__ = signature(cls.config_class)  # type: ignore[attr-defined]

    @property
    def context(self) -> int:
        """Number of frames on either side that a frame's pose depends on.

        The receptive field is 2 * context + 1 frames.
        """
        return int(self.config.frames) // 2

    @property
    def step(self) -> int:
        """Frames from one window to the next; a track is split at multiples of it."""
        return 1

    def slide(self, keypoints: Tensor) -> Tensor:
        """Lift T frames with `context` frames on either side: (T + 2 * context, J, 2) -> (T, J, 3).

        Equal to `forward` on every window; networks override it to share work between windows.
        """
        windows = keypoints.unfold(0, self.config.frames, 1)  # (T, J, 2, F)
        poses: Tensor = self(windows.permute(0, 3, 1, 2))[:, 0]
        return poses

    def windows(self, keypoints: Tensor) -> Tensor:
        """Lift separate windows, as `forward` does: (N, F, J, 2) -> (N, 1 or F, J, 3)."""
        poses: Tensor = self(keypoints)
        return poses

    def check_windows(self, keypoints: Tensor) -> None:
        """Raise ValueError unless the shape (B, F, J, 2) fits this network's sizes."""
        frames, joints = keypoints.shape[1:3]
        if (frames, joints) != (self.config.frames, self.config.joints):
            raise ValueError(
                f"expected windows of {self.config.frames} frames and {self.config.joints} "
                f"joints, got {frames} and {joints}"
            )


def zero_missing(keypoints: Tensor) -> Tensor:
    """Put missing joints (NaN) at the root, for networks that cannot mark a joint as missing."""
    return keypoints.nan_to_num()
