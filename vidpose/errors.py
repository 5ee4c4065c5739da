"""Exceptions for failures that are not bugs.

    VidposeError              the job failed: exit code 1
    ├── UsageError            the request is invalid: exit code 2
    ├── VideoError            the video cannot be read or written
    │   └── NoPersonError     nobody was found in the whole video
    ├── ResultFileError       the .npz is not a vidpose result
    ├── KeypointsError        the file of 2D joints cannot be used
    ├── WeightsError          the checkpoint cannot be used
    ├── DataError             a dataset or motion-capture file cannot be used
    └── MissingDependencyError   an optional package is not installed

The message is one sentence for the user: what is wrong, and what to do. Whatever is not
a VidposeError is a bug and keeps its traceback.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

LONGEST_SENTENCE = 1200
"""Characters. Messages quote text from files, which may be arbitrarily long."""
KEPT_END = 300
"""Characters to keep at the end of a longer message, where it says what to do."""


def printable(message: str) -> str:
    """Shorten a message, and escape control and other non-printable characters."""
    if len(message) > LONGEST_SENTENCE:
        message = f"{message[: LONGEST_SENTENCE - KEPT_END]} ... {message[-KEPT_END:]}"
    shown = (c if c.isprintable() or c == "\n" else ascii(c)[1:-1] for c in message)
    return "".join(shown)


class VidposeError(Exception):
    """A failure the user can do something about; the message says what."""

    exit_code = 1

    def __init__(self, message: str = "") -> None:
        super().__init__(printable(message))


class UsageError(VidposeError):
    exit_code = 2


class VideoError(VidposeError):
    pass


class NoPersonError(VideoError):
    meta: Mapping[str, Any] | None = None
    """The `meta` of the detection; None if it is not recorded."""
    frames: int = 0
    """Number of frames that were searched."""

    @classmethod
    def nobody_in(
        cls, what: str, meta: Mapping[str, Any] | None = None, frames: int = 0
    ) -> NoPersonError:
        """The error for `any frame of walk.mp4` and the like."""
        error = cls(
            f"Nobody was found in {what}; vidpose needs people at least about 30 pixels tall, with "
            "most of the body visible."
        )
        error.meta, error.frames = meta, frames
        return error


class ResultFileError(VidposeError):
    pass


class KeypointsError(VidposeError):
    pass


class WeightsError(VidposeError):
    pass


class DataError(VidposeError):
    pass


class MissingDependencyError(VidposeError):
    pass
