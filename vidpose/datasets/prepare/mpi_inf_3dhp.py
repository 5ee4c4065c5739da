"""Conversion of MPI-INF-3DHP's annotations to the two files that P-STMO and PoseFormerV2 read."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vidpose.datasets.marks import mark
from vidpose.datasets.mpi_inf_3dhp import CAMERAS, TEST, path_test, path_train
from vidpose.datasets.prepare import raw
from vidpose.errors import DataError
from vidpose.events import Report, Warn, ignore
from vidpose.utils.files import check_writable
from vidpose.utils.npz import write_pickled_npz
from vidpose.utils.progress import Progress, silent

FRAMES = {
    **{("S1", "Seq1"): (6416, 25), ("S1", "Seq2"): (12430, 50)},
    **{("S2", "Seq1"): (6502, 25), ("S2", "Seq2"): (6081, 25)},
    **{("S3", "Seq1"): (12488, 50), ("S3", "Seq2"): (12283, 50)},
    **{("S4", "Seq1"): (6171, 25), ("S4", "Seq2"): (6675, 25)},
    **{("S5", "Seq1"): (12820, 50), ("S5", "Seq2"): (12312, 50)},
    **{("S6", "Seq1"): (6188, 25), ("S6", "Seq2"): (6145, 25)},
    **{("S7", "Seq1"): (6239, 25), ("S7", "Seq2"): (6320, 25)},
    **{("S8", "Seq1"): (6468, 25), ("S8", "Seq2"): (6054, 25)},
}
"""The training sequences: number of frames to use, and frame rate (from the dataset's
mpii_get_sequence_info)."""
SEQUENCES = [" ".join(sequence) for sequence in FRAMES]
VIDEO = re.compile(r"(?:^|/)(S[1-8])/(Seq[12])/(?:imageSequence/)?video_(\d+)\.avi$")
RECORDED_JOINTS = 28
JOINTS = (7, 5, 14, 15, 16, 9, 10, 11, 23, 24, 25, 18, 19, 20, 4, 3, 6)
"""Indices of the joints of the skeleton `mpi_inf_3dhp`, in its order, in the recorded ones."""


def prepare(
    source: Path,
    out: Path,
    *,
    report: Report = ignore,
    progress: Progress = silent,
) -> list[Path]:
    """Write data_train_3dhp.npz and data_test_3dhp.npz, or the one with annotations.

    Both have 2D joints in pixels, and 3D joints in millimetres, camera frame, scaled to one body
    height (`univ_annot3`); the data types are those of the download.

    Args:
        source: folder with `S1/Seq1/annot.mat` and `TS1/annot_data.mat` anywhere below it.
        out: folder for the files.
        report: receives events for the user.
        progress: wraps the files to read.

    Returns:
        The paths of the files written.

    Raises:
        DataError: a sequence is missing, or a file cannot be read.
        MissingDependencyError: h5py is needed and not installed.
    """
    raw.check_source(source)
    train = _annotations(source, "annot.mat", SEQUENCES)
    test = _annotations(source, "annot_data.mat", TEST)
    if not train and not test:
        raise DataError(
            f"{source} has neither S1/Seq1/annot.mat nor TS1/annot_data.mat below it; give the "
            "folder of the raw MPI-INF-3DHP download."
        )
    for files, wanted in ((train, SEQUENCES), (test, TEST)):
        if files:
            check_complete(source, files, wanted)
    written = []
    for name, target, files, wanted, read in (
        ("training", path_train(out), train, SEQUENCES, _read_training),
        ("test", path_test(out), test, TEST, _read_test),
    ):
        if not files:
            report(Warn(f"no {name} sequence is below {source}; {target} is not written."))
            continue
        check_writable(target)
        data = {
            sequence: read(files[sequence], sequence)
            for sequence in progress(wanted, len(wanted), f"reading {name}")
        }
        write_pickled_npz(target, {"data": data} | mark("mpi_inf_3dhp"))
        written.append(target)
    return written


def _annotations(source: Path, name: str, wanted: Sequence[str]) -> dict[str, Path]:
    """Find the files with this name, by sequence ("S1 Seq1", "TS1")."""
    found: dict[str, Path] = {}
    for path in raw.files_below(source.resolve(), name):
        sequence = " ".join(path.parts[:-1][-len(wanted[0].split()) :])
        if sequence in wanted and path.name == name:
            found.setdefault(sequence, path)
    return found


def check_complete(source: Path, files: dict[str, Path], wanted: Sequence[str]) -> None:
    """Raise DataError unless every sequence has its file."""
    missing = [sequence for sequence in wanted if sequence not in files]
    if missing:
        raise DataError(
            f"{source} lacks the annotations of {len(missing)} of {len(wanted)} sequences of "
            f"MPI-INF-3DHP: {raw.listed(missing, 16)}."
        )


def _read_training(path: Path, sequence: str) -> list[Any]:
    """Read [{camera: {"data_2d": (F, 17, 2), "data_3d": (F, 17, 3)}}, frame rate]."""
    subject, _, number = sequence.partition(" ")
    frames, fps = FRAMES[subject, number]
    found = raw.read_mat(path, "annot2", "univ_annot3", "cameras")
    numbers = found["cameras"].ravel().tolist()
    cells = {name: found[name].ravel() for name in ("annot2", "univ_annot3")}
    if not all(cell.dtype == object and len(cell) == len(numbers) for cell in cells.values()):
        raise DataError(
            f"{path} has annot2 and univ_annot3 of shapes {found['annot2'].shape} and "
            f"{found['univ_annot3'].shape}; expected a cell for each of its {len(numbers)} cameras."
        )
    missing = [camera for camera in CAMERAS if int(camera) not in numbers]
    if missing:
        raise DataError(f"{path} has no camera {raw.listed(missing)}; download it again.")
    seen = {}
    for camera in CAMERAS:
        place = numbers.index(int(camera))
        data_2d = _selected(cells["annot2"][place], 2, path)[:frames]
        data_3d = _selected(cells["univ_annot3"][place], 3, path)[:frames]
        seen[camera] = {"data_2d": data_2d, "data_3d": data_3d}
    lengths = {len(array) for entry in seen.values() for array in entry.values()}
    if len(lengths) > 1:
        raise DataError(
            f"{path} has between {min(lengths)} and {max(lengths)} frames, depending on the "
            "camera; download it again."
        )
    return [seen, fps]


def _selected(array: NDArray[Any], dimensions: int, path: Path) -> NDArray[Any]:
    """(F, 28 * D) -> (F, 17, D)."""
    return raw.sound(raw.joints(array, RECORDED_JOINTS, dimensions, path)[:, JOINTS], path)


def _read_test(path: Path, sequence: str) -> dict[str, NDArray[Any]]:
    """Read {"data_2d": (N, 17, 2), "data_3d": (N, 17, 3), "valid": (N,)}."""
    found = raw.read_mat(path, "annot2", "univ_annot3", "valid_frame")
    data_2d = _test_joints(found["annot2"], 2, path)
    data_3d = _test_joints(found["univ_annot3"], 3, path)
    valid = found["valid_frame"].ravel()
    if not len(data_2d) == len(data_3d) == len(valid):
        raise DataError(
            f"{path} has {len(data_2d)} frames in annot2, {len(data_3d)} in univ_annot3 and "
            f"{len(valid)} in valid_frame; download it again."
        )
    if valid.dtype.kind not in "fiub" or not np.isin(valid, (0, 1)).all():
        raise DataError(f"{path} has values in valid_frame that are neither 0 nor 1.")
    return {"data_2d": data_2d, "data_3d": data_3d, "valid": valid}


def _test_joints(array: NDArray[Any], dimensions: int, path: Path) -> NDArray[Any]:
    """MATLAB's (D, 17, 1, N), or other writers' reversed axes -> (N, 17, D)."""
    count = len(JOINTS)
    if array.ndim == 4 and array.shape[:3] == (dimensions, count, 1):
        array = array.transpose()
    if array.ndim != 4 or array.shape[1:] != (1, count, dimensions) or not array.size:
        raise DataError(
            f"{path} has joints of shape {array.shape}; expected ({dimensions}, {count}, 1, "
            "frames), as MATLAB shows it."
        )
    return raw.sound(raw.floating(np.ascontiguousarray(array[:, 0]), path), path)


def find_videos(source: Path, report: Report) -> dict[tuple[str, str], dict[str, Path]]:
    """Find the videos of every training sequence, by camera.

    Raises:
        DataError: there are none, or a camera is missing.
    """
    found = raw.with_cameras(source, raw.videos_below(source, VIDEO, CAMERAS), CAMERAS)
    if not found:
        raise DataError(
            f"{source} has no videos of MPI-INF-3DHP below it, such as "
            "S1/Seq1/imageSequence/video_0.avi."
        )
    if absent := [f"{s} {q}" for s, q in FRAMES if (s, q) not in found]:
        report(Warn(f"no videos of {raw.listed(absent, 16)} are below {source}."))
    report(Warn("the test sequences are images, not videos, and are skipped."))
    return found


def place(source: Path, tracks: raw.Tracks) -> raw.Positions:
    """Group tracks by subject and cut them to the annotated frames, from the video's start."""
    positions: raw.Positions = {}
    for (subject, sequence), seen in tracks.items():
        frames, _ = FRAMES[subject, sequence]
        positions.setdefault(subject, {})[sequence] = [camera[:frames] for camera in seen]
    return positions
