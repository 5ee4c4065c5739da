"""Errors of angles and gait: zero for the ground truth, and known ones for constructed poses."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.postprocess.test_gait import walking
from tests.postprocess.test_joint_angles import pose
from vidpose.errors import DataError
from vidpose.poses import Pose2D
from vidpose.postprocess.joint_angles import ANGLES
from vidpose.skeleton import H36M17

Import = Callable[[str], Any]
UP = np.array([0.0, 0.0, 1.0])


def test_angle_errors_are_absolute_and_the_constant_part_can_be_removed(module: Import) -> None:
    benchmark = module("joint_angles")
    degrees = np.radians([10.0, 20.0, 30.0])
    true = np.stack([pose(RShank=(0, -np.sin(a), -np.cos(a))) for a in degrees])
    off = np.radians([4.0, 4.0, -2.0])
    lifted = np.stack([pose(RShank=(0, -np.sin(a), -np.cos(a))) for a in degrees + off])
    table: dict[str, Any] = {}
    benchmark.compare(table, (lifted, UP), (true, UP), 30.0)
    assert list(table) == [angle.name for angle in ANGLES]
    # The left knee, half of the values, is exact.
    assert table["knee_flexion"].mean_absolute() == "1.7"
    assert table["knee_flexion"].mean_absolute(constant_removed=True) == "1.3"
    assert table["elbow_flexion"].mean_absolute() == "0.0"
    assert "| knee flexion | 1.7 | 1.3 |" in benchmark.markdown({"default": table})


def test_frames_without_ground_truth_are_excluded(module: Import) -> None:
    benchmark = module("joint_angles")
    true = np.stack([pose()] * 3)
    lifted = np.stack([pose(RThigh=(0, 1, 0))] * 3)
    true[:, [7, 9, 10]] = np.nan  # spine, nose and head: no angle needs them
    true[1] = np.nan
    table: dict[str, Any] = {}
    benchmark.compare(table, (lifted, UP), (true, UP), 30.0)
    assert [len(view) for view in table["hip_flexion"].views] == [2, 2]
    assert table["hip_flexion"].mean_absolute() == "45.0"


def test_a_trc_is_read_by_marker_names(module: Import, tmp_path: Path) -> None:
    read_trc = module("joint_angles").read_trc
    markers = [f"{s}{joint}" for s in "RL" for joint in ("Ankle", "Hip", "Shoulder")]
    numbers = [[str(100 * t + n) for n in range(3 * len(markers))] for t in range(2)]
    rows = [f"{t + 1}\t{t / 60}\t" + "\t".join(row) for t, row in enumerate(numbers)]
    names = "Frame#\tTime\t" + "\t\t\t".join(markers)
    path = tmp_path / "a.trc"
    path.write_text("\n".join(["PathFileType\t4", "DataRate", "60", names, "\t\tX1\tY1", *rows]))
    joints = read_trc(path)
    assert joints.shape == (2, 17, 3)
    np.testing.assert_array_equal(joints[1, H36M17.index("RFoot")], (100, 101, 102))
    np.testing.assert_array_equal(joints[0, H36M17.index("LHip")], (12, 13, 14))
    np.testing.assert_array_equal(joints[0, H36M17.index("Hip")], (7.5, 8.5, 9.5))
    assert np.isnan(joints[:, H36M17.index("RElbow")]).all()
    with pytest.raises(DataError, match="fetch_more"):
        read_trc(tmp_path / "none.trc")


def test_gait_of_true_joints_matches_the_motion(module: Import) -> None:
    benchmark = module("gait")
    result = walking(step_m=0.65, step_s=0.5)
    assert result.camera_to_world is not None
    poses = Pose2D(**{field.name: getattr(result, field.name) for field in fields(Pose2D)})
    joints = result.joints_camera()[0].astype(np.float64)
    view = benchmark.View("somebody", poses, joints, result.camera_to_world[2, :3])
    (found,) = benchmark.gait(benchmark.true_result(view))
    assert found.measures["step_length_m"].mean == pytest.approx(0.65, rel=0.03)
