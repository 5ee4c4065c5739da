"""Progress of long work, independent of how it is displayed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from threading import Timer
from typing import Any, TypeVar

from vidpose.events import Info, Report

Item = TypeVar("Item")

LONG_S = 2.0
"""Shorter work shows no progress."""

Progress = Callable[[Iterable[Any], "int | None", str], Iterable[Any]]
"""Wraps the steps of some work: (steps, count or None, label) -> steps."""


def silent(steps: Iterable[Item], total: int | None, label: str) -> Iterable[Item]:
    """Show nothing."""
    return steps


def bar(unit: str) -> Progress:
    """A progress bar on the terminal with units/s and time left, after `LONG_S` seconds."""

    def show(steps: Iterable[Item], total: int | None, label: str) -> Iterator[Item]:
        from tqdm import tqdm

        yield from tqdm(
            steps, label, total, unit=f" {unit}", delay=LONG_S, dynamic_ncols=True, disable=None
        )

    return show


@contextmanager
def announce_if_long(report: Report, what: str) -> Iterator[None]:
    """Report work that has no steps to count, if it takes longer than `LONG_S`.

    Args:
        report: called from another thread, but not after the block.
        what: "Saving the result" or the like.
    """
    timer = Timer(LONG_S, report, (Info(f"{what} ..."),))
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        timer.join()
