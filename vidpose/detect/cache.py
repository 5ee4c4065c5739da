"""What a detector has found so far, kept on disk while a video is worked on.

A folder next to the result, `.<name>.partial`, holds one .npz for every stretch of frames, each
complete or not at all. Killed at any moment, the same job goes on after the last stretch:
the detections are as they were, and so is the detector's memory (`Detector.memory`).
"""

from __future__ import annotations

import json
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
from vidpose.skeleton import Skeleton
from vidpose.utils.files import UNREADABLE, replacing

FORMAT = "vidpose-partial/2"
STRETCH_S = 5.0
"""No more work than this, in seconds of the clock on the wall, is done twice."""
MOST_FRAMES = 512
"""Nor do more frames than this wait to be written."""
_LONGEST_STEM = 100
"""Bytes, for a file system bounds those of a name."""


def cache_folder(target: Path) -> Path:
    """Where the detections of a result lie until it is written."""
    name = target.stem.encode()
    stem = name[:_LONGEST_STEM].decode(errors="ignore")
    if len(name) > _LONGEST_STEM:
        stem += f"-{zlib.crc32(name):08x}"  # episodes of a series differ in their last letters
    return target.with_name(f".{stem}.partial")


def remove_what_is_left(target: Path) -> None:
    """Remove the detections of a job that was killed after it had written its result."""
    folder, written = cache_folder(target), target.stat().st_mtime
    with suppress(OSError):
        if all(path.stat().st_mtime <= written for path in folder.iterdir()):
            _empty(folder)


def _empty(folder: Path) -> None:
    with suppress(OSError):
        for path in [*folder.glob("*.npz"), *folder.glob(".*.npz")]:
            path.unlink(missing_ok=True)
        folder.rmdir()


@dataclass(frozen=True)
class Resumed:
    """What an earlier run has left."""

    frames: int = 0
    memory: Any = None
    """The detector's, after these frames."""
    warnings: tuple[str, ...] | None = None
    """What was wrong with the video, if it had been read to its end; else None."""


class DetectionCache:
    """The detections of one job, on disk.

    Args:
        target: the result file it belongs to.
        key: all that the detections depend on; JSON values. What lies there with another key is
            not used, and removed as soon as there is something to put in its place.
    """

    resumed: Resumed
    """What lay there when the cache was opened."""
    frames: int
    """How many frames are on the disk: those of `resumed`, and what was written since."""

    def __init__(self, target: Path, key: dict[str, Any]) -> None:
        self.folder = cache_folder(target)
        self._key = json.dumps({"format": FORMAT, **key}, sort_keys=True)
        self._waiting: list[FrameDetections] = []
        self._since = time.monotonic()
        # Fixed here: `detections` may be read while another thread writes.
        self._old_files, self.resumed = self._look()
        self._ours = bool(self._old_files)
        self.frames = self.resumed.frames

    def _look(self) -> tuple[tuple[Path, ...], Resumed]:
        files: list[Path] = []
        frames, memory, warnings = 0, None, None
        while warnings is None:
            path = self.folder / f"{frames:09d}.npz"
            if (stretch := self._read(path)) is None:
                break
            files.append(path)
            count = len(stretch["frame_indices"])
            frames += count
            end = json.loads(str(stretch["end"]))
            memory = end["memory"]
            warnings = None if end["warnings"] is None else tuple(end["warnings"])
            if not count:
                break
        return tuple(files), Resumed(frames, memory, warnings)

    def _read(self, path: Path) -> dict[str, Any] | None:
        """A stretch's arrays; None if it is not there, is damaged or is another job's."""
        try:
            with open(path, "rb") as stream, np.load(stream, allow_pickle=False) as archive:
                if str(archive["key"]) != self._key:
                    return None
                return {name: archive[name] for name in archive.files}
        except UNREADABLE:
            return None

    def detections(self, skeleton: Skeleton) -> Iterator[FrameDetections]:
        """What an earlier run has found, frame by frame; read stretch by stretch.

        Raises:
            VidposeError: somebody removed a stretch meanwhile.
        """
        for path in self._old_files:
            stretch = self._read(path)
            if stretch is None:
                raise VidposeError(f"{path} was removed or changed meanwhile; start again.")
            first = 0
            for index, time_s, count in zip(
                stretch["frame_indices"].tolist(),
                stretch["timestamps"].tolist(),
                stretch["people"].tolist(),
                strict=True,
            ):
                keypoints, scores, disputed = (
                    stretch[name][first : first + count]
                    for name in ("keypoints", "scores", "disputed")
                )
                yield FrameDetections(
                    index, time_s, Detections(keypoints, scores, skeleton, disputed)
                )
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
        if not self._ours:
            _empty(self.folder)  # of another job's
        indices, times, found = zip(*self._waiting, strict=True) if self._waiting else ((),) * 3
        joints = len(found[0].skeleton) if found else 0
        nobody = np.zeros((0, joints, 2), np.float32)
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
            )
        self._ours = True
        self.frames += len(found)
        self._waiting = []
        self._since = time.monotonic()

    def remove(self) -> None:
        """Leave nothing of this job on the disk; another's stays."""
        if self._ours:
            self._ours = False
            _empty(self.folder)
