"""Locks on folders that only one process at a time may use."""

from __future__ import annotations

import os
import sys
from pathlib import Path

if sys.platform != "win32":
    import fcntl


class FolderLock:
    """A lock held by one process at a time; the system releases it when the process ends."""

    def __init__(self, folder: Path) -> None:
        """Try to acquire it, see `held`; raises OSError if the folder is missing or unreadable."""
        self._descriptor: int | None = None
        self.held = True
        if sys.platform == "win32":
            return
        flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW
        self._descriptor = os.open(folder, flags)
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self.release()
        except OSError:
            pass  # a file system without locks, such as some network file systems

    def release(self) -> None:
        self.held = False
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def __del__(self) -> None:
        self.release()
