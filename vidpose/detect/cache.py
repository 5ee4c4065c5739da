"""What a detector has found so far, kept on disk while a video is worked on.

A folder beside the result, `.<name>.partial`, holds one .npz for every stretch of frames, each
written whole or not at all. Killed at any moment, the same job goes on after the last stretch:
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

from vidpose.detect.base import Detections, Sight
from vidpose.errors import VidposeError
from vidpose.poses import UNREADABLE
from vidpose.skeleton import Skeleton
from vidpose.utils.files import replacing

FORMAT = "vidpose-partial/1"
STRETCH_S = 5.0
"""No more work than this, in seconds of the clock on the wall, is done twice."""
MOST_FRAMES = 512
"""Nor do more frames than this wait to be written."""
_LONGEST_STEM = 100
"""Bytes, for a file system bounds those of a name."""


def cache_folder(target: Path) -> Path:
    """Where the detections of a result lie until it is written."""
    whole = target.stem.encode()
    stem = whole[:_LONGEST_STEM].decode(errors="ignore")
    if len(whole) > _LONGEST_STEM:
        stem += f"-{zlib.crc32(whole):08x}"  # episodes of a series differ in their last letters
    return target.with_name(f".{stem}.partial")


def remove_what_is_left(target: Path) -> None:
    """Remove what a job has left that was killed after it had written its result."""
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
class Past:
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

    def __init__(self, target: Path, key: dict[str, Any]) -> None:
        self.folder = cache_folder(target)
        self._key = json.dumps({"format": FORMAT, **key}, sort_keys=True)
        self._files: list[Path] = []
        self._waiting: list[Sight] = []
        self._since = time.monotonic()
        self.past = self._look()

    def _look(self) -> Past:
        frames, memory, warnings = 0, None, None
        while True:
            path = self.folder / f"{frames:09d}.npz"
            stretch = None if warnings is not None else self._read(path)
            if stretch is None:
                return Past(frames, memory, warnings)
            self._files.append(path)
            frames += len(stretch["frame_indices"])
            end = json.loads(str(stretch["end"]))
            memory = end["memory"]
            if end["warnings"] is not None:
                warnings = tuple(end["warnings"])
            elif not len(stretch["frame_indices"]):
                return Past(frames, memory, warnings)

    def _read(self, path: Path) -> dict[str, Any] | None:
        """A stretch's arrays; None if it is not there, is damaged or is another job's."""
        try:
            with open(path, "rb") as stream, np.load(stream, allow_pickle=False) as archive:
                if str(archive["key"]) != self._key:
                    return None
                return {name: archive[name] for name in archive.files}
        except UNREADABLE:
            return None

    def sights(self, skeleton: Skeleton) -> Iterator[Sight]:
        """What was found in the frames of the past, stretch by stretch.

        Raises:
            VidposeError: somebody removed a stretch meanwhile.
        """
        for path in list(self._files):
            stretch = self._read(path)
            if stretch is None:
                raise VidposeError(f"{path} was removed or changed meanwhile; start again.")
            ends = np.cumsum(stretch["people"])
            for n, end in enumerate(ends.tolist()):
                some = slice(end - int(stretch["people"][n]), end)
                found = Detections(stretch["keypoints"][some], stretch["scores"][some], skeleton)
                yield Sight(
                    int(stretch["frame_indices"][n]), float(stretch["timestamps"][n]), found
                )

    def add(self, sight: Sight) -> None:
        """The detections of the next frame; `write` makes them last."""
        self._waiting.append(sight)

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
        if not self._files:
            _empty(self.folder)  # of another job's
        frames = self.past.frames
        found = [sight.found for sight in self._waiting]
        path = self.folder / f"{frames:09d}.npz"
        joints = len(found[0].skeleton) if found else 0
        with replacing(path) as temporary, open(temporary, "wb") as stream:
            np.savez(
                stream,
                key=np.array(self._key),
                end=np.array(json.dumps({"memory": memory, "warnings": warnings})),
                frame_indices=np.array([sight.frame_index for sight in self._waiting], np.int64),
                timestamps=np.array([sight.time_s for sight in self._waiting], np.float64),
                people=np.array([len(some) for some in found], np.int64),
                keypoints=np.concatenate(
                    [np.zeros((0, joints, 2), np.float32), *(some.keypoints for some in found)]
                ),
                scores=np.concatenate(
                    [np.zeros((0, joints), np.float32), *(some.scores for some in found)]
                ),
            )
        self._files.append(path)
        ended = None if warnings is None else tuple(warnings)
        self.past = Past(frames + len(found), memory, ended)
        self._waiting = []
        self._since = time.monotonic()

    def remove(self) -> None:
        """Leave nothing of this job on the disk; another's stays."""
        if self._files:
            self._files = []
            _empty(self.folder)
