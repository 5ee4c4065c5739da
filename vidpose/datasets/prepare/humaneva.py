"""Conversion of HumanEva-I, exported by VideoPose3D's ConvertHumanEva.m, to VideoPose3D's files."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vidpose.datasets.humaneva import LAYOUT
from vidpose.datasets.prepare import raw
from vidpose.errors import DataError
from vidpose.events import Info, Report, ignore
from vidpose.skeleton import HUMANEVA15
from vidpose.utils.files import check_writable
from vidpose.utils.progress import Progress, silent

CAMERAS = ("C1", "C2", "C3")
"""The colour cameras."""
TAKES = {
    ("S1", "Walking 1"): (590, 1203, (82, 81, 82)),
    ("S1", "Jog 1"): (367, 740, (51, 51, 50)),
    ("S1", "ThrowCatch 1"): (473, 945, (61, 61, 60)),
    ("S1", "Gestures 1"): (395, 801, (45, 45, 44)),
    ("S1", "Box 1"): (385, 789, (57, 57, 56)),
    ("S2", "Walking 1"): (438, 876, (115, 115, 114)),
    ("S2", "Jog 1"): (398, 795, (100, 100, 99)),
    ("S2", "ThrowCatch 1"): (550, 1128, (127, 127, 127)),
    ("S2", "Gestures 1"): (500, 901, (122, 122, 121)),
    ("S2", "Box 1"): (382, 734, (119, 119, 117)),
    ("S3", "Walking 1"): (448, 939, (80, 80, 80)),
    ("S3", "Jog 1"): (401, 842, (65, 65, 65)),
    ("S3", "ThrowCatch 1"): (493, 1027, (79, 79, 79)),
    ("S3", "Gestures 1"): (533, 1102, (83, 83, 82)),
    ("S3", "Box 1"): (512, 1021, (1, 1, 1)),
}
"""For each take the dataset's own split: the frame where validation ends and training starts, and
where training ends. Then the synchronisation: the frame of each camera's video, counted from 1,
that is frame 0 of the take."""
FIRST_FRAME = 5
"""First frame of validation."""
FRAMES = {
    (f"{part}/{subject}", action): frames
    for (subject, action), (middle, end, _) in TAKES.items()
    for part, frames in (("Train", (middle, end)), ("Validate", (FIRST_FRAME, middle)))
}
"""First frame and the one after the last, by split with subject, and action."""
DAMAGED = "S3", "ThrowCatch 1"
"""A take with damaged motion capture, which the export lacks."""
POSE_FILE = re.compile(r"(?:^|/)((?:Train|Validate)/S[123])/([A-Za-z]+)_(\d+)\.mat$")
VIDEO = re.compile(r"(?:^|/)(S[123])/(?:Image_Data/)?([A-Za-z]+_\d+)_\((C[123])\)\.avi$")
Part = tuple[str, str]
"""Split with subject, and action, with VideoPose3D's names: ("Train/S1", "Walking 1")."""


@dataclass(frozen=True)
class Chunk:
    """Frames of a take without a gap in the motion capture."""

    name: str
    """Walking 1 chunk0; gaps are numbered, too, so numbers are skipped."""
    start: int
    stop: int
    """Range of frames in the take, without `stop`, in the dataset's own numbering."""
    positions: NDArray[np.float32]
    """(N, 15, 3) metres, world."""
    keypoints: list[NDArray[np.float32]]
    """(N, 15, 2) pixels, per camera."""


def prepare(
    source: Path,
    out: Path,
    *,
    report: Report = ignore,
    progress: Progress = silent,
) -> tuple[Path, Path]:
    """Write data_3d_humaneva15.npz and data_2d_humaneva15_gt.npz.

    Args:
        source: folder with `Train/S1/Walking_1.mat` and so on, exported by ConvertHumanEva.m with
            15 joints, anywhere below it.
        out: folder for the two files.
        report: receives events for the user.
        progress: wraps the files to read.

    Raises:
        DataError: a take is missing, or a file cannot be read.
        MissingDependencyError: h5py is needed and not installed.
    """
    check_writable(LAYOUT.path_3d(out))
    check_writable(LAYOUT.path_2d(out, "gt"))
    positions: dict[str, dict[str, NDArray[np.float32]]] = {}
    keypoints: raw.Positions = {}
    for (subject, _), chunks in read_takes(source, progress):
        positions.setdefault(subject, {}).update({c.name: c.positions for c in chunks})
        keypoints.setdefault(subject, {}).update({c.name: c.keypoints for c in chunks})
    count = sum(map(len, positions.values()))
    report(Info(f"{count} unbroken chunks of motion capture in {len(positions)} sets."))
    return LAYOUT.write(out, positions, keypoints, LAYOUT.name, source="humaneva")


def read_takes(source: Path, progress: Progress = silent) -> Iterator[tuple[Part, list[Chunk]]]:
    """Read the chunks of every take.

    Raises:
        DataError: a take is missing, or a file cannot be read.
        MissingDependencyError: h5py is needed and not installed.
    """
    files = _pose_files(source)
    parts = [part for part in FRAMES if part in files]
    for part in progress(parts, len(parts), "reading"):
        yield part, _read(files[part], part)


def _pose_files(source: Path) -> dict[Part, Path]:
    raw.check_source(source)
    files: dict[Part, Path] = {}
    for path in raw.files_below(source.resolve(), ".mat"):
        if match := POSE_FILE.search(path.as_posix()):
            files.setdefault((match[1], f"{match[2]} {match[3]}"), path)
    missing = [
        f"{subject}/{action.replace(' ', '_')}.mat"
        for subject, action in FRAMES
        if (subject, action) not in files and (subject[-2:], action) != DAMAGED
    ]
    if missing:
        raise DataError(
            f"{source} lacks {len(missing)} of the files that ConvertHumanEva.m exports: "
            f"{raw.listed(missing)}."
        )
    return files


def _read(path: Path, part: Part) -> list[Chunk]:
    found = raw.read_mat(path, "poses_3d", "poses_2d")
    poses, seen = found["poses_3d"], found["poses_2d"]
    start, stop = FRAMES[part]
    shape = (stop - start, len(HUMANEVA15), 3)
    if poses.shape != shape:
        raise DataError(
            f"{path} has poses_3d of shape {poses.shape}; expected {shape}, frames {start} to "
            f"{stop} with {len(HUMANEVA15)} joints."
        )
    if seen.shape != (len(CAMERAS), *shape[:2], 2):
        raise DataError(
            f"{path} has poses_2d of shape {seen.shape}; expected {(len(CAMERAS), *shape[:2], 2)}."
        )
    positions = _sound_or_nan(poses, path) / np.float32(1000)
    return _chunks(part[1], start, positions, [_sound_or_nan(camera, path) for camera in seen])


def _sound_or_nan(array: NDArray[Any], path: Path) -> NDArray[np.float32]:
    """Check an array, in which NaN marks gaps of the motion capture."""
    known = np.isfinite(raw.floating(array, path))
    raw.sound(np.where(known, array, 0), path)
    return np.where(known, array, np.nan).astype(np.float32)


def _chunks(
    action: str, first: int, positions: NDArray[np.float32], seen: list[NDArray[np.float32]]
) -> list[Chunk]:
    """Split at gaps of the motion capture, which are numbered but not returned."""
    unbroken = np.all([np.isfinite(array).all(axis=(1, 2)) for array in (positions, *seen)], axis=0)
    chunks, start = [], 0
    for number, (holds, group) in enumerate(groupby(unbroken.tolist())):
        stop = start + len(list(group))
        if holds:
            part = slice(start, stop)
            chunks.append(
                Chunk(
                    f"{action} chunk{number}",
                    first + start,
                    first + stop,
                    positions[part],
                    [camera[part] for camera in seen],
                )
            )
        start = stop
    return chunks


def find_videos(source: Path, report: Report) -> dict[tuple[str, str], dict[str, Path]]:
    """Find the videos of every take with motion capture, by camera.

    Raises:
        DataError: a video is missing.
    """
    _pose_files(source)  # check now, because `place` needs them only hours later
    found = {
        (subject, name.replace("_", " ")): seen
        for (subject, name), seen in raw.videos_below(source, VIDEO, CAMERAS).items()
    }
    wanted = [take for take in TAKES if take != DAMAGED]
    if missing := [" ".join(take) for take in wanted if take not in found]:
        raise DataError(
            f"{source} lacks the videos of {len(missing)} of {len(wanted)} takes of HumanEva: "
            f"{raw.listed(missing)}; they are named S1/Image_Data/Walking_1_(C1).avi and so on."
        )
    return raw.with_cameras(source, {take: found[take] for take in wanted}, CAMERAS)


def place(source: Path, tracks: raw.Tracks) -> raw.Positions:
    """Cut tracks to the chunks of motion capture in the export below `source`.

    Raises:
        DataError: the export is missing, or a video is too short for it.
    """
    positions: raw.Positions = {}
    for (subject, action), chunks in read_takes(source):
        who = subject.rpartition("/")[2]
        if (who, action) not in tracks:
            continue
        shifts = [first - 1 for first in TAKES[who, action][2]]
        for chunk in chunks:
            seen = [
                camera[chunk.start + shift : chunk.stop + shift]
                for camera, shift in zip(tracks[who, action], shifts, strict=True)
            ]
            if any(len(camera) < chunk.stop - chunk.start for camera in seen):
                raise DataError(
                    f"a video of {who} {action} below {source} ends before frame {chunk.stop} of "
                    "its motion capture; download it again."
                )
            positions.setdefault(subject, {})[chunk.name] = seen
    return positions
