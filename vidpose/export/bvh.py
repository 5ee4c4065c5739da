"""BVH: a skeleton and its rotations as text, for Blender, Maya, MotionBuilder and the like.

One person per file; `rigid_skeleton` defines the skeleton and its rotations. BVH has a constant
frame rate and no gaps. While the person is absent, the last pose is held, or before the first one,
that pose, so that the files of all people stay in sync with the video.
"""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vidpose.export.motion import (
    DECIMALS,
    PER_METRE,
    QUARTER_TURN,
    Motion,
    at_constant_rate,
    motion_of,
)
from vidpose.export.rigid_skeleton import NODES, RigidMotion, rigid_motion
from vidpose.options import ExportOptions
from vidpose.poses import Pose3D

MARK = b"JOINT RPelvis\n"
"""A node that only our skeleton has."""
ORDER = "ZXY"
"""Order of the intrinsic rotations, as in most programs."""
PLACE = "Xposition Yposition Zposition"
TURN = " ".join(f"{axis}rotation" for axis in ORDER)


def write(result: Pose3D, path: Path, name: str, options: ExportOptions) -> None:
    """Write one person's motion.

    Args:
        result: with one person, whose joints are known in some frame.
        path: path to write to.
        name: final name of the file.
        options: axes, up (y unless given) and unit (m unless given).
    """
    unit = options.unit or "m"
    motion = at_constant_rate(motion_of(result, 0, axes=options.axes, up="y"))
    rigid = rigid_motion(motion.joints[motion.known], motion.times[motion.known])
    if options.up == "z":
        rigid = rigid.turned(QUARTER_TURN.T)
    number = f"%.{DECIMALS[unit]}f"
    channels = _channels(rigid, PER_METRE[unit])[held_frames(motion)]
    with open(path, "w", encoding="ascii", newline="\n") as stream:
        stream.write("HIERARCHY\n")
        stream.write(_hierarchy(0, rigid.offsets * PER_METRE[unit], number))
        stream.write(f"MOTION\nFrames: {len(channels)}\nFrame Time: {1 / motion.fps:.10g}\n")
        np.savetxt(stream, channels, fmt=[number] * 3 + ["%.6f"] * (channels.shape[1] - 3))


def held_frames(motion: Motion) -> NDArray[np.int64]:
    """For each frame, the index of the known frame whose pose it holds."""
    return np.maximum(np.cumsum(motion.known) - 1, 0)


def _channels(rigid: RigidMotion, per_metre: float) -> NDArray[np.float64]:
    """(frames, 3 + 3 nodes): position of the root, then degrees, nodes depth first."""
    columns = [rigid.root * per_metre]
    with warnings.catch_warnings():
        # In gimbal lock the angles are not unique; any solution will do.
        warnings.filterwarnings("ignore", "Gimbal lock detected")
        for n in _depth_first(0):
            columns.append(continuous(rigid.rotations[n].as_euler(ORDER, degrees=True)))
    return np.hstack(columns)


def continuous(angles: NDArray[np.float64]) -> NDArray[np.float64]:
    """(T, 3) degrees in `ORDER`: the same rotations, without jumps between frames.

    Half a turn about the first and the third axis is the same as the second angle beyond 90
    degrees. Without the latter, a knee or hip that bends further would jump by half a turn.
    """
    other = angles * (1, -1, 1) + 180
    changes = _apart(angles[:-1], other[1:]) < _apart(angles[:-1], angles[1:])
    turned = (np.append(0, np.cumsum(changes)) % 2 == 1)[:, None]
    forms = np.where(turned, other, angles), np.where(turned, angles, other)
    nearest = min(forms, key=lambda form: float(_apart(form, np.zeros(3)).sum()))
    return np.unwrap((nearest + 180) % 360 - 180, axis=0, period=360)


def _apart(start: NDArray[np.float64], end: NDArray[np.float64]) -> NDArray[np.float64]:
    """(T,) sum of the differences between angles, degrees."""
    return np.asarray(np.abs((end - start + 180) % 360 - 180).sum(axis=1), np.float64)


def _children(n: int) -> list[int]:
    return [child for child, node in enumerate(NODES) if node.parent == n]


def _depth_first(n: int) -> list[int]:
    return [n, *(below for child in _children(n) for below in _depth_first(child))]


def _hierarchy(n: int, offsets: NDArray[np.float64], number: str, depth: int = 0) -> str:
    """BVH text of a node and its descendants."""
    pad, place = "\t" * depth, " ".join(number % (value + 0.0) for value in offsets[n])
    kind, channels = ("JOINT", f"3 {TURN}") if depth else ("ROOT", f"6 {PLACE} {TURN}")
    below = "".join(_hierarchy(child, offsets, number, depth + 1) for child in _children(n))
    # Every branch must end in a site; it is at the last joint.
    end = f"{pad}\tEnd Site\n{pad}\t{{\n{pad}\t\tOFFSET 0 0 0\n{pad}\t}}\n"
    return (
        f"{pad}{kind} {NODES[n].name}\n{pad}{{\n{pad}\tOFFSET {place}\n"
        f"{pad}\tCHANNELS {channels}\n{below or end}{pad}}}\n"
    )
