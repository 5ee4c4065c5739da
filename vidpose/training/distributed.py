"""Data-parallel training with the processes that `torchrun` starts; or with one process."""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch import Tensor

from vidpose.errors import UsageError
from vidpose.utils.devices import choose_device


@dataclass(frozen=True)
class World:
    """This process's place among those that train together."""

    device: torch.device
    why: str
    """Why the device was chosen, for the user."""
    rank: int = 0
    size: int = 1

    @property
    def is_first(self) -> bool:
        """Whether this is the process that writes files and reports."""
        return self.rank == 0

    def share(self, count: int) -> slice:
        """Return this process's part of a batch of `count`, in order of ranks; may be empty."""
        return slice(self.rank * count // self.size, (self.rank + 1) * count // self.size)

    def total(self, value: Tensor) -> Tensor:
        """Sum a tensor over all processes; all get the result."""
        if self.size > 1:
            value = value.clone()
            dist.all_reduce(value)
        return value

    def any_of(self, *flags: bool) -> list[bool]:
        """For each flag, whether any process has it set; all get the result."""
        if self.size == 1:
            return list(flags)
        counts: list[int] = self.total(
            torch.tensor(flags, dtype=torch.int, device=self.device)
        ).tolist()
        return [count > 0 for count in counts]


@contextmanager
def join_world(device: str) -> Iterator[World]:
    """Join the processes that `torchrun` has started, if it has.

    Args:
        device: auto, cpu or cuda; each process takes the GPU of its local rank.

    Raises:
        UsageError: the device is not available, or there are more processes than GPUs.
    """
    chosen, why = choose_device(device)
    size = int(os.environ.get("WORLD_SIZE", "1"))
    if size == 1:
        yield World(chosen, why)
        return
    local = int(os.environ.get("LOCAL_RANK", "0"))
    if chosen.type == "cuda":
        if local >= torch.cuda.device_count():
            raise UsageError(
                f"torchrun started more processes than there are GPUs "
                f"({torch.cuda.device_count()}); lower --nproc-per-node, or add --device cpu."
            )
        chosen = torch.device("cuda", local)
        torch.cuda.set_device(chosen)
    dist.init_process_group("nccl" if chosen.type == "cuda" else "gloo")
    try:
        yield World(chosen, why, dist.get_rank(), size)
    finally:
        # Reference cycles keep the process group alive. If its threads outlive the interpreter,
        # they may abort a process that has finished and saved its work.
        gc.collect()
        dist.destroy_process_group()
