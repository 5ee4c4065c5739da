"""Batches that shrink when a GPU runs out of memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TypeVar

import torch

from vidpose.errors import VidposeError

T = TypeVar("T")


class Batches:
    """A batch size that is halved whenever a batch does not fit into memory.

    Other programs also use the GPU, so the size that fits is only known by trying.

    Args:
        most: initial batch size.
        what: name of the items, in the plural, for messages.
        step: batch sizes are multiples of this, except the last.
    """

    def __init__(self, most: int, what: str, step: int = 1) -> None:
        self._step = step
        self.most = self._whole_steps(most)
        self.note = ""
        """Message for the user; empty if no batch was too large."""
        self._what = what

    def over(
        self, first: int, last: int, compute: Callable[[slice], T]
    ) -> Iterator[tuple[slice, T]]:
        """Yield each batch of the items from `first` to `last` (exclusive), and its result.

        Raises:
            VidposeError: the memory is too small for a single step of items.
        """
        start = first
        while start < last:
            batch = slice(start, min(start + self.most, last))
            fits = True
            try:
                found = compute(batch)
            except torch.cuda.OutOfMemoryError:
                fits = False
            if not fits:  # outside the except block, where the error keeps tensors alive
                self._halve(batch.stop - start)
                continue
            yield batch, found
            start = batch.stop

    def _halve(self, size: int) -> None:
        if size <= self._step:
            few = "one" if size == 1 else size
            raise VidposeError(
                f"the GPU's memory is too small for {self._what} even {few} at a time; end other "
                "programs that use it, or give --device cpu."
            )
        self.most = self._whole_steps(size // 2)
        self.note = (
            f"the GPU ran out of memory; {self._what} were then computed {self.most} at a time."
        )
        torch.cuda.empty_cache()

    def _whole_steps(self, size: int) -> int:
        return max(size // self._step, 1) * self._step
