"""MPI-INF-3DHP, in the file format of P-STMO and PoseFormerV2.

D. Mehta et al., "Monocular 3D human pose estimation in the wild using improved CNN supervision",
2017. 3D joints are in each camera's frame, in millimetres:

    data_train_3dhp.npz  data: {"S1 Seq1": [{"0": view, "1": view, ...}, frame rate], ...}
    data_test_3dhp.npz   data: {"TS1": view, ...}
    view                 {data_2d: (T, 17, 2), data_3d: (T, 17, 3)}; the test also has valid: (T,)

2D is the ground truth; 3D is the annotation scaled to one body height ("univ_annot3"). Joints are
in the order of `MPI_INF_3DHP`. Only valid test frames are scored; the others are context.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from vidpose.datasets.cameras import MILLIMETRE, fit_focal
from vidpose.datasets.choice import (
    Choice,
    branch,
    check_known,
    check_metres,
    describe,
    joint_array,
    split,
)
from vidpose.datasets.dataset import Dataset, PoseSequence
from vidpose.datasets.marks import any_synthetic
from vidpose.errors import DataError
from vidpose.skeleton import MPI_INF_3DHP
from vidpose.utils.npz import read_npz

KEY = "data"
KEYPOINTS = "gt"
TRAIN = ("S1", "S2", "S3", "S4", "S5", "S6", "S7", "S8")
TEST = ("TS1", "TS2", "TS3", "TS4", "TS5", "TS6")
CAMERAS = ("0", "1", "2", "4", "5", "6", "7", "8")
VALID_FRAMES = {"TS1": 603, "TS2": 540, "TS3": 505, "TS4": 553, "TS5": 276, "TS6": 452}
"""Number of valid frames in the public test set."""
FRAME_SIZE = (2048, 2048)
OUTDOOR_FRAME_SIZE = (1920, 1080)
OUTDOOR = ("TS5", "TS6")
TEST_FPS = 25.0
"""Assumed: the test file has no frame rate."""
NEAREST_MM = 100.0


def path_train(folder: Path) -> Path:
    return folder / "data_train_3dhp.npz"


def path_test(folder: Path) -> Path:
    return folder / "data_test_3dhp.npz"


def open_mpi_inf_3dhp(folder: Path, choice: Choice) -> Dataset:
    """Read the chosen part, one sequence per training sequence and camera.

    Raises:
        DataError: a file is missing, damaged or in another format.
    """
    files: dict[Path, dict[str, Any]] = {}

    def of_subject(subject: str) -> Iterator[PoseSequence]:
        path = path_test(folder) if subject.startswith("TS") else path_train(folder)
        if path not in files:
            files[path] = read(path)
        for name in _names(path, files[path], subject):
            for sequence in sequences(path, name, files[path][name]):
                yield sequence.downsampled(choice.downsample)

    train, test = split(choice, of_subject)
    return Dataset(
        name="mpi_inf_3dhp",
        keypoints=choice.keypoints,
        skeleton=MPI_INF_3DHP,
        train=train,
        test=test,
        synthetic=any_synthetic(files),
    )


def read(path: Path) -> dict[str, Any]:
    """Read `data` from either file, without checking its content.

    Raises:
        DataError: the file cannot be read.
    """
    return branch(path, KEY, read_npz(path, KEY)[KEY])


def sequences(path: Path, name: str, found: Any) -> Iterator[PoseSequence]:
    """Yield the sequences, one per camera, of one entry of `data`.

    Raises:
        DataError: it holds something else.
    """
    if name.startswith("TS"):
        size = OUTDOOR_FRAME_SIZE if name in OUTDOOR else FRAME_SIZE
        yield _sequence((path, f"{KEY}, {name}", found), (name, name, "0"), TEST_FPS, size)
    else:
        yield from _train(path, name, found)


def _names(path: Path, data: dict[str, Any], subject: str) -> list[str]:
    check_known(f"{path}: {KEY}", "subject", [subject], [name.split(" ")[0] for name in data])
    return [name for name in data if name.split(" ")[0] == subject]


def _train(path: Path, name: str, found: Any) -> Iterator[PoseSequence]:
    key = f"{KEY}, {name}"
    subject, _, sequence = name.partition(" ")
    if not isinstance(found, list | tuple | np.ndarray) or len(found) != 2:
        raise DataError(
            f"{path}: {key}: expected its cameras and its frame rate, found {describe(found)}."
        )
    cameras, fps = branch(path, key, found[0]), found[1]
    if not isinstance(fps, int | float | np.number) or not 0 < fps < 1000:
        raise DataError(f"{path}: {key}: expected a frame rate, found {describe(fps)}.")
    for camera in CAMERAS:
        if camera not in cameras:
            raise DataError(
                f"{path}: {key}: expected cameras {', '.join(CAMERAS)}, found no {camera}."
            )
        source = path, f"{key}, camera {camera}", cameras[camera]
        yield _sequence(source, (subject, sequence, camera), float(fps), FRAME_SIZE)


def _sequence(
    source: tuple[Path, str, Any],
    names: tuple[str, str, str],
    fps: float,
    frame_size: tuple[int, int],
) -> PoseSequence:
    path, key, found = source
    view = branch(path, key, found)
    for part in ("data_2d", "data_3d"):
        if part not in view:
            raise DataError(f"{path}: {key}: expected data_2d and data_3d, found no {part}.")
    pixels = joint_array(path, f"{key}, data_2d", view["data_2d"], len(MPI_INF_3DHP), (2,))
    joints = joint_array(path, f"{key}, data_3d", view["data_3d"], len(MPI_INF_3DHP), (3,))
    if len(pixels) != len(joints):
        raise DataError(
            f"{path}: {key}: expected as many frames in data_2d as in data_3d ({len(joints)}), "
            f"found {len(pixels)}."
        )
    valid = _valid(path, key, view.get("valid"), len(joints))
    if np.abs(joints).max() < NEAREST_MM:
        raise DataError(f"{path}: {key}, data_3d: expected millimetres, found metres.")
    joints = joints * np.float32(MILLIMETRE)
    check_metres(path, f"{key}, data_3d", joints, "millimetres")
    subject, action, camera = names
    return PoseSequence(
        subject=subject,
        action=action,
        camera=camera,
        keypoints_2d=pixels,
        joints_3d=joints,
        valid=valid,
        frame_size=frame_size,
        fps=fps,
        focal_px=fit_focal(joints, pixels),
    )


def _valid(path: Path, key: str, found: Any, frames: int) -> Any:
    """Read (T,) bool; all true if the file has none."""
    if found is None:
        return np.ones(frames, bool)
    flags = np.asarray(found).reshape(-1)
    if flags.dtype.kind not in "bfiu" or len(flags) != frames or not np.isin(flags, (0, 1)).all():
        raise DataError(
            f"{path}: {key}, valid: expected 0 or 1 for each of {frames} frames, "
            f"found {describe(found)}."
        )
    return flags.astype(bool)
