"""The exponential moving average of a network's weights over the steps of a run."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import torch
from torch import Tensor

from vidpose.models import LiftingModel

_PREFIX = "module."


class MovingAverage:
    """As PyTorch's `AveragedModel`, whose states it reads and writes, but that one asks the device
    at every weight how many steps there were, which a GPU would have to be waited for.
    """

    def __init__(self, model: LiftingModel, keep: float) -> None:
        """Begin with a network's weights; `keep` of the average stays at every step."""
        self.model = deepcopy(model).requires_grad_(False)
        self._keep = keep
        self._steps = 0

    @torch.no_grad()
    def update(self, model: LiftingModel) -> None:
        """Take in the weights after a step; those of the first are the average."""
        part = 1.0 if self._steps == 0 else 1 - kept(self._keep, self._steps)
        ours: list[Tensor] = list(self.model.parameters())
        theirs: list[Tensor] = list(model.parameters())
        torch._foreach_lerp_(ours, theirs, part)
        for buffer, newest in zip(self.model.buffers(), model.buffers(), strict=True):
            buffer.copy_(newest)
        self._steps += 1

    def state_dict(self) -> dict[str, Any]:
        """All that `load_state_dict` needs to go on."""
        state = {_PREFIX + name: value for name, value in self.model.state_dict().items()}
        return {"n_averaged": torch.tensor(self._steps), **state}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take up what `state_dict` gave."""
        weights = {k.removeprefix(_PREFIX): v for k, v in state.items() if k != "n_averaged"}
        self.model.load_state_dict(weights)
        self._steps = int(state["n_averaged"])


def kept(keep: float, steps: int) -> float:
    """How much of an average stays after so many steps; less in the first steps of a run."""
    return min(keep, (1 + steps) / (10 + steps))
