from __future__ import annotations

import shutil
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from tests.clips import cut
from tests.datasets.prepare.raw_files import walk, write_cdf, write_h5, write_h36m, write_mat
from vidpose.datasets import open_dataset
from vidpose.datasets.cameras import Camera, h36m_cameras
from vidpose.datasets.prepare import h36m
from vidpose.errors import DataError
from vidpose.utils.npz import read_npz

USED = [0, 1, 2, 3, 6, 7, 8, 12, 13, 14, 15, 17, 18, 19, 25, 26, 27]


def seen_by(camera: Camera, world: NDArray[np.float64]) -> NDArray[np.float64]:
    """(N, 3) metres -> (N, 2) pixels, term by term."""
    w, x, y, z = camera.orientation
    points = Rotation.from_quat([x, y, z, w]).inv().apply(world - np.array(camera.translation))
    u, v = points[:, 0] / points[:, 2], points[:, 1] / points[:, 2]
    r2 = u * u + v * v
    k1, k2, k3 = camera.radial
    p1, p2 = camera.tangential
    factor = 1 + k1 * r2 + k2 * r2**2 + k3 * r2**3 + p1 * u + p2 * v
    (fx, fy), (cx, cy) = camera.focal_px, camera.centre_px
    return np.stack([fx * (u * factor + p1 * r2) + cx, fy * (v * factor + p2 * r2) + cy], 1)


@pytest.mark.parametrize("form", ["cdf", "h5", "mat", "mat73"])
def test_every_form_arrives_in_both_files(form: str, tmp_path: Path) -> None:
    raw = write_h36m(tmp_path / "download" / "somewhere", form)
    in_3d, in_2d = h36m.prepare(tmp_path / "download", tmp_path / "data")
    assert (in_3d.name, in_2d.name) == ("data_3d_h36m.npz", "data_2d_h36m_gt.npz")

    poses = read_npz(in_3d)["positions_3d"]
    assert set(poses) == set(h36m.SUBJECTS)
    assert {s: len(takes) for s, takes in poses.items()} == {
        **dict.fromkeys(h36m.SUBJECTS, 30),
        "S11": 29,
    }
    assert "Directions" not in poses["S11"]
    del raw["S11", "Directions"]
    for (subject, action), millimetres in raw.items():
        joints = poses[subject][action]
        assert joints.dtype == np.float32
        np.testing.assert_allclose(joints, millimetres / 1000, atol=1e-6)

    seen = read_npz(in_2d)
    assert seen["metadata"] == {
        "num_joints": 17,
        "keypoints_symmetry": [[4, 5, 6, 11, 12, 13], [1, 2, 3, 14, 15, 16]],
    }
    for subject, action in (("S1", "Photo 1"), ("S9", "WalkDog"), ("S11", "Directions 1")):
        cameras = seen["positions_2d"][subject][action]
        assert len(cameras) == 4
        used = raw[subject, action][:, USED] / 1000
        for camera, pixels in zip(h36m_cameras()[subject], cameras, strict=True):
            assert pixels.dtype == np.float32
            assert pixels.shape == (*used.shape[:2], 2)
            expected = seen_by(camera, used.reshape(-1, 3)).reshape(pixels.shape)
            np.testing.assert_allclose(pixels, expected, atol=0.01)
    ids = [camera.id for camera in h36m_cameras()["S1"]]
    assert ids == ["54138969", "55011271", "58860488", "60457274"]

    dataset = open_dataset("h36m", tmp_path / "data", keypoints="gt")
    assert (len(dataset.train), len(dataset.test)) == (5 * 30 * 4, 59 * 4)
    last = dataset.test[-1]
    camera = h36m_cameras()["S11"][3]
    world = raw[last.subject, last.action][:, USED] / 1000
    np.testing.assert_allclose(last.joints_3d, camera.world_to_camera(world), atol=1e-5)


def test_archives_as_they_are_downloaded(tmp_path: Path) -> None:
    raw = write_h36m(tmp_path / "unpacked")
    (tmp_path / "download").mkdir()
    for subject in h36m.SUBJECTS:
        with tarfile.open(tmp_path / f"download/Poses_D3_Positions_{subject}.tgz", "w:gz") as tar:
            tar.add(tmp_path / "unpacked" / subject, subject)
    (tmp_path / "download" / "Poses_D3_Positions_mono_S1.tgz").write_bytes(b"not looked at")
    (tmp_path / "download" / "Videos_S1.tgz").write_bytes(b"not looked at")
    in_3d, _ = h36m.prepare(tmp_path / "download", tmp_path / "data")
    poses = read_npz(in_3d)["positions_3d"]["S6"]["Eating 1"]
    np.testing.assert_allclose(poses, raw["S6", "Eating 1"] / 1000, atol=1e-6)
    assert not list((tmp_path / "download").glob("S*"))


def test_archives_stay_closed_beside_their_files(tmp_path: Path) -> None:
    """However the takes are numbered: S5's begin with 1."""
    write_h36m(tmp_path)
    poses = tmp_path / "S5" / "MyPoseFeatures" / "D3_Positions"
    (poses / "Eating.cdf").rename(poses / "Eating 2.cdf")
    (tmp_path / "Poses_D3_Positions_S5.tgz").write_bytes(b"not looked at")
    in_3d, _ = h36m.prepare(tmp_path, tmp_path / "data")
    assert {"Eating 1", "Eating 2"} <= set(read_npz(in_3d)["positions_3d"]["S5"])


def test_the_old_archive(tmp_path: Path) -> None:
    raw = write_h36m(tmp_path / "h36m", "h5")
    (tmp_path / "download").mkdir()
    with zipfile.ZipFile(tmp_path / "download" / "h36m.zip", "w") as zipped:
        for path in sorted((tmp_path / "h36m").rglob("*.h5")):
            zipped.write(path, path.relative_to(tmp_path))
    in_3d, _ = h36m.prepare(tmp_path / "download", tmp_path / "data")
    poses = read_npz(in_3d)["positions_3d"]["S8"]["WalkDog 1"]
    np.testing.assert_allclose(poses, raw["S8", "WalkDog 1"] / 1000, atol=1e-6)


def test_other_kinds_of_poses_are_left_alone(tmp_path: Path) -> None:
    raw = write_h36m(tmp_path)
    for kind in ("D3_Positions_mono", "D2_Positions", "D3_Angles"):
        write_cdf(tmp_path / "S1" / "MyPoseFeatures" / kind / "Eating.cdf", walk(9, 32, 5))
    in_3d, _ = h36m.prepare(tmp_path, tmp_path / "data")
    assert read_npz(in_3d)["positions_3d"]["S1"]["Eating"].shape == raw["S1", "Eating"].shape


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    write_h36m(tmp_path / "raw", subjects=("S1", "S5", "S6", "S7", "S8", "S9"))
    poses = tmp_path / "raw" / "S5" / "MyPoseFeatures" / "D3_Positions"
    (poses / "Eating.cdf").unlink()
    (poses / "Eating 1.cdf").unlink()
    (poses / "Walking 1.cdf").unlink()
    message = "S5 has 0 of 2 Eating, 1 of 2 Walking; S11 has none; every subject has 30 files"
    with pytest.raises(DataError, match=message):
        h36m.prepare(tmp_path / "raw", tmp_path / "data")
    assert not (tmp_path / "data").exists()


def test_a_take_too_many(tmp_path: Path) -> None:
    write_h36m(tmp_path)
    poses = tmp_path / "S5" / "MyPoseFeatures" / "D3_Positions"
    shutil.copy(poses / "Eating 1.cdf", poses / "Eating 2.cdf")
    with pytest.raises(DataError, match="S5 has 3 of 2 Eating;"):
        h36m.prepare(tmp_path, tmp_path / "data")


def test_a_damaged_file_stops_it_and_nothing_is_written(tmp_path: Path) -> None:
    write_h36m(tmp_path / "raw")
    cut(tmp_path / "raw" / "S7" / "MyPoseFeatures" / "D3_Positions" / "Smoking.cdf")
    with pytest.raises(DataError, match=r"S7/MyPoseFeatures/D3_Positions/Smoking\.cdf cannot be"):
        h36m.prepare(tmp_path / "raw", tmp_path / "data")
    assert not (tmp_path / "data").exists()


def test_a_folder_with_something_else(tmp_path: Path) -> None:
    (tmp_path / "readme.txt").write_text("nothing")
    with pytest.raises(DataError, match=r"lacks poses of Human3\.6M: S1 has none; S5 has none"):
        h36m.prepare(tmp_path, tmp_path / "data")


@pytest.mark.parametrize("form", ["cdf", "h5", "mat", "mat73"])
def test_another_number_of_joints(form: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"of shape .*expected \(frames, 96\).*32 joints"):
        h36m.read_take(write_take(tmp_path, form, walk(4, 31)))


@pytest.mark.parametrize("form", ["cdf", "h5", "mat", "mat73"])
def test_a_value_that_is_no_number(form: str, tmp_path: Path) -> None:
    poses = walk(4, 32)
    poses[2, 5, 1] = np.nan
    with pytest.raises(DataError, match="has the invalid coordinate nan in frame 2"):
        h36m.read_take(write_take(tmp_path, form, poses))
    poses[2, 5, 1], poses[1, 0, 0] = 0, -3e12
    with pytest.raises(DataError, match=r"has the invalid coordinate -3e\+12 in frame 1"):
        h36m.read_take(write_take(tmp_path / "again", form, poses))


def write_take(folder: Path, form: str, poses: NDArray[np.float64]) -> Path:
    if form == "cdf":
        return write_cdf(folder / "Eating.cdf", poses)
    if form == "h5":
        return write_h5(folder / "Eating.h5", poses)
    flat = [poses.reshape(len(poses), -1)]
    return write_mat(folder / "Eating.cdf.mat", form == "mat73", data=flat)


def test_a_plain_matrix_in_the_mat_file(tmp_path: Path) -> None:
    poses = walk(4, 32)
    path = write_mat(tmp_path / "Eating.cdf.mat", data=poses.reshape(4, 96))
    np.testing.assert_allclose(h36m.read_take(path), poses / 1000, atol=1e-6)
    with pytest.raises(DataError, match="has no variable data"):
        h36m.read_take(write_mat(tmp_path / "Eating 1.cdf.mat", Pose=poses))


def test_take_names() -> None:
    names = ("TakingPhoto", "TakingPhoto 1", "Photo", "WalkingDog 1", "Walking", "WalkTogether")
    assert [h36m.take_name(name) for name in names] == [
        *("Photo", "Photo 1", "Photo", "WalkDog 1", "Walking", "WalkTogether")
    ]
