"""How long work shows how far it is, without knowing who is watching."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar

Item = TypeVar("Item")

Progress = Callable[[Iterable[Any], "int | None", str], Iterable[Any]]
"""Wraps the steps of a piece of work: (steps, how many or None, what it is called) -> steps."""


def silent(steps: Iterable[Item], total: int | None, label: str) -> Iterable[Item]:
    """Show nothing."""
    return steps


def bar(unit: str) -> Progress:
    """A bar on the terminal with units/s and time left, once the work takes over two seconds."""

    def show(steps: Iterable[Item], total: int | None, label: str) -> Iterator[Item]:
        from tqdm import tqdm

        yield from tqdm(
            steps, label, total, unit=f" {unit}", delay=2, dynamic_ncols=True, disable=None
        )

    return show
