"""One person's joints as other programs want them: their own axes and one frame rate."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vidpose.poses import Pose3D
from vidpose.skeleton import H36M17
from vidpose.utils.gaps import known_joints

JOINT_NAMES = tuple("Nose" if name == "Neck/Nose" else name for name in H36M17.joint_names)
"""OpenSim and three.js take a slash in a name for a path. The joint is the nose."""

ROUNDING_S = 1.01e-3
"""Containers round times to milliseconds; frames that are hardly further off are evenly spaced."""

SAME_TIME_S = 1e-6
"""Times that differ by less are one; they are sums of steps."""

SAME_FRAME = 1e-3
"""Part of a frame: a motion that is shorter by no more than this has its last frame."""

QUARTER_TURN = np.array([[1.0, 0.0, 0.0], [0.0, 0.0, 1.0], [0.0, -1.0, 0.0]])
"""(x, y, z) -> (x, z, -y): from z up to y up, and from the camera frame, where y points down, to
z up. Always right-handed."""


@dataclass(frozen=True, eq=False)
class Motion:
    """One person's joints over time."""

    joints: NDArray[np.float64]
    """(T, 17, 3) metres, h36m17, x right; y or z up. NaN in frames without the person, or where
    it is not known where the person is."""
    times: NDArray[np.float64]
    """(T,) seconds, as in the result."""
    fps: float
    """Frames a second, if `times` are evenly spaced."""

    @property
    def known(self) -> NDArray[np.bool_]:
        """(T,), the frames in which the joints are known."""
        return known_joints(self.joints, (1, 2))


def only(result: Pose3D, rows: Sequence[int]) -> Pose3D:
    """The result with some of its people, by their rows."""
    return result.part(list(rows), slice(None))


def of_people(result: Pose3D, ids: Sequence[int]) -> Pose3D:
    """The result with some of its people, by their ids.

    Raises:
        UsageError: one of them is not there.
    """
    return only(result, sorted({result.index_of(number) for number in ids}))


def motion_of(result: Pose3D, person: int, *, axes: str, up: str) -> Motion:
    """The joints of a person, frame by frame.

    Args:
        result: the people.
        person: their row.
        axes: world, or camera: the camera's own axes, as if the camera were level.
        up: y (x right, z towards the camera) or z (x right, y away from the camera).

    Raises:
        UsageError: the world's axes are asked for, and the result has none.
    """
    result = only(result, [person])
    joints = result.joints_world() if axes == "world" else result.joints_camera() @ QUARTER_TURN.T
    joints = joints[0].astype(np.float64)
    if up == "y":
        joints = joints @ QUARTER_TURN.T
    return Motion(joints, result.timestamps, result.fps)


def constant_rate(timestamps: NDArray[np.float64], fps: float) -> float | None:
    """Frames a second of evenly spaced times; None if they are not.

    Args:
        timestamps: (T,) seconds, rising.
        fps: the rate that the container says, which is more exact than rounded times.
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


def even_times(timestamps: NDArray[np.float64], fps: float) -> NDArray[np.float64]:
    """(N,) seconds: evenly spaced times for the frames, or from the first to the last of them."""
    rate = constant_rate(timestamps, fps) or fps
    return np.asarray(timestamps[0] + np.arange(even_count(timestamps, fps)) / rate, np.float64)


def even_count(timestamps: NDArray[np.float64], fps: float) -> int:
    """How many `even_times` there are."""
    if constant_rate(timestamps, fps) is not None:
        return len(timestamps)
    return int(float(timestamps[-1] - timestamps[0]) * fps + SAME_FRAME) + 1


def at_constant_rate(motion: Motion) -> Motion:
    """The same motion on evenly spaced times.

    Evenly spaced frames stay as they are. Others are interpolated linearly, at the average rate,
    between neighbouring frames in both of which the person is there.
    """
    even, times = even_times(motion.times, motion.fps), motion.times
    rate = constant_rate(times, motion.fps)
    if rate is not None:
        return Motion(motion.joints, even, rate)
    before = np.clip(np.searchsorted(times, even, "right") - 1, 0, len(times) - 2)
    steps = times[before + 1] - times[before]
    share = (even - times[before]) / steps
    # A frame at that very time counts alone: the one after it may have nobody.
    at_frame = np.abs(share - share.round()) * steps <= SAME_TIME_S
    share = np.where(at_frame, share.round(), share)[:, None, None]
    first, last = motion.joints[before], motion.joints[before + 1]
    between = first * (1 - share) + last * share
    joints = np.select([share == 0, share == 1], [first, last], between)
    return Motion(joints, even, motion.fps)
