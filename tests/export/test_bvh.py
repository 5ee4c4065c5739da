from dataclasses import replace
from pathlib import Path

import numpy as np
import pybvh
import pytest
from scipy.spatial.transform import Rotation

from tests.export.people import passers_by, varying
from tests.render.people import SHANK, THIGH, limb, walker
from vidpose.datasets.bvh import read_bvh
from vidpose.datasets.motion_clips import read_clip
from vidpose.export import export
from vidpose.export.bvh import continuous, held_frames
from vidpose.export.motion import JOINT_NAMES, at_constant_rate, motion_of, of_people
from vidpose.options import ExportOptions
from vidpose.poses import Pose3D
from vidpose.skeleton import H36M17

METRES = {"mm": 1e-3, "cm": 1e-2, "m": 1.0}


def read(path: Path) -> tuple[np.ndarray, pybvh.Bvh]:
    """(T, 17, 3) in the file's unit, by the forward kinematics of another program."""
    bvh = pybvh.read_bvh_file(str(path))
    order = [list(bvh.joint_names).index(name) for name in JOINT_NAMES]
    return np.asarray(bvh.joint_positions())[:, order], bvh


@pytest.mark.parametrize(("unit", "up"), [(None, None), ("cm", "y"), ("mm", "z")])
def test_read_by_another_program(unit: str | None, up: str | None, tmp_path: Path) -> None:
    result = passers_by()
    path = tmp_path / "walk.bvh"
    export(of_people(result, (2,)), path, "bvh", ExportOptions(unit=unit, up=up))
    joints, bvh = read(path)
    joints = joints * METRES[unit or "m"]
    assert bvh.frame_time == pytest.approx(1 / 29.97, rel=1e-9)
    assert bvh.world_up == f"+{up or 'y'}"
    motion = motion_of(result, 1, axes="world", up=up or "y")
    # The walkers' bones keep their lengths, so that the rigid skeleton is where they are.
    np.testing.assert_allclose(joints[motion.known], motion.joints[motion.known], atol=1e-5)
    for parent, child in H36M17.bones:
        length = np.linalg.norm(joints[:, child] - joints[:, parent], axis=1)
        assert np.ptp(length) < 1e-6

    # Our own reader of motion capture.
    ours = read_bvh(path)
    places, _ = ours.world()
    order = [ours.joint_names.index(name) for name in JOINT_NAMES]
    np.testing.assert_allclose(places[:, order] * METRES[unit or "m"], joints, atol=1e-6)


@pytest.mark.parametrize(("unit", "up"), [(None, None), ("cm", "y"), ("mm", "z")])
def test_all_joints_are_read_as_motion_capture(
    unit: str | None, up: str | None, tmp_path: Path
) -> None:
    result = passers_by()
    path = tmp_path / "walk.bvh"
    export(of_people(result, (2,)), path, "bvh", ExportOptions(unit=unit, up=up))
    motion = motion_of(result, 1, axes="world", up="z")
    joints = read_clip(path).joints
    np.testing.assert_allclose(joints[motion.known], motion.joints[motion.known], atol=1e-5)


def test_a_pose_is_held_in_a_gap(tmp_path: Path) -> None:
    result = of_people(passers_by(), (2,))
    motion = motion_of(result, 0, axes="world", up="y")
    held = np.flatnonzero(motion.known)[held_frames(motion)]
    assert held[:6].tolist() == [5] * 6
    assert held[18:26].tolist() == [18, 19, 19, 19, 19, 19, 24, 25]
    assert held[-3:].tolist() == [37, 37, 37]
    export(result, tmp_path / "a.bvh", "bvh")
    joints, _ = read(tmp_path / "a.bvh")
    np.testing.assert_allclose(joints, motion.joints[held], atol=1e-5)


def test_frames_at_varying_times_become_even(tmp_path: Path) -> None:
    result: Pose3D = of_people(varying(passers_by()), (1,))
    export(result, tmp_path / "a.bvh", "bvh")
    joints, bvh = read(tmp_path / "a.bvh")
    even = at_constant_rate(motion_of(result, 0, axes="world", up="y"))
    assert bvh.frame_count == len(even.times)
    # Between two poses a bone that is interpolated is a little too short.
    np.testing.assert_allclose(joints, even.joints, atol=5e-3)


def test_angles_do_not_jump_by_whole_turns(tmp_path: Path) -> None:
    export(of_people(passers_by(frames=200), (1,)), tmp_path / "a.bvh", "bvh")
    motion = read_bvh(tmp_path / "a.bvh").motion
    assert np.abs(np.diff(motion[:, 3:], axis=0)).max() < 180


@pytest.mark.parametrize("start_deg", [0, 100])
def test_a_knee_that_bends_beyond_90_degrees_does_not_jump(
    start_deg: float, tmp_path: Path
) -> None:
    bend = np.linspace(start_deg, 131, 40)
    turns = Rotation.from_euler("ZXY", [[2, x, -3] for x in bend], degrees=True)
    angles = continuous(turns.as_euler("ZXY", degrees=True))
    np.testing.assert_allclose(angles, [[2, x, -3] for x in bend], atol=1e-9)

    # Somebody pulls both knees up to the chest.
    result = of_people(passers_by(), (1,))
    joints = np.array([squat(x) for x in np.radians(np.linspace(0, 125, 40))], np.float32)
    result = replace(result, joints_3d=joints[None])
    export(result, tmp_path / "a.bvh", "bvh", ExportOptions(axes="camera"))
    motion = read_bvh(tmp_path / "a.bvh").motion
    assert np.abs(np.diff(motion[:, 3:], axis=0)).max() < 15
    found, _ = read(tmp_path / "a.bvh")
    expected = motion_of(result, 0, axes="camera", up="y").joints
    np.testing.assert_allclose(found, expected, atol=1e-5)


def squat(angle: float) -> np.ndarray:
    """(17, 3) camera frame, somebody facing the camera whose thighs and shanks are raised."""
    joints = walker(np.pi / 2)
    joints[:, 2] -= joints[0, 2]
    for side in "RL":
        limb(joints, f"{side}Hip", f"{side}Knee", f"{side}Foot", angle, -angle, THIGH, SHANK)
    return (joints - joints[0]) @ np.array([[1, 0, 0], [0, 0, 1], [0, -1, 0]])


def test_somebody_in_a_single_frame_at_varying_times(tmp_path: Path) -> None:
    """No even time is at the only frame of person 2."""
    result = varying(passers_by())
    absent = np.arange(40) != 11
    result.joints_3d[1, absent] = result.root_3d[1, absent] = np.nan
    result.present[1, absent] = result.observed[1, absent] = False
    export(of_people(result, (2,)), tmp_path / "a.bvh", "bvh")
    joints, _ = read(tmp_path / "a.bvh")
    seen = motion_of(result, 1, axes="world", up="y").joints[11]
    np.testing.assert_allclose(joints, np.broadcast_to(seen, joints.shape), atol=1e-5)
