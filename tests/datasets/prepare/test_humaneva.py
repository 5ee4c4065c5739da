from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.clips import cut
from tests.datasets.prepare.raw_files import write_humaneva, write_mat
from vidpose.datasets import open_dataset
from vidpose.datasets.prepare import humaneva
from vidpose.errors import DataError
from vidpose.utils.npz import read_npz


@pytest.mark.parametrize("v73", [False, True])
def test_chunks_skip_what_is_broken(v73: bool, tmp_path: Path) -> None:
    raw = write_humaneva(tmp_path / "raw" / "converted_15j", broken=(0, 6, 7), v73=v73)
    in_3d, in_2d = humaneva.prepare(tmp_path / "raw", tmp_path / "data")
    assert (in_3d.name, in_2d.name) == ("data_3d_humaneva15.npz", "data_2d_humaneva15_gt.npz")
    poses, seen = read_npz(in_3d)["positions_3d"], read_npz(in_2d)
    sets = {f"{split}/S{n}" for split in ("Train", "Validate") for n in (1, 2, 3)}
    assert set(poses) == set(seen["positions_2d"]) == sets
    assert seen["metadata"] == {
        "layout_name": "humaneva15",
        "num_joints": 15,
        "keypoints_symmetry": [[2, 3, 4, 8, 9, 10], [5, 6, 7, 11, 12, 13]],
    }
    assert [name for name in poses["Train/S1"] if name.startswith("Jog")] == [
        *("Jog 1 chunk1", "Jog 1 chunk3")  # the broken stretches were 0 and 2
    ]
    assert not any(name.startswith("ThrowCatch") for name in poses["Train/S3"])
    for (subject, action), (millimetres, pixels) in raw.items():
        for name, part in (("chunk1", slice(1, 6)), ("chunk3", slice(8, None))):
            joints = poses[subject][f"{action} {name}"]
            cameras = seen["positions_2d"][subject][f"{action} {name}"]
            assert joints.dtype == cameras[0].dtype == np.float32
            np.testing.assert_allclose(joints, millimetres[part] / 1000, atol=1e-6)
            assert len(cameras) == 3
            for camera, expected in zip(cameras, pixels[:, part], strict=True):
                np.testing.assert_allclose(camera, expected, atol=1e-3)


def test_the_reader_takes_both_files(tmp_path: Path) -> None:
    raw = write_humaneva(tmp_path / "raw", broken=(0,))
    humaneva.prepare(tmp_path / "raw", tmp_path / "data")
    dataset = open_dataset("humaneva", tmp_path / "data")
    assert (
        len(dataset.train) == len(dataset.test) == 3 * 3 * 3
    )  # actions that the field measures on
    first = dataset.train[1]
    assert (first.subject, first.action, first.camera) == ("Train/S1", "Walking 1 chunk1", "C2")
    pixels = raw["Train/S1", "Walking 1"][1][1, 1:]
    np.testing.assert_allclose(first.keypoints_2d, pixels, rtol=1e-6)


def test_frames_broken_in_one_file_only(tmp_path: Path) -> None:
    """A frame needs its pose, and its pixels in every camera."""
    write_humaneva(tmp_path)
    poses, seen = np.ones((352, 15, 3)), np.ones((3, 352, 15, 2))
    poses[10, 4], seen[2, 20] = np.nan, np.nan
    write_mat(tmp_path / "Train" / "S2" / "Box_1.mat", poses_3d=poses, poses_2d=seen)
    in_3d, _ = humaneva.prepare(tmp_path, tmp_path / "data")
    chunks = read_npz(in_3d)["positions_3d"]["Train/S2"]
    lengths = {name: len(chunk) for name, chunk in chunks.items() if name.startswith("Box")}
    assert lengths == {"Box 1 chunk0": 10, "Box 1 chunk2": 9, "Box 1 chunk4": 331}


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    write_humaneva(tmp_path)
    (tmp_path / "Validate" / "S2" / "Jog_1.mat").unlink()
    with pytest.raises(DataError, match=r"lacks 1 of the files .*: Validate/S2/Jog_1\.mat"):
        humaneva.prepare(tmp_path, tmp_path / "data")
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"poses_3d": np.ones((352, 20, 3))}, r"poses_3d of shape \(352, 20, 3\).*15 joints"),
        ({"poses_3d": np.ones((351, 15, 3))}, r"expected \(352, 15, 3\), frames 382 to 734"),
        ({"poses_2d": np.ones((2, 352, 15, 2))}, r"poses_2d of shape \(2, 352, 15, 2\)"),
        ({"poses_3d": np.ones((352, 15, 3), int)}, "values of type int64"),
        ({"poses_3d": np.full((352, 15, 3), 1e300)}, r"coordinate 1e\+300 in frame 0"),
        ({"poses_2d": np.full((3, 352, 15, 2), -1e9)}, "-1e\\+09 in frame 0"),
    ],
)
def test_files_that_cannot_be(change: dict[str, Any], complaint: str, tmp_path: Path) -> None:
    write_humaneva(tmp_path)
    whole = {"poses_3d": np.ones((352, 15, 3)), "poses_2d": np.ones((3, 352, 15, 2))}
    write_mat(tmp_path / "Train" / "S2" / "Box_1.mat", **(whole | change))
    with pytest.raises(DataError, match=rf"Train/S2/Box_1\.mat has .*{complaint}"):
        humaneva.prepare(tmp_path, tmp_path / "data")
    assert not (tmp_path / "data").exists()


def test_truncated_and_empty(tmp_path: Path) -> None:
    write_humaneva(tmp_path / "raw")
    cut(tmp_path / "raw" / "Train" / "S3" / "Walking_1.mat")
    with pytest.raises(DataError, match=r"Train/S3/Walking_1\.mat cannot be read as a MATLAB"):
        humaneva.prepare(tmp_path / "raw", tmp_path / "data")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="empty is empty"):
        humaneva.prepare(tmp_path / "empty", tmp_path / "data")
