"""Poses with known angles, seen from any side."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from tests.results import make_result
from vidpose.errors import UsageError
from vidpose.poses import Pose3D
from vidpose.postprocess.joint_angles import ANGLES, Angle, JointAngles, joint_angles
from vidpose.skeleton import H36M17

STANDING = {
    "Hip": (0, 0, 0), "RHip": (0.12, 0, 0), "LHip": (-0.12, 0, 0), "Spine": (0, 0, 0.25),
    "Thorax": (0, 0, 0.5), "Neck/Nose": (0, 0.1, 0.6), "Head": (0, 0, 0.75),
    "RShoulder": (0.18, 0, 0.5), "LShoulder": (-0.18, 0, 0.5),
}  # fmt: skip
"""Somebody who looks along y, x to their right, z up; metres from the hip."""
LIMBS = {
    "Thigh": ("Hip", "Knee"), "Shank": ("Knee", "Foot"),
    "UpperArm": ("Shoulder", "Elbow"), "Forearm": ("Elbow", "Wrist"),
}  # fmt: skip
Vector = Sequence[float] | NDArray[np.float64]
DOWN, FORWARD, RIGHT = (0, 0, -1), (0, 1, 0), (1, 0, 0)
COS30, SIN30 = np.sqrt(3) / 2, 0.5


def pose(**segments: Vector) -> NDArray[np.float64]:
    """(17, 3) as `STANDING`; a segment such as `RThigh` in its direction, down by default."""
    joints = np.zeros((17, 3))
    for name, place in STANDING.items():
        joints[H36M17.index(name)] = place
    for side in "RL":
        for limb, (top, end) in LIMBS.items():
            along = np.array(segments.get(side + limb, DOWN), float)
            start = joints[H36M17.index(side + top)]
            joints[H36M17.index(side + end)] = start + 0.4 * along / np.linalg.norm(along)
    return joints


def seen(poses: NDArray[np.float64], world: bool = True, turn: Rotation | None = None) -> Pose3D:
    """A result of one person, from (T, 17, 3) in world axes, with a camera rotated by `turn`."""
    turn = turn or Rotation.from_euler("xyz", (100, 25, -40), degrees=True)
    frames = len(poses)
    camera_to_world = np.eye(4)
    camera_to_world[:3, :3] = turn.inv().as_matrix()
    joints = (poses - poses[:, :1]) @ turn.as_matrix().T
    return make_result(
        people=1,
        frames=frames,
        joints_3d=joints[None].astype(np.float32),
        camera_to_world=camera_to_world if world else None,
    )


def angle(name: str, joints: NDArray[np.float64]) -> float:
    return float(joint_angles(seen(joints[None])).of(name)[0, 0])


def test_somebody_who_stands_is_at_zero_everywhere() -> None:
    angles = joint_angles(seen(pose()[None]))
    for name, value in zip(angles.names, angles.degrees[0, 0], strict=True):
        if name.endswith("plane_of_elevation"):
            assert np.isnan(value), "an arm that hangs is raised in no direction"
        else:
            assert value == pytest.approx(0, abs=1e-3), name


@pytest.mark.parametrize("side", ["R", "L"])
@pytest.mark.parametrize(
    ("segments", "name", "degrees"),
    [
        ({"Shank": (0, -1, 0)}, "knee_flexion", 90),
        ({"Shank": (0, -SIN30, -COS30)}, "knee_flexion", 30),
        ({"Shank": (0, 0, 1)}, "knee_flexion", 180),
        ({"Forearm": FORWARD}, "elbow_flexion", 90),
        ({"UpperArm": RIGHT, "Forearm": (1, 1, 0)}, "elbow_flexion", 45),
        ({"Thigh": FORWARD, "Shank": DOWN}, "hip_flexion", 90),
        ({"Thigh": (0, -SIN30, -COS30)}, "hip_flexion", -30),
        ({"Thigh": (0, SIN30, COS30)}, "hip_flexion", 150),
        ({"Thigh": (SIN30, 0, -COS30)}, "hip_abduction", 30),
        ({"Thigh": (-SIN30, 0, -COS30)}, "hip_abduction", -30),
        ({"Thigh": (SIN30, 0, -COS30)}, "hip_flexion", 0),
        ({"Thigh": (1, 1, 0)}, "hip_abduction", 45),  # sitting, knees apart
        ({"Thigh": (1, 1, 0)}, "hip_flexion", 90),
        ({"Thigh": RIGHT}, "hip_flexion", np.nan),
        ({"UpperArm": FORWARD}, "shoulder_flexion", 90),
        ({"UpperArm": FORWARD}, "shoulder_abduction", np.nan),
        ({"UpperArm": (0, -SIN30, -COS30)}, "shoulder_flexion", -30),
        ({"UpperArm": (0, -SIN30, COS30)}, "shoulder_flexion", 210),  # overhead and behind
        ({"UpperArm": RIGHT}, "shoulder_abduction", 90),
        ({"UpperArm": RIGHT}, "shoulder_flexion", np.nan),
        ({"UpperArm": (-SIN30, 0, -COS30)}, "shoulder_abduction", -30),
        ({"UpperArm": (SIN30, 0, COS30)}, "shoulder_abduction", 150),
        ({"UpperArm": (1, 1, 0)}, "shoulder_elevation", 90),
        ({"UpperArm": (1, 1, 0)}, "shoulder_plane_of_elevation", 45),
        ({"UpperArm": (0, -1, -1)}, "shoulder_plane_of_elevation", -90),
        ({"UpperArm": (0, 0, 1)}, "shoulder_elevation", 180),
        ({"Thigh": FORWARD}, "thigh_to_vertical", 90),
        ({"Shank": (0, -SIN30, -COS30)}, "shank_to_vertical", 30),
        ({"UpperArm": RIGHT}, "upper_arm_to_vertical", 90),
        ({"Forearm": (0, 0, 1)}, "forearm_to_vertical", 180),
    ],
)
def test_angles_of_poses_made_by_hand(
    side: str, segments: dict[str, Vector], name: str, degrees: float
) -> None:
    mirror = np.array([1 if side == "R" else -1, 1, 1])
    joints = pose(**{side + limb: mirror * along for limb, along in segments.items()})
    word, other = ("right", "left") if side == "R" else ("left", "right")
    assert angle(f"{word}_{name}", joints) == pytest.approx(degrees, abs=2e-3, nan_ok=True)
    standing = np.nan if name.endswith("plane_of_elevation") else 0
    assert angle(f"{other}_{name}", joints) == pytest.approx(standing, abs=2e-3, nan_ok=True)


@pytest.mark.parametrize(
    ("axis", "degrees", "expected"),
    [  # trunk_lean, trunk_forward_lean, trunk_side_lean
        ("x", -20, (20, 20, 0)),
        ("x", 10, (10, -10, 0)),
        ("y", 15, (15, 0, 15)),
        ("y", -25, (25, 0, -25)),
        ("z", 70, (0, 0, 0)),
    ],
)
def test_trunk_lean(axis: str, degrees: float, expected: tuple[float, ...]) -> None:
    """Only the upper body rotates; the hips stay level."""
    joints = pose()
    upper = [j for j, name in enumerate(H36M17.joint_names) if "Hip" not in name]
    joints[upper] = Rotation.from_euler(axis, degrees, degrees=True).apply(joints[upper])
    for name, value in zip(("", "forward_", "side_"), expected, strict=True):
        assert angle(f"trunk_{name}lean", joints) == pytest.approx(value, abs=2e-3)


def test_hip_flexion_is_relative_to_the_trunk() -> None:
    """Bent over by 60 degrees on straight legs."""
    joints = pose()
    upper = [H36M17.index(name) for name in ("Spine", "Thorax", "Neck/Nose", "Head")]
    joints[upper] = Rotation.from_euler("x", -60, degrees=True).apply(joints[upper])
    assert angle("right_hip_flexion", joints) == pytest.approx(60, abs=2e-3)
    assert angle("left_hip_flexion", joints) == pytest.approx(60, abs=2e-3)
    assert angle("right_thigh_to_vertical", joints) == pytest.approx(0, abs=2e-3)


def test_angles_do_not_depend_on_where_the_camera_is() -> None:
    joints = pose(RThigh=(0.2, 0.5, -0.6), LUpperArm=(-0.7, 0.1, 0.4), RShank=(0.1, -0.4, -0.5))
    turns = Rotation.random(20, random_state=0)
    angles = [joint_angles(seen(joints[None], turn=turn)).degrees for turn in turns]
    np.testing.assert_allclose(angles, np.broadcast_to(angles[0], np.shape(angles)), atol=5e-3)


def test_without_a_world_nothing_is_measured_from_the_vertical() -> None:
    angles = joint_angles(seen(pose()[None], world=False))
    needing = {name for angle in ANGLES if angle.needs_world for name in angle.names}
    assert "trunk_lean" in needing
    assert not needing & set(angles.names)
    with pytest.raises(UsageError, match=r"trunk_lean needs a world frame; .* --world"):
        angles.of("trunk_lean")
    with pytest.raises(UsageError, match="there is no angle ankle; there are right_hip_flexion"):
        angles.of("ankle")


def test_joints_in_one_place_have_no_angle() -> None:
    joints = pose()
    joints[H36M17.index("RKnee")] = joints[H36M17.index("RHip")]
    joints[H36M17.index("Thorax")] = joints[H36M17.index("Hip")]
    angles = joint_angles(seen(joints[None]))
    for name in ("right_knee_flexion", "left_hip_flexion", "right_hip_abduction", "trunk_lean"):
        assert np.isnan(angles.of(name)).all(), name
    assert angles.of("left_knee_flexion")[0, 0] == pytest.approx(0, abs=1e-3)


def test_a_trunk_along_the_line_of_the_hips_gives_no_pelvis() -> None:
    joints = pose()
    joints[H36M17.index("Thorax")] = (0.5, 0, 0.05)
    assert np.isnan(angle("right_hip_flexion", joints))
    assert angle("right_hip_abduction", joints) == pytest.approx(0, abs=2e-3)


def swinging(degrees: NDArray[np.float64]) -> NDArray[np.float64]:
    """(T, 17, 3) a right arm swung in the sagittal plane."""
    angles = np.radians(degrees)
    return np.stack([pose(RUpperArm=(0, np.sin(a), -np.cos(a))) for a in angles.tolist()])


def test_an_arm_over_the_head_does_not_jump_by_360_degrees() -> None:
    degrees = 180 + 30 * np.sin(np.linspace(0, 20, 200))
    found = joint_angles(seen(swinging(degrees))).of("right_shoulder_flexion")[0]
    np.testing.assert_allclose(found, degrees, atol=5e-3)


def test_an_arm_swung_round_and_round_goes_on() -> None:
    degrees = np.linspace(-200, 400, 300)
    found = joint_angles(seen(swinging(degrees))).of("right_shoulder_flexion")[0]
    np.testing.assert_allclose(np.diff(found), np.diff(degrees), atol=1e-2)
    assert np.median(found) == pytest.approx(100, abs=1)


def test_a_wrong_frame_does_not_move_what_follows_by_360_degrees() -> None:
    degrees = np.full(50, 100.0)
    degrees[25] = -70
    found = joint_angles(seen(swinging(degrees))).of("right_shoulder_flexion")[0]
    np.testing.assert_allclose(found, degrees, atol=5e-3)


def made(degrees: NDArray[np.float64], times: NDArray[np.float64]) -> JointAngles:
    column = degrees.astype(np.float32)[None, :, None]
    return JointAngles(("right_knee_flexion",), column, times, np.array([1], np.int32))


def test_velocity_follows_uneven_time_stamps() -> None:
    times = np.cumsum(np.random.default_rng(0).uniform(0.01, 0.05, 100))
    parabola = 3 + 20 * times - 15 * times**2
    velocity = made(parabola, times).velocity()[0, :, 0]
    np.testing.assert_allclose(velocity[1:-1], (20 - 30 * times)[1:-1], atol=2e-2)
    assert velocity[0] == pytest.approx((parabola[1] - parabola[0]) / (times[1] - times[0]), 1e-3)


def test_velocity_does_not_reach_across_gaps() -> None:
    times = np.arange(12) / 30
    times[6:] += 1.0  # a second without frames
    degrees = np.where(times < 1, 0.0, 90.0)
    degrees[3] = np.nan
    degrees[10] = np.nan
    velocity = made(degrees, times).velocity()[0, :, 0]
    alone = [3, 10, 11]
    assert np.isnan(velocity[alone]).all()
    np.testing.assert_allclose(np.delete(velocity, alone), 0, atol=1e-9)


def test_velocity_of_a_swinging_arm_is_even() -> None:
    angles = joint_angles(seen(swinging(np.linspace(-100, 500, 300))))
    velocity = angles.velocity()[0, :, angles.names.index("right_shoulder_flexion")]
    np.testing.assert_allclose(velocity, 600 / 299 * 29.97, rtol=2e-3)


def test_absent_people_have_no_angles_and_inputs_stay() -> None:
    result = make_result(people=2, frames=6)
    joints, present = result.joints_3d.copy(), result.present.copy()
    joints[1, 2:4], present[1, 2:4] = np.nan, False
    result = make_result(people=2, frames=6, joints_3d=joints, present=present, observed=present)
    before = joints.copy()
    angles = joint_angles(result)
    assert angles.degrees.shape == (2, 6, len(angles.names))
    assert angles.degrees.dtype == angles.velocity().dtype == np.float32
    knees = np.isfinite(angles.of("left_knee_flexion"))
    np.testing.assert_array_equal(knees, present)
    np.testing.assert_array_equal(result.joints_3d, before)
    assert repr(angles).startswith("JointAngles(2 people, 6 frames: right_hip_flexion, ")


def documented(angle: Angle) -> str:
    """The row of the table in docs/angles.md."""
    name = f"`{angle.name}`{'*' if angle.needs_world else ''}"
    cells = (name, angle.about, angle.zero, angle.sign, angle.source)
    return f"| {' | '.join(cells)} |"


def test_the_documentation_has_every_angle_as_it_is_defined() -> None:
    text = (Path(__file__).parents[2] / "docs" / "angles.md").read_text()
    rows = [
        line for line in text.splitlines() if re.match(r"\| `\w+_\w+`\*? \| .* \| .* \| ", line)
    ]
    assert rows == [documented(angle) for angle in ANGLES]


def test_points_are_those_that_matter() -> None:
    """An angle depends on each of its points, and on no others."""
    random = np.random.default_rng(4)
    joints = pose(RThigh=(0.3, 0.5, -0.6), RUpperArm=(0.7, 0.4, -0.4), RShank=(0.1, -0.4, -0.5))
    joints = joints + random.normal(0, 0.01, joints.shape)
    for angle in ANGLES:
        name = angle.names[0]
        before = joint_angles(seen(joints[None])).of(name)[0, 0]
        for j, joint in enumerate(H36M17.joint_names):
            moved = joints.copy()
            moved[j] += (0.05, 0.06, 0.07)
            after = joint_angles(seen(moved[None])).of(name)[0, 0]
            assert (abs(after - before) > 0.01) == (joint in angle.points), (name, joint)
