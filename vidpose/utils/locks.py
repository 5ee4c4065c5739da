"""Folders that one process at a time works in."""

from __future__ import annotations

import os
import sys
from pathlib import Path

if sys.platform != "win32":
    import fcntl


class FolderLock:
    """Held by one process at a time, and by none that is no more: the system keeps it."""

    def __init__(self, folder: Path) -> None:
        """Try to take it; raises OSError if the folder is gone or cannot be read."""
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
            pass  # a file system without locks, some of the network's

    def release(self) -> None:
        self.held = False
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def __del__(self) -> None:
        self.release()
