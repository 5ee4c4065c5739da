"""A network slid over a track: a pose for every frame, the mirror image too, memory bounded.

Inference and evaluation share this, so that what is measured is what is used.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from vidpose.models.base import SlidingForm
from vidpose.utils.batches import Batches

BLOCK = 576
"""Frames that are lifted together, or a few less; bounds memory whatever the length."""


def new_batches(model: SlidingForm) -> Batches:
    """`BLOCK` frames together, as long as they fit: as many whole steps of the network, so that
    what parts of a track give is what it gives in one piece.
    """
    return Batches(BLOCK, "frames", model.step)


class Lifted(NamedTuple):
    """The poses of N consecutive frames."""

    plain: Tensor
    """(N, J, 3) metres."""
    flipped: Tensor | None
    """(N, J, 3) metres, of the mirror image, mirrored back; None: it was not lifted."""

    @property
    def poses(self) -> Tensor:
        """(N, J, 3) metres: with the mirror image, the mean of both."""
        return self.plain if self.flipped is None else (self.plain + self.flipped) / 2

    @property
    def disagreement(self) -> Tensor:
        """(N,) metres: how far both lie apart, mean over the joints; NaN if there is only one."""
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
    """Lift every frame of a track, with the window around it; edge frames are repeated.

    Args:
        model: in eval mode, or its `sliding_form`, which is faster.
        inputs: (T, J, 2), normalised keypoints, on the model's device.
        mirrored: (J,) permutation that swaps left and right: the mirror image is lifted too;
            None: it is not.
        first, last: only these frames; those around them are for their windows.
        batches: how many frames are lifted together.

    Returns:
        The poses of the frames, on the model's device.
    """
    last = len(inputs) if last is None else last
    batches = batches or new_batches(model)

    def over(track: Tensor) -> Tensor:
        def lift(part: slice) -> Tensor:
            return _block(model, track, part.start, part.stop)

        parts = [poses for _, poses in batches.over(first, last, lift)]
        return torch.cat(parts)  # outside of inference mode, so that it may be changed

    flipped = None if mirrored is None else mirror(over(mirror(inputs, mirrored)), mirrored)
    return Lifted(over(inputs), flipped)


def mirror(joints: Tensor, mirrored: Tensor) -> Tensor:
    """(T, J, 2 or 3), x negated and left and right swapped."""
    out = joints[:, mirrored].clone()
    out[..., 0] *= -1
    return out


@torch.inference_mode()
def _block(model: SlidingForm, inputs: Tensor, start: int, stop: int) -> Tensor:
    """(T, J, 2) -> (stop - start, J, 3)."""
    around = torch.arange(start - model.context, stop + model.context, device=inputs.device)
    return model.slide(inputs[around.clamp(0, len(inputs) - 1)])
