"""The exponential moving average of a network's weights over the steps of a run."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import torch
from torch import Tensor

from vidpose.models import LiftingModel

_PREFIX = "module."


class MovingAverage:
    """Exponential moving average of a network's weights.

    It reads and writes the state of PyTorch's `AveragedModel`, which synchronises with the GPU for
    every weight; this class does not.
    """

    def __init__(self, model: LiftingModel, decay: float) -> None:
        """Start from a network's weights; `decay` is the weight of the old average in a step."""
        self.model = deepcopy(model).requires_grad_(False)
        self._decay = decay
        self._steps = 0

    @torch.no_grad()
    def update(self, model: LiftingModel) -> None:
        """Update the average after a step; after the first step it is the weights themselves."""
        part = 1.0 if self._steps == 0 else 1 - effective_decay(self._decay, self._steps)
        ours: list[Tensor] = list(self.model.parameters())
        theirs: list[Tensor] = list(model.parameters())
        torch._foreach_lerp_(ours, theirs, part)
        for buffer, newest in zip(self.model.buffers(), model.buffers(), strict=True):
            buffer.copy_(newest)
        self._steps += 1

    def state_dict(self) -> dict[str, Any]:
        """Return the state for `load_state_dict`."""
        state = {_PREFIX + name: value for name, value in self.model.state_dict().items()}
        return {"n_averaged": torch.tensor(self._steps), **state}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore a state from `state_dict`."""
        weights = {k.removeprefix(_PREFIX): v for k, v in state.items() if k != "n_averaged"}
        self.model.load_state_dict(weights)
        self._steps = int(state["n_averaged"])


def effective_decay(decay: float, steps: int) -> float:
    """Compute the decay after a number of steps; it is lower in the first steps of a run."""
    return min(decay, (1 + steps) / (10 + steps))
