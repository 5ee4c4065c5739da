"""VideoPose3D: dilated temporal convolutions, each tripling the receptive field.

D. Pavllo, C. Feichtenhofer, D. Grangier, M. Auli: "3D human pose estimation in video with temporal
convolutions and semi-supervised training", CVPR 2019 (arXiv 1811.11742). The symmetric (non-causal)
variant.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import torch.nn.functional as F
from torch import Tensor, nn

from vidpose.models.base import LiftingModel, check_fraction, check_positive, zero_missing

WIDTH = 3
"""Kernel size of the temporal convolutions."""


@dataclass(frozen=True)
class VideoPoseConfig:
    """Sizes of the network; stored in its checkpoint."""

    frames: int = 243
    """A power of 3; the paper uses 27, 81 and 243."""
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
        """Number of temporal convolutions."""
        return round(math.log(self.frames, WIDTH))


def _temporal_conv(x: Tensor, convolution: nn.Conv1d, dilation: int | None) -> Tensor:
    """Apply a temporal convolution with a dilation, or None: with stride instead of dilation.

    For a window with a single output, strided convolutions give the same result and skip the
    outputs that are not needed.
    """
    if dilation is None:
        return F.conv1d(x, convolution.weight, stride=WIDTH)
    return F.conv1d(x, convolution.weight, dilation=dilation)


class TemporalBlock(nn.Module):
    """Residual block: a temporal convolution and a 1x1 convolution."""

    def __init__(self, channels: int, dropout: float) -> None:
        super().__init__()
        self.reach = nn.Conv1d(channels, channels, WIDTH, bias=False)
        self.norm1 = nn.BatchNorm1d(channels)
        self.mix = nn.Conv1d(channels, channels, 1, bias=False)
        self.norm2 = nn.BatchNorm1d(channels)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, dilation: int | None = None) -> Tensor:
        """(B, channels, T) -> (B, channels, T / 3), or with a dilation (..., T - 2 * dilation)."""
        residual = x[..., WIDTH // 2 :: WIDTH] if dilation is None else x[..., dilation:-dilation]
        x = self.dropout(F.relu(self.norm1(_temporal_conv(x, self.reach, dilation))))
        return residual + self.dropout(F.relu(self.norm2(self.mix(x))))


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
        """See `LiftingModel`; every layer runs once over all frames."""
        return self._convolve(keypoints[None], [WIDTH**i for i in range(self.config.layers)])[0]

    def _convolve(self, keypoints: Tensor, dilations: list[int] | list[None]) -> Tensor:
        """(B, T, J, 2) -> (B, number of outputs, J, 3); one dilation per layer."""
        x = zero_missing(keypoints).flatten(2).mT  # (B, J * 2, T)
        x = self.dropout(F.relu(self.expand_norm(_temporal_conv(x, self.expand, dilations[0]))))
        for block, dilation in zip(self.blocks, dilations[1:], strict=True):
            x = block(x, dilation)
        return self.shrink(x).mT.unflatten(-1, (self.config.joints, 3))
