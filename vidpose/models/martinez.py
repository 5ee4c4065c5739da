"""The fully connected network that lifts a single frame.

J. Martinez, R. Hossain, J. Romero, J. J. Little: "A simple yet effective baseline for 3d human
pose estimation", ICCV 2017 (arXiv 1705.03098).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch.nn.functional as F
from torch import Tensor, nn

from vidpose.models.base import (
    MAX_BLOCKS,
    LiftingModel,
    check_fraction,
    check_positive,
    zero_missing,
)


@dataclass(frozen=True)
class MartinezConfig:
    """Sizes of the network; stored in its checkpoint."""

    frames: int = 1
    """Always 1."""
    joints: int = 17
    width: int = 1024
    depth: int = 2
    """Number of residual blocks, of two layers each."""
    dropout: float = 0.5

    def __post_init__(self) -> None:
        check_positive(self, "frames", "joints", "width")
        check_positive(self, "depth", maximum=MAX_BLOCKS)
        check_fraction(self, "dropout")
        if self.frames != 1:
            raise ValueError(f"frames: this network lifts single frames, so 1; got {self.frames}")


class BoundedLinear(nn.Linear):
    """A linear layer whose weight matrix has a Frobenius norm of at most 1."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(inputs, outputs)
        nn.init.kaiming_normal_(self.weight)

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x, self.weight / self.weight.norm().clamp_min(1), self.bias)


def _layer(inputs: int, width: int, dropout: float) -> nn.Sequential:
    return nn.Sequential(
        BoundedLinear(inputs, width), nn.BatchNorm1d(width), nn.ReLU(), nn.Dropout(dropout)
    )


class Martinez(LiftingModel):
    """An input layer, residual blocks, and a linear output layer."""

    name = "martinez"
    config_class = MartinezConfig
    axes: ClassVar = {"widen.0.*": "width joints*2", "head.*": "joints*3 width"}

    def __init__(self, *args: Any, **sizes: Any) -> None:
        super().__init__()
        config = self.config = self.config_class(*args, **sizes)
        joints, width, dropout = config.joints, config.width, config.dropout
        self.widen = _layer(2 * joints, width, dropout)
        self.blocks = nn.ModuleList(
            nn.Sequential(_layer(width, width, dropout), _layer(width, width, dropout))
            for _ in range(config.depth)
        )
        self.head = BoundedLinear(width, 3 * joints)

    def forward(self, keypoints: Tensor) -> Tensor:
        """(B, 1, J, 2) -> (B, 1, J, 3)."""
        self.check_windows(keypoints)
        x = self.widen(zero_missing(keypoints).flatten(1))
        for block in self.blocks:
            x = x + block(x)
        return self.head(x).unflatten(-1, (1, self.config.joints, 3))
