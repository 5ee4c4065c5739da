"""What a network costs: its parameters, and the floating-point operations of a pose.

A multiply-add is two operations. Only matrix products and convolutions count, as everywhere in
the field; norms, activations and sums are a percent or two beside them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from vidpose.models.base import LiftingModel


def parameters(model: LiftingModel) -> int:
    """The number of its parameters."""
    return sum(parameter.numel() for parameter in model.parameters())


def per_window(model: LiftingModel) -> int:
    """Operations for one window, counted while the network runs."""
    config = model.config
    return _counted(model, lambda twin: twin(torch.empty(1, config.frames, config.joints, 2)))


def per_frame(model: LiftingModel, frames: int = 512) -> float:
    """Operations for one pose of a stretch of video, counted while the network slides over it.

    Windows next to each other share what `slide` shares between them.

    Args:
        model: the network.
        frames: the poses of the stretch.
    """
    stretch = frames + 2 * model.reach
    keypoints = stretch, model.config.joints, 2
    return _counted(model, lambda twin: twin.slide(torch.empty(keypoints))) / frames


def _counted(model: LiftingModel, run: Callable[[LiftingModel], Any]) -> int:
    # On the meta device shapes are computed and nothing else, so that any size is quick; and with
    # the plain attention, for the counter does not know every fused one.
    counter = FlopCounterMode(display=False)
    with torch.device("meta"), torch.no_grad(), sdpa_kernel(SDPBackend.MATH):
        twin = type(model)(**asdict(model.config)).eval()
        with counter:
            run(twin)
    return counter.get_total_flops()


def formula(model: LiftingModel) -> int:
    """Operations for one window, worked out from the network's sizes."""
    return 2 * _MULTIPLY_ADDS[model.name](model.config)


def papers_formula(frames: int) -> int:
    """What the PoseFormer paper's Table 6 seems to hold, worked out by hand.

    The linear layers of four temporal blocks of width 512, where the network's is 544; no
    attention, no spatial stage.
    """
    return 2 * 4 * 8 * 512**2 * frames


def _block(tokens: int, width: int, mlp_ratio: float) -> int:
    """A transformer block: queries, keys, values and projection; the MLP; the attention. A lone
    token needs its value and the projection only.
    """
    if tokens == 1:
        return round(width**2 * (2 + 2 * mlp_ratio))
    return round(tokens * width**2 * (4 + 2 * mlp_ratio)) + 2 * tokens**2 * width


def _poseformer(c: Any) -> int:
    width = c.joints * c.embed_dim
    spatial = 2 * width + c.depth * _block(c.joints, c.embed_dim, c.mlp_ratio)
    temporal = (c.temporal_depth or c.depth) * _block(c.frames, width, c.mlp_ratio)
    return c.frames * spatial + temporal + c.frames * width + width * 3 * c.joints


def _sequence(c: Any) -> int:
    """No mean over frames, and the head is for every frame."""
    width = c.joints * c.embed_dim
    return _poseformer(c) - c.frames * width + (c.frames - 1) * width * 3 * c.joints


def _temporal(c: Any) -> int:
    blocks = c.depth * _block(c.frames, c.embed_dim, c.mlp_ratio)
    return c.frames * 2 * c.joints * c.embed_dim + blocks + c.embed_dim * 3 * c.joints


def _joints(c: Any) -> int:
    width, tokens = c.joints * c.embed_dim, c.frames * c.joints
    blocks = c.depth * _block(tokens, c.embed_dim, c.mlp_ratio)
    return tokens * 2 * c.embed_dim + blocks + c.frames * width + width * 3 * c.joints


def _martinez(c: Any) -> int:
    return 5 * c.joints * c.width + 2 * c.depth * c.width**2


def _videopose(c: Any) -> int:
    """A layer gives a third of the outputs of the one before it; a block has 3 + 1 kernels."""
    outputs = [c.frames // 3**layer for layer in range(1, c.layers + 1)]
    expand = 3 * 2 * c.joints * c.channels * outputs[0]
    return expand + 4 * c.channels**2 * sum(outputs[1:]) + c.channels * 3 * c.joints


_MULTIPLY_ADDS: dict[str, Callable[[Any], int]] = {
    "poseformer": _poseformer,
    "sequence": _sequence,
    "temporal": _temporal,
    "joints": _joints,
    "martinez": _martinez,
    "videopose": _videopose,
}
