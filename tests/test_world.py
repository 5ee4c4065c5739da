from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.render.people import camera_axes, walk
from vidpose.poses import Pose3D
from vidpose.world import estimate_ground

TWO: dict[str, Any] = {"starts": ((-1.0, 3.5), (1.0, 6.0)), "speeds": ((0.6, 0.2), (-0.3, -0.5))}


def angle_deg(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    return float(np.degrees(np.arccos(np.clip(a @ b, -1, 1))))


@pytest.mark.parametrize(("pitch_deg", "roll_deg"), [(0, 0), (20, 10), (35, -5), (-10, 3)])
def test_up_and_floor_under_a_tilted_camera(pitch_deg: float, roll_deg: float) -> None:
    result = walk(
        frames=45,
        pitch_deg=pitch_deg,
        roll_deg=roll_deg,
        camera_height_m=1.7,
        **TWO,
    )
    ground = estimate_ground(result)
    true_up = camera_axes(pitch_deg, roll_deg) @ np.array([0, 0, 1.0])
    assert angle_deg(ground.up, true_up) < 2
    camera_over_floor = ground.to_world(np.zeros(3))[2]
    assert camera_over_floor == pytest.approx(1.7, abs=0.15)
    feet = ground.to_world(result.joints_camera()[:, :, [3, 6]])[..., 2].min(axis=2)
    assert np.median(feet) == pytest.approx(0.08, abs=0.05)


def test_world_axes_are_right_away_and_up() -> None:
    ground = estimate_ground(walk(pitch_deg=20, roll_deg=10, **TWO))
    axes = ground.world_from_camera
    assert axes @ axes.T == pytest.approx(np.eye(3), abs=1e-9)
    assert np.linalg.det(axes) == pytest.approx(1)
    right, away, up = axes @ np.array([[1.0, 0, 0], [0, 0, 1], [0, -1, 0]]).T @ np.eye(3)
    assert right[0] > 0.9
    assert away[1] > 0.9
    assert up[2] > 0.9


def test_a_camera_that_looks_straight_down() -> None:
    ground = dataclasses.replace(estimate_ground(walk()), up=np.array([0.0, 0.0, -1.0]))
    axes = ground.world_from_camera
    assert axes @ axes.T == pytest.approx(np.eye(3), abs=1e-9)
    assert axes @ np.array([1.0, 0, 0]) == pytest.approx([1, 0, 0])


def without(result: Pose3D, **changes: Any) -> Pose3D:
    return dataclasses.replace(result, **changes)


def test_a_few_odd_poses_do_not_tilt_the_floor() -> None:
    result = walk(frames=40, pitch_deg=20, **TWO)
    joints = result.joints_3d.copy()
    lean = np.array([[0.8, -0.6, 0], [0.6, 0.8, 0], [0, 0, 1]], np.float32)
    joints[0, :12] = joints[0, :12] @ lean.T
    roots = result.root_3d.copy()
    roots[1, 3] += (0, 5, 0)  # somebody falls through the floor for a frame
    ground = estimate_ground(without(result, joints_3d=joints, root_3d=roots))
    assert angle_deg(ground.up, camera_axes(20, 0) @ np.array([0, 0, 1.0])) < 2.5
    assert ground.to_world(np.zeros(3))[2] == pytest.approx(1.5, abs=0.25)


def test_walkers_who_lean_forward_do_not_tilt_the_floor_sideways() -> None:
    """All walk to the right, leaning into it; from left to right they are level."""
    result = walk(frames=60, starts=((-1, 4),), speeds=((1, 0),))
    lean = np.radians(12)
    turn = np.array(
        [[np.cos(lean), np.sin(lean), 0], [-np.sin(lean), np.cos(lean), 0], [0, 0, 1]], np.float32
    )
    right = without(result, joints_3d=result.joints_3d @ turn)
    assert right.joints_3d[0, 0, 10, 0] > 0.1  # the head is ahead, to the right
    leaning = angle_deg(estimate_ground(right).up, np.array([0, -1.0, 0]))
    two = walk(frames=60, starts=((-1, 4), (0, 5)), speeds=((1, 0), (0, -0.5)))
    joints = two.joints_3d.copy()
    joints[0] = joints[0] @ turn
    both = estimate_ground(without(two, joints_3d=joints)).up
    assert angle_deg(both, np.array([0, -1.0, 0])) < 0.5 * leaning


def test_nobody_stands() -> None:
    """People who lie say nothing about up: the camera's own is taken."""
    result = walk(frames=20)
    lying = result.joints_3d[..., [1, 0, 2]]
    up = estimate_ground(without(result, joints_3d=lying)).up
    assert up == pytest.approx([0, -1, 0])


def test_nobody_has_a_known_place() -> None:
    result = walk(frames=60, pitch_deg=15, **TWO)
    ground = estimate_ground(without(result, root_3d=np.full_like(result.root_3d, np.nan)))
    assert angle_deg(ground.up, camera_axes(15, 0) @ np.array([0, 0, 1.0])) < 2
    assert np.isfinite(ground.point).all()


def test_nobody_at_all() -> None:
    result = walk(frames=3)
    nobody = without(
        result,
        present=np.zeros_like(result.present),
        observed=np.zeros_like(result.observed),
        joints_3d=np.full_like(result.joints_3d, np.nan),
    )
    ground = estimate_ground(nobody)
    assert ground.up == pytest.approx([0, -1, 0])
    assert np.isfinite(ground.point).all()
