"""The cost of a network: number of parameters, and floating-point operations per pose.

A multiply-add counts as two operations. As usual in the field, only matrix products and
convolutions count; norms, activations and sums would add a percent or two.
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
    """Count the parameters."""
    return sum(parameter.numel() for parameter in model.parameters())


def per_window(model: LiftingModel) -> int:
    """Count the operations for one window by running the network."""
    config = model.config
    return _counted(model, lambda twin: twin(torch.empty(1, config.frames, config.joints, 2)))


def per_frame(model: LiftingModel, frames: int = 512) -> float:
    """Count the operations per pose with sliding windows, by running the network.

    Work that `slide` shares between windows counts once.

    Args:
        model: the network.
        frames: number of poses to average over.
    """
    stretch = frames + 2 * model.context
    keypoints = stretch, model.config.joints, 2
    return _counted(model, lambda twin: twin.slide(torch.empty(keypoints))) / frames


def _counted(model: LiftingModel, run: Callable[[LiftingModel], Any]) -> int:
    # The meta device computes only shapes, so any size is quick. The math attention, because the
    # counter does not know every fused kernel.
    counter = FlopCounterMode(display=False)
    with torch.device("meta"), torch.no_grad(), sdpa_kernel(SDPBackend.MATH):
        twin = type(model)(**asdict(model.config)).eval()
        with counter:
            run(twin)
    return counter.get_total_flops()


def papers_formula(frames: int) -> int:
    """Compute what the FLOPs in the PoseFormer paper's Table 6 appear to count.

    They match the linear layers of four temporal blocks of width 512 (the network's width is 544),
    without attention and without the spatial stage.
    """
    return 2 * 4 * 8 * 512**2 * frames
