from pathlib import Path
from typing import Any

import numpy as np
import pytest

from vidpose.datasets.joint_clips import read_joint_file
from vidpose.datasets.motion_clips import read_folder
from vidpose.errors import DataError
from vidpose.skeleton import COCO17, H36M17


def content(frames: int = 200, **changes: Any) -> dict[str, Any]:
    joints = np.random.default_rng(0).integers(-3000, 3000, (frames, 17, 3)).astype(np.int16)
    return {
        "joints": joints,
        "joint_names": np.array(H36M17.joint_names),
        "unit_m": 0.0005,
        "fps": 100.0,
        "subject": "s01",
    } | changes


def write(folder: Path, **changes: Any) -> Path:
    path = folder / "s01.npz"
    np.savez(path, **content(**changes))
    return path


def test_one_clip_with_required_entries_only(tmp_path: Path) -> None:
    path = write(tmp_path)
    (clip,) = read_joint_file(path)
    assert (clip.subject, clip.fps, clip.joints.dtype.name) == ("s01", 100.0, "float32")
    np.testing.assert_allclose(clip.joints, content()["joints"] * 0.0005, atol=1e-6)
    assert [clip.subject for clip in read_folder(tmp_path)] == ["s01"]


def test_clips_are_split_at_invalid_frames(tmp_path: Path) -> None:
    valid = np.ones(200, bool)
    valid[[90, 195]] = False
    joints = content()["joints"].astype(float)
    joints[90] = np.nan  # is not looked at
    starts, names = np.array([0, 50, 200]), np.array(["sit", "walk"])
    path = write(tmp_path, valid=valid, starts=starts, clips=names, joints=joints)
    clips = read_joint_file(path)
    # The four frames behind the last gap are too few.
    assert [(c.name, len(c.joints)) for c in clips] == [
        *[("sit", 50), ("walk-0", 40), ("walk-1", 104)],
    ]
    np.testing.assert_allclose(clips[2].joints[0], joints[91] * 0.0005, atol=1e-6)


def test_coco_joints_are_converted(tmp_path: Path) -> None:
    path = write(tmp_path, joint_names=np.array(COCO17.joint_names))
    (clip,) = read_joint_file(path)
    coco = content()["joints"] * 0.0005
    left = coco[:, COCO17.index("left_knee")]
    np.testing.assert_allclose(clip.joints[:, H36M17.index("LKnee")], left, atol=1e-6)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"joint_names": np.array(["a"] * 17)}, "joint_names must be those of"),
        ({"joints": np.zeros((200, 16, 3))}, r"joints must be numbers, \(frames, 17, 3\)"),
        ({"joints": np.full((200, 17, 3), np.nan)}, "joints of valid frames must be numbers"),
        ({"fps": 0.0}, "fps: expected a number"),
        ({"fps": "fast"}, "fps: expected a number"),
        ({"unit_m": np.nan}, "unit_m: expected a number"),
        ({"unit_m": 1.0}, r"people would be 5724 metres tall; give the unit of joints"),
        ({"unit_m": 1e-5}, r"people would be 0\.05724 metres tall; give the unit of joints"),
        ({"valid": np.ones(3, bool)}, "valid must be one bool"),
        ({"starts": np.array([0, 900])}, "starts must rise, and stay within the 200 frames"),
        ({"starts": np.array([0.5, 1.5])}, "starts must be whole numbers"),
        ({"starts": np.array([0, 9]), "clips": np.array(["a", "b"])}, "clips must name each"),
    ],
)
def test_errors_are_named(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    path = write(tmp_path, **changes)
    with pytest.raises(DataError, match=message):
        read_joint_file(path)


def test_a_file_of_something_else(tmp_path: Path) -> None:
    np.savez(tmp_path / "s01.npz", something=np.zeros(3))
    with pytest.raises(DataError, match="has no joints"):
        read_folder(tmp_path)
