from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.bvh_files import bvh_text, write_mocap
from vidpose.datasets.motion_clips import not_upright, read_clip, read_folder
from vidpose.errors import DataError
from vidpose.skeleton import H36M17


def test_clip_is_h36m17_in_metres_with_z_up(tmp_path: Path) -> None:
    write_mocap(tmp_path, ("07",), frames=60)
    clip = read_clip(tmp_path / "07" / "07_01.bvh")
    assert (clip.name, clip.subject) == ("07_01", "07")
    assert clip.fps == pytest.approx(120, abs=0.01)
    assert clip.joints.shape == (59, 17, 3)  # frame 0, the T-pose, is gone
    assert clip.joints.dtype == np.float32
    at = {name: clip.joints[:, i] for i, name in enumerate(H36M17.joint_names)}
    up = [at[name][:, 2].mean() for name in ("RFoot", "RKnee", "Hip", "Spine", "Thorax", "Head")]
    assert up == sorted(up)
    assert 1.2 < up[-1] - up[0] < 1.8
    np.testing.assert_allclose(np.linalg.norm(at["LKnee"] - at["LHip"], axis=1), 0.40, atol=1e-4)


def test_left_is_left(tmp_path: Path) -> None:
    """Left cross up is forward, where the nose is."""
    write_mocap(tmp_path, ("07",))
    clip = read_clip(tmp_path / "07" / "07_01.bvh")
    at = {name: clip.joints[:, i] for i, name in enumerate(H36M17.joint_names)}
    forward = np.cross(at["LShoulder"] - at["RShoulder"], at["Thorax"] - at["Hip"])
    assert (np.sum(forward * (at["Neck/Nose"] - at["Head"]), axis=1) > 0).all()


def test_folder(tmp_path: Path) -> None:
    write_mocap(tmp_path, ("01", "02"))
    assert [clip.subject for clip in read_folder(tmp_path)] == ["01", "02"]
    with pytest.raises(DataError, match=r"holds no <subject>/<clip>\.bvh"):
        read_folder(tmp_path / "nothing")


def test_another_skeleton_and_an_empty_clip_are_named(tmp_path: Path) -> None:
    path = tmp_path / "a.bvh"
    path.write_text(bvh_text().replace("rShldr", "RightShoulder"))
    with pytest.raises(DataError, match=r"another skeleton \(no joint rShldr\).* \.npz"):
        read_clip(path)
    path.write_text(bvh_text(frames=1))
    with pytest.raises(DataError, match="no motion after its T-pose"):
        read_clip(path)


def test_subjects_whose_z_is_not_up(tmp_path: Path) -> None:
    clips = read_folder(write_mocap(tmp_path, ("01", "02")))
    assert not_upright(clips) == []
    first = [replace(c, joints=c.joints[..., [0, 2, 1]]) for c in clips if c.subject == "01"]
    assert not_upright([*first, *(c for c in clips if c.subject == "02")]) == ["01"]
