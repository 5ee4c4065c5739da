"""Constant tensors, copied to a device once, because each copy waits for the GPU."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import torch
from torch import Tensor


@lru_cache(maxsize=256)
def constant(values: Any, device: torch.device, dtype: torch.dtype = torch.float32) -> Tensor:
    """A tensor from (nested) tuples of numbers; must not be modified."""
    return torch.tensor(values, device=device, dtype=dtype)
