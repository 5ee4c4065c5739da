"""PoseFormer, the network of the paper.

C. Zheng, S. Zhu, M. Mendieta, T. Yang, C. Chen, Z. Ding: "3D Human Pose Estimation with Spatial
and Temporal Transformers", ICCV 2021 (arXiv 2103.10455). Section and equation numbers are the
paper's. In shapes: B windows, F frames, J joints, C channels per joint (`embed_dim`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor, nn

from vidpose.models.base import MAX_BLOCKS, LiftingModel, check_positive, zero_missing
from vidpose.models.blocks import Stack, TransformerConfig, pose_head, stack_axes


@dataclass(frozen=True)
class PoseFormerConfig(TransformerConfig):
    """Sizes of a PoseFormer; stored in its checkpoint.

    A joint's embedding has `embed_dim` channels, a frame's `joints * embed_dim`. The fields that
    this class adds to `TransformerConfig` are for the paper's ablations.
    """

    temporal_depth: int | None = None
    """Number of temporal blocks; None: `depth`, the number of spatial blocks."""
    joint_positions: bool = True
    """Add a learned positional embedding to the joints."""
    frame_positions: bool = True
    """Add a learned positional embedding to the frames."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.temporal_depth is not None:
            check_positive(self, "temporal_depth", maximum=MAX_BLOCKS)


class AttendedPose(NamedTuple):
    """A PoseFormer's prediction with its attention maps.

    The last two axes of a map are query and key; each query's weights sum to 1.
    """

    pose: Tensor
    """(B, 1, J, 3)."""
    spatial: Tensor
    """(depth, B, F, heads, J, J)."""
    temporal: Tensor
    """(depth, B, heads, F, F)."""


class PoseFormer(LiftingModel):
    """The paper's network; see `LiftingModel` for inputs and outputs, `PoseFormerConfig` for sizes.

    Details that the paper leaves open follow the released code: LayerNorms use eps 1e-6, except
    1e-5 in the head; positional embeddings start at zero; layers have PyTorch's default
    initialisation.
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
            _freeze_at_zero(self, "joint_position")
        if not config.frame_positions:
            _freeze_at_zero(self, "frame_position")

    def forward(self, keypoints: Tensor) -> Tensor:
        """(B, F, J, 2) -> (B, 1, J, 3)."""
        self.check_windows(keypoints)
        features = self.spatial(keypoints.flatten(0, 1))
        return self.temporal(features.unflatten(0, keypoints.shape[:2]))

    def forward_with_attention(self, keypoints: Tensor) -> AttendedPose:
        """(B, F, J, 2) -> the pose as from `forward`, with the attention maps of the same pass.

        This takes more memory than `forward`, which never stores a map.
        """
        self.check_windows(keypoints)
        spatial: list[Tensor] = []
        temporal: list[Tensor] = []
        windows = keypoints.shape[:2]
        features = self.spatial(keypoints.flatten(0, 1), spatial)
        pose = self.temporal(features.unflatten(0, windows), temporal)
        return AttendedPose(pose, torch.stack(spatial).unflatten(1, windows), torch.stack(temporal))

    def slide(self, keypoints: Tensor) -> Tensor:
        """See `LiftingModel`; the spatial stage runs once per frame, not per window."""
        features = self.spatial(keypoints)
        return self.temporal(features.unfold(0, self.config.frames, 1).mT)[:, 0]

    def embed(self, keypoints: Tensor) -> Tensor:
        """Embed joints as tokens: (N, J, 2) -> (N, J, C)."""
        return self.joint_embedding(zero_missing(keypoints))

    def spatial(self, keypoints: Tensor, maps: list[Tensor] | None = None) -> Tensor:
        """Spatial stage, attention among the joints of a frame: (N, J, 2) -> (N, J * C).

        Always in fp32 on a CPU, as in the sliding form: matrix products this narrow gain nothing
        from bf16. A training step of the default network took 810 ms with bf16 and 663 ms without.
        """
        if keypoints.device.type == "cpu" and torch.is_autocast_enabled("cpu"):
            with torch.autocast("cpu", enabled=False):
                return self.spatial(keypoints, maps)
        x = self.embed(keypoints) + self.joint_position
        return self.spatial_norm(self.spatial_blocks(x, maps)).flatten(1)

    def temporal(self, features: Tensor, maps: list[Tensor] | None = None) -> Tensor:
        """Temporal stage, attention among the frames of a window: (B, F, J * C) -> (B, 1, J, 3)."""
        x = self.temporal_norm(self.temporal_blocks(features + self.frame_position, maps))
        x = self.frame_pooling(x)  # learned weighted mean over frames: (B, 1, J * C)
        return self.head(x).unflatten(-1, (self.config.joints, 3))


def _freeze_at_zero(model: nn.Module, name: str) -> None:
    """Replace a parameter that starts at zero by a buffer, so that it is not trained."""
    zeros = getattr(model, name).detach()
    delattr(model, name)
    model.register_buffer(name, zeros)
