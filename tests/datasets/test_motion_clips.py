import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.bvh_files import bvh_text, write_mocap
from vidpose.datasets.bvh import Bvh, read_bvh
from vidpose.datasets.motion_clips import by_names, not_upright, read_clip, read_folder
from vidpose.errors import DataError
from vidpose.skeleton import H36M17, conversion


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
    path.write_text(bvh_text().replace("rShldr", "Wing"))
    with pytest.raises(DataError, match=r"no joint that is named as the right shoulder; .* \.npz"):
        read_clip(path)
    path.write_text(renamed(MIXAMO).replace("OFFSET 0 -4", "OFFSET 0 -9"))
    with pytest.raises(DataError, match="legs do not have an adult's length in metres, centi"):
        read_clip(path)
    path.write_text(bvh_text(frames=1))
    with pytest.raises(DataError, match="no motion after its T-pose"):
        read_clip(path)


MIXAMO = {"head": "mixamorig:Head", "hip": "mixamorig:Hips"}
MIXAMO |= {
    f"{side[0].lower()}{daz}": f"mixamorig:{side}{name}"
    for side in ("Left", "Right")
    for daz, name in (
        *(("Shldr", "Arm"), ("ForeArm", "ForeArm"), ("Hand", "Hand")),
        *(("Thigh", "UpLeg"), ("Shin", "Leg"), ("Foot", "Foot")),
    )
}
XSENS = {
    name: f"{'Left' if name[0] == 'l' else 'Right'}{joint}"
    for name, joint in (
        (f"{side}{daz}", joint)
        for side in "lr"
        for daz, joint in (
            *(("Shldr", "Shoulder"), ("ForeArm", "Elbow"), ("Hand", "Wrist")),
            *(("Thigh", "Hip"), ("Shin", "Knee"), ("Foot", "Ankle")),
        )
    )
}
UNREAL = {
    f"{side}{daz}": f"{name}_{side}"
    for side in "lr"
    for daz, name in (
        *(("Shldr", "upperarm"), ("ForeArm", "lowerarm"), ("Hand", "hand")),
        *(("Thigh", "thigh"), ("Shin", "calf"), ("Foot", "foot")),
    )
}


BIOVISION = {
    f"{side[0].lower()}{daz}": f"{side}{name}"
    for side in ("Left", "Right")
    for daz, name in (
        *(("Shldr", "UpArm"), ("ForeArm", "LowArm"), ("Hand", "Hand")),
        *(("Thigh", "UpLeg"), ("Shin", "LowLeg"), ("Foot", "Foot")),
    )
}


def renamed(names: dict[str, str], text: str = "") -> str:
    text = text or bvh_text()
    for old, new in {**names, "leftEye": "EyeL", "rightEye": "EyeR"}.items():
        text = re.sub(rf"(ROOT|JOINT) {old}\n", rf"\1 {new}\n", text)
    return text


@pytest.mark.parametrize("names", [MIXAMO, XSENS, UNREAL, BIOVISION])
def test_skeletons_of_other_programs(tmp_path: Path, names: dict[str, str]) -> None:
    path = tmp_path / "01" / "a.bvh"
    path.parent.mkdir()
    path.write_text(bvh_text())
    expected = read_clip(path).joints
    path.write_text(renamed(names).replace("Zposition", "ZPosition"))
    joints = read_clip(path).joints[1:]  # only CMU's files begin with a T-pose
    np.testing.assert_allclose(joints, expected, atol=1e-6)


def test_the_cmu_databases_own_unit(tmp_path: Path) -> None:
    """It is 1/0.45 inches, and also that of the conversion for MotionBuilder."""
    path = tmp_path / "01" / "a.bvh"
    path.parent.mkdir()
    path.write_text(renamed(MIXAMO))
    expected, bvh = read_clip(path).joints, read_bvh(path)
    head, motion = path.read_text().split("MOTION\n")
    scale = 0.01 / (0.0254 / 0.45)
    head = re.sub(
        "OFFSET (.*)",
        lambda offset: "OFFSET " + " ".join(str(scale * float(x)) for x in offset[1].split()),
        head,
    )
    rows = np.hstack([scale * bvh.motion[:, :3], bvh.motion[:, 3:]])
    lines = [*motion.splitlines()[:2], *(" ".join(map(str, row)) for row in rows)]
    path.write_text(f"{head}MOTION\n" + "\n".join(lines))
    np.testing.assert_allclose(read_clip(path).joints, expected, atol=1e-5)


class Other(Bvh):
    """The same motion in metres with z up."""

    to_z_up = np.array([[1, 0, 0], [0, 0, -1], [0, 1, 0.0]])

    def world(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        positions, orientations = super().world()
        return positions @ self.to_z_up.T / 100, self.to_z_up @ orientations @ self.to_z_up.T

    def rest(self) -> NDArray[np.float64]:
        return super().rest() @ self.to_z_up.T / 100


class Folded(Bvh):
    """The same motion, with all bones along one axis if nothing is rotated."""

    axes = np.array([[0, 0, 1], [1, 0, 0], [0, 1, 0.0]])

    def world(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        positions, orientations = super().world()
        return positions, orientations @ self.axes

    def rest(self) -> NDArray[np.float64]:
        return np.linalg.norm(super().rest(), axis=1, keepdims=True) * [1.0, 0, 0]


def test_unit_and_axes_of_other_programs(tmp_path: Path) -> None:
    path = tmp_path / "01" / "a.bvh"
    path.parent.mkdir()
    path.write_text(renamed(MIXAMO))
    expected = read_clip(path).joints
    bvh = read_bvh(path)
    coco, unit, z_up = by_names(path, Other(**vars(bvh)))
    assert (unit, z_up) == (1.0, True)
    joints, _ = conversion("coco17", "h36m17")(coco)
    np.testing.assert_allclose(joints, expected, atol=1e-5)


def test_a_head_joint_with_axes_of_its_own(tmp_path: Path) -> None:
    path = tmp_path / "01" / "a.bvh"
    path.parent.mkdir()
    path.write_text(renamed(MIXAMO))
    bvh = read_bvh(path)
    expected, _, _ = by_names(path, bvh)
    coco, unit, z_up = by_names(path, Folded(**vars(bvh)))
    assert (unit, z_up) == (0.01, False)
    np.testing.assert_allclose(coco[:, 5:], expected[:, 5:], atol=1e-9)
    assert np.linalg.norm(coco - expected, axis=-1)[:, :5].mean() < 4  # centimetres


def test_subjects_whose_z_is_not_up(tmp_path: Path) -> None:
    clips = read_folder(write_mocap(tmp_path, ("01", "02")))
    assert not_upright(clips) == []
    first = [replace(c, joints=c.joints[..., [0, 2, 1]]) for c in clips if c.subject == "01"]
    assert not_upright([*first, *(c for c in clips if c.subject == "02")]) == ["01"]
