"""A PoseFormer that answers for all frames of a window, and that knows of missing joints.

The spatial and temporal blocks are the paper's (see `poseformer.py`); the mean over frames is left
out, so that the head gives a pose for every frame's token. One pass then teaches as many poses as a
window has frames, and when the network slides over a track, a window every few frames is enough:
where windows overlap, their poses are averaged.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass

import torch
from torch import Tensor, nn

from vidpose.models.base import Slides, check_positive
from vidpose.models.poseformer import PoseFormer, PoseFormerConfig
from vidpose.models.sliding import PreparedSequence, over_windows


@dataclass(frozen=True, kw_only=True)
class SequencePoseFormerConfig(PoseFormerConfig):
    """Sizes of a `SequencePoseFormer`; travels in its checkpoint."""

    stride: int = 4
    """Frames from one window to the next, when it slides; windows shorter than that lie side by
    side."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_positive(self, "stride")


class SequencePoseFormer(PoseFormer):
    """See `LiftingModel` for what goes in and out."""

    name = "sequence"
    all_frames = True
    knows_missing = True

    def __init__(
        self,
        frames: int = 27,
        joints: int = 17,
        embed_dim: int = 32,
        depth: int = 4,
        heads: int = 8,
        mlp_ratio: float = 2.0,
        drop_path: float = 0.1,
        temporal_depth: int | None = None,
        joint_positions: bool = True,
        frame_positions: bool = True,
        stride: int = 4,
    ) -> None:
        super().__init__(
            frames=frames,
            joints=joints,
            embed_dim=embed_dim,
            depth=depth,
            heads=heads,
            mlp_ratio=mlp_ratio,
            drop_path=drop_path,
            temporal_depth=temporal_depth,
            joint_positions=joint_positions,
            frame_positions=frame_positions,
        )
        self.config = SequencePoseFormerConfig(**asdict(self.config), stride=stride)
        del self.frame_pooling
        self.missing_joint = nn.Parameter(torch.zeros(1, joints, embed_dim))

    @property
    def reach(self) -> int:
        """A frame may be the first or the last of a window."""
        return int(self.config.frames) - 1

    @property
    def step(self) -> int:
        """Frames from one window to the next: none is left out."""
        return min(int(self.config.stride), int(self.config.frames))

    def check_windows(self, keypoints: Tensor) -> None:
        """Raise ValueError unless these are windows (B, F, J, 2) that fit; they may be shorter."""
        frames, joints = keypoints.shape[1:3]
        if not (1 <= frames <= self.config.frames and joints == self.config.joints):
            raise ValueError(
                f"expected windows of {self.config.frames} frames or fewer and "
                f"{self.config.joints} joints, got {frames} and {joints}"
            )

    def embed(self, keypoints: Tensor) -> Tensor:
        """A missing joint's token is learned."""
        seen = keypoints.isfinite().all(dim=-1, keepdim=True)
        tokens = self.joint_embedding(keypoints.where(seen, 0))
        return tokens.where(seen, self.missing_joint.to(tokens.dtype))

    def temporal(self, features: Tensor, maps: list[Tensor] | None = None) -> Tensor:
        """(B, F, J * C) -> (B, F, J, 3).

        A window may be shorter, down to one frame: its frames then have the middle places.
        """
        frames = features.shape[1]
        first = (self.config.frames - frames) // 2
        places = self.frame_position[:, first : first + frames]
        x = self.temporal_norm(self.temporal_blocks(features + places, maps))
        return self.head(x).unflatten(-1, (self.config.joints, 3))

    def slide(self, keypoints: Tensor) -> Tensor:
        """See `LiftingModel`. Windows begin every `stride` frames, counted from the first frame.

        So a track that is slid over in parts gives what it gives as a whole, if parts are of
        a multiple of `stride` frames.
        """
        return over_windows(self.spatial(keypoints), self.config.frames, self.step, self.temporal)

    def prepared(self, dtype: torch.dtype = torch.float32) -> Slides:
        """See `LiftingModel`."""
        return PreparedSequence(self, dtype)
