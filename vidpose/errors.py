"""Every failure that is not a bug.

    VidposeError              the job failed: exit code 1
    ├── UsageError            the request makes no sense: exit code 2
    ├── VideoError            the video cannot be read or written
    │   └── NoPersonError     it was read to its end and nobody is in it
    ├── ResultFileError       the .npz is not a vidpose result
    ├── KeypointsError        the file of 2D joints cannot be used
    ├── WeightsError          the checkpoint cannot be used
    ├── DataError             a dataset or motion-capture file cannot be used
    └── MissingDependencyError   an optional package is not installed

The message is one sentence for the user: what is wrong, and what to do. Whatever is not
a VidposeError is a bug and keeps its traceback.
"""

from __future__ import annotations

LONGEST_SENTENCE = 1200
"""Letters. Sentences repeat what files say, and files may say anything."""
KEPT_END = 300
"""Letters that are kept of a longer one's end, which says what to do."""


def printable(message: str) -> str:
    """A message in bounds: not too long, and without what a terminal would obey or not print."""
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
    @classmethod
    def nobody_in(cls, what: str) -> NoPersonError:
        """The error for `any frame of walk.mp4` and the like."""
        return cls(
            f"Nobody was found in {what}; vidpose needs people of whom most of the body is seen, "
            "at least about 30 pixels tall."
        )


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
