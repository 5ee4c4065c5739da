from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import vidpose
from tests.render.people import camera_axes, walk, walker
from vidpose.datasets.synthetic_motion import body, move
from vidpose.errors import UsageError
from vidpose.poses import Pose3D
from vidpose.postprocess.foot_contact import FEET
from vidpose.postprocess.ground_plane import (
    Ground,
    estimate_ground,
    ground_of,
    place_in_world,
    up_of_camera,
    up_of_horizon,
)
from vidpose.skeleton import H36M17

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


def test_the_worlds_axes_do_not_jump_as_a_camera_tilts() -> None:
    point = np.array([0.0, 2.0, 0.0])
    axes = np.array([Ground(up_of_camera(p), point).world_from_camera for p in range(-90, 91)])
    assert np.abs(np.diff(axes, axis=0)).max() < 0.02
    assert axes[90] == pytest.approx(np.array([[1, 0, 0], [0, 0, 1], [0, -1, 0]]))


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
    """Everybody walks to the right and leans forward; from left to right they are level."""
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
    """Lying people give no information about up, so the camera's own is used."""
    result = walk(frames=20)
    lying = result.joints_3d[..., [1, 0, 2]]
    up = estimate_ground(without(result, joints_3d=lying)).up
    assert up == pytest.approx([0, -1, 0])


def posing(joints: NDArray[np.float64], pitch_deg: float = 0.0, roll_deg: float = 0.0) -> Pose3D:
    """Somebody 4 m away; joints (60, 17, 3) or (17, 3), axes as `REST`."""
    result = walk(frames=60, pitch_deg=pitch_deg, roll_deg=roll_deg)
    joints = np.broadcast_to(joints, (1, 60, 17, 3)) + np.array([0, 4, -1.5])
    joints = joints @ camera_axes(pitch_deg, roll_deg).T
    return without(
        result,
        joints_3d=(joints - joints[:, :, :1]).astype(np.float32),
        root_3d=joints[:, :, 0].astype(np.float32),
    )


def test_somebody_on_one_leg_stands_over_the_foot() -> None:
    """The other leg swings, and the hips are not level."""
    pose = walker(0.0)
    right = [H36M17.index(name) for name in ("RHip", "RKnee", "RFoot")]
    left = [H36M17.index(name) for name in ("LHip", "LKnee", "LFoot")]
    pose[right] = (0.12, 0, 0.92), (0.07, 0.02, 0.5), (0.02, 0, 0.08)
    pose[left] = (-0.1, 0, 1.05), (-0.15, 0.35, 1.1), (-0.15, 0.3, 0.7)
    poses = np.repeat(pose[None], 60, axis=0)
    poses[:, left[2], 0] += 0.2 * np.sin(np.arange(60) / 3)
    true_up = camera_axes(20, 25) @ np.array([0, 0, 1.0])
    assert angle_deg(np.array([0, -1.0, 0]), true_up) > 30
    ground = estimate_ground(posing(poses, pitch_deg=20, roll_deg=25))
    assert angle_deg(ground.up, true_up) < 5


def test_somebody_on_hands_and_feet_does_not_stand_over_the_feet() -> None:
    pose = np.array(
        [
            (0, 0, 0.9),
            *((0.12, 0, 0.9), (0.12, -0.3, 0.5), (0.12, -0.6, 0.08)),
            *((-0.12, 0, 0.9), (-0.12, -0.3, 0.5), (-0.12, -0.6, 0.08)),
            *((0, 0.2, 0.73), (0, 0.4, 0.55), (0, 0.5, 0.45), (0, 0.55, 0.35)),
            *((-0.17, 0.4, 0.55), (-0.2, 0.6, 0.3), (-0.2, 0.75, 0.05)),
            *((0.17, 0.4, 0.55), (0.2, 0.6, 0.3), (0.2, 0.75, 0.05)),
        ]
    )
    ground = estimate_ground(posing(pose))
    assert ground.up == pytest.approx([0, -1, 0], abs=1e-6)


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


def moving(
    *actions: str, pitch_deg: float = 0.0, roll_deg: float = 0.0, noise_m: float = 0.0
) -> Pose3D:
    """People whose feet do not slide, seen by a camera 1.6 m above the floor."""
    rng = np.random.default_rng(5)
    people = [move(action, body(rng), 180, 30.0, rng) for action in actions]
    joints = np.stack([person + np.array([2.0 * n, 5.0, -1.6]) for n, person in enumerate(people)])
    joints = joints @ camera_axes(pitch_deg, roll_deg).T
    noisy = joints - joints[:, :, :1] + rng.normal(0, noise_m, joints.shape)
    noisy[:, :, 0] = 0
    empty = walk(frames=180, starts=((0, 5),) * len(actions), speeds=((0, 0),) * len(actions))
    return dataclasses.replace(
        empty,
        joints_3d=noisy.astype(np.float32),
        root_3d=joints[:, :, 0].astype(np.float32),
    )


@pytest.mark.parametrize(("pitch_deg", "roll_deg"), [(0, 0), (22, 12), (-8, -20)])
@pytest.mark.parametrize("action", ["Walking", "Waiting"])
def test_the_world_of_somebody_who_walks_or_stands(
    action: str, pitch_deg: float, roll_deg: float
) -> None:
    result = moving(action, pitch_deg=pitch_deg, roll_deg=roll_deg, noise_m=0.02)
    ground = estimate_ground(result)
    assert angle_deg(ground.up, up_of_camera(pitch_deg, roll_deg)) < 3.5
    assert ground.tilt_sd < np.radians(10)
    # At 5 m a degree is 9 cm.
    assert ground.camera_height == pytest.approx(1.6, abs=0.3)
    known = estimate_ground(result, up_of_camera(pitch_deg, roll_deg))
    assert known.camera_height == pytest.approx(1.6, abs=0.03)
    assert known.tilt_sd == 0
    world = place_in_world(result, camera_pitch=pitch_deg, camera_roll=roll_deg).joints_world()
    soles = world[0, :, FEET, 2].min(axis=0) - 0.08
    assert np.abs(np.median(soles)) < 0.03
    assert np.median(world[0, :, 10, 2]) > 1.4  # the head is up


def test_foot_contacts_determine_up_if_bodies_do_not() -> None:
    """Everybody leans the same way, like with a biased lifter; their foot contacts are still
    level.
    """
    walkers = moving("Walking", "WalkDog", "Walking")
    lean = np.radians(8)
    turn = np.array(
        [[np.cos(lean), np.sin(lean), 0], [-np.sin(lean), np.cos(lean), 0], [0, 0, 1]], np.float32
    )
    leaning = without(walkers, joints_3d=walkers.joints_3d @ turn)
    nowhere = without(leaning, root_3d=np.full_like(leaning.root_3d, np.nan))
    up = np.array([0, -1.0, 0])
    bodies_alone = angle_deg(estimate_ground(nowhere).up, up)
    assert bodies_alone > 5
    assert angle_deg(estimate_ground(leaning).up, up) < 0.7 * bodies_alone


def test_the_floor_is_below_a_person_on_an_object() -> None:
    result = moving("Walking", "Waiting", pitch_deg=5)
    roots = result.root_3d.copy()
    roots[1] += (up_of_camera(5) * 2).astype(np.float32)
    ground = estimate_ground(without(result, root_3d=roots))
    assert ground.camera_height == pytest.approx(1.6, abs=0.1)
    told = place_in_world(without(result, root_3d=roots)).meta["world"]["feet_over_floor_m"]
    assert told["0"] == pytest.approx(0, abs=0.1)
    assert told["1"] == pytest.approx(2, abs=0.15)


def test_the_floor_is_not_below_a_child() -> None:
    """Who is half as tall as assumed is placed twice as far away, below the floor of the others."""
    result = walk(frames=45, pitch_deg=20, camera_height_m=2.5, **TWO)
    child = walk(frames=45, pitch_deg=20, camera_height_m=2.5, starts=((0, 5),), speeds=((0.5, 0),))
    family = {
        name: np.concatenate([getattr(result, name), getattr(child, name)])
        for name in ("keypoints_2d", "scores_2d", "present", "observed", "joints_3d")
    }
    roots = np.concatenate([result.root_3d, 2 * child.root_3d])
    joints = family["joints_3d"].copy()
    joints[2] *= 2
    ids = np.arange(3, dtype=np.int32)
    together = without(result, **(family | {"joints_3d": joints}), root_3d=roots, person_ids=ids)
    told = place_in_world(together).meta["world"]
    assert told["camera_height_m"] == pytest.approx(2.5, abs=0.25)
    assert told["feet_over_floor_m"]["0"] == pytest.approx(0, abs=0.15)
    assert told["feet_over_floor_m"]["2"] < -1.5


def test_a_camera_that_turns_leaves_no_foot_at_rest() -> None:
    """Without contacts, the lowest feet define the floor."""
    result = moving("Walking")
    turn = np.linspace(0, np.pi / 2, result.frames)
    c, s, o = np.cos(turn), np.sin(turn), np.zeros_like(turn)
    turns = np.array([[c, o, s], [o, o + 1, o], [-s, o, c]]).transpose(2, 0, 1)
    turned = without(
        result,
        joints_3d=np.einsum("tij,ptkj->ptki", turns, result.joints_3d).astype(np.float32),
        root_3d=np.einsum("tij,ptj->pti", 1.5 * turns, result.root_3d).astype(np.float32),
    )
    told = place_in_world(turned).meta["world"]
    assert told["floor"] == "lowest feet"
    assert told["floor_sd_m"] is None
    assert place_in_world(result).meta["world"]["floor"] == "feet at rest"


def test_a_lying_person_makes_up_uncertain() -> None:
    result = walk(frames=90)
    lying = without(result, joints_3d=result.joints_3d[..., [1, 0, 2]])
    told = place_in_world(lying).meta["world"]
    assert told["sure"] is False
    assert told["tilt_sd_deg"] > 20
    assert place_in_world(result).meta["world"]["sure"] is True
    given = place_in_world(lying, camera_pitch=10).meta["world"]
    assert given["sure"] is True
    assert given["tilt_sd_deg"] is None


def test_camera_to_world_and_back(tmp_path: Path) -> None:
    result = place_in_world(walk(pitch_deg=20, roll_deg=10, **TWO))
    matrix = result.camera_to_world
    assert matrix is not None
    back = np.linalg.inv(matrix)
    world = result.joints_world().astype(np.float64)
    camera = world @ back[:3, :3].T + back[:3, 3]
    np.testing.assert_allclose(camera, result.joints_camera(), atol=1e-5)
    ground, estimated = ground_of(result), estimate_ground(result)
    np.testing.assert_allclose(ground.camera_to_world, matrix)
    np.testing.assert_allclose(ground.up, estimated.up)
    np.testing.assert_allclose(ground.to_world(result.joints_camera()), world, atol=1e-5)
    assert matrix[:, 3] == pytest.approx([0, 0, ground.camera_height, 1])
    assert result.meta["world"]["camera_pitch_deg"] == pytest.approx(20, abs=2)
    json.dumps(result.meta)

    path = vidpose.save(result, tmp_path / "a.npz")
    with np.load(path) as archive:
        assert archive["joints_world"].dtype == np.float32
        np.testing.assert_array_equal(archive["joints_world"], result.joints_world())
        np.testing.assert_array_equal(archive["camera_to_world"], matrix)
    again = vidpose.load(path)
    np.testing.assert_array_equal(again.joints_world(), result.joints_world())


@pytest.mark.parametrize(("pitch_deg", "roll_deg"), [(0, 0), (20, 10), (-15, -30), (60, 5)])
def test_pitch_roll_and_horizon_are_the_cameras(pitch_deg: float, roll_deg: float) -> None:
    axes = camera_axes(pitch_deg, roll_deg)
    up = axes @ np.array([0, 0, 1.0])
    np.testing.assert_allclose(up_of_camera(pitch_deg, roll_deg), up, atol=1e-12)
    ground = Ground(up, -1.5 * up)
    assert (ground.pitch_deg, ground.roll_deg) == pytest.approx((pitch_deg, roll_deg))
    assert ground.camera_height == pytest.approx(1.5)
    # Two far points at the camera's height.
    far = np.array([[-3.0, 10, 0], [4, 10, 0]]) @ axes.T
    size, focal_px = (1280, 720), 1000.0
    points = far[:, :2] / far[:, 2:] * focal_px + (np.array(size) - 1) / 2
    np.testing.assert_allclose(up_of_horizon([*points.ravel()], size, focal_px), up, atol=1e-9)
    np.testing.assert_allclose(
        up_of_horizon([*points[::-1].ravel()], size, focal_px), up, atol=1e-9
    )
    if not roll_deg:
        np.testing.assert_allclose(up_of_horizon(points[0, 1], size, focal_px), up, atol=1e-9)


def test_the_horizon_goes_by_the_focal_length() -> None:
    result = walk(frames=10, size=(1280, 720))
    level = place_in_world(result, horizon=359.5)
    assert level.meta["world"]["up"] == "--horizon"
    assert level.meta["world"]["camera_pitch_deg"] == pytest.approx(0)
    same = place_in_world(result, horizon=np.float32(359.5))
    assert same.meta["world"] == level.meta["world"]
    for focal_px in (1000.0, 2000.0):
        told = without(result, meta={"camera": {"focal_px": focal_px}})
        placed = place_in_world(told, horizon=359.5 - 100)
        pitch = np.degrees(np.arctan(100 / focal_px))
        assert placed.meta["world"]["camera_pitch_deg"] == pytest.approx(pitch, abs=0.01)


@pytest.mark.parametrize(
    ("pitch", "roll", "horizon", "message"),
    [
        (10, None, 300, "--camera-pitch and --horizon set the same angle"),
        (None, 5, None, "--camera-roll goes with --camera-pitch"),
        (91, None, None, "from -90 to 90"),
        (float("nan"), None, None, "from -90 to 90"),
        (0, 100, None, "--camera-roll 100"),
        (None, None, float("inf"), "in pixels from the top"),
        (None, None, [1, 2, 3], "in pixels from the top"),
        (None, None, [], "in pixels from the top"),
        (None, None, [5, 0, 5, 100], "is steeper than 45 degrees"),
    ],
)
def test_cameras_that_make_no_sense(pitch: Any, roll: Any, horizon: Any, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        place_in_world(walk(frames=3), camera_pitch=pitch, camera_roll=roll, horizon=horizon)


def test_nobody_has_a_known_place_in_the_world() -> None:
    result = walk(frames=30)
    placed = place_in_world(without(result, root_3d=np.full_like(result.root_3d, np.nan)))
    assert np.isnan(placed.joints_world()).all()
    assert placed.meta["world"]["feet_over_floor_m"] == {}
    with pytest.raises(UsageError, match="has no world"):
        result.joints_world()
