"""People made by formulas: walking stick figures seen by a tilted camera."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from vidpose.poses import Pose3D
from vidpose.skeleton import H36M17

REST = {
    "Hip": (0, 0, 0.94), "RHip": (0.12, 0, 0.94), "LHip": (-0.12, 0, 0.94),
    "Spine": (0, 0, 1.18), "Thorax": (0, 0, 1.44), "Neck/Nose": (0, 0.08, 1.58),
    "Head": (0, 0.01, 1.74), "LShoulder": (-0.17, 0, 1.42), "RShoulder": (0.17, 0, 1.42),
}  # fmt: skip
"""Somebody who looks along y, x to their right, z up, feet at z = 0; metres."""
THIGH, SHANK, UPPER_ARM, FOREARM, ANKLE = 0.43, 0.43, 0.29, 0.26, 0.08


def walker(phase: float) -> NDArray[np.float64]:
    """(17, 3) a person walking in place, axes as `REST`; `phase` in radians, 2 pi per cycle."""
    joints = np.zeros((17, 3))
    for name, place in REST.items():
        joints[H36M17.index(name)] = place
    for s, lead in (("R", 0.0), ("L", np.pi)):
        swing = 0.42 * np.sin(phase + lead)
        bend = 0.55 * max(0.0, np.cos(phase + lead)) ** 2
        limb(joints, f"{s}Hip", f"{s}Knee", f"{s}Foot", swing, -bend, THIGH, SHANK)
        limb(
            joints, f"{s}Shoulder", f"{s}Elbow", f"{s}Wrist", -0.6 * swing, 0.5, UPPER_ARM, FOREARM
        )
    feet = [H36M17.index("RFoot"), H36M17.index("LFoot")]
    joints[:, 2] += ANKLE - joints[feet, 2].min()
    return joints


def limb(
    joints: NDArray[np.float64], top: str, middle: str, end: str,
    swing: float, bend: float, upper: float, lower: float,
) -> None:  # fmt: skip
    start = joints[H36M17.index(top)]
    bent = start + upper * np.array([0, np.sin(swing), -np.cos(swing)])
    joints[H36M17.index(middle)] = bent
    angle = swing + bend
    joints[H36M17.index(end)] = bent + lower * np.array([0, np.sin(angle), -np.cos(angle)])


def camera_axes(pitch_deg: float, roll_deg: float) -> NDArray[np.float64]:
    """(3, 3) world (x right, y away, z up) -> axes of a camera pitched down and rolled."""
    level = np.array([[1.0, 0, 0], [0, 0, -1], [0, 1, 0]])
    p, r = np.radians([pitch_deg, roll_deg])
    pitch = np.array([[1, 0, 0], [0, np.cos(p), -np.sin(p)], [0, np.sin(p), np.cos(p)]])
    roll = np.array([[np.cos(r), -np.sin(r), 0], [np.sin(r), np.cos(r), 0], [0, 0, 1]])
    axes: NDArray[np.float64] = roll @ pitch @ level
    return axes


def walk(
    *,
    frames: int = 30,
    size: tuple[int, int] = (1280, 720),
    starts: Sequence[tuple[float, float]] = ((-0.8, 4.0),),
    speeds: Sequence[tuple[float, float]] = ((0.5, 0.0),),
    fps: float = 30.0,
    pitch_deg: float = 0.0,
    roll_deg: float = 0.0,
    camera_height_m: float = 1.5,
    focal: float = 1.1,
) -> Pose3D:
    """A result of people who walk straight, seen without error.

    Args:
        starts: where each stands at first: metres to the right of the camera and away from it.
        speeds: metres per second, along the same axes.
        focal: in image widths.
    """
    axes = camera_axes(pitch_deg, roll_deg)
    times = np.arange(frames) / fps
    people = len(starts)
    joints = np.empty((people, frames, 17, 3))
    for person, (start, speed) in enumerate(zip(starts, speeds, strict=True)):
        heading = np.arctan2(-speed[0], speed[1]) if any(speed) else np.pi
        turn = np.array(
            [
                [np.cos(heading), -np.sin(heading), 0],
                [np.sin(heading), np.cos(heading), 0],
                [0, 0, 1],
            ]
        )
        for t, time in enumerate(times):
            pace = np.hypot(*speed) or 0.8
            body = walker(2 * np.pi * pace * time / 1.3 + person) @ turn.T
            body[:, :2] += np.array(start) + np.array(speed) * time
            joints[person, t] = body
    joints[..., 2] -= camera_height_m
    joints = joints @ axes.T
    width, height = size
    keypoints = joints[..., :2] / joints[..., 2:] * focal * width + np.array([width, height]) / 2
    present = np.ones((people, frames), bool)
    return Pose3D(
        keypoints_2d=keypoints.astype(np.float32),
        scores_2d=np.ones((people, frames, 17), np.float32),
        present=present,
        observed=present.copy(),
        person_ids=np.arange(people, dtype=np.int32),
        frame_indices=np.arange(frames, dtype=np.int64),
        timestamps=times,
        fps=fps,
        frame_size=size,
        joints_3d=(joints - joints[:, :, :1]).astype(np.float32),
        root_3d=joints[:, :, 0].astype(np.float32),
    )
