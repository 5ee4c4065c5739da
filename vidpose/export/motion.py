"""One person's joints, converted to other axes and a constant frame rate."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from vidpose.poses import Pose3D
from vidpose.skeleton import H36M17
from vidpose.utils.gaps import gaps_in, known_joints, runs_between

JOINT_NAMES = tuple("Nose" if name == "Neck/Nose" else name for name in H36M17.joint_names)
"""The joint is the nose; OpenSim and three.js interpret a slash in a name as a path."""

ROUNDING_S = 1.01e-3
"""Tolerance of evenly spaced frames: containers round times to milliseconds."""

SAME_TIME_S = 1e-6
"""Times that differ by less are equal; they are sums of steps."""

MISSING_FROM = 1.5
"""Frames are missing in a gap that is longer than this many frames."""

SAME_FRAME = 1e-3
"""Tolerance for the last frame of a motion, as a fraction of a frame."""

QUARTER_TURN = np.array([[1.0, 0.0, 0.0], [0.0, 0.0, 1.0], [0.0, -1.0, 0.0]])
"""(x, y, z) -> (x, z, -y): from z up to y up, or from the camera frame (y down) to z up. Stays
right-handed."""

PER_METRE = {"mm": 1000.0, "cm": 100.0, "m": 1.0}
DECIMALS = {"mm": 4, "cm": 5, "m": 7}
"""To a ten-thousandth of a millimetre."""


@dataclass(frozen=True, eq=False)
class Motion:
    """One person's joints over time."""

    joints: NDArray[np.float64]
    """(T, 17, 3) metres, h36m17, x right; y or z up. NaN in frames without the person, or where
    their position is unknown."""
    times: NDArray[np.float64]
    """(T,) seconds, as in the result."""
    fps: float
    """Frames per second, if `times` are evenly spaced."""

    @property
    def known(self) -> NDArray[np.bool_]:
        """(T,), the frames in which the joints are known."""
        return known_joints(self.joints, (1, 2))


class Pace(NamedTuple):
    """Evenly spaced frames from a result's first frame to its last."""

    fps: float
    """Their rate, frames per second."""
    frames: int
    """How many there are."""
    even: bool
    """Whether they are the result's own frames."""


def only(result: Pose3D, rows: Sequence[int]) -> Pose3D:
    """Select people by row."""
    return result.part(list(rows), slice(None))


def of_people(result: Pose3D, ids: Sequence[int]) -> Pose3D:
    """Select people by id.

    Raises:
        UsageError: there is no person with one of the ids.
    """
    return only(result, sorted({result.index_of(number) for number in ids}))


def motion_of(result: Pose3D, person: int, *, axes: str, up: str) -> Motion:
    """The joints of a person over time.

    Args:
        result: the people.
        person: their row.
        axes: world, or camera: the camera frame, as if the camera were level.
        up: y (x right, z towards the camera) or z (x right, y away from the camera).

    Raises:
        UsageError: `axes` is world, and the result has no world frame.
    """
    result = only(result, [person])
    joints = result.joints_world() if axes == "world" else result.joints_camera() @ QUARTER_TURN.T
    joints = joints[0].astype(np.float64)
    if up == "y":
        joints = joints @ QUARTER_TURN.T
    return Motion(joints, result.timestamps, result.fps)


def constant_rate(timestamps: NDArray[np.float64], fps: float) -> float | None:
    """Frame rate of evenly spaced times; None if they are not evenly spaced.

    Args:
        timestamps: (T,) seconds, increasing.
        fps: the container's frame rate, which is more exact than rounded times.
    """
    if len(timestamps) < 2:
        return fps
    frames = np.arange(len(timestamps))
    average = float(frames[-1] / (timestamps[-1] - timestamps[0]))
    for rate in (fps, average):
        offsets = timestamps - frames / rate
        if np.ptp(offsets) <= ROUNDING_S:
            return rate
    return None


def pace_of(timestamps: NDArray[np.float64], fps: float) -> Pace:
    """The pace of a result's frames, or at the average rate without gaps if they are not even.

    Args:
        timestamps: see `constant_rate`.
        fps: see `constant_rate`.
    """
    rate = constant_rate(timestamps, fps)
    if rate is not None:
        return Pace(rate, len(timestamps), even=True)
    gaps = _gaps(timestamps, fps)
    steps = np.diff(timestamps)[~gaps]
    rate = float(len(steps) / steps.sum()) if gaps.any() and len(steps) else fps
    frames = int(float(timestamps[-1] - timestamps[0]) * rate + SAME_FRAME) + 1
    return Pace(rate, frames, even=False)


def _gaps(timestamps: NDArray[np.float64], fps: float) -> NDArray[np.bool_]:
    """(T - 1,), whether frames are missing after each frame for long enough to be a gap.

    At low rates all frames are as far apart as gaps, and none is missing between them.
    """
    return gaps_in(timestamps) & (np.diff(timestamps) * fps > MISSING_FROM)


def at_constant_rate(motion: Motion) -> Motion:
    """Resample a motion to evenly spaced times.

    Evenly spaced frames stay as they are. Others are interpolated linearly, at the average rate,
    between neighbouring frames if the person is present in both and there is no gap between them.
    If no even time is within a stretch of frames, its middle frame moves to the nearest one.
    """
    pace, times = pace_of(motion.times, motion.fps), motion.times
    even = times[0] + np.arange(pace.frames) / pace.fps
    if pace.even:
        return Motion(motion.joints, even, pace.fps)
    before = np.clip(np.searchsorted(times, even, "right") - 1, 0, len(times) - 2)
    steps = times[before + 1] - times[before]
    share = (even - times[before]) / steps
    # If a frame has exactly this time, use it alone: the next one may have no joints.
    at_frame = np.abs(share - share.round()) * steps <= SAME_TIME_S
    share = np.where(at_frame, share.round(), share)[:, None, None]
    first, last = motion.joints[before], motion.joints[before + 1]
    between = first * (1 - share) + last * share
    gaps = _gaps(times, motion.fps)
    between[gaps[before]] = np.nan
    joints = np.select([share == 0, share == 1], [first, last], between)
    for part in runs_between(motion.known, gaps):
        ends = times[[part.start, part.stop - 1]] + (-SAME_TIME_S, SAME_TIME_S)
        if np.ptp(np.searchsorted(even, ends)) == 0:
            middle = (part.start + part.stop - 1) // 2
            nearest = np.abs(even - times[middle]).argmin()
            if not known_joints(joints[nearest]).all():
                joints[nearest] = motion.joints[middle]
    return Motion(joints, even, pace.fps)
