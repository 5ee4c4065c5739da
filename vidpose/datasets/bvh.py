"""Reading BVH motion capture, and the positions of its joints by forward kinematics."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from vidpose.errors import DataError


@dataclass(frozen=True)
class Bvh:
    """One motion-capture clip: a hierarchy and its channels over time."""

    joint_names: tuple[str, ...]
    parents: tuple[int, ...]
    offsets: NDArray[np.float64]
    """(J, 3), from the parent, in the file's unit."""
    channels: tuple[tuple[str, ...], ...]
    """Per joint, in the file's order: `Xposition`, `Zrotation`, ..."""
    motion: NDArray[np.float64]
    """(T, number of channels), positions in the file's unit, angles in degrees."""
    fps: float

    def world(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Forward kinematics.

        Returns:
            positions (T, J, 3) in the file's unit and frame, and orientations (T, J, 3, 3) that
            take a joint's own frame to the file's.
        """
        frames = len(self.motion)
        positions = np.empty((frames, len(self.joint_names), 3))
        orientations = np.empty((frames, len(self.joint_names), 3, 3))
        column = 0
        for j, (parent, channels) in enumerate(zip(self.parents, self.channels, strict=True)):
            values = self.motion[:, column : column + len(channels)]
            column += len(channels)
            place = np.broadcast_to(self.offsets[j], (frames, 3)).copy()
            axes, angles = "", []
            for name, value in zip(channels, values.T, strict=True):
                if name.endswith("position"):
                    # A moving joint's channels replace its offset: what all exporters mean.
                    place[:, "XYZ".index(name[0])] = value
                else:
                    axes += name[0]
                    angles.append(value)
            turn = np.broadcast_to(np.eye(3), (frames, 3, 3))
            if axes:
                # Upper case: rotations about the joint's own, already turned axes, in file order.
                turn = Rotation.from_euler(axes, np.stack(angles, 1), degrees=True).as_matrix()
            if parent < 0:
                positions[:, j], orientations[:, j] = place, turn
            else:
                above = orientations[:, parent]
                positions[:, j] = positions[:, parent] + np.einsum("tij,tj->ti", above, place)
                orientations[:, j] = above @ turn
        return positions, orientations


def read_bvh(path: Path) -> Bvh:
    """Read a BVH file.

    Raises:
        DataError: the file is missing, is no BVH or ends too early.
    """
    try:
        text = path.read_text(encoding="ascii", errors="strict")
    except (OSError, UnicodeDecodeError):
        raise DataError(f"{path} cannot be read as BVH text; check the file.") from None
    head, marker, tail = text.partition("MOTION")
    try:
        if not marker:
            raise ValueError("it has no MOTION section")
        names, parents, offsets, channels = _hierarchy(iter(head.split()))
        motion, fps = _motion(tail, sum(map(len, channels)))
    except (ValueError, StopIteration, IndexError) as error:
        reason = str(error) or "it ends in the middle"
        raise DataError(f"{path} is not a complete BVH file: {reason}.") from None
    return Bvh(names, parents, offsets, channels, motion, fps)


def _hierarchy(
    words: Iterator[str],
) -> tuple[tuple[str, ...], tuple[int, ...], NDArray[np.float64], tuple[tuple[str, ...], ...]]:
    names: list[str] = []
    parents: list[int] = []
    offsets: list[list[float]] = []
    channels: list[tuple[str, ...]] = []
    stack: list[int] = []  # open braces: a joint, or -1 for an end site, which is not a joint
    current = -1
    if next(words, "") != "HIERARCHY":
        raise ValueError("it does not begin with HIERARCHY")
    for word in words:
        if word in ("ROOT", "JOINT"):
            names.append(next(words))
            parents.append(stack[-1] if stack else -1)
            current = len(names) - 1
        elif word == "End":
            next(words)
            current = -1
        elif word == "{":
            stack.append(current)
        elif word == "}":
            stack.pop()
        elif word == "OFFSET":
            offset = [float(next(words)) for _ in range(3)]
            if stack[-1] >= 0:
                offsets.append(offset)
        elif word == "CHANNELS":
            channels.append(tuple(next(words) for _ in range(int(next(words)))))
        else:
            raise ValueError(f"{word[:40]!r} is not expected in the hierarchy")
    if stack or not names or len(offsets) != len(names) or len(channels) != len(names):
        raise ValueError("its hierarchy is not complete")
    for channel in (c for joint in channels for c in joint):
        if channel[:1] not in ("X", "Y", "Z") or channel[1:] not in ("position", "rotation"):
            raise ValueError(f"{channel[:40]!r} is not a channel")
    return tuple(names), tuple(parents), np.array(offsets), tuple(channels)


def _motion(text: str, columns: int) -> tuple[NDArray[np.float64], float]:
    header: list[str] = []
    rows = text.split("\n")
    while rows and len(header) < 2:
        row = rows.pop(0).strip()
        if row:
            header.append(row)
    if len(header) < 2 or not header[0].startswith("Frames:"):
        raise ValueError("its MOTION section has no header")
    frames, period = int(header[0].split()[-1]), float(header[1].split()[-1])
    if not (math.isfinite(period) and period > 0):
        raise ValueError("its frame time is not a positive number")
    values = np.array("\n".join(rows).split(), dtype=np.float64)
    if values.size != frames * columns or frames == 0:
        raise ValueError(
            f"expected {frames} frames of {columns} values, found {values.size} values"
        )
    if not np.isfinite(values).all():
        raise ValueError("a value is not a number")
    return values.reshape(frames, columns), 1 / period
