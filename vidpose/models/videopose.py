"""VideoPose3D: convolutions over time, each with three times the receptive field of the last.

D. Pavllo, C. Feichtenhofer, D. Grangier, M. Auli: "3D human pose estimation in video with temporal
convolutions and semi-supervised training", CVPR 2019 (arXiv 1811.11742). Every output sees as
many frames before it as after it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import torch.nn.functional as F
from torch import Tensor, nn

from vidpose.models.base import LiftingModel, check_fraction, check_positive, put_on_root

WIDTH = 3
"""Frames under a convolution's kernel."""


@dataclass(frozen=True)
class VideoPoseConfig:
    """Sizes of the network; travels in its checkpoint."""

    frames: int = 243
    """A power of 3: 27, 81 and 243 are the paper's."""
    joints: int = 17
    channels: int = 1024
    dropout: float = 0.25

    def __post_init__(self) -> None:
        check_positive(self, "frames", "joints", "channels")
        check_fraction(self, "dropout")
        if self.frames < WIDTH or self.frames != WIDTH**self.layers:
            raise ValueError(f"frames: expected a power of {WIDTH}, got {self.frames}")

    @property
    def layers(self) -> int:
        """Number of convolutions that reach over several frames."""
        return round(math.log(self.frames, WIDTH))


def _over_time(x: Tensor, convolution: nn.Conv1d, spread: int | None) -> Tensor:
    """A convolution under whose kernel the frames lie `spread` apart.

    None: neighbours under it, and as far as its width from one output to the next. In a window of
    which one output is wanted that gives the same, without the outputs that nobody reads.
    """
    if spread is None:
        return F.conv1d(x, convolution.weight, stride=WIDTH)
    return F.conv1d(x, convolution.weight, dilation=spread)


class TemporalBlock(nn.Module):
    """A convolution over time and one within the frame, added to the frame they are about."""

    def __init__(self, channels: int, dropout: float) -> None:
        super().__init__()
        self.reach = nn.Conv1d(channels, channels, WIDTH, bias=False)
        self.norm1 = nn.BatchNorm1d(channels)
        self.mix = nn.Conv1d(channels, channels, 1, bias=False)
        self.norm2 = nn.BatchNorm1d(channels)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, spread: int | None = None) -> Tensor:
        """(B, channels, T) -> (B, channels, T / 3), or with a spread (..., T - 2 * spread)."""
        about = x[..., WIDTH // 2 :: WIDTH] if spread is None else x[..., spread:-spread]
        x = self.dropout(F.relu(self.norm1(_over_time(x, self.reach, spread))))
        return about + self.dropout(F.relu(self.norm2(self.mix(x))))


class VideoPose(LiftingModel):
    """The paper's network, with symmetric convolutions."""

    name = "videopose"
    config_class = VideoPoseConfig
    axes: ClassVar = {"expand.weight": "channels joints*2 3", "shrink.*": "joints*3 channels 1"}

    def __init__(self, *args: Any, **sizes: Any) -> None:
        super().__init__()
        config = self.config = self.config_class(*args, **sizes)
        joints, channels, dropout = config.joints, config.channels, config.dropout
        self.expand = nn.Conv1d(2 * joints, channels, WIDTH, bias=False)
        self.expand_norm = nn.BatchNorm1d(channels)
        self.dropout = nn.Dropout(dropout)
        self.blocks = nn.ModuleList(
            TemporalBlock(channels, dropout) for _ in range(config.layers - 1)
        )
        self.shrink = nn.Conv1d(channels, 3 * joints, 1)

    def forward(self, keypoints: Tensor) -> Tensor:
        """(B, F, J, 2) -> (B, 1, J, 3)."""
        self.check_windows(keypoints)
        return self._convolve(keypoints, [None] * self.config.layers)

    def slide(self, keypoints: Tensor) -> Tensor:
        """See `LiftingModel`; every layer runs once over the whole stretch."""
        return self._convolve(keypoints[None], [WIDTH**i for i in range(self.config.layers)])[0]

    def _convolve(self, keypoints: Tensor, spreads: list[int] | list[None]) -> Tensor:
        """(B, T, J, 2) -> (B, number of outputs, J, 3); a spread for every layer."""
        x = put_on_root(keypoints).flatten(2).mT  # (B, J * 2, T)
        x = self.dropout(F.relu(self.expand_norm(_over_time(x, self.expand, spreads[0]))))
        for block, spread in zip(self.blocks, spreads[1:], strict=True):
            x = block(x, spread)
        return self.shrink(x).mT.unflatten(-1, (self.config.joints, 3))
