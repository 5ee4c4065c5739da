"""What the transformers among the networks are made of, and the sizes they share.

Equation numbers are those of the PoseFormer paper (see `poseformer.py`).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vidpose.models.base import (
    MOST_BLOCKS,
    MOST_RATIO,
    check_fraction,
    check_positive,
    check_window,
)


@dataclass(frozen=True)
class TransformerConfig:
    """Sizes of a transformer; travels in its checkpoint."""

    frames: int = 81
    joints: int = 17
    embed_dim: int = 32
    depth: int = 4
    heads: int = 8
    mlp_ratio: float = 2.0
    drop_path: float = 0.1
    """Stochastic depth of the last block of each stack; rises linearly from 0. Training only."""

    def __post_init__(self) -> None:
        check_positive(self, "frames", "joints", "embed_dim", "heads")
        check_positive(self, "depth", most=MOST_BLOCKS)
        check_window(self.frames)
        if self.embed_dim % self.heads:
            raise ValueError(f"embed_dim {self.embed_dim} does not divide into {self.heads} heads")
        check_fraction(self, "drop_path")
        if not 0 < self.mlp_ratio <= MOST_RATIO:
            raise ValueError(
                f"mlp_ratio: expected above 0, {MOST_RATIO:g} at most, got {self.mlp_ratio!r:.40}"
            )


class DropPath(nn.Module):
    """Stochastic depth (Huang et al., 2016): a residual branch is left out for whole samples."""

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate = rate
        self.part: tuple[int, int, int] | None = None
        """See `draw_drop_paths_for`."""

    def draw(self, x: Tensor) -> Tensor | None:
        """What a branch (B, tokens, dim) is multiplied with, (B, 1, 1); None: nothing is left out.

        Apart from the product, so that this may be compiled: it has nothing random in it.
        """
        if self.rate == 0 or not self.training:
            return None
        keep = 1 - self.rate
        start, stop, whole = self.part or (0, 1, 1)
        each = len(x) // (stop - start)  # the spatial stage has a row for every frame
        mask = torch.empty(whole * each, device=x.device).bernoulli_(keep)
        return mask[start * each : stop * each].view(-1, 1, 1) / keep


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


MOST_PLAIN_TOKENS = 256
"""Attention among more tokens is not trained by plain products: their maps take too much memory."""


def compile_blocks(model: nn.Module, backend: str) -> None:
    """Let `torch.compile` have a network's blocks, in which nearly all of the time goes.

    A network's blocks are alike, so one or two are compiled and not all of it; no tensor or
    parameter changes its name.
    """
    for module in model.modules():
        if isinstance(module, Block):
            # Of one size each: what is compiled must not depend on which sizes came before.
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
        """(B, tokens, dim) -> the same; into `maps` goes who looked at whom.

        A map is (B, heads, tokens, tokens); its rows, one for each token that looks, sum to 1.
        """
        batch, tokens, dim = x.shape
        if tokens == 1 and maps is None:  # a lone token has nobody else to look at
            value = F.linear(x, self.qkv.weight[2 * dim :], self.qkv.bias[2 * dim :])
            return self.proj(value)
        qkv = self.qkv(x).view(batch, tokens, 3, self.heads, dim // self.heads)
        q, k, v = qkv.permute(2, 0, 3, 1, 4)  # (B, heads, tokens, dim / heads) each
        # The fused kernel's backward pass is slow on a CPU. Forward and backward together, one core
        # of a Zen 4, fused and plain: 64 windows of 81 frames in bf16 154 and 44 ms; joints of 2592
        # frames, heads 2 wide, in fp32 99 and 60 ms. Forward alone the fused kernel is the faster.
        plain = self.training and x.device.type == "cpu" and tokens <= MOST_PLAIN_TOKENS
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
        """`forward` with what stochastic depth keeps of the two branches."""
        branch = self.attention(self.norm1(x), maps)
        x = x + (branch if keep1 is None else branch * keep1)
        branch = self.mlp(self.norm2(x))
        return x + (branch if keep2 is None else branch * keep2)


class Stack(nn.Sequential):
    """`depth` blocks, one after the other; sizes other than their width are the config's."""

    def __init__(self, dim: int, depth: int, config: TransformerConfig) -> None:
        rates = [config.drop_path * i / max(1, depth - 1) for i in range(depth)]
        super().__init__(*(Block(dim, config.heads, config.mlp_ratio, rate) for rate in rates))

    def forward(self, x: Tensor, maps: list[Tensor] | None = None) -> Tensor:
        """(B, tokens, dim) -> the same; into `maps` goes every block's, see `Attention`."""
        for block in self:
            x = block(x, maps)
        return x


def stack_axes(name: str, width: str) -> dict[str, str]:
    """`LiftingModel.axes` of a `Stack`, whose tokens' channels are `width`."""
    return {
        f"{name}.*.norm?.*": width,
        f"{name}.*.attention.qkv.*": f"3*inner {width}",
        f"{name}.*.attention.proj.*": f"{width} inner",
        f"{name}.*.mlp.0.*": f"inner {width}",
        f"{name}.*.mlp.2.*": f"{width} inner",
    }


def pose_head(width: int, joints: int) -> nn.Sequential:
    """(B, 1, width) -> (B, 1, 3 * joints), the paper's regression head."""
    return nn.Sequential(nn.LayerNorm(width), nn.Linear(width, 3 * joints))
