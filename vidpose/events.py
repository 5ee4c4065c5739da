"""Progress messages as typed events, so that no program has to parse sentences.

A function that emits messages takes `report` and calls it with each event. `str(event)` is the
line for the user. The command line prints it; a batch collects and counts events by type.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Event:
    """One sentence for the user."""

    message: str

    def __str__(self) -> str:
        return self.message


class Info(Event):
    """What vidpose is doing, or has found."""


class Setup(Event):
    """Which detector, weights and device are used, and why. A batch shows duplicates once."""


class Warn(Event):
    """A problem that does not stop the job but that the user should check."""

    def __str__(self) -> str:
        return f"Warning: {self.message}"


class Failure(Event):
    """One job of a batch failed; the others continue."""

    def __str__(self) -> str:
        return f"Error: {self.message}"


@dataclass(frozen=True)
class FileWritten(Event):
    """A file is complete."""

    path: Path

    def __str__(self) -> str:
        return f"{self.message}: {self.path}"


Report = Callable[[Event], None]


def ignore(event: Event) -> None:
    """A `Report` that discards events."""
