"""Random tensors from one generator, on one device."""

from __future__ import annotations

import torch
from torch import Tensor


class RandomTensors:
    """Draws random tensors from one generator, on one device."""

    def __init__(self, generator: torch.Generator, device: torch.device) -> None:
        self.generator, self.device = generator, device

    def normal(self, *shape: int) -> Tensor:
        """Standard normal."""
        return torch.randn(shape, generator=self.generator, device=self.device)

    def uniform(self, bounds: tuple[float, float], *shape: int) -> Tensor:
        """Uniform between two bounds."""
        low, high = bounds
        drawn = torch.rand(shape, generator=self.generator, device=self.device)
        return low + (high - low) * drawn

    def flag(self, chance: float | Tensor, *shape: int) -> Tensor:
        """True with probability `chance`."""
        return torch.rand(shape, generator=self.generator, device=self.device) < chance

    def integers(self, below: int, *shape: int) -> Tensor:
        """From 0 to `below` - 1."""
        return torch.randint(below, shape, generator=self.generator, device=self.device)

    def permutation(self, count: int) -> Tensor:
        """A random order of 0 to `count` - 1."""
        return torch.randperm(count, generator=self.generator, device=self.device)
