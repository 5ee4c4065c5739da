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


class VidposeError(Exception):
    """A failure the user can do something about; the message says what."""

    exit_code = 1


class UsageError(VidposeError):
    exit_code = 2


class VideoError(VidposeError):
    pass


class NoPersonError(VideoError):
    pass


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
