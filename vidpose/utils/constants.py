"""Constant tensors, sent to a device once: a GPU is waited for whenever one is sent."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import torch
from torch import Tensor


@lru_cache(maxsize=256)
def constant(values: Any, device: torch.device, dtype: torch.dtype = torch.float32) -> Tensor:
    """A tensor of (nested) tuples of numbers; not to be written into."""
    return torch.tensor(values, device=device, dtype=dtype)
