"""PoseFormer, the network of the paper.

C. Zheng, S. Zhu, M. Mendieta, T. Yang, C. Chen, Z. Ding: "3D Human Pose Estimation with Spatial
and Temporal Transformers", ICCV 2021 (arXiv 2103.10455). Section and equation names below are
the paper's. Letters in shapes: B windows, F frames, J joints, C embedding width of a joint.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vidpose.models.base import LiftingModel


@dataclass(frozen=True, kw_only=True)
class PoseFormerConfig:
    """Sizes of a PoseFormer; travels in its checkpoint."""

    frames: int = 81
    joints: int = 17
    embed_dim: int = 32
    """Width of one joint's embedding; a frame is `joints * embed_dim` wide."""
    depth: int = 4
    """Number of spatial blocks, and of temporal blocks."""
    heads: int = 8
    mlp_ratio: float = 2.0
    drop_path: float = 0.1
    """Stochastic depth of the last block of each stack; rises linearly from 0. Training only."""

    def __post_init__(self) -> None:
        for name in ("frames", "joints", "embed_dim", "depth", "heads"):
            value = getattr(self, name)
            if not (isinstance(value, int) and value > 0):
                raise ValueError(f"{name}: expected a positive whole number, got {value!r}")
        if self.frames % 2 == 0:
            raise ValueError(f"frames: a window has a centre, so it is odd; got {self.frames}")
        if self.embed_dim % self.heads:
            raise ValueError(f"embed_dim {self.embed_dim} does not divide into {self.heads} heads")
        if not 0 <= self.drop_path < 1:
            raise ValueError(f"drop_path: expected 0 to below 1, got {self.drop_path}")
        if self.mlp_ratio <= 0:
            raise ValueError(f"mlp_ratio: expected a positive number, got {self.mlp_ratio}")


class DropPath(nn.Module):
    """Stochastic depth (Huang et al., 2016): a residual branch is left out for whole samples."""

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate = rate
        self.part: tuple[int, int, int] | None = None
        """See `draw_drop_paths_for`."""

    def forward(self, x: Tensor) -> Tensor:
        if self.rate == 0 or not self.training:
            return x
        keep = 1 - self.rate
        start, stop, whole = self.part or (0, 1, 1)
        each = len(x) // (stop - start)  # the spatial stage has a row for every frame
        mask = torch.empty(whole * each, device=x.device).bernoulli_(keep)
        mask = mask[start * each : stop * each].to(x.dtype)
        return x * mask.view(-1, *(1,) * (x.ndim - 1)) / keep


def draw_drop_paths_for(model: nn.Module, start: int, stop: int, whole: int) -> None:
    """Let stochastic depth draw for a whole batch of which the next pass sees a part.

    A batch that is split over passes or processes, all with the same seed, then trains as if it
    were not.

    Args:
        model: whose next pass it is.
        start, stop: the part of the batch.
        whole: the whole batch.
    """
    for module in model.modules():
        if isinstance(module, DropPath):
            module.part = start, stop, whole


class Attention(nn.Module):
    """Multi-head self-attention, paper Eq. 1 and 2."""

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(dim, 3 * dim)
        self.proj = nn.Linear(dim, dim)

    def forward(self, x: Tensor) -> Tensor:
        batch, tokens, dim = x.shape
        qkv = self.qkv(x).view(batch, tokens, 3, self.heads, dim // self.heads)
        q, k, v = qkv.permute(2, 0, 3, 1, 4)  # (B, heads, tokens, dim / heads) each
        x = F.scaled_dot_product_attention(q, k, v)
        return self.proj(x.transpose(1, 2).reshape(batch, tokens, dim))


class Block(nn.Module):
    """A pre-norm transformer block, paper Eq. 4 and 5."""

    def __init__(self, dim: int, heads: int, mlp_ratio: float, drop_path: float) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(dim, eps=1e-6)
        self.attention = Attention(dim, heads)
        self.norm2 = nn.LayerNorm(dim, eps=1e-6)
        hidden = int(dim * mlp_ratio)
        self.mlp = nn.Sequential(nn.Linear(dim, hidden), nn.GELU(), nn.Linear(hidden, dim))
        self.drop_path = DropPath(drop_path)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.drop_path(self.attention(self.norm1(x)))
        return x + self.drop_path(self.mlp(self.norm2(x)))


def _stack(dim: int, config: PoseFormerConfig) -> nn.Sequential:
    rates = [config.drop_path * i / max(1, config.depth - 1) for i in range(config.depth)]
    return nn.Sequential(*(Block(dim, config.heads, config.mlp_ratio, rate) for rate in rates))


class PoseFormer(LiftingModel):
    """The paper's network; see `LiftingModel` for what goes in and out.

    The released code is followed where the paper leaves a detail open: norms of blocks and
    stages use eps 1e-6 but the head's 1e-5; position embeddings start at zero; layers keep
    PyTorch's own initialisation.
    """

    name = "poseformer"

    def __init__(
        self,
        frames: int = 81,
        joints: int = 17,
        embed_dim: int = 32,
        depth: int = 4,
        heads: int = 8,
        mlp_ratio: float = 2.0,
        drop_path: float = 0.1,
    ) -> None:
        super().__init__()
        self.config = PoseFormerConfig(
            frames=frames,
            joints=joints,
            embed_dim=embed_dim,
            depth=depth,
            heads=heads,
            mlp_ratio=mlp_ratio,
            drop_path=drop_path,
        )
        width = joints * embed_dim
        self.joint_embedding = nn.Linear(2, embed_dim)
        self.joint_position = nn.Parameter(torch.zeros(1, joints, embed_dim))
        self.spatial_blocks = _stack(embed_dim, self.config)
        self.spatial_norm = nn.LayerNorm(embed_dim, eps=1e-6)

        self.frame_position = nn.Parameter(torch.zeros(1, frames, width))
        self.temporal_blocks = _stack(width, self.config)
        self.temporal_norm = nn.LayerNorm(width, eps=1e-6)

        self.frame_pooling = nn.Conv1d(frames, 1, kernel_size=1)
        self.head = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, joints * 3))

    def forward(self, keypoints: Tensor) -> Tensor:
        """(B, F, J, 2) -> (B, 1, J, 3)."""
        self.check_windows(keypoints)
        features = self.spatial(keypoints.flatten(0, 1))
        return self.temporal(features.unflatten(0, keypoints.shape[:2]))

    def slide(self, keypoints: Tensor) -> Tensor:
        """See `LiftingModel`; the spatial stage sees single frames, so it runs once for each."""
        features = self.spatial(keypoints)
        return self.temporal(features.unfold(0, self.config.frames, 1).mT)[:, 0]

    def spatial(self, keypoints: Tensor) -> Tensor:
        """Joints of single frames attend to each other: (N, J, 2) -> (N, J * C)."""
        x = self.joint_embedding(keypoints) + self.joint_position
        return self.spatial_norm(self.spatial_blocks(x)).flatten(1)

    def temporal(self, features: Tensor) -> Tensor:
        """Frames of a window attend to each other: (B, F, J * C) -> (B, 1, J, 3)."""
        x = self.temporal_norm(self.temporal_blocks(features + self.frame_position))
        x = self.frame_pooling(x)  # learned weighted mean over frames: (B, 1, J * C)
        return self.head(x).unflatten(-1, (self.config.joints, 3))
