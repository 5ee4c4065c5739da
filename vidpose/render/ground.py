"""Where the floor is, from the people who stand on it.

Nothing in a picture of unknown pitch says where up is, except the people: who stands or walks,
stands upright on average, and whose foot is lowest has it on the floor.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vidpose.poses import Pose3D
from vidpose.skeleton import H36M17

CAMERA_UP = np.array([0.0, -1.0, 0.0])
ANKLE_HEIGHT_M = 0.08
"""The ankle joint over the sole, in an adult."""

# How people stand. Left to right they are level; forward they lean, and more so when they walk.
SIDEWAYS_SD = np.radians(8.0)
FORWARD_SD = np.radians(20.0)
CAMERA_SD = np.radians(30.0)
"""How far from level a camera is held: what is left to believe where nobody stands."""
MOMENTS_PER_SECOND = 2.0
"""Poses closer in time than half a second say the same."""
BENT_DEG, STRAIGHT_DEG = 110.0, 150.0
"""Opening of knees and hips of somebody who does not stand, and of somebody who does."""
FARTHEST_TILT_DEG = 60.0
"""Somebody further from the camera's own up than this lies rather than stands."""
FARTHEST_LEAN_DEG = 30.0
"""Somebody further from the others' up than this leans rather than stands."""
FLOOR_PERCENTILE = 20.0
"""Of the lowest foot's heights: on the floor in most frames, in the air in some."""


@dataclass(frozen=True, eq=False)
class Ground:
    """The floor, camera frame (x right, y down, z away), metres."""

    up: NDArray[np.float64]
    """(3,) unit vector away from the floor."""
    point: NDArray[np.float64]
    """(3,) a point of the floor."""

    @property
    def world_from_camera(self) -> NDArray[np.float64]:
        """(3, 3) rotation to axes x right, y away from the camera along the floor, z up."""
        # A camera that looks straight down sees "away" in the direction of the picture's top.
        looking = np.array([0.0, 0.0, 1.0]) if abs(self.up[2]) < 0.98 else CAMERA_UP
        right = np.cross(looking, self.up)
        right /= np.linalg.norm(right)
        return np.stack([right, np.cross(self.up, right), self.up])

    def to_world(self, points: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
        """(..., 3) camera frame to world: x right, y away, z height over the floor; the origin
        is the point of the floor under the camera.
        """
        world: NDArray[np.float64] = points @ self.world_from_camera.T
        world[..., 2] -= self.point @ self.up
        return world


def estimate_ground(result: Pose3D) -> Ground:
    """The floor under the people of a result.

    Up is the direction that fits best to three things, each as much as it can be trusted: who
    stands is level from left to right (`SIDEWAYS_SD`), upright from front to back
    (`FORWARD_SD`), and the camera is about level (`CAMERA_SD`), which is all there is where
    nobody stands. The floor lies `ANKLE_HEIGHT_M` under the ankles, at the height of the lowest
    foot of most frames.
    """
    poses = result.joints_3d[result.present].astype(np.float64)
    up = _up(poses, MOMENTS_PER_SECOND / result.fps)
    joints = result.joints_camera()[result.present].astype(np.float64)
    joints = joints[np.isfinite(joints).all(axis=(1, 2))]
    if len(joints) == 0:  # nobody's place is known: the floor is under the bodies as they are
        joints = poses
    if len(joints) == 0:
        return Ground(up, -up)
    feet = [H36M17.index("RFoot"), H36M17.index("LFoot")]
    lowest = (joints[:, feet] @ up).min(axis=1)
    height = np.percentile(lowest, FLOOR_PERCENTILE) - ANKLE_HEIGHT_M
    middle = np.median(joints[:, 0], axis=0)
    return Ground(up, middle + (height - middle @ up) * up)


def _up(poses: NDArray[np.float64], trust: float) -> NDArray[np.float64]:
    """The direction in which people stand.

    Args:
        poses: (N, 17, 3).
        trust: what each counts for, as a number of independent poses.
    """

    def at(name: str) -> NDArray[np.float64]:
        return poses[:, H36M17.index(name)]

    ankles = (at("RFoot") + at("LFoot")) / 2
    body = _unit(at("Thorax") - ankles)
    leftward = _unit(_unit(at("LHip") - at("RHip")) + _unit(at("LShoulder") - at("RShoulder")))
    forward = _unit(np.cross(leftward, body))

    openings = [_opening(at(f"{s}Hip"), at(f"{s}Knee"), at(f"{s}Foot")) for s in "RL"]
    openings.append(_opening(at("Thorax"), at("Hip"), ankles))
    straight = (np.min(openings, axis=0) - BENT_DEG) / (STRAIGHT_DEG - BENT_DEG)
    stands = trust * np.clip(straight, 0, 1) * _within(body, CAMERA_UP, FARTHEST_TILT_DEG)

    # Up is level with none of these directions: it is where their spread is least.
    spread = np.diag([1.0, 0.0, 1.0]) / CAMERA_SD**2
    up = _least(spread + _spread(leftward, forward, stands))
    stands *= _within(body, up, FARTHEST_LEAN_DEG)
    return _least(spread + _spread(leftward, forward, stands))


def _spread(
    leftward: NDArray[np.float64], forward: NDArray[np.float64], weights: NDArray[np.float64]
) -> NDArray[np.float64]:
    """(N, 3) directions and (N,) weights to their (3, 3) scatter in standard deviations."""
    scatter: NDArray[np.float64] = np.zeros((3, 3))
    for directions, sd in ((leftward, SIDEWAYS_SD), (forward, FORWARD_SD)):
        scatter += (directions * weights[:, None]).T @ directions / sd**2
    return scatter


def _least(scatter: NDArray[np.float64]) -> NDArray[np.float64]:
    """(3, 3) scatter to the (3,) unit vector along which it is least, on the camera's up side."""
    direction: NDArray[np.float64] = np.linalg.eigh(scatter)[1][:, 0]
    return direction if direction @ CAMERA_UP > 0 else -direction


def _within(
    directions: NDArray[np.float64], axis: NDArray[np.float64], degrees: float
) -> NDArray[np.bool_]:
    near: NDArray[np.bool_] = directions @ axis > np.cos(np.radians(degrees))
    return near


def _opening(
    a: NDArray[np.float64], corner: NDArray[np.float64], b: NDArray[np.float64]
) -> NDArray[np.float64]:
    """(N, 3) points to the (N,) angles a-corner-b in degrees."""
    cosine = (_unit(a - corner) * _unit(b - corner)).sum(axis=-1)
    opening: NDArray[np.float64] = np.degrees(np.arccos(np.clip(cosine, -1, 1)))
    return opening


def _unit(vectors: NDArray[np.float64]) -> NDArray[np.float64]:
    length = np.linalg.norm(vectors, axis=-1, keepdims=True)
    unit: NDArray[np.float64] = vectors / np.maximum(length, 1e-9)
    return unit
