"""What vidpose says while it works, as values: nothing has to be read out of a sentence.

A function that has something to say takes `report` and calls it with each event. `str(event)` is
the line for the user. The command line prints it; a batch keeps and counts events by their type.
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
    """What is being done, or was found."""


class Setup(Event):
    """Which detector, weights and device are used, and why. A batch shows equal ones once."""


class Warn(Event):
    """The work goes on, but something about it needs a look."""

    def __str__(self) -> str:
        return f"Warning: {self.message}"


class Failure(Event):
    """One of many jobs failed; the others go on."""

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
    """A `Report` that shows nothing."""
