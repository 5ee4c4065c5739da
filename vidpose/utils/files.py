"""Files that appear complete or not at all, and their hashes."""

from __future__ import annotations

import errno
import glob
import hashlib
import os
import stat
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil

from vidpose.errors import VidposeError

_REASONS = {
    errno.ENOSPC: "the disk is full",
    errno.EDQUOT: "the disk quota is used up",
    errno.EROFS: "the disk is read-only",
    errno.EACCES: "writing there is not permitted",
    errno.EPERM: "writing there is not permitted",
    errno.ENOTDIR: "a part of its path is a file, not a folder",
    errno.EEXIST: "a part of its path is a file, not a folder",
    errno.EISDIR: "it is a folder",
    errno.ENAMETOOLONG: "its name is too long",
}


UNREADABLE = (
    *(OSError, EOFError, ValueError, TypeError, KeyError, AttributeError, MemoryError),
    *(zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError),
)
"""What NumPy and zipfile raise on files that are damaged, or are something else."""


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary path next to `path` that takes its place when the block ends without an error.

    However else the block ends, Ctrl-C included, no temporary file is left and `path` is what it
    was before. A process that was killed cannot clean up; what it has left of this very file is
    removed here. The content is on the disk before the file appears.

    Raises:
        VidposeError: the disk is full, the folder is read-only or the like.
    """
    # A short name of its own, for file systems bound its length; the suffix stays last, since
    # libraries choose the format by it.
    mark = zlib.crc32(path.name.encode())
    end = f"-{mark:08x}.part{path.suffix}"
    temporary = path.with_name(f".{os.getpid()}{end}")
    for left in path.parent.glob(f".*{glob.escape(end)}"):
        writer = left.name[1 : -len(end)]
        if writer.isdecimal() and not psutil.pid_exists(int(writer)):
            with suppress(OSError):
                left.unlink()
    try:
        with writing(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            # An ordinary new file has the mode that the umask allows. Some libraries write files
            # that only their owner may read; asking for the umask would mean setting it.
            with open(temporary, "wb") as new:
                mode = os.fstat(new.fileno()).st_mode
            temporary.unlink()
            yield temporary
            os.chmod(temporary, stat.S_IMODE(mode))
            with open(temporary, "r+b") as written:
                os.fsync(written.fileno())
            os.replace(temporary, path)
    finally:
        with suppress(OSError):
            temporary.unlink()


def check_writable(path: Path) -> None:
    """Find out before long work whether `path` could be written at its end; nothing is made.

    Raises:
        VidposeError: a folder is in its place, or a file in the place of its folder, or the
            folder is read-only.
    """
    with writing(path):
        if path.is_dir():
            raise OSError(errno.EISDIR, "")
        folder = path.parent
        while not folder.exists():
            folder = folder.parent
        if not folder.is_dir():
            raise OSError(errno.ENOTDIR, "")
        if not os.access(folder, os.W_OK):
            raise OSError(errno.EACCES, "")


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Say in a sentence why `path` cannot be written, if the user can do something about it.

    Raises:
        VidposeError: the disk is full, the folder is read-only or the like.
    """
    try:
        yield
    except OSError as error:
        if error.errno not in _REASONS:
            raise
        why = _REASONS[error.errno]
        raise VidposeError(f"{path} cannot be written: {why}; choose another place.") from error


def sha256(path: Path) -> str:
    """The file's SHA-256, in hexadecimal."""
    digest = hashlib.sha256()
    with open(path, "rb") as stream:
        while chunk := stream.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()
