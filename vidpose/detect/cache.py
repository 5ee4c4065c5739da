"""What a detector has found so far, kept on disk while a video is worked on.

A folder next to the result, `.<name>.partial`, holds one .npz for every stretch of frames, each
complete or not at all. Killed at any moment, the same job goes on after the last stretch:
the detections are as they were, and so is the detector's memory (`Detector.memory`).

The folder may lie where others write, too. It is used only if it is a real folder of this user's,
one run at a time holds its lock, which ends with the process, and nothing is removed from it but
what has a name of ours. What is in it may be damaged or forged, and is checked like any input.
"""

from __future__ import annotations

import json
import os
import re
import stat
import time
import zlib
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from vidpose.detect.base import Detections, FrameDetections
from vidpose.errors import VidposeError
from vidpose.events import Report, Warn, ignore
from vidpose.skeleton import Skeleton
from vidpose.utils.files import is_own, owner_of_new_files, replacing, writing
from vidpose.utils.locks import FolderLock
from vidpose.utils.npz import read_arrays
from vidpose.utils.outside import parse_object, reading

FORMAT = "vidpose-partial/3"
STRETCH_S = 5.0
"""No more work than this, in seconds of the clock on the wall, is done twice."""
MOST_FRAMES = 512
"""Nor do more frames than this wait to be written."""
_LONGEST_STEM = 100
"""Bytes, for a file system bounds those of a name."""


def cache_folder(target: Path) -> Path:
    """Where the detections of a result lie until it is written."""
    name = os.fsencode(target.stem)
    stem = name[:_LONGEST_STEM].decode(errors="ignore")  # may end within a letter
    if len(name) > _LONGEST_STEM:
        stem += f"-{zlib.crc32(name):08x}"  # episodes of a series differ in their last letters
    return target.with_name(f".{stem}.partial")


def remove_what_is_left(target: Path) -> None:
    """Remove detections that are older than the result that they were for.

    They are of a job that was killed after it had written its result, or of one with other
    options that was interrupted before.
    """
    folder = cache_folder(target)
    with suppress(OSError):
        written = target.stat().st_mtime
        lock = None if _foreign(folder) else FolderLock(folder)
        if lock is None or not lock.held:
            return
        if all(path.lstat().st_mtime <= written for path in folder.iterdir()):
            _empty(folder)
        lock.release()


_OURS = re.compile(r"\d{9,}\.npz|\.[0-9a-f]{8}-\d+-[0-9a-f]{16}-[0-9a-f]{8}\.part\.npz")
"""Names of stretches, and of temporary files for them."""


def _empty(folder: Path) -> None:
    """Remove what vidpose has written there, and the folder if nothing else is in it."""
    with suppress(OSError):
        if _foreign(folder):
            return
        for path in folder.iterdir():
            if _OURS.fullmatch(path.name) and stat.S_ISREG(path.lstat().st_mode):
                path.unlink(missing_ok=True)
        folder.rmdir()


def _foreign(folder: Path) -> str:
    """Why a cache folder is none of this user's; empty if it is, or is not there yet."""
    try:
        about = folder.lstat()
    except FileNotFoundError:
        return ""
    if not stat.S_ISDIR(about.st_mode):
        return "is a link" if stat.S_ISLNK(about.st_mode) else "is not a folder"
    # A file server may give all files of its own to one user.
    ours = is_own(about) or about.st_uid == owner_of_new_files(folder.parent)
    return "" if ours else "belongs to another user"


class UnusableCacheError(VidposeError):
    """What an earlier run has left does not go with this one, though it says that it does."""


@dataclass(frozen=True)
class Resumed:
    """What an earlier run has left."""

    frames: int = 0
    memory: Any = None
    """The detector's, after these frames."""
    warnings: tuple[str, ...] | None = None
    """What was wrong with the video, if it had been read to its end; else None."""


def _end(stretch: dict[str, Any]) -> tuple[Any, tuple[str, ...] | None]:
    """The detector's memory after a stretch, and the video's warnings if it is the last."""
    end = parse_object("end", str(stretch["end"]))
    return end["memory"], None if end["warnings"] is None else tuple(map(str, end["warnings"]))


class DetectionCache:
    """The detections of one job, on disk.

    A context manager, which holds the folder's lock.

    Args:
        target: the result file it belongs to.
        key: all that the detections depend on; JSON values. What lies there with another key is
            not used, and removed as soon as there is something to put in its place.
        skeleton: the detector's.
        report: takes warnings.

    Raises:
        VidposeError: another run works on the same result.
    """

    resumed: Resumed
    """What lay there when the cache was opened."""
    frames: int
    """How many frames are on the disk: those of `resumed`, and what was written since."""

    def __init__(
        self, target: Path, key: dict[str, Any], skeleton: Skeleton, report: Report = ignore
    ) -> None:
        self.folder = cache_folder(target)
        self._key = json.dumps({"format": FORMAT, **key}, sort_keys=True)
        self._skeleton, self._report = skeleton, report
        self._waiting: list[FrameDetections] = []
        self._since = time.monotonic()
        self._lock: FolderLock | None = None
        self._keeps = True
        self._take()
        # Fixed here: `detections` may be read while another thread writes.
        self._old_files, self.resumed = self._look()
        self._ours = bool(self._old_files)
        self.frames = self.resumed.frames

    def __enter__(self) -> DetectionCache:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """Let another run have the folder."""
        if self._lock is not None:
            self._lock.release()
            self._lock = None

    def _take(self) -> None:
        """Take the folder for this run, if it is there and this user's; else do without."""
        if why := _foreign(self.folder):
            self._keeps = False
            self._report(
                Warn(
                    f"{self.folder} {why}; it is left alone, and what is detected is not kept if "
                    "this run is interrupted."
                )
            )
            return
        with writing(self.folder):
            try:
                lock = FolderLock(self.folder)
            except FileNotFoundError:
                return
        if not lock.held:
            raise VidposeError(
                f"another run works on the same result and keeps its detections in {self.folder}; "
                "wait until it has ended, or choose another -o."
            )
        self._lock = lock

    def _look(self) -> tuple[tuple[Path, ...], Resumed]:
        files: list[Path] = []
        frames, memory, warnings = 0, None, None
        last = -1, -np.inf
        while self._keeps and warnings is None:
            path = self.folder / f"{frames:09d}.npz"
            if not os.path.lexists(path):
                break
            try:
                stretch = self._read(path)
                if stretch is None:
                    break
                with reading(path, UnusableCacheError, "is damaged"):
                    last = _checked(stretch, self._skeleton, last)
                    memory, warnings = _end(stretch)
            except UnusableCacheError:
                self._report(
                    Warn(f"{path} is damaged; what comes after {frames} frames is detected again.")
                )
                break
            files.append(path)
            frames += (count := len(stretch["frame_indices"]))
            if not count:
                break
        return tuple(files), Resumed(frames, memory, warnings)

    def _read(self, path: Path) -> dict[str, Any] | None:
        """A stretch's arrays; None if they are another job's.

        Raises:
            UnusableCacheError: it is damaged.
        """
        key = read_arrays(path, "key", error=UnusableCacheError, problem="is damaged").get("key")
        if str(key) != self._key:
            return None
        return read_arrays(path, error=UnusableCacheError, problem="is damaged")

    def detections(self) -> Iterator[FrameDetections]:
        """What an earlier run has found, frame by frame; read stretch by stretch.

        Raises:
            UnusableCacheError: somebody removed or changed a stretch meanwhile.
        """
        last = -1, -np.inf
        for path in self._old_files:
            with reading(path, UnusableCacheError, "was removed or changed meanwhile"):
                stretch = self._read(path)
                if stretch is None:
                    raise ValueError("another job's")
                last = _checked(stretch, self._skeleton, last)
            everybody, first = _everybody(stretch, self._skeleton), 0
            for index, time_s, count in zip(
                stretch["frame_indices"].tolist(),
                stretch["timestamps"].tolist(),
                stretch["people"].tolist(),
                strict=True,
            ):
                yield FrameDetections(index, time_s, everybody[first : first + count])
                first += count

    def add(self, frame: FrameDetections) -> None:
        """The detections of the next frame; `write` makes them last."""
        self._waiting.append(frame)

    def due(self) -> bool:
        """Whether enough has come together to be written."""
        late = time.monotonic() - self._since >= STRETCH_S
        return late or len(self._waiting) >= MOST_FRAMES

    def write(self, memory: Any, warnings: list[str] | None = None) -> None:
        """Write what was added since the last time.

        Args:
            memory: the detector's, after the last frame added; JSON values.
            warnings: what was wrong with the video, if it has been read to its end.

        Raises:
            VidposeError: the disk is full or the like.
        """
        if not self._waiting and warnings is None:
            return
        if not self._ours and self._keeps:
            _empty(self.folder)  # of another job's
            self._make_folder()
        if not self._keeps:
            self._waiting, self._since = [], time.monotonic()
            return
        indices, times, found = zip(*self._waiting, strict=True) if self._waiting else ((),) * 3
        nobody = np.zeros((0, len(self._skeleton), 2), np.float32)
        with (
            replacing(self.folder / f"{self.frames:09d}.npz") as temporary,
            open(temporary, "wb") as stream,
        ):
            np.savez(
                stream,
                key=np.array(self._key),
                end=np.array(json.dumps({"memory": memory, "warnings": warnings})),
                frame_indices=np.array(indices, np.int64),
                timestamps=np.array(times, np.float64),
                people=np.array([len(some) for some in found], np.int64),
                keypoints=np.concatenate([nobody, *(some.keypoints for some in found)]),
                scores=np.concatenate([nobody[..., 0], *(some.scores for some in found)]),
                disputed=np.concatenate([nobody[..., 0] > 0, *(some.disputed for some in found)]),
                shift=np.concatenate([nobody, *(some.shift for some in found)]),
            )
        self._ours = True
        self.frames += len(found)
        self._waiting = []
        self._since = time.monotonic()

    def _make_folder(self) -> None:
        self.close()
        with writing(self.folder):
            self.folder.parent.mkdir(parents=True, exist_ok=True)
            with suppress(FileExistsError):  # then `_take` says what is there
                self.folder.mkdir(mode=0o700)
        self._take()

    def begin_again(self) -> None:
        """Remove what an earlier run has left; it has turned out to be of no use."""
        _empty(self.folder)
        self._old_files, self.resumed = (), Resumed()
        self._ours, self.frames, self._waiting = False, 0, []

    def remove(self) -> None:
        """Leave nothing of this job on the disk; another's stays."""
        if self._ours:
            self._ours = False
            _empty(self.folder)


def _everybody(stretch: dict[str, Any], skeleton: Skeleton) -> Detections:
    """The people of all frames of a stretch, one after another.

    Raises:
        KeyError, ValueError: something is missing, or has another type or shape.
    """
    found, scores, disputed, shift = (
        stretch[name] for name in ("keypoints", "scores", "disputed", "shift")
    )
    return Detections(found, scores, skeleton, disputed, shift)


def _checked(
    stretch: dict[str, Any], skeleton: Skeleton, last: tuple[int, float]
) -> tuple[int, float]:
    """Index and time of a stretch's last frame; `last` are those of the frame before it.

    Raises:
        KeyError, ValueError: something is missing, has another type or shape, or does not go on
            from there.
    """
    indices, times, people = (stretch[key] for key in ("frame_indices", "timestamps", "people"))
    for array, dtype in ((indices, "int64"), (times, "float64"), (people, "int64")):
        if array.dtype != dtype or array.shape != indices.shape or array.ndim != 1:
            raise ValueError("an array of another kind")
    everybody = _everybody(stretch, skeleton)
    if len(indices) and not (
        (np.diff(indices, prepend=last[0]) > 0).all()
        and np.isfinite(times).all()
        and (np.diff(times, prepend=last[1]) > 0).all()
    ):
        raise ValueError("frames in another order")
    if (people < 0).any() or people.sum() != len(everybody):
        raise ValueError("frames with other people")
    return (int(indices[-1]), float(times[-1])) if len(indices) else last
