"""Building blocks of the transformer networks, and their common configuration.

Equation numbers are those of the PoseFormer paper (see `poseformer.py`).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vidpose.models.base import (
    MAX_BLOCKS,
    MAX_RATIO,
    check_fraction,
    check_positive,
    check_window,
)


@dataclass(frozen=True)
class TransformerConfig:
    """Sizes of a transformer; stored in its checkpoint."""

    frames: int = 81
    joints: int = 17
    embed_dim: int = 32
    depth: int = 4
    heads: int = 8
    mlp_ratio: float = 2.0
    drop_path: float = 0.1
    """Drop rate of each stack's last block in training; rises linearly from 0 at the first."""

    def __post_init__(self) -> None:
        check_positive(self, "frames", "joints", "embed_dim", "heads")
        check_positive(self, "depth", maximum=MAX_BLOCKS)
        check_window(self.frames)
        if self.embed_dim % self.heads:
            raise ValueError(
                f"embed_dim {self.embed_dim} is not a multiple of the {self.heads} attention heads"
            )
        check_fraction(self, "drop_path")
        if not 0 < self.mlp_ratio <= MAX_RATIO:
            raise ValueError(
                f"mlp_ratio: expected above 0, {MAX_RATIO:g} at most, got {self.mlp_ratio!r:.40}"
            )


class DropPath(nn.Module):
    """Stochastic depth (Huang et al., 2016): drops a residual branch for whole samples."""

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate = rate
        self.part: tuple[int, int, int] | None = None
        """See `draw_drop_paths_for`."""

    def draw(self, x: Tensor) -> Tensor | None:
        """Draw the factors, (B, 1, 1), for a branch (B, tokens, dim); None if nothing is dropped.

        Drawing is separate from multiplying, so that `Block.compute`, without randomness, can be
        compiled.
        """
        if self.rate == 0 or not self.training:
            return None
        keep = 1 - self.rate
        start, stop, whole = self.part or (0, 1, 1)
        each = len(x) // (stop - start)  # the spatial stage has one row per frame
        mask = torch.empty(whole * each, device=x.device).bernoulli_(keep)
        return mask[start * each : stop * each].view(-1, 1, 1) / keep


def draw_drop_paths_for(model: nn.Module, start: int, stop: int, whole: int) -> None:
    """Make the next pass, on part of a batch, draw stochastic depth for the whole batch.

    With the same seed everywhere, a batch split over passes or processes then trains as if it
    were not split.

    Args:
        model: the network.
        start, stop: the samples of the batch that the next pass sees.
        whole: size of the whole batch.
    """
    for module in model.modules():
        if isinstance(module, DropPath):
            module.part = start, stop, whole


MAX_PLAIN_TOKENS = 256
"""With more tokens, training does not use the plain attention: its maps take too much memory."""


def compile_blocks(model: nn.Module, backend: str) -> None:
    """Compile a network's transformer blocks, which take nearly all of the time.

    Blocks of one size share their compiled code, so this takes less time than compiling the whole
    network. Tensor and parameter names do not change.
    """
    for module in model.modules():
        if isinstance(module, Block):
            # Static shapes: the compiled code must not depend on the sizes seen before.
            module.compute = torch.compile(  # type: ignore[method-assign]
                module.compute, backend=backend, dynamic=False
            )


class Attention(nn.Module):
    """Multi-head self-attention, paper Eq. 1 and 2."""

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(dim, 3 * dim)
        self.proj = nn.Linear(dim, dim)

    def forward(self, x: Tensor, maps: list[Tensor] | None = None) -> Tensor:
        """(B, tokens, dim) -> (B, tokens, dim); appends the attention weights to `maps`.

        They are (B, heads, tokens, tokens); each row, a query's weights, sums to 1.
        """
        batch, tokens, dim = x.shape
        if tokens == 1 and maps is None:  # a single token attends to itself only
            value = F.linear(x, self.qkv.weight[2 * dim :], self.qkv.bias[2 * dim :])
            return self.proj(value)
        qkv = self.qkv(x).view(batch, tokens, 3, self.heads, dim // self.heads)
        q, k, v = qkv.permute(2, 0, 3, 1, 4)  # (B, heads, tokens, dim / heads) each
        # The fused kernel's backward pass is slow on a CPU. Forward and backward on one Zen 4 core,
        # fused vs. plain: 64 windows of 81 frames in bf16 154 vs. 44 ms; the joints of 2592 frames,
        # 2 channels a head, in fp32 99 vs. 60 ms. For the forward pass alone, fused is faster.
        plain = self.training and x.device.type == "cpu" and tokens <= MAX_PLAIN_TOKENS
        if maps is None and not plain:
            x = F.scaled_dot_product_attention(q, k, v)
        else:
            weights = ((q * q.shape[-1] ** -0.5) @ k.mT).softmax(dim=-1)
            if maps is not None:
                maps.append(weights)
            x = weights.to(v.dtype) @ v
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

    def forward(self, x: Tensor, maps: list[Tensor] | None = None) -> Tensor:
        return self.compute(x, self.drop_path.draw(x), self.drop_path.draw(x), maps)

    def compute(
        self, x: Tensor, keep1: Tensor | None, keep2: Tensor | None, maps: list[Tensor] | None
    ) -> Tensor:
        """`forward`, given the stochastic depth factors of the two branches."""
        branch = self.attention(self.norm1(x), maps)
        x = x + (branch if keep1 is None else branch * keep1)
        branch = self.mlp(self.norm2(x))
        return x + (branch if keep2 is None else branch * keep2)


class Stack(nn.Sequential):
    """`depth` blocks of width `dim` in sequence, with the config's heads, MLP ratio, drop path."""

    def __init__(self, dim: int, depth: int, config: TransformerConfig) -> None:
        rates = [config.drop_path * i / max(1, depth - 1) for i in range(depth)]
        super().__init__(*(Block(dim, config.heads, config.mlp_ratio, rate) for rate in rates))

    def forward(self, x: Tensor, maps: list[Tensor] | None = None) -> Tensor:
        """(B, tokens, dim) -> (B, tokens, dim); appends each block's `Attention` map to `maps`."""
        for block in self:
            x = block(x, maps)
        return x


def stack_axes(name: str, width: str) -> dict[str, str]:
    """Return `LiftingModel.axes` for a `Stack` whose channel axis is `width`."""
    return {
        f"{name}.*.norm?.*": width,
        f"{name}.*.attention.qkv.*": f"3*inner {width}",
        f"{name}.*.attention.proj.*": f"{width} inner",
        f"{name}.*.mlp.0.*": f"inner {width}",
        f"{name}.*.mlp.2.*": f"{width} inner",
    }


def pose_head(width: int, joints: int) -> nn.Sequential:
    """Make the paper's regression head: (B, 1, width) -> (B, 1, 3 * joints)."""
    return nn.Sequential(nn.LayerNorm(width), nn.Linear(width, 3 * joints))
