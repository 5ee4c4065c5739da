"""A PoseFormer that answers for all frames of a window, and that knows of missing joints.

The spatial and temporal blocks are the paper's (see `poseformer.py`); the mean over frames is left
out, so that the head gives a pose for every frame's token. One pass then teaches as many poses as a
window has frames, and when the network slides over a track, a window every few frames is enough:
where windows overlap, their poses are averaged.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from vidpose.models.base import check_positive
from vidpose.models.poseformer import PoseFormer, PoseFormerConfig


@dataclass(frozen=True)
class SequencePoseFormerConfig(PoseFormerConfig):
    """Sizes of a `SequencePoseFormer`; travels in its checkpoint."""

    frames: int = 27
    stride: int = 4
    """Frames from one window to the next, when it slides; windows shorter than that lie side by
    side."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_positive(self, "stride")


class SequencePoseFormer(PoseFormer):
    """See `LiftingModel` for what goes in and out; sizes are `SequencePoseFormerConfig`'s."""

    name = "sequence"
    config_class = SequencePoseFormerConfig
    axes: ClassVar = {**PoseFormer.axes, "missing_joint": "1 joints each"}
    all_frames = True
    knows_missing = True

    def __init__(self, *args: Any, **sizes: Any) -> None:
        super().__init__(*args, **sizes)
        del self.frame_pooling
        self.missing_joint = nn.Parameter(torch.zeros(1, self.config.joints, self.config.embed_dim))

    @property
    def context(self) -> int:
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

        So a track that is slid over in parts gives what it gives in one piece, if parts are of
        a multiple of `stride` frames.
        """
        return over_windows(self.spatial(keypoints), self.config.frames, self.step, self.temporal)


def over_windows(
    features: Tensor, frames: int, step: int, temporal: Callable[[Tensor], Tensor]
) -> Tensor:
    """Slide a network that answers for all frames of a window.

    Args:
        features: (T + 2 * (F - 1), J * C), of single frames.
        frames: F, in a window.
        step: frames from one window to the next.
        temporal: (N, F, J * C) -> (N, F, J, 3).

    Returns:
        (T, J, 3) float32, the mean of what the windows say of each frame.
    """
    poses = temporal(features.unfold(0, frames, step).mT).float()
    context = frames - 1
    return mean_of_overlaps(poses, step)[context : features.shape[0] - context]


def mean_of_overlaps(poses: Tensor, stride: int) -> Tensor:
    """Poses of windows that begin every `stride` frames, (N, F, J, 3) -> one of each frame.

    At a window's ends, where the frames on one side are not known, a pose counts little.
    """
    frames = poses.shape[1]
    slots = torch.arange(frames, device=poses.device)
    weight = torch.sin(math.pi * (slots + 0.5) / frames).square()[:, None, None]
    weights = weight.expand(poses.shape[0], -1, 1, 1)
    return sum_of_overlaps(poses * weight, stride) / sum_of_overlaps(weights, stride)


def sum_of_overlaps(values: Tensor, stride: int) -> Tensor:
    """Values of windows that begin every `stride` frames, (N, F, A, B) -> (T, A, B).

    Windows are laid over one another piece by piece, each `stride` long, and not added at indices:
    ONNX Runtime's threads lose sums when indices repeat, and a GPU adds them in any order.
    """
    count, frames = values.shape[:2]
    pieces = math.ceil(frames / stride)
    filled = pad(values, (0, 0, 0, 0, 0, pieces * stride - frames))
    total = filled.new_zeros(())
    for k, piece in reversed(list(enumerate(filled.unflatten(1, (pieces, stride)).unbind(1)))):
        total = total + pad(piece, (0, 0, 0, 0, 0, 0, k, pieces - 1 - k))
    return total.flatten(0, 1)[: (count - 1) * stride + frames]
