"""A PoseFormer that predicts all frames of a window and distinguishes missing joints.

The spatial and temporal blocks are the paper's (see `poseformer.py`). Without the pooling over
frames, the head predicts a pose from each frame's token. A training pass thus supervises every
frame of a window, and sliding-window inference needs a window only every few frames: where windows
overlap, their poses are averaged.
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
    """Sizes of a `SequencePoseFormer`; stored in its checkpoint."""

    frames: int = 27
    stride: int = 4
    """Frames from one window to the next in sliding-window inference; larger than `frames` counts
    as `frames`."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_positive(self, "stride")


class SequencePoseFormer(PoseFormer):
    """See `LiftingModel` for inputs and outputs, `SequencePoseFormerConfig` for sizes."""

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
        """See `LiftingModel`: a frame may be the first or the last of a window."""
        return int(self.config.frames) - 1

    @property
    def step(self) -> int:
        """See `LiftingModel`: `stride`, limited so that the windows cover every frame."""
        return min(int(self.config.stride), int(self.config.frames))

    def check_windows(self, keypoints: Tensor) -> None:
        """Raise ValueError unless the shape (B, F, J, 2) fits; windows may be shorter."""
        frames, joints = keypoints.shape[1:3]
        if not (1 <= frames <= self.config.frames and joints == self.config.joints):
            raise ValueError(
                f"expected windows of {self.config.frames} frames or fewer and "
                f"{self.config.joints} joints, got {frames} and {joints}"
            )

    def embed(self, keypoints: Tensor) -> Tensor:
        """See `PoseFormer.embed`; missing joints get a learned token."""
        seen = keypoints.isfinite().all(dim=-1, keepdim=True)
        tokens = self.joint_embedding(keypoints.where(seen, 0))
        return tokens.where(seen, self.missing_joint.to(tokens.dtype))

    def temporal(self, features: Tensor, maps: list[Tensor] | None = None) -> Tensor:
        """(B, F, J * C) -> (B, F, J, 3).

        A shorter window, down to one frame, takes the middle positional embeddings.
        """
        frames = features.shape[1]
        first = (self.config.frames - frames) // 2
        places = self.frame_position[:, first : first + frames]
        x = self.temporal_norm(self.temporal_blocks(features + places, maps))
        return self.head(x).unflatten(-1, (self.config.joints, 3))

    def slide(self, keypoints: Tensor) -> Tensor:
        """See `LiftingModel`. Windows start every `step` frames, counted from the first frame.

        So lifting a track in parts, each a multiple of `step` frames, gives the same poses as
        lifting it at once.
        """
        return over_windows(self.spatial(keypoints), self.config.frames, self.step, self.temporal)


def over_windows(
    features: Tensor, frames: int, step: int, temporal: Callable[[Tensor], Tensor]
) -> Tensor:
    """Slide the temporal stage of a network that predicts all frames of a window.

    Args:
        features: (T + 2 * (F - 1), J * C), the spatial stage's output per frame.
        frames: F, frames in a window.
        step: frames from one window to the next.
        temporal: the temporal stage, (N, F, J * C) -> (N, F, J, 3).

    Returns:
        (T, J, 3) float32, averaged over the windows that contain each frame.
    """
    poses = temporal(features.unfold(0, frames, step).mT).float()
    context = frames - 1
    return mean_of_overlaps(poses, step)[context : features.shape[0] - context]


def mean_of_overlaps(poses: Tensor, stride: int) -> Tensor:
    """Average windows that start every `stride` frames: (N, F, J, 3) -> (T, J, 3).

    Frames near a window's ends, with little context on one side, get little weight.
    """
    frames = poses.shape[1]
    slots = torch.arange(frames, device=poses.device)
    weight = torch.sin(math.pi * (slots + 0.5) / frames).square()[:, None, None]
    weights = weight.expand(poses.shape[0], -1, 1, 1)
    return sum_of_overlaps(poses * weight, stride) / sum_of_overlaps(weights, stride)


def sum_of_overlaps(values: Tensor, stride: int) -> Tensor:
    """Sum windows that start every `stride` frames: (N, F, A, B) -> (T, A, B).

    Windows are added in pieces of `stride` frames instead of by index: with repeated indices, ONNX
    Runtime's threads lose updates, and a GPU adds them in no fixed order.
    """
    count, frames = values.shape[:2]
    pieces = math.ceil(frames / stride)
    filled = pad(values, (0, 0, 0, 0, 0, pieces * stride - frames))
    total = filled.new_zeros(())
    for k, piece in reversed(list(enumerate(filled.unflatten(1, (pieces, stride)).unbind(1)))):
        total = total + pad(piece, (0, 0, 0, 0, 0, 0, k, pieces - 1 - k))
    return total.flatten(0, 1)[: (count - 1) * stride + frames]
