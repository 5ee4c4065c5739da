"""Read files to measure a result against: another result, TRC, C3D, BVH or an array.

Each reader returns a `Reference`: h36m17 joints in metres with their times. Joints that a file
lacks are NaN, never zero and never guessed.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vidpose.datasets.bvh import read_bvh, unit_in_metres
from vidpose.errors import DataError, MissingDependencyError, UsageError
from vidpose.evaluation.reference_names import to_h36m17
from vidpose.poses import FASTEST_FPS, FURTHEST_M, LONGEST_S, SLOWEST_FPS, Pose3D, load
from vidpose.skeleton import H36M17
from vidpose.utils import isolated
from vidpose.utils.files import obstacle
from vidpose.utils.gaps import known_joints
from vidpose.utils.npz import read_arrays
from vidpose.utils.outside import number, reading

UNITS_M = {"m": 1.0, "cm": 0.01, "mm": 0.001, "in": 0.0254}
LONGEST_STEP_S = 0.1
"""No interpolation between samples further apart."""
ALLOWED_CELLS, MAX_CELLS_PER_CHARACTER = 1_000_000, 10
"""Limits on a TRC table, in cells; the larger of the two applies. Lines may end early, but short
lines must not expand to a huge table."""
SAME_TIME_S = 0.001
"""Times that differ by less count as equal, because files round them."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Reference:
    """Joints from another measurement; P people, T samples."""

    name: str
    joints: NDArray[np.float64]
    """(P, T, 17, 3), h36m17, metres; NaN where missing."""
    seconds: NDArray[np.float64]
    """(T,), increasing."""
    people: tuple[str, ...]
    """(P,), names."""
    in_camera: bool
    """Whether the axes are those of the result's camera, or the file's own."""
    relative: NDArray[np.float64] | None = None
    """(P, T, 17, 3), root-relative joints, which a result has even in frames without a root
    position; None for other files."""

    @property
    def missing(self) -> tuple[str, ...]:
        """Names of the joints that are missing in every sample."""
        known = known_joints(self.joints)
        if self.relative is not None and not known.any():
            known = known_joints(self.relative)
        return tuple(n for j, n in enumerate(H36M17.joint_names) if not known[..., j].any())

    def at(
        self, seconds: NDArray[np.float64], offset_s: float = 0.0, *, positions: bool = True
    ) -> NDArray[np.float64]:
        """Interpolate the joints linearly at other times.

        Args:
            seconds: (T,) times of the result.
            offset_s: added to the reference's own times.
            positions: whether positions in the scene are needed; otherwise root-relative joints
                are used if there are any.

        Returns:
            (P, T, 17, 3); NaN before the first sample and after the last, and where one of the two
            samples lacks the joint or they are more than `LONGEST_STEP_S` apart.
        """
        joints = self.joints if positions or self.relative is None else self.relative
        own = self.seconds + offset_s
        after = np.searchsorted(own, seconds).clip(1, max(len(own) - 1, 1))
        before = after - 1
        after = np.minimum(after, len(own) - 1)
        step = np.maximum(own[after] - own[before], 1e-12)
        share = (seconds - own[before]) / step
        near = np.where(share < 0.5, before, after)
        same = np.abs(own[near] - seconds) <= SAME_TIME_S
        inside = (share >= 0) & (share <= 1) & (step <= LONGEST_STEP_S + SAME_TIME_S)
        share = np.where(inside, share, np.nan)[:, None, None]
        between = (1 - share) * joints[:, before] + share * joints[:, after]
        return np.asarray(np.where(same[:, None, None], joints[:, near], between))


def read_reference(
    path: Path, fps: float | None = None, times: NDArray[np.float64] | None = None
) -> Reference:
    """Read a file to measure against, in the format of its suffix.

    Args:
        path: .npz of vidpose, .trc, .c3d, .bvh or .npy.
        fps: sample rate of an .npy, which has no times.
        times: (T,) seconds of the result's frames, used for an .npy with as many samples.

    Raises:
        UsageError: the format is not supported, or the times of an .npy are unknown.
        DataError: the file is missing, damaged, or has none of our joints.
        ResultFileError: the .npz is not a result.
        MissingDependencyError: the file is C3D, and ezc3d is not installed.
    """
    suffix = path.suffix.lower()
    if suffix == ".npy":
        return _read_npy(path, fps, times)
    if fps is not None:
        raise UsageError(f"--reference-fps: {path.name} has its own times; omit the option.")
    if suffix == ".npz":
        return of_result(load(path), path.name)
    if suffix not in _READERS:
        raise UsageError(
            f"{path}: unknown format; use a result (.npz), .trc, .c3d, .bvh or .npy as reference."
        )
    if why := obstacle(path, "give a reference"):
        raise DataError(f"{path} {why}.")
    with reading(path, DataError, f"is not a complete {suffix[1:].upper()} file"):
        joints, seconds = _READERS[suffix](path)
        joints = _check_joints(path, joints)
    if not known_joints(joints).any():
        raise DataError(f"{path} has no joint with a known name; docs/plots.md lists the names.")
    return Reference(
        name=path.name, joints=joints[None], seconds=seconds, people=("",), in_camera=False
    )


def _check_joints(path: Path, joints: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the joints, with NaN instead of infinity.

    Raises:
        DataError: a joint is too far away to be in metres.
    """
    joints = np.where(np.isfinite(joints), joints, np.nan)
    if (np.abs(joints) > FURTHEST_M).any():
        raise DataError(f"{path} has a joint more than {FURTHEST_M:,.0f} metres away.")
    return joints


def of_result(result: Pose3D, name: str) -> Reference:
    """Turn a result into a reference."""
    return Reference(
        name=name,
        joints=result.joints_camera().astype(np.float64),
        relative=result.joints_3d.astype(np.float64),
        seconds=result.timestamps,
        people=tuple(map(str, result.person_ids)),
        in_camera=True,
    )


def _read_npy(path: Path, fps: float | None, times: NDArray[np.float64] | None) -> Reference:
    """Read (T, 17, 3) or (P, T, 17, 3), h36m17, metres, camera frame."""
    array = read_arrays(path, problem="is not an .npy of numbers").get("", np.array(""))
    if array.dtype.kind not in "fiu":
        raise DataError(f"{path} is not an .npy of numbers.")
    if array.ndim not in (3, 4) or array.shape[-2:] != (len(H36M17), 3) or 0 in array.shape:
        raise DataError(
            f"{path} has the shape {array.shape}; it should be (frames, 17, 3) or "
            "(people, frames, 17, 3), h36m17 joints in metres."
        )
    with np.errstate(invalid="ignore"):  # any kind of NaN is a missing joint
        joints = array.reshape(-1, *array.shape[-3:]).astype(np.float64)
    joints = _check_joints(path, joints)
    frames = joints.shape[1]
    if fps is not None:
        seconds = np.arange(frames) / fps
    elif times is not None and len(times) == frames:
        seconds = times
    else:
        raise UsageError(
            f"{path} has {frames} frames and the result {0 if times is None else len(times)}; "
            "give its sample rate with --reference-fps N."
        )
    people = tuple(str(n + 1) for n in range(len(joints)))
    return Reference(name=path.name, joints=joints, seconds=seconds, people=people, in_camera=True)


def _read_trc(path: Path) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """OpenSim's tab-separated text format: five header lines, then one line per sample."""
    text = path.read_text(encoding="utf-8", errors="replace")
    lines = text.splitlines()
    about = dict(zip(lines[1].split(), lines[2].split(), strict=False))
    unit = UNITS_M[about["Units"]]
    names = [name.strip() for name in lines[3].split("\t")[2:] if name.strip()]
    rows = [line.split("\t") for line in lines[5:] if line.strip()]
    width = 2 + 3 * len(names)
    if width * len(rows) > max(ALLOWED_CELLS, MAX_CELLS_PER_CHARACTER * len(text)):
        raise ValueError(f"it claims {len(names):,} markers in {len(rows):,} lines")
    # Empty cells, and cells missing at the end of a line, are gaps.
    cells = [[float(c) if c.strip() else np.nan for c in row[:width]] for row in rows]
    table = np.array([row + [np.nan] * (width - len(row)) for row in cells], np.float64)
    seconds = table[:, 1]
    if not names or not (np.abs(seconds) <= LONGEST_S).all() or (np.diff(seconds) <= 0).any():
        raise ValueError("its times do not increase")
    points = unit * table[:, 2:].reshape(len(table), len(names), 3)
    return to_h36m17(points, names), seconds


def _read_c3d(path: Path) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    if importlib.util.find_spec("ezc3d") is None:
        raise MissingDependencyError(
            "C3D files need ezc3d, which is not installed; `pip install ezc3d`."
        )
    with reading(path, DataError, "is not a C3D file with points"):
        found = isolated.read("c3d", path)
        points = UNITS_M[str(found["unit"])] * np.moveaxis(found["points"], 0, -1)
        lost = found["residuals"][0] < 0
        points = np.where(lost[..., None], np.nan, points).swapaxes(0, 1)
        fps = number("frame rate", found["rate"], SLOWEST_FPS, FASTEST_FPS)
        if not len(points):
            raise ValueError("there is no frame")
        seconds = (int(found["first"]) + np.arange(len(points))) / fps
        return to_h36m17(points, found["labels"].tolist()[: points.shape[1]]), seconds


def _read_bvh(path: Path) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Read BVH in the unit, one of `bvh.UNITS_M`, that gives an adult's leg length.

    Raises:
        DataError: none of these units does.
    """
    bvh = read_bvh(path)
    joints = to_h36m17(bvh.world()[0], bvh.joint_names, bvh=True)
    if known_joints(joints).any():  # otherwise the caller says that no name is known
        legs = (joints[:, H36M17.index(name)] for name in ("RHip", "RKnee", "RFoot"))
        joints = unit_in_metres(path, *legs) * joints
    return joints, np.arange(len(joints)) / bvh.fps


_READERS: dict[str, Callable[[Path], tuple[NDArray[np.float64], NDArray[np.float64]]]] = {
    ".trc": _read_trc,
    ".c3d": _read_c3d,
    ".bvh": _read_bvh,
}
