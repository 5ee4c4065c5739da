"""What a network costs: its parameters, and the floating-point operations of a pose.

A multiply-add is two operations. Only matrix products and convolutions count, as everywhere in
the field; norms, activations and sums would add a percent or two.
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
    stretch = frames + 2 * model.context
    keypoints = stretch, model.config.joints, 2
    return _counted(model, lambda twin: twin.slide(torch.empty(keypoints))) / frames


def _counted(model: LiftingModel, run: Callable[[LiftingModel], Any]) -> int:
    # On the meta device only shapes are computed, so that any size is quick. The plain attention,
    # because the counter does not know every fused one.
    counter = FlopCounterMode(display=False)
    with torch.device("meta"), torch.no_grad(), sdpa_kernel(SDPBackend.MATH):
        twin = type(model)(**asdict(model.config)).eval()
        with counter:
            run(twin)
    return counter.get_total_flops()


def papers_formula(frames: int) -> int:
    """What the PoseFormer paper's Table 6 seems to hold, worked out by hand.

    The linear layers of four temporal blocks of width 512, where the network's is 544; no
    attention, no spatial stage.
    """
    return 2 * 4 * 8 * 512**2 * frames
