"""PoseFormer, the network of the paper.

C. Zheng, S. Zhu, M. Mendieta, T. Yang, C. Chen, Z. Ding: "3D Human Pose Estimation with Spatial
and Temporal Transformers", ICCV 2021 (arXiv 2103.10455). Section and equation names below are
the paper's. Letters in shapes: B windows, F frames, J joints, C embedding width of a joint.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor, nn

from vidpose.models.base import MOST_BLOCKS, LiftingModel, check_positive, put_on_root
from vidpose.models.blocks import Stack, TransformerConfig, pose_head, stack_axes


@dataclass(frozen=True)
class PoseFormerConfig(TransformerConfig):
    """Sizes of a PoseFormer; travels in its checkpoint.

    A joint's embedding is `embed_dim` wide, a frame's `joints * embed_dim`. What is not in
    `TransformerConfig` is for the paper's ablations.
    """

    temporal_depth: int | None = None
    """Number of temporal blocks; None: as many as spatial ones, `depth`."""
    joint_positions: bool = True
    """Whether joints have a learned positional embedding."""
    frame_positions: bool = True
    """Whether frames are."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.temporal_depth is not None:
            check_positive(self, "temporal_depth", most=MOST_BLOCKS)


class AttendedPose(NamedTuple):
    """What a PoseFormer answers, and what its joints and frames looked at meanwhile.

    Every row of a map, its last axis, sums to 1: how much the joint or frame of the axis before
    it took from each.
    """

    pose: Tensor
    """(B, 1, J, 3)."""
    spatial: Tensor
    """(depth, B, F, heads, J, J)."""
    temporal: Tensor
    """(depth, B, heads, F, F)."""


class PoseFormer(LiftingModel):
    """The paper's network; see `LiftingModel` for what goes in and out.

    Sizes are those of `PoseFormerConfig`. The released code is followed where the paper leaves a
    detail open: norms of blocks and stages use eps 1e-6 but the head's 1e-5; position embeddings
    start at zero; layers keep PyTorch's own initialisation.
    """

    name = "poseformer"
    config_class = PoseFormerConfig
    axes: ClassVar = {
        "joint_position": "1 joints each",
        "frame_position": "1 frames joints*each",
        **stack_axes("temporal_blocks", "joints*each"),
        "temporal_norm.*": "joints*each",
        "frame_pooling.weight": "1 frames 1",
        "head.0.*": "joints*each",
        "head.1.*": "joints*3 joints*each",
    }

    def __init__(self, *args: Any, **sizes: Any) -> None:
        super().__init__()
        config = self.config = self.config_class(*args, **sizes)
        frames, joints, embed_dim = config.frames, config.joints, config.embed_dim
        width = joints * embed_dim
        self.joint_embedding = nn.Linear(2, embed_dim)
        self.joint_position = nn.Parameter(torch.zeros(1, joints, embed_dim))
        self.spatial_blocks = Stack(embed_dim, config.depth, config)
        self.spatial_norm = nn.LayerNorm(embed_dim, eps=1e-6)

        self.frame_position = nn.Parameter(torch.zeros(1, frames, width))
        self.temporal_blocks = Stack(width, config.temporal_depth or config.depth, config)
        self.temporal_norm = nn.LayerNorm(width, eps=1e-6)

        self.frame_pooling = nn.Conv1d(frames, 1, kernel_size=1)
        self.head = pose_head(width, joints)
        if not config.joint_positions:
            _never_learn(self, "joint_position")
        if not config.frame_positions:
            _never_learn(self, "frame_position")

    def forward(self, keypoints: Tensor) -> Tensor:
        """(B, F, J, 2) -> (B, 1, J, 3)."""
        self.check_windows(keypoints)
        features = self.spatial(keypoints.flatten(0, 1))
        return self.temporal(features.unflatten(0, keypoints.shape[:2]))

    def forward_with_attention(self, keypoints: Tensor) -> AttendedPose:
        """(B, F, J, 2) -> the pose as `forward` gives it, with the attention maps behind it.

        The maps are those that this very pose was computed with; that takes more memory than
        `forward`, which never holds one.
        """
        self.check_windows(keypoints)
        spatial: list[Tensor] = []
        temporal: list[Tensor] = []
        windows = keypoints.shape[:2]
        features = self.spatial(keypoints.flatten(0, 1), spatial)
        pose = self.temporal(features.unflatten(0, windows), temporal)
        return AttendedPose(pose, torch.stack(spatial).unflatten(1, windows), torch.stack(temporal))

    def slide(self, keypoints: Tensor) -> Tensor:
        """See `LiftingModel`; the spatial stage sees single frames, so it runs once for each."""
        features = self.spatial(keypoints)
        return self.temporal(features.unfold(0, self.config.frames, 1).mT)[:, 0]

    def embed(self, keypoints: Tensor) -> Tensor:
        """Joints as tokens: (N, J, 2) -> (N, J, C)."""
        return self.joint_embedding(put_on_root(keypoints))

    def spatial(self, keypoints: Tensor, maps: list[Tensor] | None = None) -> Tensor:
        """Joints of single frames attend to each other: (N, J, 2) -> (N, J * C).

        On a CPU always in fp32, as when the network slides: products this narrow gain nothing from
        bf16. A training step of our own weights' network took 810 ms with it and 663 without.
        """
        if keypoints.device.type == "cpu" and torch.is_autocast_enabled("cpu"):
            with torch.autocast("cpu", enabled=False):
                return self.spatial(keypoints, maps)
        x = self.embed(keypoints) + self.joint_position
        return self.spatial_norm(self.spatial_blocks(x, maps)).flatten(1)

    def temporal(self, features: Tensor, maps: list[Tensor] | None = None) -> Tensor:
        """Frames of a window attend to each other: (B, F, J * C) -> (B, 1, J, 3)."""
        x = self.temporal_norm(self.temporal_blocks(features + self.frame_position, maps))
        x = self.frame_pooling(x)  # learned weighted mean over frames: (B, 1, J * C)
        return self.head(x).unflatten(-1, (self.config.joints, 3))


def _never_learn(model: nn.Module, name: str) -> None:
    """Make a parameter that starts at zero stay there: a buffer, for no optimizer to find."""
    zeros = getattr(model, name).detach()
    delattr(model, name)
    model.register_buffer(name, zeros)
