import numpy as np
import pytest
from numpy.typing import NDArray

from tests.export.people import passers_by
from vidpose.export.motion import QUARTER_TURN, motion_of
from vidpose.export.rigid_skeleton import (
    HINGE_DEG,
    JOINT_NODES,
    NODE_OF,
    NODES,
    RigidMotion,
    hinge_twist,
    rigid_motion,
    shortest_arc,
)
from vidpose.skeleton import H36M17

Joints = NDArray[np.float64]
LENGTHS = np.linspace(0.1, 0.5, 17)


def walking() -> tuple[Joints, Joints]:
    motion = motion_of(passers_by(), 0, axes="world", up="y")
    return motion.joints, motion.times


def random_poses(frames: int = 200) -> tuple[Joints, Joints]:
    """Bones in random directions, of equal length left and right."""
    rng = np.random.default_rng(3)
    joints = np.empty((frames, 17, 3))
    joints[:, 0] = rng.normal(size=(frames, 3))
    for parent, child in H36M17.bones:
        bone = rng.normal(size=(frames, 3))
        length = LENGTHS[min(child, H36M17.mirrored[child])]
        bone *= length / np.linalg.norm(bone, axis=1, keepdims=True)
        joints[:, child] = joints[:, parent] + bone
    return joints, np.arange(frames) / 30


def t_pose() -> Joints:
    """(17, 3), bones of unit length."""
    joints = np.zeros((17, 3))
    for n in JOINT_NODES[1:]:
        above = NODES[n].parent
        joints[NODES[n].joint] = joints[NODES[above].joint] + NODES[n].rest
    return joints


def angles(motion: RigidMotion, node: str) -> Joints:
    return np.degrees(motion.rotations[NODE_OF[node]].as_rotvec())


@pytest.mark.parametrize("make", [walking, random_poses])
def test_there_and_back(make: object) -> None:
    joints, times = make()  # type: ignore[operator]
    motion = rigid_motion(joints, times)
    np.testing.assert_allclose(motion.joints(), joints, atol=1e-6)
    turned = motion.turned(QUARTER_TURN.T)
    np.testing.assert_allclose(turned.joints(), joints @ QUARTER_TURN, atol=1e-6)


def test_bones_of_changing_length_get_one_and_keep_their_directions() -> None:
    joints, times = walking()
    changed = joints.copy()
    rng = np.random.default_rng(0)
    for parent, child in H36M17.bones:
        stretch = rng.uniform(0.8, 1.25, (len(joints), 1))
        bone = joints[:, child] - joints[:, parent]
        changed[:, child] = changed[:, parent] + stretch * bone
    rigid = rigid_motion(changed, times).joints()
    for parent, child in H36M17.bones:
        bone = rigid[:, child] - rigid[:, parent]
        length = np.linalg.norm(bone, axis=1)
        assert np.ptp(length) < 1e-9
        seen = changed[:, child] - changed[:, parent]
        parallel = (bone * seen).sum(axis=1) / length / np.linalg.norm(seen, axis=1)
        np.testing.assert_allclose(parallel, 1, atol=1e-9)


def test_the_rest_pose_turns_nothing() -> None:
    motion = rigid_motion(t_pose()[None], np.zeros(1))
    for rotation in motion.rotations:
        assert rotation.magnitude().max() < 1e-9
    np.testing.assert_allclose(motion.offsets[NODE_OF["LElbow"]], (1, 0, 0), atol=1e-12)
    np.testing.assert_allclose(motion.offsets[NODE_OF["LCollar"]], 0)


def test_a_person_who_turns_about_turns_at_the_hip_only() -> None:
    quarter = np.array([[0, 0, 1.0], [0, 1, 0], [-1, 0, 0]])  # z, where they faced, becomes x
    motion = rigid_motion(t_pose()[None] @ quarter.T, np.zeros(1))
    np.testing.assert_allclose(angles(motion, "Hip"), [[0, 90, 0]], atol=1e-6)
    assert all(rotation.magnitude().max() < 1e-7 for rotation in motion.rotations[1:])


@pytest.mark.parametrize(
    ("joint", "end", "bent", "axis"),
    [
        ("RKnee", "RFoot", (0, 0, -1), (1, 0, 0)),  # heels go back
        ("LKnee", "LFoot", (0, 0, -1), (1, 0, 0)),
        ("LElbow", "LWrist", (0, 0, 1), (0, -1, 0)),  # hands go forward
        ("RElbow", "RWrist", (0, 0, 1), (0, 1, 0)),
    ],
)
def test_knees_and_elbows_are_hinges(
    joint: str, end: str, bent: tuple[int, int, int], axis: tuple[int, int, int]
) -> None:
    """Bent from 20 to 90 degrees while the thigh or upper arm itself rotates."""
    frames = 15
    flexion = np.radians(np.linspace(20, 90, frames))[:, None]
    place, tip = (H36M17.index(name) for name in (joint, end))
    joints = np.repeat(t_pose()[None], frames, axis=0)
    straight = joints[:, tip] - joints[:, place]
    joints[:, tip] = joints[:, place] + np.cos(flexion) * straight + np.sin(flexion) * bent
    motion = rigid_motion(joints, np.arange(frames) / 30)
    np.testing.assert_allclose(angles(motion, joint), np.degrees(flexion) * axis, atol=1e-5)
    upper = NODES[NODE_OF[joint]].parent
    assert motion.rotations[upper].magnitude().max() < 1e-7


def limb(flexion_deg: Joints, facing_deg: Joints) -> tuple[Joints, Joints, Joints]:
    """Axis without twist, upper and lower bone of a hanging leg that bends where it faces."""
    flexion, facing = np.radians(flexion_deg), np.radians(facing_deg)
    upper = np.tile([0.0, -1.0, 0.0], (len(flexion), 1))
    side = np.stack([np.cos(facing), 0 * facing, -np.sin(facing)], axis=1)
    back = np.cross(upper, side) * -1
    lower = np.cos(flexion)[:, None] * upper + np.sin(flexion)[:, None] * back
    return np.tile([1.0, 0.0, 0.0], (len(flexion), 1)), upper, lower


def test_the_twist_of_a_straight_limb_is_interpolated() -> None:
    facing = np.linspace(-20, 60, 41)
    flexion = np.full(41, 40.0)
    flexion[10:31] = HINGE_DEG / 2
    axes, upper, lower = limb(flexion, facing)
    twist = np.degrees(hinge_twist(axes, upper, lower, np.arange(41) / 30))
    sign = np.sign(twist[-1])
    np.testing.assert_allclose(sign * twist, facing, atol=1e-6)


def test_a_twist_goes_on_past_half_a_turn() -> None:
    facing = np.linspace(0, 400, 81)
    twist = np.degrees(hinge_twist(*limb(np.full(81, 40.0), facing), np.arange(81) / 30))
    np.testing.assert_allclose(np.abs(np.diff(twist)), 5, atol=1e-6)


def test_a_limb_that_is_never_bent_is_not_twisted() -> None:
    twist = hinge_twist(*limb(np.full(9, HINGE_DEG - 1), np.full(9, 70.0)), np.arange(9) / 30)
    assert (twist == 0).all()


def test_a_knee_seen_bent_backwards_for_a_moment_does_not_turn_the_leg_round() -> None:
    flexion = np.full(60, 30.0)
    flexion[25:28] = -20.0
    flexion[24] = flexion[28] = 0.0
    twist = hinge_twist(*limb(flexion, np.zeros(60)), np.arange(60) / 30)
    np.testing.assert_allclose(np.cos(twist), 1, atol=1e-9)
    flexion[25:50] = -20.0  # for longer, it is believed
    twist = hinge_twist(*limb(flexion, np.zeros(60)), np.arange(60) / 30)
    np.testing.assert_allclose(np.cos(twist[25:50]), -1, atol=1e-9)
    np.testing.assert_allclose(np.cos(twist[50:]), 1, atol=1e-9)


def test_the_shortest_arc() -> None:
    ends = np.array([[0, 2.0, 0], [1, 0, 0], [-3, 0, 0], [0, 0, 0], [-1, 1e-13, 0]])
    arc = shortest_arc(np.array([1.0, 0, 0]), ends)
    np.testing.assert_allclose(np.degrees(arc.magnitude()), [90, 0, 180, 0, 180], atol=1e-6)
    moved = arc.apply([1, 0, 0])
    np.testing.assert_allclose(moved[:3], [[0, 1, 0], [1, 0, 0], [-1, 0, 0]], atol=1e-9)


def test_twist_is_zero_where_it_is_unknown() -> None:
    joints, times = random_poses()
    motion = rigid_motion(joints, times)
    for name in ("LowerBack", "Spine", "NeckBase", "Nose", "LCollar", "RKnee", "LElbow"):
        n = NODE_OF[name]
        (below,) = (node for node in NODES if node.parent == n)
        turn = motion.rotations[n].as_rotvec()
        np.testing.assert_allclose(turn @ np.array(below.rest), 0, atol=1e-5)
    for name in ("Head", "LWrist", "RFoot"):
        assert motion.rotations[NODE_OF[name]].magnitude().max() == 0


def test_a_person_walking_turns_no_joint_suddenly() -> None:
    motion = rigid_motion(*walking())
    for rotation in motion.rotations:
        step = (rotation[1:] * rotation[:-1].inv()).magnitude()
        assert np.degrees(step.max()) < 12
