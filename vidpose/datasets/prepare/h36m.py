"""Conversion of Human3.6M's poses, in any of three raw formats, to VideoPose3D's two files."""

from __future__ import annotations

import re
import tempfile
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vidpose.datasets.cameras import h36m_cameras
from vidpose.datasets.h36m import ACTIONS, LAYOUT, RECORDED_JOINTS, TEST, TRAIN
from vidpose.datasets.prepare import raw
from vidpose.errors import DataError
from vidpose.events import Info, Report, Warn, ignore
from vidpose.utils.files import check_writable
from vidpose.utils.progress import Progress, silent

SUBJECTS = TRAIN + TEST
TAKES = 2
"""Each subject performed each action twice, 30 takes in all; the numbering of takes varies."""
RENAMED = {"TakingPhoto": "Photo", "WalkingDog": "WalkDog"}
"""Other names of two actions in some subjects' files."""
FORMS = (".cdf", ".cdf.mat", ".h5")
"""File formats in order of preference."""
POSE_FILE = re.compile(
    r"(?:^|/)(S(?:[156789]|11))/(?:[^/]+/)?(D3_Positions|3D_positions)/"
    r"([A-Za-z]+(?: \d)?(?:\.cdf|\.cdf\.mat|\.h5))$"
)
VIDEO = re.compile(r"(?:^|/)(S(?:[156789]|11))/(?:Videos/)?([A-Za-z]+(?: \d)?)\.(\d{8})\.mp4$")
Take = tuple[str, str]
"""Subject and action with VideoPose3D's names: ("S1", "Photo 1")."""


def prepare(
    source: Path,
    out: Path,
    *,
    report: Report = ignore,
    progress: Progress = silent,
) -> tuple[Path, Path]:
    """Write data_3d_h36m.npz and data_2d_h36m_gt.npz.

    The first has the 32 recorded joints (metres, world frame); the second has h36m17's joints,
    projected to the four cameras (pixels, with lens distortion).

    Args:
        source: folder with `S1/MyPoseFeatures/D3_Positions/Directions.cdf` or `.cdf.mat`, or
            `S1/MyPoses/3D_positions/Directions.h5`, or their archives, anywhere below it.
        out: folder for the two files.
        report: receives events for the user.
        progress: wraps the files to read.

    Raises:
        DataError: a take is missing, or a file cannot be read.
        MissingDependencyError: the package that reads the format is not installed.
    """
    raw.check_source(source)
    check_writable(LAYOUT.path_3d(out))
    check_writable(LAYOUT.path_2d(out, "gt"))
    with tempfile.TemporaryDirectory(prefix="vidpose-") as folder:
        files = _find(source, Path(folder))
        check_takes(source, files)
        files = {take: path for take, path in files.items() if take not in LAYOUT.corrupt}
        poses: dict[str, dict[str, NDArray[np.float32]]] = {subject: {} for subject in SUBJECTS}
        for (subject, action), path in progress(sorted(files.items()), len(files), "reading"):
            poses[subject][action] = read_take(path)
    report(Info(f"{len(files)} takes of {len(SUBJECTS)} subjects."))
    return LAYOUT.write(out, poses, LAYOUT.project(poses), source="h36m")


def _find(source: Path, folder: Path) -> dict[Take, Path]:
    """Find the file of every take; if some are missing, unpack archives to `folder`."""
    found = _loose(source)
    if not any(_complaint(subject, found) for subject in SUBJECTS):
        return found
    for archive in raw.files_below(source, *raw.TAR_NAMES, ".zip"):
        name = archive.name.lower()
        if ("d3_positions" in name and "mono" not in name) or name == "h36m.zip":
            raw.unpack(archive, folder, POSE_FILE)
    return _loose(folder) | found


def _loose(source: Path) -> dict[Take, Path]:
    found: dict[Take, Path] = {}
    for form in FORMS:
        for path in raw.files_below(source.resolve(), form):
            match = POSE_FILE.search(path.as_posix())
            if match is not None:
                found.setdefault((match[1], take_name(match[3].partition(".")[0])), path)
    return found


def take_name(name: str) -> str:
    """Convert to VideoPose3D's name: `TakingPhoto 1` -> `Photo 1`."""
    action, space, number = name.partition(" ")
    return RENAMED.get(action, action) + space + number


def check_takes(source: Path, files: dict[Take, Path]) -> None:
    """Raise DataError unless there are two takes of every action for every subject."""
    complaints = [line for subject in SUBJECTS if (line := _complaint(subject, files))]
    if complaints:
        raise DataError(
            f"{source} lacks poses of Human3.6M: {'; '.join(complaints)}; every subject has "
            f"{TAKES * len(ACTIONS)} files such as S1/MyPoseFeatures/D3_Positions/Directions.cdf."
        )


def _complaint(subject: str, takes: Iterable[Take]) -> str:
    """Describe what is wrong with a subject's takes; empty if they are complete."""
    counts = Counter(action.partition(" ")[0] for who, action in takes if who == subject)
    if not counts:
        return f"{subject} has none"
    wrong = [f"{counts[a]} of {TAKES} {a}" for a in ACTIONS if counts[a] != TAKES]
    return f"{subject} has {raw.listed(wrong)}" if wrong else ""


def read_take(path: Path) -> NDArray[np.float32]:
    """Read a take's joints in the world frame.

    Returns:
        (frames, 32, 3) metres.

    Raises:
        DataError: the file is damaged, or has another shape.
    """
    if path.name.endswith(".cdf"):
        array = raw.read_cdf(path, "Pose")
    elif path.name.endswith(".cdf.mat"):
        array = raw.read_mat(path, "data")["data"]
        if array.dtype == object and array.size == 1:
            array = array.item()
    else:
        array = raw.read_hdf5(path, "3D_positions").T
    millimetres = raw.sound(raw.joints(array, RECORDED_JOINTS, 3, path), path)
    return (millimetres / 1000).astype(np.float32)


def find_videos(source: Path, report: Report) -> dict[Take, dict[str, Path]]:
    """Find the videos of every take, by camera.

    Raises:
        DataError: there are none, or a subject's videos are incomplete.
    """
    cameras = [camera.id for camera in h36m_cameras()[SUBJECTS[0]]]
    found = {
        (subject, take_name(name)): seen
        for (subject, name), seen in raw.videos_below(source, VIDEO, cameras).items()
        if take_name(name).partition(" ")[0] in ACTIONS
    }
    if not found:
        raise DataError(
            f"{source} has no videos of Human3.6M below it, such as "
            f"S1/Videos/Directions.{cameras[0]}.mp4."
        )
    there = {subject for subject, _ in found}
    wanted = {*found, *LAYOUT.corrupt}
    complaints = [c for s in SUBJECTS if s in there and (c := _complaint(s, wanted))]
    if complaints:
        raise DataError(f"{source} lacks videos of Human3.6M: {'; '.join(complaints)}.")
    if absent := [subject for subject in SUBJECTS if subject not in there]:
        report(Warn(f"no videos of {raw.listed(absent)} are below {source}."))
    found = {take: seen for take, seen in found.items() if take not in LAYOUT.corrupt}
    return raw.with_cameras(source, found, cameras)


def place(source: Path, tracks: raw.Tracks) -> raw.Positions:
    """Group tracks by subject; annotations start with the video, and may end before it."""
    positions: raw.Positions = {}
    for (subject, action), seen in tracks.items():
        positions.setdefault(subject, {})[action] = seen
    return positions
