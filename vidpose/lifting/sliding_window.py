"""A network slid over a track: a pose for every frame, mirror image averaged, memory bounded.

Inference and evaluation share this, so that what is measured is what is used.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from vidpose.models.base import Slides

BLOCK = 576
"""Frames that are lifted together; bounds memory whatever the length. See `lifting.BLOCK`."""


def slide(
    model: Slides,
    inputs: Tensor,
    mirrored: Tensor | None,
    first: int = 0,
    last: int | None = None,
    apart: list[Tensor] | None = None,
) -> Iterator[Tensor]:
    """Lift every frame of a track, with the window around it; edge frames are repeated.

    Args:
        model: in eval mode, or `prepared`, which is faster.
        inputs: (T, J, 2), normalised keypoints, on the model's device.
        mirrored: (J,) permutation that swaps left and right: the mirror image is lifted too,
            and the mean of both taken; None: it is not.
        first, last: only these frames; those around them are for their windows.
        apart: with `mirrored`, takes for every block (N,) metres: how far the two passes lie
            apart, mean over the joints.

    Yields:
        (N, J, 3) metres: the poses of the next N frames, T in all.
    """
    last = len(inputs) if last is None else last
    for start in range(first, last, BLOCK):
        stop = min(start + BLOCK, last)
        joints = _block(model, inputs, start, stop)
        if mirrored is not None:
            flipped = _block(model, mirror(inputs, mirrored), start, stop)
            back = mirror(flipped, mirrored)
            if apart is not None:
                apart.append((joints - back).norm(dim=-1).mean(dim=-1))
            joints = (joints + back) / 2
        yield joints.clone()  # what inference mode makes cannot be changed outside of it


def mirror(joints: Tensor, mirrored: Tensor) -> Tensor:
    """(T, J, 2 or 3), x negated and left and right swapped."""
    out = joints[:, mirrored].clone()
    out[..., 0] *= -1
    return out


@torch.inference_mode()
def _block(model: Slides, inputs: Tensor, start: int, stop: int) -> Tensor:
    """(T, J, 2) -> (stop - start, J, 3)."""
    around = torch.arange(start - model.reach, stop + model.reach, device=inputs.device)
    return model.slide(inputs[around.clamp(0, len(inputs) - 1)])
