"""The detection cache: detections so far, kept on disk while a video is processed.

A folder next to the result, `.<name>.partial`, holds one .npz for every stretch of frames, each
written completely or not at all. If the job is killed, running it again continues after the last
stretch, with the same detections and the same state of the detector (`Detector.memory`).

Other users may be able to write where the folder lies. It is used only if it is a real folder of
this user. Its lock allows one run at a time and ends with the process. Only files with a name of
ours are removed from it. Its content may be damaged or forged and is checked like any input.
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

FORMAT = "vidpose-partial/4"
STRETCH_S = 5.0
"""Wall-clock time between writes, so an interrupted run repeats at most this much work."""
MOST_FRAMES = 512
"""Maximum number of frames that wait to be written."""
_LONGEST_STEM = 100
"""Bytes; file systems limit the length of a name."""


def cache_folder(target: Path) -> Path:
    """Return the folder for the detections of a result."""
    name = os.fsencode(target.stem)
    stem = name[:_LONGEST_STEM].decode(errors="ignore")  # may be cut within a character
    if len(name) > _LONGEST_STEM:
        stem += f"-{zlib.crc32(name):08x}"  # long names may differ only at their end
    return target.with_name(f".{stem}.partial")


def remove_leftovers(target: Path) -> None:
    """Remove cached detections that are older than the result itself.

    A job left them that was killed after it had written its result, or an earlier one with other
    options that was interrupted.
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
    """Remove the files that vidpose wrote there, and the folder if it is then empty."""
    with suppress(OSError):
        if _foreign(folder):
            return
        for path in folder.iterdir():
            if _OURS.fullmatch(path.name) and stat.S_ISREG(path.lstat().st_mode):
                path.unlink(missing_ok=True)
        folder.rmdir()


def _foreign(folder: Path) -> str:
    """Say why a cache folder is not this user's; empty if it is, or does not exist yet."""
    try:
        about = folder.lstat()
    except FileNotFoundError:
        return ""
    if not stat.S_ISDIR(about.st_mode):
        return "is a link" if stat.S_ISLNK(about.st_mode) else "is not a folder"
    # On a file server all files may belong to one user.
    ours = is_own(about) or about.st_uid == owner_of_new_files(folder.parent)
    return "" if ours else "belongs to another user"


_PER_FRAME = ("frame_indices", "timestamps", "people", "begins_shot")
"""Arrays of a stretch with one value for each frame."""


class UnusableCacheError(VidposeError):
    """A cache with the key of this job cannot be used: it is damaged or of another video."""


@dataclass(frozen=True)
class Resumed:
    """The state that an earlier run left."""

    frames: int = 0
    memory: Any = None
    """Of the detector, after these frames."""
    warnings: tuple[str, ...] | None = None
    """The video's warnings if it was read to its end; else None."""


def _end(stretch: dict[str, Any]) -> tuple[Any, tuple[str, ...] | None]:
    """Return the detector's memory after a stretch, and the video's warnings if it is the last."""
    end = parse_object("end", str(stretch["end"]))
    return end["memory"], None if end["warnings"] is None else tuple(map(str, end["warnings"]))


class DetectionCache:
    """The detections of one job, on disk.

    A context manager that holds the folder's lock.

    Args:
        target: the result file of the job.
        key: everything that the detections depend on; JSON values. A cache with another key is
            not used, and removed before the first write.
        skeleton: the detector's.
        report: takes warnings.

    Raises:
        VidposeError: another run works on the same result.
    """

    resumed: Resumed
    """What was in the cache when it was opened."""
    frames: int
    """Number of frames on disk: those of `resumed`, and those written since."""

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
        """Release the folder's lock."""
        if self._lock is not None:
            self._lock.release()
            self._lock = None

    def _take(self) -> None:
        """Lock the folder if it exists and is this user's; else work without a cache."""
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
        """Read the arrays of a stretch; None if they are of another job.

        Raises:
            UnusableCacheError: it is damaged.
        """
        key = read_arrays(path, "key", error=UnusableCacheError, problem="is damaged").get("key")
        if str(key) != self._key:
            return None
        return read_arrays(path, error=UnusableCacheError, problem="is damaged")

    def detections(self) -> Iterator[FrameDetections]:
        """Yield the detections of an earlier run, frame by frame; read stretch by stretch.

        Raises:
            UnusableCacheError: a stretch was removed or changed meanwhile.
        """
        last = -1, -np.inf
        for path in self._old_files:
            with reading(path, UnusableCacheError, "was removed or changed meanwhile"):
                stretch = self._read(path)
                if stretch is None:
                    raise ValueError("of another job")
                last = _checked(stretch, self._skeleton, last)
            everybody, first = _everybody(stretch, self._skeleton), 0
            for index, time_s, count, begins_shot in zip(
                *(stretch[key].tolist() for key in _PER_FRAME), strict=True
            ):
                people = everybody[first : first + count]
                yield FrameDetections(index, time_s, people, begins_shot)
                first += count

    def add(self, frame: FrameDetections) -> None:
        """Add the detections of the next frame; they are kept in memory until `write`."""
        self._waiting.append(frame)

    def due(self) -> bool:
        """Whether it is time to `write`."""
        late = time.monotonic() - self._since >= STRETCH_S
        return late or len(self._waiting) >= MOST_FRAMES

    def write(self, memory: Any, warnings: list[str] | None = None) -> None:
        """Write the frames added since the last write.

        Args:
            memory: of the detector, after the last frame added; JSON values.
            warnings: of the video, if it has been read to its end.

        Raises:
            VidposeError: the disk is full or the like.
        """
        if not self._waiting and warnings is None:
            return
        if not self._ours and self._keeps:
            _empty(self.folder)  # it is another job's
            self._make_folder()
        if not self._keeps:
            self._waiting, self._since = [], time.monotonic()
            return
        waiting = zip(*self._waiting, strict=True) if self._waiting else ((),) * 4
        indices, times, found, begin_shots = waiting
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
                begins_shot=np.array(begin_shots, bool),
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
            with suppress(FileExistsError):  # then `_take` reports what it is
                self.folder.mkdir(mode=0o700)
        self._take()

    def begin_again(self) -> None:
        """Discard the detections of an earlier run and start from the first frame."""
        _empty(self.folder)
        self._old_files, self.resumed = (), Resumed()
        self._ours, self.frames, self._waiting = False, 0, []

    def remove(self) -> None:
        """Remove this job's files; those of another job stay."""
        if self._ours:
            self._ours = False
            _empty(self.folder)


def _everybody(stretch: dict[str, Any], skeleton: Skeleton) -> Detections:
    """Return the people of all frames of a stretch, concatenated.

    Raises:
        KeyError, ValueError: an array is missing, or has the wrong type or shape.
    """
    found, scores, disputed, shift = (
        stretch[name] for name in ("keypoints", "scores", "disputed", "shift")
    )
    return Detections(found, scores, skeleton, disputed, shift)


def _checked(
    stretch: dict[str, Any], skeleton: Skeleton, last: tuple[int, float]
) -> tuple[int, float]:
    """Check a stretch; return index and time of its last frame.

    Args:
        last: index and time of the frame before the stretch.

    Raises:
        KeyError, ValueError: an array is missing, has the wrong type or shape, or does not continue
            from `last`.
    """
    indices, times, people, begins_shot = (stretch[key] for key in _PER_FRAME)
    for array, dtype in (
        *((indices, "int64"), (times, "float64"), (people, "int64")),
        (begins_shot, "bool"),
    ):
        if array.dtype != dtype or array.shape != indices.shape or array.ndim != 1:
            raise ValueError("an array of the wrong type or shape")
    everybody = _everybody(stretch, skeleton)
    if len(indices) and not (
        (np.diff(indices, prepend=last[0]) > 0).all()
        and np.isfinite(times).all()
        and (np.diff(times, prepend=last[1]) > 0).all()
    ):
        raise ValueError("frame indices or times do not increase")
    if (people < 0).any() or people.sum() != len(everybody):
        raise ValueError("numbers of people do not fit the joints")
    return (int(indices[-1]), float(times[-1])) if len(indices) else last
