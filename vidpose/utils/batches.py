"""Work in batches that become smaller where a GPU's memory runs out."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TypeVar

import torch

from vidpose.errors import VidposeError

T = TypeVar("T")


class Batches:
    """How much is computed at once: half as much, from then on, whenever it does not fit.

    Other programs use a GPU too, so what fits is known only when it is tried.

    Args:
        most: items in a batch, at first.
        what: the items are, in the plural, for messages.
        step: batches are of a multiple of so many items, except the last.
    """

    def __init__(self, most: int, what: str, step: int = 1) -> None:
        self._step = step
        self.most = self._whole_steps(most)
        self.note = ""
        """What to tell the user; empty if nothing happened."""
        self._what = what

    def over(
        self, first: int, last: int, compute: Callable[[slice], T]
    ) -> Iterator[tuple[slice, T]]:
        """Each batch of the items from `first` to before `last`, and what is computed of it.

        Raises:
            VidposeError: the memory is too small for a single item, or a step of them.
        """
        start = first
        while start < last:
            batch = slice(start, min(start + self.most, last))
            fits = True
            try:
                found = compute(batch)
            except torch.cuda.OutOfMemoryError:
                fits = False
            if not fits:  # not above, where the error still holds on to what was computed
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
            f"the GPU's memory ran out; {self._what} were computed {self.most} at a time from "
            "then on."
        )
        torch.cuda.empty_cache()

    def _whole_steps(self, size: int) -> int:
        return max(size // self._step, 1) * self._step
