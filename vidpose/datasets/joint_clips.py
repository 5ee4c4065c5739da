"""Motion capture as joints in an .npz, one file per subject, for data that are not BVH.

A file holds N clips with T frames in total:

| key | shape, dtype | meaning |
|---|---|---|
| `joints` | (T, J, 3) numbers | world frame, z up, in units of `unit_m` |
| `joint_names` | (J,) text | the joints of h36m17 or coco17, in order |
| `unit_m` | float, optional | metres; 1 by default |
| `fps` | float | frame rate |
| `subject` | text, optional | by default the file's name |
| `starts` | (N + 1,) integers, optional | clip n is frames starts[n] to starts[n + 1] |
| `clips` | (N,) text, optional | their names |
| `valid` | (T,) bool, optional | the frames to use; clips are split at invalid ones |
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vidpose.datasets.dataset import MotionClip
from vidpose.errors import DataError
from vidpose.poses import FASTEST_FPS, FURTHEST_M, SLOWEST_FPS
from vidpose.skeleton import COCO17, H36M17, Skeleton, conversion
from vidpose.utils.gaps import runs
from vidpose.utils.npz import AGAIN, keys_in, read_arrays
from vidpose.utils.outside import name_of, number, reading

SHORTEST_S = 0.2
"""Shorter runs of valid frames are skipped."""
SMALLEST_BODY_M, LARGEST_BODY_M = 0.1, 10.0
"""Bounds of the longest side of a pose's bounding box, median over frames; outside of them, joints
have another unit than stated."""


def is_joint_file(path: Path) -> bool:
    """Whether an .npz can be opened and has joints in this form."""
    return {"joints", "joint_names"} <= (keys_in(path) or set())


def read_joint_file(path: Path) -> list[MotionClip]:
    """Read one .npz of joints; see the module's description.

    Raises:
        DataError: the file is damaged or incomplete.
    """
    with reading(path, DataError, "is not motion capture in an .npz"):
        return _clips(path, read_arrays(path, advice=AGAIN))


def _clips(path: Path, stored: dict[str, Any]) -> list[MotionClip]:
    for key in ("joints", "joint_names", "fps"):
        if key not in stored:
            raise DataError(f"{path} has no {key}, which motion capture in an .npz needs.")
    joints, skeleton = _joints(path, stored)
    fps = number("fps", stored["fps"], SLOWEST_FPS, FASTEST_FPS)
    subject = name_of("subject", stored.get("subject", path.stem))
    valid = np.asarray(stored.get("valid", np.ones(len(joints), bool)))
    starts = np.asarray(stored.get("starts", [0, len(joints)]))
    if valid.shape != (len(joints),) or valid.dtype != bool:
        raise DataError(f"{path}: valid must be one bool for each of the frames.")
    if starts.ndim != 1 or starts.dtype.kind not in "iu" or len(starts) < 2:
        raise DataError(f"{path}: starts must be whole numbers, the clips' first frames.")
    if (np.diff(starts) < 0).any() or starts[0] < 0 or starts[-1] > len(joints):
        raise DataError(f"{path}: starts must rise, and stay within the {len(joints)} frames.")
    names = np.asarray(stored.get("clips", np.arange(len(starts) - 1))).astype(str)
    if names.shape != (len(starts) - 1,):
        raise DataError(f"{path}: clips must name each of the {len(starts) - 1} clips.")
    joints = np.where(valid[:, None, None], joints, 0.0)
    converted = joints if skeleton is H36M17 else conversion(skeleton.name, "h36m17")(joints)[0]
    if not (np.abs(converted) <= FURTHEST_M).all():
        raise DataError(f"{path}: joints of valid frames must be numbers, in metres.")
    sizes = np.ptp(converted[valid], axis=1).max(axis=1)
    if len(sizes) and not SMALLEST_BODY_M <= np.median(sizes) <= LARGEST_BODY_M:
        raise DataError(
            f"{path}: people would be {np.median(sizes):.4g} metres tall; give the unit of joints "
            "in metres as unit_m (0.001 for millimetres)."
        )
    return [
        MotionClip(
            name_of("clips", f"{name}{suffix}"),
            subject,
            converted[first:last].astype(np.float32),
            fps,
            recording=name,
        )
        for name, begin, end in zip(names, starts, starts[1:], strict=False)
        for suffix, first, last in _runs(valid, int(begin), int(end), fps)
    ]


def _joints(path: Path, stored: dict[str, Any]) -> tuple[NDArray[np.float64], Skeleton]:
    joints, names = np.asarray(stored["joints"]), np.asarray(stored["joint_names"]).astype(str)
    skeleton = next((s for s in (H36M17, COCO17) if s.joint_names == tuple(names.tolist())), None)
    if skeleton is None:
        raise DataError(f"{path}: joint_names must be those of h36m17 or of coco17, in order.")
    if joints.ndim != 3 or joints.shape[1:] != (len(names), 3) or joints.dtype.kind not in "iuf":
        raise DataError(f"{path}: joints must be numbers, (frames, {len(names)}, 3).")
    return joints * number("unit_m", stored.get("unit_m", 1.0), 1e-6, 1e3), skeleton


def _runs(
    valid: NDArray[np.bool_], begin: int, end: int, fps: float
) -> Iterator[tuple[str, int, int]]:
    """Yield runs of valid frames: a suffix for the clip's name, first frame and end."""
    parts = runs(valid[begin:end])
    for place, part in enumerate(parts):
        if part.stop - part.start >= SHORTEST_S * fps:
            suffix = f"-{place}" if len(parts) > 1 else ""
            yield suffix, begin + part.start, begin + part.stop
