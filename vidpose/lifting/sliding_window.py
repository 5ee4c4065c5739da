"""Sliding-window inference over a track, with flip augmentation and bounded memory.

Inference and evaluation share this code, so that evaluation measures what inference computes.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from vidpose.models.base import SlidingForm
from vidpose.utils.batches import Batches

BLOCK = 576
"""Largest number of frames to lift at once; bounds memory for any length of track."""


def new_batches(model: SlidingForm) -> Batches:
    """Make the batch sizes of a network: up to `BLOCK` frames, in multiples of the network's step,
    so that lifting a track in parts gives the same poses as lifting it at once.
    """
    return Batches(BLOCK, "frames", model.step)


class Lifted(NamedTuple):
    """The poses of N consecutive frames."""

    plain: Tensor
    """(N, J, 3) metres."""
    flipped: Tensor | None
    """(N, J, 3) metres: poses of the mirrored input, mirrored back; None without flipping."""

    @property
    def poses(self) -> Tensor:
        """(N, J, 3) metres: the mean of both passes, or the only one."""
        return self.plain if self.flipped is None else (self.plain + self.flipped) / 2

    @property
    def disagreement(self) -> Tensor:
        """(N,) metres: mean distance of both passes' joints; NaN if there is only one pass."""
        if self.flipped is None:
            return self.plain.new_full((len(self.plain),), torch.nan)
        return (self.plain - self.flipped).norm(dim=-1).mean(dim=-1)


def slide(
    model: SlidingForm,
    inputs: Tensor,
    mirrored: Tensor | None,
    first: int = 0,
    last: int | None = None,
    batches: Batches | None = None,
) -> Lifted:
    """Lift every frame of a track, with the first and last frame repeated as context.

    Args:
        model: in eval mode, or its `sliding_form`, which is faster.
        inputs: (T, J, 2), normalised keypoints, on the model's device.
        mirrored: (J,) permutation that swaps left and right, to lift the mirrored track, too; None:
            no flip augmentation.
        first, last: lift only these frames; the others are context.
        batches: batch sizes; by default `new_batches`.

    Returns:
        The poses of the frames, on the model's device.
    """
    last = len(inputs) if last is None else last
    batches = batches or new_batches(model)

    def over(track: Tensor) -> Tensor:
        def lift(part: slice) -> Tensor:
            return _block(model, track, part.start, part.stop)

        parts = [poses for _, poses in batches.over(first, last, lift)]
        return torch.cat(parts)  # outside inference mode, so that callers may modify it

    flipped = None if mirrored is None else mirror(over(mirror(inputs, mirrored)), mirrored)
    return Lifted(over(inputs), flipped)


def mirror(joints: Tensor, mirrored: Tensor) -> Tensor:
    """Mirror joints (T, J, 2 or 3): negate x and swap left and right."""
    out = joints[:, mirrored].clone()
    out[..., 0] *= -1
    return out


@torch.inference_mode()
def _block(model: SlidingForm, inputs: Tensor, start: int, stop: int) -> Tensor:
    """(T, J, 2) -> (stop - start, J, 3)."""
    around = torch.arange(start - model.context, stop + model.context, device=inputs.device)
    return model.slide(inputs[around.clamp(0, len(inputs) - 1)])
