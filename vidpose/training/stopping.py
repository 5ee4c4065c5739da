"""Stopping a run with Ctrl-C or SIGTERM, after saving it."""

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
            f"stopped in epoch {epoch} after step {step} of {steps}; the run is saved in {out}: to "
            "continue, repeat the command with --resume."
        )


@contextmanager
def stop_requests() -> Iterator[Callable[[], bool]]:
    """Defer Ctrl-C and SIGTERM to the end of a step; a second one takes effect at once."""
    asked = False

    def ask(number: int, frame: FrameType | None) -> None:
        nonlocal asked
        if asked:
            raise KeyboardInterrupt
        asked = True

    numbers = (signal.SIGINT, signal.SIGTERM)
    try:
        before = [signal.signal(number, ask) for number in numbers]
    except ValueError:  # not the main thread, so the caller handles signals
        yield lambda: False
        return
    try:
        yield lambda: asked
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)
