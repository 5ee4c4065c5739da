"""The PoseFormer paper's baseline without a spatial stage (Figure 2a): one token per frame."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from vidpose.models.base import LiftingModel, zero_missing
from vidpose.models.blocks import Stack, TransformerConfig, pose_head


@dataclass(frozen=True)
class TemporalConfig(TransformerConfig):
    """Sizes of a temporal transformer; `embed_dim` is the width of a frame's embedding."""

    embed_dim: int = 544


class TemporalTransformer(LiftingModel):
    """A transformer over frames, each frame's 2D pose one token, with a mean over the frames.

    The default width is that of PoseFormer's temporal stage, so the two differ only by the spatial
    stage and the learned weights of the mean.
    """

    name = "temporal"
    config_class = TemporalConfig
    axes: ClassVar = {
        "pose_embedding.*": "width joints*2",
        "frame_position": "1 frames width",
        "head.1.*": "joints*3 width",
    }

    def __init__(self, *args: Any, **sizes: Any) -> None:
        super().__init__()
        config = self.config = self.config_class(*args, **sizes)
        frames, joints, embed_dim = config.frames, config.joints, config.embed_dim
        self.pose_embedding = nn.Linear(2 * joints, embed_dim)
        self.frame_position = nn.Parameter(torch.zeros(1, frames, embed_dim))
        self.blocks = Stack(embed_dim, config.depth, config)
        self.norm = nn.LayerNorm(embed_dim, eps=1e-6)
        self.head = pose_head(embed_dim, joints)

    def forward(self, keypoints: Tensor) -> Tensor:
        """(B, F, J, 2) -> (B, 1, J, 3)."""
        self.check_windows(keypoints)
        x = self.pose_embedding(zero_missing(keypoints).flatten(2)) + self.frame_position
        x = self.norm(self.blocks(x)).mean(dim=1, keepdim=True)  # (B, 1, embed_dim)
        return self.head(x).unflatten(-1, (self.config.joints, 3))
