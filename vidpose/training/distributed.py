"""Processes that train together, as `torchrun` starts them; one alone is the plain case."""

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
    """This process among those that train together."""

    device: torch.device
    why: str
    """Why it computes there."""
    rank: int = 0
    size: int = 1

    @property
    def is_first(self) -> bool:
        """The first process alone writes files and reports."""
        return self.rank == 0

    def share(self, count: int) -> slice:
        """This process's part of a batch, in the order of ranks; it may be empty."""
        return slice(self.rank * count // self.size, (self.rank + 1) * count // self.size)

    def total(self, value: Tensor) -> Tensor:
        """The sum of a tensor over all processes, the same in each."""
        if self.size > 1:
            value = value.clone()
            dist.all_reduce(value)
        return value

    def any_of(self, *flags: bool) -> list[bool]:
        """For each flag whether a process has it set, the same in each."""
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
        UsageError: the device is not there, or there are more processes than GPUs.
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
        # What trained together refers to the group in cycles. Left to the interpreter's end, the
        # group's threads outlive it, and may abort a process whose work is done and saved.
        gc.collect()
        dist.destroy_process_group()
