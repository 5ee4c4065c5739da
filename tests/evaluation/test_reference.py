"""Other programs' files as references."""

import sys
from pathlib import Path

import ezc3d
import numpy as np
import pytest

from tests.bvh_files import bvh_text
from tests.export.people import passers_by
from tests.results import make_result
from vidpose.datasets.bvh import read_bvh
from vidpose.datasets.joint_names import normalised
from vidpose.datasets.motion_clips import read_clip
from vidpose.errors import DataError, MissingDependencyError, UsageError
from vidpose.evaluation.reference import Reference, read_reference
from vidpose.evaluation.reference_names import to_h36m17
from vidpose.export import export
from vidpose.export.motion import motion_of, of_people
from vidpose.options import ExportOptions
from vidpose.poses import save
from vidpose.skeleton import H36M17

POSE2SIM = [
    *("RHip", "RKnee", "RAnkle", "RBigToe", "RHeel", "LHip", "LKnee", "LAnkle", "LBigToe"),
    *("LHeel", "Neck", "Head", "Nose", "RShoulder", "RElbow", "RWrist", "LShoulder", "LElbow"),
    "LWrist",
]


def points_of(names: list[str], frames: int = 6) -> np.ndarray:
    return np.random.default_rng(1).normal(size=(frames, len(names), 3))


def trc_text(names: list[str], points: np.ndarray, fps: float = 60.0, unit: str = "m") -> str:
    """A TRC file as Pose2Sim writes it; NaN becomes an empty cell."""
    frames = len(points)
    head = [
        "PathFileType\t4\t(X/Y/Z)\tme.trc",
        "DataRate\tCameraRate\tNumFrames\tNumMarkers\tUnits\tOrigDataRate",
        f"{fps}\t{fps}\t{frames}\t{len(names)}\t{unit}\t{fps}",
        "Frame#\tTime\t" + "".join(f"{name}\t\t\t" for name in names),
        "\t\t" + "".join(f"X{n}\tY{n}\tZ{n}\t" for n in range(1, len(names) + 1)),
        "",
    ]
    for t, row in enumerate(points):
        cells = ["" if np.isnan(value) else f"{value:.7f}" for value in row.ravel()]
        head.append("\t".join([str(t + 1), f"{t / fps:.7f}", *cells]))
    return "\n".join(head) + "\n"


def test_trc(tmp_path: Path) -> None:
    points = points_of(POSE2SIM)
    points[2, POSE2SIM.index("LKnee")] = np.nan
    (tmp_path / "a.trc").write_text(trc_text(POSE2SIM, 1000 * points, unit="mm"))
    found = read_reference(tmp_path / "a.trc")
    np.testing.assert_allclose(found.seconds, np.arange(6) / 60, atol=1e-6)
    assert found.missing == ()
    assert not found.in_camera

    def ours(name: str) -> np.ndarray:
        return found.joints[0, :, H36M17.index(name)]

    def theirs(name: str) -> np.ndarray:
        return points[:, POSE2SIM.index(name)]

    for name, other in (("RFoot", "RAnkle"), ("LWrist", "LWrist"), ("Neck/Nose", "Nose")):
        np.testing.assert_allclose(ours(name), theirs(other), atol=1e-9)
    np.testing.assert_allclose(ours("Head"), theirs("Head"), atol=1e-9)
    np.testing.assert_allclose(ours("Hip"), (theirs("RHip") + theirs("LHip")) / 2, atol=1e-9)
    np.testing.assert_array_equal(np.isnan(ours("LKnee")[:, 0]), np.arange(6) == 2)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "not a complete TRC"),
        ("PathFileType\nUnits\nfurlong\n", "not a complete TRC"),
        (trc_text(["A"], points_of(["A"])), "no joint with a known name"),
        (trc_text(["RKnee"], points_of(["RKnee"]), fps=-60.0), "its times do not increase"),
        (trc_text(["RKnee"], points_of(["RKnee"])) + "7\tx\n", "not a complete TRC"),
    ],
)
def test_damaged_trc(text: str, why: str, tmp_path: Path) -> None:
    (tmp_path / "a.trc").write_text(text)
    with pytest.raises(DataError, match=why):
        read_reference(tmp_path / "a.trc")


def write_c3d(path: Path, names: list[str], points_mm: np.ndarray, fps: float = 100.0) -> None:
    file = ezc3d.c3d()
    file["parameters"]["POINT"]["RATE"]["value"] = [fps]
    file["parameters"]["POINT"]["LABELS"]["value"] = names
    file["parameters"]["POINT"]["UNITS"]["value"] = ["mm"]
    data = np.ones((4, len(names), len(points_mm)))
    data[:3] = points_mm.transpose(2, 1, 0)
    file["data"]["points"] = data
    file.write(str(path))


def test_c3d(tmp_path: Path) -> None:
    names = ["Ana:RHJC", "Ana:LHJC", "Ana:RKJC", "Ana:LKNE"]
    points = points_of(names)
    points[3, 0] = np.nan
    write_c3d(tmp_path / "a.c3d", names, 1000 * points)
    found = read_reference(tmp_path / "a.c3d")
    hip, knee = (found.joints[0, :, H36M17.index(name)] for name in ("RHip", "RKnee"))
    np.testing.assert_allclose(knee, points[:, 2], atol=1e-6)
    np.testing.assert_array_equal(np.isnan(hip[:, 0]), np.arange(6) == 3)
    # A single marker on the skin is not the joint.
    assert "LKnee" in found.missing
    np.testing.assert_allclose(found.seconds, np.arange(6) / 100)


def test_a_damaged_c3d(tmp_path: Path) -> None:
    (tmp_path / "a.c3d").write_bytes(b"nothing of the kind")
    with pytest.raises(DataError, match="not a C3D file"):
        read_reference(tmp_path / "a.c3d")


def test_c3d_without_its_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ezc3d", None)
    (tmp_path / "a.c3d").touch()
    with pytest.raises(MissingDependencyError, match="pip install ezc3d"):
        read_reference(tmp_path / "a.c3d")


def test_bvh_of_the_cmu_database(tmp_path: Path) -> None:
    """The limbs agree with `read_clip`, which training uses; the head is missing."""
    path = tmp_path / "02" / "a.bvh"
    path.parent.mkdir()
    path.write_text(bvh_text(frames=12))
    found = read_reference(path)
    assert set(found.missing) == {"Neck/Nose", "Head"}
    clip = read_clip(path)  # without the first frame, z up
    limbs = [H36M17.index(name) for name in H36M17.joint_names if name[0] in "LR"]
    ours = found.joints[0, 1:][:, limbs]
    turned = np.stack([ours[..., 0], -ours[..., 2], ours[..., 1]], axis=-1)
    np.testing.assert_allclose(turned, clip.joints[:, limbs], atol=1e-5)
    np.testing.assert_allclose(found.seconds, np.arange(12) / read_bvh(path).fps)


def test_a_bvh_of_unknown_size(tmp_path: Path) -> None:
    text = bvh_text(frames=3).replace("OFFSET 0 -40 0", "OFFSET 0 -3 0")
    (tmp_path / "a.bvh").write_text(text.replace("OFFSET 0 -42 0", "OFFSET 0 -3 0"))
    with pytest.raises(DataError, match="specifies no unit"):
        read_reference(tmp_path / "a.bvh")


def test_names() -> None:
    assert normalised("Ana:R_Knee.1") == "rknee1"
    # Mixamo's RightShoulder is the collar bone, and RightArm the shoulder joint.
    names = ["mixamorig:RightShoulder", "mixamorig:RightArm", "mixamorig:LeftLeg", "Head"]
    points = points_of(names)
    joints = to_h36m17(points, names, bvh=True)
    np.testing.assert_array_equal(joints[:, H36M17.index("RShoulder")], points[:, 1])
    np.testing.assert_array_equal(joints[:, H36M17.index("LKnee")], points[:, 2])
    assert np.isnan(joints[:, H36M17.index("Head")]).all()
    # Our own names are taken as they are, in any order.
    own = list(reversed(H36M17.joint_names))
    points = points_of(own)
    np.testing.assert_array_equal(to_h36m17(points, own), points[:, ::-1])
    # A pair of markers on both sides of a joint.
    pair = ["r_knee_study", "r_mknee_study"]
    points = points_of(pair)
    knee = to_h36m17(points, pair)[:, H36M17.index("RKnee")]
    np.testing.assert_allclose(knee, points.mean(axis=1))


@pytest.mark.parametrize("format", ["trc", "c3d", "bvh"])
def test_our_exports_are_taken_as_they_are(format: str, tmp_path: Path) -> None:
    """With all 17 joints; Hip and Thorax are not those in the middle of others."""
    result = of_people(passers_by(), (1,))
    result.joints_3d[:, :, H36M17.index("Thorax"), 0] += 0.02
    path = export(result, tmp_path / f"a.{format}", format, ExportOptions(up="y"))
    found = read_reference(path)
    assert found.missing == ()
    expected = motion_of(result, 0, axes="world", up="y").joints
    # In BVH, both sides have one length.
    np.testing.assert_allclose(found.joints[0], expected, atol=0.02 if format == "bvh" else 1e-5)


def test_no_head_top_is_guessed_from_the_nose() -> None:
    names = ["RShoulder", "LShoulder", "Nose"]
    joints = to_h36m17(points_of(names), names)
    assert np.isnan(joints[:, H36M17.index("Head")]).all()
    assert np.isfinite(joints[:, H36M17.index("Neck/Nose")]).all()


def test_arrays(tmp_path: Path) -> None:
    times = np.arange(5) / 29.97
    np.save(tmp_path / "one.npy", np.ones((5, 17, 3)))
    np.save(tmp_path / "two.npy", np.ones((2, 4, 17, 3), np.float32))
    one = read_reference(tmp_path / "one.npy", times=times)
    assert one.in_camera
    np.testing.assert_array_equal(one.seconds, times)
    two = read_reference(tmp_path / "two.npy", fps=50.0, times=times)
    assert two.people == ("1", "2")
    np.testing.assert_allclose(two.seconds, np.arange(4) / 50)
    with pytest.raises(UsageError, match=r"has 4 frames and the result 5; .*--reference-fps"):
        read_reference(tmp_path / "two.npy", times=times)


def test_unsupported_files(tmp_path: Path) -> None:
    np.save(tmp_path / "coco.npy", np.ones((5, 25, 3)))
    np.save(tmp_path / "pickle.npy", np.array([{}]), allow_pickle=True)
    (tmp_path / "a.fbx").touch()
    with pytest.raises(DataError, match=r"shape \(5, 25, 3\); it should be"):
        read_reference(tmp_path / "coco.npy", fps=30.0)
    with pytest.raises(DataError, match=r"not an \.npy of numbers"):
        read_reference(tmp_path / "pickle.npy", fps=30.0)
    with pytest.raises(UsageError, match=r"a\.fbx: unknown format"):
        read_reference(tmp_path / "a.fbx")
    for suffix in ("trc", "npy"):
        with pytest.raises(DataError, match="does not exist"):
            read_reference(tmp_path / f"none.{suffix}")
    with pytest.raises(UsageError, match=r"none\.trc has its own times"):
        read_reference(tmp_path / "none.trc", fps=30.0)


def test_another_result(tmp_path: Path) -> None:
    result = make_result()
    found = read_reference(save(result, tmp_path / "a.npz"))
    np.testing.assert_allclose(found.joints, result.joints_camera())
    assert found.people == ("1", "2")


def ramp(seconds: np.ndarray) -> Reference:
    """A reference in which all joints move at 1 m/s."""
    joints = np.broadcast_to(seconds[None, :, None, None], (1, len(seconds), 17, 3)).copy()
    return Reference(name="r", joints=joints, seconds=seconds, people=("",), in_camera=True)


def test_other_rates_are_interpolated_but_not_extrapolated() -> None:
    reference = ramp(np.arange(11) / 50)
    times = np.array([-0.01, 0.0, 0.013, 0.1, 0.2, 0.21])
    found = reference.at(times)[0, :, 3, 1]
    np.testing.assert_allclose(found, [np.nan, 0, 0.013, 0.1, 0.2, np.nan], atol=1e-12)
    later = reference.at(times + 5, offset_s=5.0)[0, :, 3, 1]
    np.testing.assert_allclose(later, found, atol=1e-9)


def test_gaps_are_not_interpolated() -> None:
    reference = ramp(np.array([0.0, 0.02, 0.04, 0.5, 0.52]))
    reference.joints[0, 1, 4] = np.nan
    times = np.array([0.01, 0.02, 0.04, 0.3, 0.51])
    found = reference.at(times)[0, :, :, 0]
    np.testing.assert_allclose(found[:, 3], [0.01, 0.02, 0.04, np.nan, 0.51])
    np.testing.assert_allclose(found[:, 4], [np.nan, np.nan, 0.04, np.nan, 0.51])


def test_a_reference_of_one_sample() -> None:
    found = ramp(np.array([0.5])).at(np.array([0.4, 0.5]))[0, :, 0, 0]
    np.testing.assert_allclose(found, [np.nan, 0.5])
