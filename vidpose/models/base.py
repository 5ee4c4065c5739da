"""What every lifting network is to those who train and use it."""

from __future__ import annotations

from typing import Any, ClassVar, Protocol

import torch
from torch import Tensor, nn


class Config(Protocol):
    """A network's sizes, a frozen dataclass; travels in its checkpoint."""

    frames: int
    joints: int


def check_positive(config: object, *names: str) -> None:
    """Raise ValueError unless these fields are whole numbers above 0."""
    for name in names:
        value = getattr(config, name)
        if not (isinstance(value, int) and value > 0):
            raise ValueError(f"{name}: expected a positive whole number, got {value!r}")


def check_fraction(config: object, *names: str) -> None:
    """Raise ValueError unless these fields are from 0 to below 1."""
    for name in names:
        if not 0 <= getattr(config, name) < 1:
            raise ValueError(f"{name}: expected 0 to below 1, got {getattr(config, name)}")


def check_window(frames: int) -> None:
    """Raise ValueError unless a window of so many frames has a centre."""
    if frames % 2 == 0:
        raise ValueError(f"frames: a window has a centre, so it is odd; got {frames}")


class Slides(Protocol):
    """What slides over a track: a network, or one that was prepared for it."""

    config: Any
    """A `Config`."""

    @property
    def reach(self) -> int:
        """See `LiftingModel.reach`."""

    def slide(self, keypoints: Tensor) -> Tensor:
        """See `LiftingModel.slide`."""


class LiftingModel(nn.Module):
    """A window of 2D poses in, the 3D pose of its centre frame out, or those of all its frames.

    `forward` takes (B, F, J, 2) normalised keypoints (how they are normalised is the
    checkpoint's to say; NaN where a joint is missing) and gives (B, 1, J, 3) metres, relative to
    the root; (B, F, J, 3) if `all_frames`.
    """

    name: ClassVar[str]
    """As checkpoints and `vidpose train --model` call it."""
    all_frames: ClassVar[bool] = False
    """Whether it answers for all frames of a window."""
    knows_missing: ClassVar[bool] = False
    """Whether it tells a missing joint from one that is there; else it sees it on the root."""
    config: Any
    """A `Config`."""

    @property
    def reach(self) -> int:
        """How many frames before and after a frame its pose depends on."""
        return int(self.config.frames) // 2

    def slide(self, keypoints: Tensor) -> Tensor:
        """The poses of a stretch of frames, but for its ends: (T + 2 * reach, J, 2) -> (T, J, 3).

        Equal to `forward` on every window cut out; networks that share work between windows
        do better than that.
        """
        windows = keypoints.unfold(0, self.config.frames, 1)  # (T, J, 2, F)
        poses: Tensor = self(windows.permute(0, 3, 1, 2))[:, 0]
        return poses

    def prepared(self, dtype: torch.dtype = torch.float32) -> Slides:
        """This network as it is now, ready to slide: the same poses, maybe sooner.

        Args:
            dtype: what matrix products are computed in: float32 or bfloat16. Poses are float32.
        """
        return _Prepared(self, dtype)

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


class _Prepared:
    """Any network; bfloat16 is left to autocast."""

    def __init__(self, model: LiftingModel, dtype: torch.dtype) -> None:
        self.config, self.reach = model.config, model.reach
        self._model = model
        self._dtype = dtype

    def slide(self, keypoints: Tensor) -> Tensor:
        half = self._dtype != torch.float32
        with torch.autocast(keypoints.device.type, self._dtype, enabled=half):
            return self._model.slide(keypoints).float()
