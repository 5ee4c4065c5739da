"""BVH motion capture: a reader, and forward kinematics."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from vidpose.errors import DataError
from vidpose.utils.outside import number, reading, whole

KINDS = tuple(axis + kind for kind in ("position", "rotation") for axis in "XYZ")
"""The channels that a joint may have, each at most once."""
LARGEST = 1e6
"""Upper bound of values in degrees or millimetres."""
SHORTEST_S, LONGEST_S = 1e-4, 10.0
"""Bounds of the frame time."""
UNITS_M = (1.0, 0.01, 0.001, 0.0254 / 0.45)
"""Metres, centimetres, millimetres, and the unit of the CMU database's own files."""
ADULT_LEG_M = (0.5, 1.2)
"""Hip to ankle along the bones; determines the unit of a file, which specifies none."""
MAX_POSES = 20_000_000
"""Upper bound of joints times frames: an hour of one body at 120 frames/s, 100 bytes each."""


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

    def rest(self) -> NDArray[np.float64]:
        """Positions without any rotation, (J, 3), relative to the root, in the file's unit."""
        positions = np.zeros((len(self.joint_names), 3))
        for j, parent in enumerate(self.parents):
            if parent >= 0:
                positions[j] = positions[parent] + self.offsets[j]
        return positions

    def world(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Forward kinematics.

        Returns:
            positions (T, J, 3) in the file's unit and frame, and orientations (T, J, 3, 3) from
            each joint's own frame to the file's.
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
                    # Position channels replace the offset, as all exporters intend.
                    place[:, "XYZ".index(name[0])] = value
                else:
                    axes += name[0]
                    angles.append(value)
            turn = np.broadcast_to(np.eye(3), (frames, 3, 3))
            if axes:
                # Upper case: intrinsic rotations, in the file's order.
                turn = Rotation.from_euler(axes, np.stack(angles, 1), degrees=True).as_matrix()
            if parent < 0:
                positions[:, j], orientations[:, j] = place, turn
            else:
                above = orientations[:, parent]
                positions[:, j] = positions[:, parent] + np.einsum("tij,tj->ti", above, place)
                orientations[:, j] = above @ turn
        return positions, orientations


def unit_in_metres(
    path: Path,
    hip: NDArray[np.float64],
    knee: NDArray[np.float64],
    ankle: NDArray[np.float64],
) -> float:
    """Find the unit of a file, one of `UNITS_M`, in which a leg has an adult's length.

    Args:
        path: for the message.
        hip, knee, ankle: (T, 3) in the file's unit.

    Raises:
        DataError: no unit fits.
    """
    leg = np.median(np.linalg.norm(knee - hip, axis=-1) + np.linalg.norm(ankle - knee, axis=-1))
    for unit in UNITS_M:
        if ADULT_LEG_M[0] <= unit * leg <= ADULT_LEG_M[1]:
            return unit
    raise DataError(
        f"{path} specifies no unit, and its legs do not have an adult's length in metres, "
        "centimetres or millimetres; scale it to metres."
    )


def read_bvh(path: Path) -> Bvh:
    """Read a BVH file.

    Raises:
        DataError: the file is missing, is not BVH or is truncated.
    """
    with reading(path, DataError, "cannot be read as BVH text", "check the file"):
        text = path.read_text(encoding="ascii", errors="strict")
    head, marker, tail = text.partition("MOTION")
    with reading(path, DataError, "is not a complete BVH file"):
        if not marker:
            raise ValueError("it has no MOTION section")
        names, parents, offsets, channels = _hierarchy(iter(head.split()))
        motion, fps = _motion(tail, sum(map(len, channels)))
        if len(motion) * len(names) > MAX_POSES:
            raise ValueError(f"it has {len(names):,} joints in {len(motion):,} frames")
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

    def take() -> str:
        if (word := next(words, None)) is None:
            raise ValueError("it ends in the middle of the hierarchy")
        return word

    for word in words:
        if word in ("ROOT", "JOINT"):
            names.append(take())
            parents.append(stack[-1] if stack else -1)
            current = len(names) - 1
        elif word == "End":
            take()
            current = -1
        elif word == "{":
            stack.append(current)
        elif word == "}":
            if not stack:
                raise ValueError("a brace is closed that was not opened")
            stack.pop()
        elif word == "OFFSET":
            offset = [number("OFFSET", float(take()), -LARGEST, LARGEST) for _ in range(3)]
            if stack and stack[-1] >= 0:
                offsets.append(offset)
        elif word == "CHANNELS":
            count = whole("CHANNELS", float(take()), 0, len(KINDS))
            # Some programs write ZPosition.
            channels.append(tuple(take().capitalize() for _ in range(count)))
        else:
            raise ValueError(f"{word[:40]!r} is not expected in the hierarchy")
    if stack or not names or len(offsets) != len(names) or len(channels) != len(names):
        raise ValueError("its hierarchy is not complete")
    for name, own in zip(names, channels, strict=True):
        if strange := [channel for channel in own if channel not in KINDS]:
            raise ValueError(f"{strange[0][:40]!r} is not a channel")
        if len(set(own)) < len(own):
            raise ValueError(f"joint {name[:40]} has a channel twice")
    if not any(channels):
        raise ValueError("no joint has a channel")
    return tuple(names), tuple(parents), np.array(offsets), tuple(channels)


def _motion(text: str, columns: int) -> tuple[NDArray[np.float64], float]:
    header = re.match(r"\s*Frames:([^\n]*)\n\s*([^\n]*)", text)
    count, period = ((header[1].split() or [""])[-1], header[2].split()) if header else ("", [])
    if header is None or not period:
        raise ValueError("its MOTION section has no header")
    frames = whole("Frames", float(count), 1, MAX_POSES)
    step = number("its frame time", float(period[-1]), SHORTEST_S, LONGEST_S)
    values = np.array(text[header.end() :].split(), dtype=np.float64)
    if values.size != frames * columns:
        raise ValueError(
            f"expected {frames} frames of {columns} values, found {values.size} values"
        )
    if not (np.abs(values) <= LARGEST).all():
        raise ValueError(f"a value is not a number up to {LARGEST:,.0f}")
    return values.reshape(frames, columns), 1 / step
