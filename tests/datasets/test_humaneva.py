from pathlib import Path
from typing import Any

import numpy as np
import pytest

from vidpose.datasets import open_dataset
from vidpose.datasets.humaneva import humaneva_cameras
from vidpose.datasets.synthetic import write_synthetic
from vidpose.errors import DataError
from vidpose.utils.npz import read_npz, write_pickled_npz

SEEN = "data_2d_humaneva15_gt.npz"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("humaneva")
    write_synthetic(folder, "humaneva", seconds=0.5)
    return folder


def test_the_usual_protocol(made: Path) -> None:
    dataset = open_dataset("humaneva", made)
    assert dataset.keypoints == "gt"
    assert dataset.skeleton.name == "humaneva15"
    assert {s.subject for s in dataset.train} == {"Train/S1", "Train/S2", "Train/S3"}
    assert {s.subject for s in dataset.test} == {"Validate/S1", "Validate/S2", "Validate/S3"}
    assert {s.action.split(" ")[0] for s in dataset.test} == {"Walking", "Jog", "Box"}
    assert len(dataset.train) == 3 * 3 * 2 * 3  # people, actions, chunks, cameras
    first = dataset.train[0]
    assert first.name == "Train/S1/Walking 1 chunk0/C1"
    assert (first.frame_size, first.fps, len(first)) == ((640, 480), 60, 15)
    everything = open_dataset("humaneva", made, actions=["Gestures", "ThrowCatch"])
    assert {s.action.split(" ")[0] for s in everything.test} == {"Gestures", "ThrowCatch"}


def test_the_focal_length_is_fitted_only_to_exact_2d(made: Path, tmp_path: Path) -> None:
    assert open_dataset("humaneva", made).train[4].focal_px == pytest.approx(750, rel=1e-4)
    entries = read_npz(made / SEEN)
    for subject in entries["positions_2d"].values():
        for views in subject.values():
            views[:] = [np.random.default_rng(0).uniform(0, 480, v.shape) for v in views]
    write_pickled_npz(tmp_path / "data_2d_humaneva15_noise.npz", entries)
    write_pickled_npz(
        tmp_path / "data_3d_humaneva15.npz", read_npz(made / "data_3d_humaneva15.npz")
    )
    dataset = open_dataset("humaneva", tmp_path, keypoints="noise")
    assert {s.focal_px for s in dataset.train} == {None}


def test_cameras_stand_about_the_room_and_look_in(made: Path) -> None:
    for name in ("Train/S1", "Validate/S2", "S3"):
        cameras = humaneva_cameras(name)
        assert cameras is not None
        assert [camera.id for camera in cameras] == ["C1", "C2", "C3"]
        for camera in cameras:
            assert 2.5 < camera.world_to_camera(np.array([0.0, 0, 1]))[2] < 6
    assert humaneva_cameras("Train/S4") is None


def test_unlabeled_and_coco(made: Path, tmp_path: Path) -> None:
    entries: dict[str, Any] = read_npz(made / SEEN)
    entries["positions_2d"]["Unlabeled/S4"] = {"Walking 1": [None, None, None]}
    write_pickled_npz(tmp_path / SEEN, entries)
    write_pickled_npz(
        tmp_path / "data_3d_humaneva15.npz", read_npz(made / "data_3d_humaneva15.npz")
    )
    assert len(open_dataset("humaneva", tmp_path).train) == 54
    entries["metadata"] = {
        "layout_name": "coco",
        "num_joints": 17,
        "keypoints_symmetry": [[1, 3, 5, 7, 9, 11, 13, 15], [2, 4, 6, 8, 10, 12, 14, 16]],
    }
    write_pickled_npz(tmp_path / "data_2d_humaneva15_detectron_pt_coco.npz", entries)
    with pytest.raises(DataError, match="expected 15 joints, those of humaneva15, found 17"):
        open_dataset("humaneva", tmp_path, keypoints="detectron_pt_coco")
