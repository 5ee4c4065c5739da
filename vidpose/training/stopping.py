"""Ctrl-C in a run: it is saved first."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from vidpose.errors import VidposeError


class StoppedError(VidposeError):
    """The user stopped a run; its state is saved."""

    exit_code = 130

    def __init__(self, out: Path, epoch: int, step: int, steps: int) -> None:
        super().__init__(
            f"stopped in epoch {epoch} after step {step} of {steps}; the run is saved: the same "
            f"command with --resume goes on ({out})."
        )


@contextmanager
def stop_requests() -> Iterator[Callable[[], bool]]:
    """Ctrl-C and SIGTERM wait for the end of a step; a second one does not."""
    asked = False

    def ask(number: int, frame: FrameType | None) -> None:
        nonlocal asked
        if asked:
            raise KeyboardInterrupt
        asked = True

    numbers = (signal.SIGINT, signal.SIGTERM)
    try:
        before = [signal.signal(number, ask) for number in numbers]
    except ValueError:  # not the main thread: whoever started it deals with signals
        yield lambda: False
        return
    try:
        yield lambda: asked
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)
