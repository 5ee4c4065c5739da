"""The PoseFormer paper's rejected alternative (Figure 1b): one token per joint and frame."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from vidpose.models.base import LiftingModel, zero_missing
from vidpose.models.blocks import Stack, TransformerConfig, pose_head


class JointTransformer(LiftingModel):
    """A single transformer in which all joints of all frames attend to each other.

    Attention over F * J tokens grows with the square of their number, which is why PoseFormer has
    two stages. Everything before and after the blocks is as in PoseFormer: joint embeddings of
    width `embed_dim`, and a head on the weighted mean over the frames.
    """

    name = "joints"
    config_class = TransformerConfig
    axes: ClassVar = {
        "position": "1 frames*joints each",
        "frame_pooling.weight": "1 frames 1",
        "head.0.*": "joints*each",
        "head.1.*": "joints*3 joints*each",
    }

    def __init__(self, *args: Any, **sizes: Any) -> None:
        super().__init__()
        config = self.config = self.config_class(*args, **sizes)
        frames, joints, embed_dim = config.frames, config.joints, config.embed_dim
        self.joint_embedding = nn.Linear(2, embed_dim)
        self.position = nn.Parameter(torch.zeros(1, frames * joints, embed_dim))
        self.blocks = Stack(embed_dim, config.depth, config)
        self.norm = nn.LayerNorm(embed_dim, eps=1e-6)
        self.frame_pooling = nn.Conv1d(frames, 1, kernel_size=1)
        self.head = pose_head(joints * embed_dim, joints)

    def forward(self, keypoints: Tensor) -> Tensor:
        """(B, F, J, 2) -> (B, 1, J, 3)."""
        self.check_windows(keypoints)
        x = self.joint_embedding(zero_missing(keypoints)).flatten(1, 2) + self.position
        x = self.norm(self.blocks(x))  # (B, F * J, C)
        x = x.unflatten(1, (self.config.frames, self.config.joints)).flatten(2)  # (B, F, J * C)
        return self.head(self.frame_pooling(x)).unflatten(-1, (self.config.joints, 3))
