"""Faster forms of the networks for sliding-window inference, with the same poses.

For PoseFormers, besides running the spatial blocks once per frame, three optimisations are exact
except for rounding:

- The scale and shift of a LayerNorm are folded into the linear layer that follows it.
- The first block's queries, keys and values are sums of a product per frame and a product per
  slot (position in the window); neither depends on the window (`_FirstBlock`).
- On a CPU, oneDNN gets prepacked weights and fuses the bias and the GELU into the matrix product.

In bf16, only matrix products and attention are bf16. The residual stream stays in fp32, because
rounding it causes most of the error: 2 of 2.1 mm with the default weights.

Shapes are as in `poseformer.py`; N is the number of windows computed together.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vidpose.models.base import LiftingModel, SlidingForm
from vidpose.models.poseformer import PoseFormer
from vidpose.models.sequence import SequencePoseFormer, over_windows

STEP_BYTES_PER_THREAD = 8 * 2**20
"""Size of a block's largest intermediate result per CPU thread: small enough to stay in the cache
for the next step and to reuse allocated memory, large enough to be worth starting all threads."""
USUAL_TOKENS = 2592
"""Number of rows that oneDNN packs the weights for."""
GPU_MEMORY_FRACTION = 0.25
"""Share of the free GPU memory to use."""

Product = Callable[[Tensor], Tensor]
"""(tokens, in) -> (tokens, out)."""


def sliding_form(model: LiftingModel, dtype: torch.dtype = torch.float32) -> SlidingForm:
    """Make the sliding form of a network: the same poses, faster where there is an optimised form.

    Args:
        model: the network, in eval mode, on its device. Its weights must not change afterwards.
        dtype: dtype of the matrix products, float32 or bfloat16. Poses are always float32.
    """
    if isinstance(model, SequencePoseFormer):
        return _SlidingSequence(model, dtype)
    if isinstance(model, PoseFormer):
        return _SlidingPoseFormer(model, dtype)
    return _Autocast(model, dtype)


class _Autocast:
    """The sliding form of any network: `slide` itself, with autocast for bfloat16."""

    def __init__(self, model: LiftingModel, dtype: torch.dtype) -> None:
        self.config, self.context, self.step = model.config, model.context, model.step
        self._model, self._dtype = model, dtype

    def slide(self, keypoints: Tensor) -> Tensor:
        """See `LiftingModel`."""
        bf16 = self._dtype != torch.float32
        with torch.autocast(keypoints.device.type, self._dtype, enabled=bf16):
            return self._model.slide(keypoints).float()

    def windows(self, keypoints: Tensor) -> Tensor:
        """See `LiftingModel`."""
        bf16 = self._dtype != torch.float32
        with torch.autocast(keypoints.device.type, self._dtype, enabled=bf16):
            return self._model.windows(keypoints).float()


class _SlidingTransformer:
    """Common part of the PoseFormers' sliding forms; `dtype` is that of temporal products."""

    @torch.no_grad()
    def __init__(self, model: PoseFormer, dtype: torch.dtype) -> None:
        self.config, self.context, self.step = model.config, model.context, model.step
        self._dtype = dtype
        self._spatial = model.spatial
        self._frame_position = model.frame_position.detach()[0]
        blocks: Any = model.temporal_blocks
        self._blocks = [_Block(block, dtype) for block in blocks]
        self._norm: Any = model.temporal_norm
        self._head = model.head

    def _even_chunks(self, windows: int, features: Tensor) -> Iterator[slice]:
        """Split windows evenly into chunks that the temporal blocks compute together."""
        chunk = math.ceil(windows / math.ceil(windows / self._max_windows(features)))
        return (slice(i, min(i + chunk, windows)) for i in range(0, windows, chunk))

    def _max_windows(self, features: Tensor) -> int:
        if features.device.type == "cpu":
            widest = 3 * features.shape[1] * self._dtype.itemsize
            tokens = STEP_BYTES_PER_THREAD * torch.get_num_threads() // widest
        else:
            free, _ = torch.cuda.mem_get_info(features.device)
            # Peak per token: x and the branch added to it, queries, keys and values twice, and the
            # result of the attention or the MLP.
            bytes_per_token = features.shape[1] * (3 * 4 + 8 * self._dtype.itemsize)
            tokens = int(free * GPU_MEMORY_FRACTION) // bytes_per_token
        return max(1, tokens // self.config.frames)

    def _run_blocks(self, windows: Tensor, qkv: Tensor | None = None) -> Tensor:
        """Run the temporal blocks on (N, F, J * C), in place."""
        x = windows.flatten(0, 1)
        for block in self._blocks:
            x = block(x, windows.shape[:2], qkv)
            qkv = None
        return x.view(windows.shape)


class _SlidingPoseFormer(_SlidingTransformer):
    """The sliding form of the paper's network."""

    @torch.no_grad()
    def __init__(self, model: PoseFormer, dtype: torch.dtype) -> None:
        super().__init__(model, dtype)
        self._first = _FirstBlock(model, dtype)
        norm, pooling = model.temporal_norm, model.frame_pooling
        self._frame_weights = pooling.weight.detach()[0, :, 0]
        # Scale and shift of the norm are applied after the pooling, which is linear.
        self._pooled_scale = norm.weight.detach()
        self._pooled_shift = pooling(norm.bias.expand(1, self.config.frames, -1))[0, 0]

    def slide(self, keypoints: Tensor) -> Tensor:
        """See `LiftingModel`; (T + F - 1, J, 2) -> (T, J, 3), float32."""
        features = self._spatial(keypoints)
        others = self.config.frames - 1
        parts = self._even_chunks(len(keypoints) - others, features)
        return torch.cat([self._temporal(features[p.start : p.stop + others]) for p in parts])

    def windows(self, keypoints: Tensor) -> Tensor:
        """See `LiftingModel`; a single window has no neighbours to share work with."""
        return torch.stack([self.slide(window) for window in keypoints])

    def _temporal(self, features: Tensor) -> Tensor:
        """(N + F - 1, J * C) -> (N, J, 3)."""
        windows = features.unfold(0, self.config.frames, 1).mT + self._frame_position
        x = _normed(self._run_blocks(windows, self._first(features)), self._norm.eps)
        pooled = (self._frame_weights @ x) * self._pooled_scale + self._pooled_shift
        poses: Tensor = self._head(pooled)
        return poses.unflatten(-1, (self.config.joints, 3))


class _SlidingSequence(_SlidingTransformer):
    """The sliding form of the network that predicts all frames of a window."""

    def slide(self, keypoints: Tensor) -> Tensor:
        """See `SequencePoseFormer.slide`; (T + 2 * context, J, 2) -> (T, J, 3), float32."""
        features = self._spatial(keypoints)

        def temporal(windows: Tensor) -> Tensor:
            parts = self._even_chunks(len(windows), features)
            return torch.cat([self._temporal(windows[part]) for part in parts])

        return over_windows(features, self.config.frames, self.step, temporal)

    def windows(self, keypoints: Tensor) -> Tensor:
        """See `LiftingModel`."""
        features = self._spatial(keypoints.flatten(0, 1))
        return self._temporal(features.unflatten(0, keypoints.shape[:2])).float()

    def _temporal(self, windows: Tensor) -> Tensor:
        """(N, F, J * C) -> (N, F, J, 3)."""
        x = self._norm(self._run_blocks(windows + self._frame_position))
        poses: Tensor = self._head(x)
        return poses.unflatten(-1, (self.config.joints, 3))


class _Block:
    """A temporal block."""

    def __init__(self, block: Any, dtype: torch.dtype) -> None:
        self._dtype = dtype
        self._heads = block.attention.heads
        self._attend = _attention(block.attention.qkv.weight.device, dtype)
        self._eps = block.norm1.eps, block.norm2.eps
        self._qkv = _product(*_with_norm(block.norm1, block.attention.qkv), dtype)
        self._proj = _product(block.attention.proj.weight, block.attention.proj.bias, dtype)
        self._up = _product(*_with_norm(block.norm2, block.mlp[0]), dtype, gelu=True)
        self._down = _product(block.mlp[2].weight, block.mlp[2].bias, dtype)

    def __call__(self, x: Tensor, windows: torch.Size, qkv: Tensor | None) -> Tensor:
        """Compute the block in place.

        Args:
            x: (N * F, J * C).
            windows: N and F.
            qkv: (N, F, 3 * J * C) precomputed queries, keys and values, or None.
        """
        if qkv is None:
            qkv = self._qkv(_normed(x, self._eps[0]).to(self._dtype))
        q, k, v = qkv.view(*windows, 3, self._heads, -1).permute(2, 0, 3, 1, 4)
        seen = self._attend(q, k, v)  # (N, heads, F, J * C / heads)
        x += self._proj(seen.transpose(1, 2).reshape(x.shape))
        x += self._down(self._up(_normed(x, self._eps[1]).to(self._dtype)))
        return x


class _FirstBlock:
    """Queries, keys and values of the first temporal block, without a product for each window.

    A token is the sum of a frame's features s and its slot's positional embedding p. If both are
    centred (zero mean over the D channels), norm(s + p) = (s + p) / sigma, where
    sigma^2 = (s.s + 2 s.p + p.p) / D + eps. So W norm(s + p) + b = (W s + W p) / sigma + b: W s is
    computed once per frame, W p only once.
    """

    def __init__(self, model: PoseFormer, dtype: torch.dtype) -> None:
        block: Any = model.temporal_blocks[0]
        self._dtype = dtype
        self._eps = block.norm1.eps
        weight, bias = _with_norm(block.norm1, block.attention.qkv)
        self._weight = weight
        self._bias = bias.to(dtype)
        self._slots = _centred(model.frame_position.detach()[0])
        self._of_slots = F.linear(self._slots, weight).to(dtype)

    def __call__(self, features: Tensor) -> Tensor:
        """(N + F - 1, J * C) -> (N, F, 3 * J * C)."""
        slots, width = self._slots.shape
        windows = len(features) - slots + 1
        frames = _centred(features)
        squares = (
            frames.square().sum(1)[:, None]
            + 2 * frames @ self._slots.T
            + self._slots.square().sum(1)
        )  # (N + F - 1, F): every frame in every slot
        scale = (squares.clamp_min(0) / width + self._eps).rsqrt()
        # Window n has frame n + f in slot f: take the diagonals.
        scale = scale.as_strided((windows, slots, 1), (slots, slots + 1, 1)).to(self._dtype)
        of_frames = F.linear(frames, self._weight).to(self._dtype)
        qkv = of_frames.unfold(0, slots, 1).mT + self._of_slots
        return torch.addcmul(self._bias, qkv, scale, out=qkv)


def _attention(device: torch.device, dtype: torch.dtype) -> Callable[..., Tensor]:
    """Choose the fastest attention function of queries, keys and values (N, heads, F, width)."""
    if device.type == "cpu" and dtype == torch.bfloat16 and not torch.cpu._is_amx_tile_supported():
        return _in_three_steps
    return F.scaled_dot_product_attention


def _in_three_steps(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Plain attention; the fused kernel is slower in bf16 without AMX."""
    heads = q.shape[:2]
    q, k, v = q.flatten(0, 1), k.flatten(0, 1), v.flatten(0, 1)
    weights = torch.baddbmm(q.new_empty(()), q, k.mT, beta=0, alpha=q.shape[-1] ** -0.5)
    return torch.bmm(weights.softmax(-1), v).unflatten(0, heads)


def _centred(x: Tensor) -> Tensor:
    return x - x.mean(dim=-1, keepdim=True)


def _normed(x: Tensor, eps: float) -> Tensor:
    """Apply a LayerNorm without scale and shift."""
    return F.layer_norm(x, x.shape[-1:], eps=eps)


def _with_norm(norm: nn.LayerNorm, linear: nn.Linear) -> tuple[Tensor, Tensor]:
    """Fold a norm's scale and shift into a linear layer that then takes `_normed(x)`."""
    return linear.weight * norm.weight, linear.bias + linear.weight @ norm.bias


def _product(weight: Tensor, bias: Tensor, dtype: torch.dtype, gelu: bool = False) -> Product:
    """Make the function x -> x @ weight.T + bias, with a GELU if asked, for x of type `dtype`."""
    weight, bias = weight.detach().to(dtype), bias.detach().to(dtype)
    if not _onednn_computes(weight):
        if gelu:
            return lambda x: F.gelu(F.linear(x, weight, bias))
        return lambda x: F.linear(x, weight, bias)
    # The operator that torch.compile generates for a linear layer on a CPU.
    onednn = torch.ops.mkldnn
    packed = onednn._reorder_linear_weight(weight.contiguous(), USUAL_TOKENS)
    activation = "gelu" if gelu else "none"
    return lambda x: onednn._linear_pointwise(x, packed, bias, activation, [], "none")


def _onednn_computes(weight: Tensor) -> bool:
    """Whether oneDNN is available and supports the dtype."""
    if weight.device.type != "cpu" or not torch.backends.mkldnn.is_available():
        return False
    return weight.dtype != torch.bfloat16 or torch.ops.mkldnn._is_mkldnn_bf16_supported()
