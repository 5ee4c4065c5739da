"""What every lifting network is to those who train and use it."""

from __future__ import annotations

from collections.abc import Mapping
from inspect import signature
from typing import Any, ClassVar, Protocol

from torch import Tensor, nn

MOST = 100_000
"""No size of a network is greater; what says so in a checkpoint is damaged, or a trap."""
MOST_BLOCKS = 256
MOST_RATIO = 64.0


def check_positive(config: object, *names: str, most: int = MOST) -> None:
    """Raise ValueError unless these fields are whole numbers above 0, `most` at most."""
    for name in names:
        value = getattr(config, name)
        if isinstance(value, bool) or not (isinstance(value, int) and value > 0):
            raise ValueError(f"{name}: expected a positive whole number, got {value!r:.40}")
        if value > most:
            raise ValueError(f"{name}: expected {most:,} at most, got {value!r:.40}")


def check_fraction(config: object, *names: str) -> None:
    """Raise ValueError unless these fields are from 0 to below 1."""
    for name in names:
        if not 0 <= getattr(config, name) < 1:
            raise ValueError(f"{name}: expected 0 to below 1, got {getattr(config, name)!r:.40}")


def check_window(frames: int) -> None:
    """Raise ValueError unless a window of so many frames has a centre."""
    if frames % 2 == 0:
        raise ValueError(f"frames: a window has a centre, so it is odd; got {frames}")


class SlidingForm(Protocol):
    """What slides over a track: a network, or its faster `vidpose.models.sliding.sliding_form`."""

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
    """A window of 2D poses in, the 3D pose of its centre frame out, or those of all its frames.

    `forward` takes (B, F, J, 2) normalised keypoints (how they are normalised is the
    checkpoint's to say; NaN where a joint is missing) and gives (B, 1, J, 3) metres, relative to
    the root; (B, F, J, 3) if `all_frames`.
    """

    name: ClassVar[str]
    """As checkpoints and `vidpose train --model` call it."""
    config_class: ClassVar[type]
    """The network's sizes, a frozen dataclass with `frames` and `joints` among its fields, which
    travels in checkpoints. The network is called with the same arguments."""
    all_frames: ClassVar[bool] = False
    """Whether it answers for all frames of a window."""
    knows_missing: ClassVar[bool] = False
    """Whether it distinguishes a missing joint from a visible one; else it sees it on the root."""
    axes: ClassVar[Mapping[str, str]] = {}
    """What the axes of its tensors count, for `transfer`; see there. By name, with * and ? as in
    file names; a tensor that is not here has none of joints or frames."""
    config: Any
    """The network's sizes; has at least `frames` and `joints`."""

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        if hasattr(cls, "config_class"):
            cls.__signature__ = signature(cls.config_class)  # type: ignore[attr-defined]

    @property
    def context(self) -> int:
        """Frames before, and frames after, that the pose of a frame depends on.

        The receptive field is twice that and the frame itself.
        """
        return int(self.config.frames) // 2

    @property
    def step(self) -> int:
        """Frames from one window to the next as it slides; parts of a track are of a multiple."""
        return 1

    def slide(self, keypoints: Tensor) -> Tensor:
        """The poses of a stretch of frames without its ends: (T + 2 * context, J, 2) -> (T, J, 3).

        Equal to `forward` on every window cut out; networks that share work between windows
        do better than that.
        """
        windows = keypoints.unfold(0, self.config.frames, 1)  # (T, J, 2, F)
        poses: Tensor = self(windows.permute(0, 3, 1, 2))[:, 0]
        return poses

    def windows(self, keypoints: Tensor) -> Tensor:
        """The poses of single windows, as of `forward`: (N, F, J, 2) -> (N, 1 or F, J, 3)."""
        poses: Tensor = self(keypoints)
        return poses

    def check_windows(self, keypoints: Tensor) -> None:
        """Raise ValueError unless these are windows (B, F, J, 2) of this network's sizes."""
        frames, joints = keypoints.shape[1:3]
        if (frames, joints) != (self.config.frames, self.config.joints):
            raise ValueError(
                f"expected windows of {self.config.frames} frames and {self.config.joints} "
                f"joints, got {frames} and {joints}"
            )


def put_on_root(keypoints: Tensor) -> Tensor:
    """Missing joints, NaN, on the root: for networks that know of none."""
    return keypoints.nan_to_num()
