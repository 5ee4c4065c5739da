"""Atomic file writing, path checks and hashes.

All files that vidpose writes go through this module. Folders may be shared with other users and
machines. So temporary files get unguessable names, links are replaced and never followed, and only
files that vidpose made are removed.
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
    errno.EFBIG: "it exceeds the maximum file size there",
    errno.EIO: "the disk reports an error",
    errno.EACCES: "writing there is not permitted",
    errno.EPERM: "writing there is not permitted",
    errno.ENOTDIR: "a part of its path is a file, not a folder",
    errno.EEXIST: "a part of its path is a file, not a folder",
    errno.EISDIR: "it is a folder",
    errno.ELOOP: "its path is a loop of links",
    errno.ENAMETOOLONG: "its name is too long",
    errno.EILSEQ: "its name is not permitted there",
}
_NO_FOLLOW: int = getattr(os, "O_NOFOLLOW", 0)
"""Not on Windows, where only administrators can make links."""
_SYSTEM_FOLDERS = ("/dev", "/proc", "/sys")
SMALL_BYTES = 4096
_LONGEST_SUFFIX = 16
"""Bytes; a longer suffix counts as part of the name, since temporary names must be short."""


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary file next to `path` that replaces it when the block ends without an error.

    If the block fails, even by Ctrl-C, no temporary file is left and `path` is unchanged. A killed
    process cannot clean up; temporary files for this path that killed processes of this user on
    this machine have left are removed here. The content is synced to disk before the file appears.
    A link at `path` is replaced by the file; its target does not change.

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
    """Open a new file for reading and writing; an existing file or link is removed first.

    For working files that are useless after a run; use `replacing` for all others.

    Raises:
        OSError: it cannot be created.
    """
    path.unlink(missing_ok=True)
    flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | _NO_FOLLOW | getattr(os, "O_BINARY", 0)
    return os.fdopen(os.open(path, flags, 0o666), "w+b")


def no_links(path: str, flags: int) -> int:
    """An `opener` for `open` that does not follow links."""
    return os.open(path, flags | _NO_FOLLOW, 0o666)


def check_writable(path: Path) -> None:
    """Check early that `path` can be written.

    Creates and removes a temporary file, the only reliable test.

    Raises:
        VidposeError: `path` is a folder or a device, its folder is a file, or no file can be
            created there.
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
    """Turn an OSError about writing `path` into a sentence, if the user can do something about it.

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
    """The reason why a file cannot be read, to follow its path in a sentence; None if it can.

    Args:
        path: the file; it is not opened, because opening a pipe may block.
        advice: what to do if there is no usable file, such as "give a video file".
        folder_will_do: whether a folder is allowed, too.
    """
    try:
        mode = path.stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        return f"does not exist; {advice}"
    except PermissionError:
        return "cannot be read; change the permissions of its folder"
    except (OSError, ValueError) as error:  # a name that is too long, a loop of links, a NUL
        return f"is not a valid path ({getattr(error, 'strerror', None) or error}); {advice}"
    if stat.S_ISDIR(mode) and not folder_will_do:
        return f"is a folder; {advice}"
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
        return "is a pipe, a socket or a device; copy its content to a file first"
    if not os.access(path, os.R_OK):
        return "cannot be read; change its permissions"
    return None


def small_text(path: Path) -> str | None:
    """The text of a small file; None if there is no readable one.

    Pipes, which may block, and files larger than `SMALL_BYTES` count as unreadable.
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
    """User id that owns new files in a folder; -1 if none can be created."""
    try:
        temporary, _ = _create(folder, "-owner.part")
    except OSError:
        return -1
    try:
        return temporary.lstat().st_uid
    finally:
        temporary.unlink()


def is_own(about: os.stat_result) -> bool:
    """Whether a file or folder belongs to the current user; always true on Windows."""
    return not hasattr(os, "getuid") or about.st_uid == os.geteuid()


def sha256(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal."""
    digest = hashlib.sha256()
    with open(path, "rb") as stream:
        while chunk := stream.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()


def _cannot(path: Path, why: str) -> VidposeError:
    return VidposeError(f"{path} cannot be written: {why}; choose another place.")


def _check_place(path: Path) -> None:
    """Check that `path` is free, or a file or link that may be replaced.

    Raises:
        VidposeError, OSError: it is not.
    """
    folder = Path(os.path.realpath(path.parent))
    system = any(folder.is_relative_to(name) for name in _SYSTEM_FOLDERS)
    if system and not folder.is_relative_to("/dev/shm"):
        raise _cannot(path, "it is in a system folder")
    try:
        about = path.lstat()
    except FileNotFoundError:
        return
    if path.is_dir():
        raise OSError(errno.EISDIR, "")
    if not stat.S_ISREG(about.st_mode) and not stat.S_ISLNK(about.st_mode):
        raise _cannot(path, "it is a pipe, a socket or a device")
    shared = folder.stat()
    sticky = bool(shared.st_mode & stat.S_ISVTX)  # everybody can write, only owners can remove
    if sticky and not (is_own(about) or is_own(shared) or os.geteuid() == 0):
        raise _cannot(path, "it belongs to another user")


def _ending(path: Path) -> str:
    """End of the names of temporary files for `path`.

    The suffix stays last, since libraries choose the format by it.
    """
    suffix = path.suffix if len(os.fsencode(path.suffix)) <= _LONGEST_SUFFIX else ""
    return f"-{zlib.crc32(os.fsencode(path.name)):08x}.part{suffix}"


@cache
def _machine() -> str:
    """Identifies the scope of process ids: this machine, and this container on it."""
    try:
        numbers = os.stat("/proc/self/ns/pid").st_ino
    except OSError:
        numbers = 0
    return f"{zlib.crc32(f'{platform.node()} {numbers}'.encode()):08x}"


def _create(folder: Path, end: str) -> tuple[Path, int]:
    """Create an empty file with an unguessable name; return it and the default mode there."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | _NO_FOLLOW
    # Short, since file systems limit the length of names.
    path = folder / f".{_machine()}-{os.getpid()}-{secrets.token_hex(8)}{end}"
    try:
        descriptor = os.open(path, flags, 0o666)
    except FileNotFoundError:  # the error of /proc
        raise OSError(errno.EACCES, "") from None
    try:
        return path, stat.S_IMODE(os.fstat(descriptor).st_mode)
    finally:
        os.close(descriptor)


def _complete(temporary: Path, mode: int) -> None:
    """Sync a written file to disk, and set its mode, which some libraries restrict."""
    descriptor = os.open(temporary, os.O_RDWR | _NO_FOLLOW)
    try:
        if hasattr(os, "fchmod"):
            os.fchmod(descriptor, mode)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _remove_left_behind(folder: Path, end: str) -> None:
    """Remove temporary files of ended processes of this user on this machine."""
    start = f".{_machine()}-"
    for left in folder.glob(f"{start}*{glob.escape(end)}"):
        writer = left.name[len(start) :].partition("-")[0]
        with suppress(OSError):
            about = left.lstat()
            ours = stat.S_ISREG(about.st_mode) and is_own(about) and writer.isdecimal()
            if ours and not psutil.pid_exists(int(writer)):
                left.unlink()
