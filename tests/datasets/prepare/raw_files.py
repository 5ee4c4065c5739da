"""Small raw downloads of the public datasets, made on the spot in the forms they come in."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from cdflib.cdfwrite import CDF
from numpy.typing import NDArray
from scipy.io import savemat

from vidpose.datasets.h36m import ACTIONS, RECORDED_JOINTS
from vidpose.datasets.mpi_inf_3dhp import TEST
from vidpose.datasets.prepare import h36m, humaneva, mpi_inf_3dhp

RAW_NAMES = {
    "S1": {"Photo": "TakingPhoto", "WalkDog": "WalkingDog"},
    "S9": {"Photo": "TakingPhoto", "WalkDog": "WalkDog"},
}
"""What some subjects' files call two of the actions."""


def walk(frames: int, joints: int, seed: int = 0) -> NDArray[np.float64]:
    """(frames, joints, 3) millimetres, of the size and place of a person in a studio."""
    random = np.random.default_rng(seed)
    return np.asarray(random.uniform((-500, -500, 0), (500, 500, 1800), (frames, joints, 3)))


def write_cdf(path: Path, poses: NDArray[np.floating[Any]], name: str = "Pose") -> Path:
    """(N, J, 3) as Human3.6M's CDF files hold them: one record (N, J * 3) of 32-bit floats."""
    flat = poses.reshape(len(poses), -1).astype(np.float32)
    path.parent.mkdir(parents=True, exist_ok=True)
    file = CDF(path)
    shape = {"Num_Elements": 1, "Rec_Vary": True, "Dim_Sizes": list(flat.shape)}
    file.write_var({"Variable": name, "Data_Type": file.CDF_FLOAT, **shape}, var_data=flat[None])
    file.close()
    return path


def write_h5(path: Path, poses: NDArray[np.floating[Any]]) -> Path:
    """(N, J, 3) as the old archive holds them: a dataset of one column a frame."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w") as file:
        file["3D_positions"] = poses.reshape(len(poses), -1).T
    return path


def write_mat(path: Path, v73: bool = False, **variables: Any) -> Path:
    """Variables as MATLAB writes them; a list is a column of cells."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if v73:
        return _write_mat73(path, variables)
    savemat(path, {name: _cells(v) if isinstance(v, list) else v for name, v in variables.items()})
    return path


def _cells(values: list[Any]) -> NDArray[Any]:
    cells = np.empty((len(values), 1), object)
    for row, value in enumerate(values):
        cells[row, 0] = value
    return cells


def _write_mat73(path: Path, variables: dict[str, Any]) -> Path:
    """HDF5 behind MATLAB's 512 bytes: axes in reverse, cells as references."""
    with h5py.File(path, "w", userblock_size=512) as file:
        for name, value in variables.items():
            if isinstance(value, list):
                references = file.create_dataset(name, (1, len(value)), h5py.ref_dtype)
                references.attrs["MATLAB_class"] = np.bytes_("cell")
                for column, cell in enumerate(value):
                    inner = file.create_dataset(f"#refs#/{name}{column}", data=np.asarray(cell).T)
                    references[0, column] = inner.ref
            else:
                file[name] = np.asarray(value).T
    with open(path, "r+b") as stream:
        stream.write(b"MATLAB 7.3 MAT-file, Platform: GLNXA64".ljust(124) + b"\0\2IM")
    return path


def write_h36m(
    source: Path, form: str = "cdf", subjects: Iterable[str] = h36m.SUBJECTS, frames: int = 3
) -> dict[h36m.Take, NDArray[np.float64]]:
    """All takes; their millimetres (frames, 32, 3) by the names that VideoPose3D gives them."""
    poses = {}
    for s, subject in enumerate(subjects):
        folder = source / subject / "MyPoseFeatures" / "D3_Positions"
        for a, action in enumerate(ACTIONS):
            for number in ("", " 1"):
                take = walk(frames + len(number), RECORDED_JOINTS, 100 * s + 2 * a + len(number))
                poses[subject, action + number] = take
                name = RAW_NAMES.get(subject, {}).get(action, action) + number
                if form == "cdf":
                    write_cdf(folder / f"{name}.cdf", take)
                elif form == "h5":
                    old = source / subject / "MyPoses" / "3D_positions"
                    write_h5(old / f"{action}{number}.h5", take)
                else:
                    cell = [take.reshape(len(take), -1)]
                    write_mat(folder / f"{name}.cdf.mat", form == "mat73", data=cell)
    return poses


def write_3dhp_training(
    source: Path, v73: bool = False, frames: int = 5
) -> dict[str, tuple[list[NDArray[np.float64]], list[NDArray[np.float64]]]]:
    """All annot.mat; the pixels (frames, 56) and millimetres (frames, 84) of 14 cameras."""
    annotations = {}
    random = np.random.default_rng(0)
    for subject, sequence in mpi_inf_3dhp.FRAMES:
        in_2d = [random.uniform(0, 2048, (frames, 56)) for _ in range(14)]
        in_3d = [random.uniform(-1000, 4000, (frames, 84)) for _ in range(14)]
        annotations[f"{subject} {sequence}"] = in_2d, in_3d
        write_mat(
            source / subject / sequence / "annot.mat",
            v73,
            annot2=in_2d,
            annot3=in_3d,
            univ_annot3=[2 * camera for camera in in_3d],
            frames=np.arange(frames)[:, None],
            cameras=np.arange(14)[None],
        )
    return annotations


def write_3dhp_tests(
    source: Path, v73: bool = True, frames: int = 6
) -> dict[str, tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]]:
    """All annot_data.mat; (frames, 17, 2) pixels, (frames, 17, 3) millimetres, (frames,) valid."""
    annotations = {}
    random = np.random.default_rng(1)
    for test in TEST:
        in_2d = random.uniform(0, 2048, (frames, 17, 2))
        in_3d = random.uniform(-1000, 4000, (frames, 17, 3))
        valid = (np.arange(frames) % 3 > 0).astype(float)
        annotations[test] = in_2d, in_3d, valid
        write_mat(
            source / test / "annot_data.mat",
            v73,
            # As MATLAB shows them: coordinates, joints, one person, frames.
            annot2=in_2d.transpose(2, 1, 0)[:, :, None],
            univ_annot3=in_3d.transpose(2, 1, 0)[:, :, None],
            valid_frame=valid[None],
        )
    return annotations


def write_humaneva(
    source: Path, broken: tuple[int, ...] = (), v73: bool = False
) -> dict[humaneva.Part, tuple[NDArray[np.float64], NDArray[np.float64]]]:
    """All exported takes; millimetres (F, 15, 3) and pixels (3, F, 15, 2).

    Args:
        source: where they go.
        broken: frames of every take without motion capture.
        v73: the newer kind of MATLAB file.
    """
    poses = {}
    for seed, (part, (start, stop)) in enumerate(humaneva.FRAMES.items()):
        if (part[0][-2:], part[1]) == humaneva.DAMAGED:
            continue
        in_3d = walk(stop - start, 15, seed)
        in_2d = np.random.default_rng(seed).uniform(0, 480, (3, stop - start, 15, 2))
        in_3d[list(broken)] = in_2d[:, list(broken)] = np.nan
        poses[part] = in_3d, in_2d
        path = source / part[0] / f"{part[1].replace(' ', '_')}.mat"
        write_mat(path, v73, poses_3d=in_3d, poses_2d=in_2d)
    return poses
