"""Files that appear complete or not at all, what stands in the way of a path, and hashes.

What vidpose writes goes through here. Folders may be shared: with other users, other
machines and whoever can guess a name. So new files get names that nobody can guess, links are
replaced and never written through, and only files that vidpose made are removed.
"""

from __future__ import annotations

import errno
import glob
import hashlib
import os
import platform
import secrets
import stat
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import BinaryIO

import psutil

from vidpose.errors import VidposeError

_REASONS = {
    errno.ENOSPC: "the disk is full",
    errno.EDQUOT: "the disk quota is used up",
    errno.EROFS: "the disk is read-only",
    errno.EFBIG: "it would be larger than a file may be there",
    errno.EIO: "the disk reports an error",
    errno.EACCES: "writing there is not permitted",
    errno.EPERM: "writing there is not permitted",
    errno.ENOTDIR: "a part of its path is a file, not a folder",
    errno.EEXIST: "a part of its path is a file, not a folder",
    errno.EISDIR: "it is a folder",
    errno.ELOOP: "its path leads in a circle of links",
    errno.ENAMETOOLONG: "its name is too long",
    errno.EILSEQ: "its name is not permitted there",
}
_NO_FOLLOW: int = getattr(os, "O_NOFOLLOW", 0)
"""Windows has none; there only administrators make links."""
_SYSTEM_FOLDERS = ("/dev", "/proc", "/sys")
SMALL_BYTES = 4096
_LONGEST_SUFFIX = 16
"""Bytes; a longer one is part of a name, and temporary names have to be short."""


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary file next to `path` that takes its place when the block ends without an error.

    However else the block ends, Ctrl-C included, no temporary file is left and `path` is what it
    was before. A process that was killed cannot clean up; what one of this user's on this machine
    has left of this very file is removed here. The content is on the disk before the file appears.
    A link at `path` is replaced by the file; what it points to stays as it is.

    Raises:
        VidposeError: the disk is full, the folder is read-only or the like.
    """
    end = _ending(path)
    with writing(path):
        _check_place(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        _remove_left_behind(path.parent, end)
        temporary, mode = _create(path.parent, end)
        try:
            yield temporary
            _complete(temporary, mode)
            os.replace(temporary, path)
        finally:
            with suppress(OSError):
                temporary.unlink()


def new_file(path: Path) -> BinaryIO:
    """Open a new file for reading and writing; one that was there, or a link, is removed first.

    For files of a run's own that are of no use when it is over; `replacing` is for all others.

    Raises:
        OSError: it cannot be made.
    """
    path.unlink(missing_ok=True)
    flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | _NO_FOLLOW | getattr(os, "O_BINARY", 0)
    return os.fdopen(os.open(path, flags, 0o666), "w+b")


def no_links(path: str, flags: int) -> int:
    """An `opener` for `open` that refuses links."""
    return os.open(path, flags | _NO_FOLLOW, 0o666)


def check_writable(path: Path) -> None:
    """Find out before long work whether `path` could be written at its end; nothing is left there.

    A file is made and removed, since nothing else tells for certain.

    Raises:
        VidposeError: a folder or a device is in its place, or a file in the place of its folder,
            or no file can be made there.
    """
    with writing(path):
        _check_place(path)
        folder = path.parent
        while not os.path.lexists(folder):
            folder = folder.parent
        if not folder.is_dir():
            raise OSError(errno.ENOTDIR, "")
        temporary, _ = _create(folder, _ending(path))
        temporary.unlink()


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
        raise _cannot(path, _REASONS[error.errno]) from error


def obstacle(path: Path, advice: str, *, folder_will_do: bool = False) -> str | None:
    """What stands in the way of reading a file, as the rest of a sentence; None if nothing does.

    Args:
        path: of the file; it is not opened, for that may wait for ever.
        advice: what to do if nothing of use is there, such as "give a video file".
        folder_will_do: it may be a folder, too.
    """
    try:
        mode = path.stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        return f"does not exist; {advice}"
    except PermissionError:
        return "may not be read; change the permissions of its folder"
    except (OSError, ValueError) as error:  # a name that is too long, links in a circle, a NUL
        return f"is no path of a file ({getattr(error, 'strerror', None) or error}); {advice}"
    if stat.S_ISDIR(mode) and not folder_will_do:
        return f"is a directory; {advice}"
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
        return "is a pipe, a socket or a device; copy what comes from it into a file first"
    if not os.access(path, os.R_OK):
        return "may not be read; change its permissions"
    return None


def small_text(path: Path) -> str | None:
    """The text of a small file that stands next to another; None if there is none that can be read.

    Pipes, which may wait for ever, and whatever is larger than `SMALL_BYTES` count as none.
    """
    try:
        if not os.path.isfile(path):
            return None
        with open(path, "rb") as stream:
            content = stream.read(SMALL_BYTES + 1)
        return content.decode() if len(content) <= SMALL_BYTES else None
    except (OSError, UnicodeDecodeError):
        return None


def owner_of_new_files(folder: Path) -> int:
    """The number of the user who owns a file that is made there now; -1 if none can be made."""
    try:
        temporary, _ = _create(folder, "-owner.part")
    except OSError:
        return -1
    try:
        return temporary.lstat().st_uid
    finally:
        temporary.unlink()


def is_own(about: os.stat_result) -> bool:
    """Whether a file or folder belongs to the user who runs this. Windows does not say."""
    return not hasattr(os, "getuid") or about.st_uid == os.geteuid()


def sha256(path: Path) -> str:
    """The file's SHA-256, in hexadecimal."""
    digest = hashlib.sha256()
    with open(path, "rb") as stream:
        while chunk := stream.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()


def _cannot(path: Path, why: str) -> VidposeError:
    return VidposeError(f"{path} cannot be written: {why}; choose another place.")


def _check_place(path: Path) -> None:
    """Refuse to replace anything but a file or a link to one, before any work.

    Raises:
        VidposeError, OSError: something else is there.
    """
    folder = Path(os.path.realpath(path.parent))
    system = any(folder.is_relative_to(name) for name in _SYSTEM_FOLDERS)
    if system and not folder.is_relative_to("/dev/shm"):
        raise _cannot(path, "it is a place of the system's own")
    try:
        about = path.lstat()
    except FileNotFoundError:
        return
    if path.is_dir():
        raise OSError(errno.EISDIR, "")
    if not stat.S_ISREG(about.st_mode) and not stat.S_ISLNK(about.st_mode):
        raise _cannot(path, "it is a pipe, a socket or a device")
    shared = folder.stat()
    sticky = bool(shared.st_mode & stat.S_ISVTX)  # everybody writes, nobody removes another's
    if sticky and not (is_own(about) or is_own(shared) or os.geteuid() == 0):
        raise _cannot(path, "it belongs to another user")


def _ending(path: Path) -> str:
    """How the names of temporary files for `path` end.

    The suffix stays last, since libraries choose the format by it.
    """
    suffix = path.suffix if len(os.fsencode(path.suffix)) <= _LONGEST_SUFFIX else ""
    return f"-{zlib.crc32(os.fsencode(path.name)):08x}.part{suffix}"


@cache
def _machine() -> str:
    """Where a process number means something: this machine, and in it this container."""
    try:
        numbers = os.stat("/proc/self/ns/pid").st_ino
    except OSError:
        numbers = 0
    return f"{zlib.crc32(f'{platform.node()} {numbers}'.encode()):08x}"


def _create(folder: Path, end: str) -> tuple[Path, int]:
    """A new, empty file that nobody could expect, and the mode of an ordinary new file there."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | _NO_FOLLOW
    # A short name of its own, as file systems limit the length of names.
    path = folder / f".{_machine()}-{os.getpid()}-{secrets.token_hex(8)}{end}"
    try:
        descriptor = os.open(path, flags, 0o666)
    except FileNotFoundError:  # what /proc answers
        raise OSError(errno.EACCES, "") from None
    try:
        return path, stat.S_IMODE(os.fstat(descriptor).st_mode)
    finally:
        os.close(descriptor)


def _complete(temporary: Path, mode: int) -> None:
    """Bring a file that is written onto the disk; some libraries let only its owner read it."""
    descriptor = os.open(temporary, os.O_RDWR | _NO_FOLLOW)
    try:
        if hasattr(os, "fchmod"):
            os.fchmod(descriptor, mode)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _remove_left_behind(folder: Path, end: str) -> None:
    """Remove temporary files of processes of this user's, on this machine, that are no more."""
    start = f".{_machine()}-"
    for left in folder.glob(f"{start}*{glob.escape(end)}"):
        writer = left.name[len(start) :].partition("-")[0]
        with suppress(OSError):
            about = left.lstat()
            ours = stat.S_ISREG(about.st_mode) and is_own(about) and writer.isdecimal()
            if ours and not psutil.pid_exists(int(writer)):
                left.unlink()
