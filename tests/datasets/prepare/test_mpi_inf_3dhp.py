from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.sparse

from tests.clips import cut
from tests.datasets.prepare.raw_files import write_3dhp_tests, write_3dhp_training, write_mat
from vidpose.datasets import open_dataset
from vidpose.datasets.prepare import mpi_inf_3dhp
from vidpose.errors import DataError
from vidpose.events import Event
from vidpose.utils.npz import read_npz

JOINTS = [7, 5, 14, 15, 16, 9, 10, 11, 23, 24, 25, 18, 19, 20, 4, 3, 6]


@pytest.mark.parametrize("v73", [False, True])
def test_training(v73: bool, tmp_path: Path) -> None:
    raw = write_3dhp_training(tmp_path / "raw" / "3dhp", v73)
    events: list[Event] = []
    (written,) = mpi_inf_3dhp.prepare(tmp_path / "raw", tmp_path / "data", report=events.append)
    assert written == tmp_path / "data" / "data_train_3dhp.npz"
    assert "no test sequence" in str(events[0])
    data = read_npz(written)["data"]
    assert set(data) == set(raw)
    assert (data["S1 Seq1"][1], data["S1 Seq2"][1], data["S2 Seq2"][1]) == (25, 50, 25)
    for sequence, (pixels, millimetres) in raw.items():
        cameras = data[sequence][0]
        assert list(cameras) == ["0", "1", "2", "4", "5", "6", "7", "8"]
        for name, seen in cameras.items():
            in_2d = pixels[int(name)].reshape(-1, 28, 2)[:, JOINTS]
            in_3d = 2 * millimetres[int(name)].reshape(-1, 28, 3)[:, JOINTS]
            np.testing.assert_array_equal(seen["data_2d"], in_2d)
            np.testing.assert_array_equal(seen["data_3d"], in_3d)


@pytest.mark.parametrize("v73", [False, True])
def test_tests(v73: bool, tmp_path: Path) -> None:
    raw = write_3dhp_tests(tmp_path / "raw", v73)
    (written,) = mpi_inf_3dhp.prepare(tmp_path / "raw", tmp_path / "data")
    assert written == tmp_path / "data" / "data_test_3dhp.npz"
    data = read_npz(written)["data"]
    assert list(data) == ["TS1", "TS2", "TS3", "TS4", "TS5", "TS6"]
    for test, (pixels, millimetres, valid) in raw.items():
        np.testing.assert_array_equal(data[test]["data_2d"], pixels)
        np.testing.assert_array_equal(data[test]["data_3d"], millimetres)
        np.testing.assert_array_equal(data[test]["valid"], valid)


def test_the_reader_takes_both_files(tmp_path: Path) -> None:
    training = write_3dhp_training(tmp_path / "raw")
    tests = write_3dhp_tests(tmp_path / "raw")
    assert len(mpi_inf_3dhp.prepare(tmp_path / "raw", tmp_path / "data")) == 2
    dataset = open_dataset("mpi_inf_3dhp", tmp_path / "data")
    assert (len(dataset.train), len(dataset.test)) == (8 * 2 * 8, 6)
    first = dataset.train[2]
    assert first.name == "S1/Seq1/2"
    in_2d, in_3d = (camera[2] for camera in training["S1 Seq1"])
    np.testing.assert_allclose(first.keypoints_2d, in_2d.reshape(-1, 28, 2)[:, JOINTS], rtol=1e-6)
    metres = 2 * in_3d.reshape(-1, 28, 3)[:, JOINTS] / 1000
    np.testing.assert_allclose(first.joints_3d, metres, atol=1e-6)
    assert [int(test.valid.sum()) for test in dataset.test] == [
        int(valid.sum()) for _, _, valid in tests.values()
    ]


def test_frames_beyond_those_that_are_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_3dhp_training(tmp_path / "raw", frames=9)
    monkeypatch.setitem(mpi_inf_3dhp.FRAMES, ("S3", "Seq1"), (7, 50))
    (written,) = mpi_inf_3dhp.prepare(tmp_path / "raw", tmp_path / "data")
    data = read_npz(written)["data"]
    assert len(data["S3 Seq1"][0]["8"]["data_2d"]) == len(data["S3 Seq1"][0]["8"]["data_3d"]) == 7
    assert len(data["S3 Seq2"][0]["8"]["data_2d"]) == 9


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    write_3dhp_training(tmp_path / "raw")
    shutil.rmtree(tmp_path / "raw" / "S4")
    with pytest.raises(DataError, match="2 of 16 sequences of MPI-INF-3DHP: S4 Seq1, S4 Seq2"):
        mpi_inf_3dhp.prepare(tmp_path / "raw", tmp_path / "data")
    write_3dhp_tests(tmp_path / "tests")
    (tmp_path / "tests" / "TS5" / "annot_data.mat").unlink()
    with pytest.raises(DataError, match="1 of 6 sequences of MPI-INF-3DHP: TS5"):
        mpi_inf_3dhp.prepare(tmp_path / "tests", tmp_path / "data")
    assert not (tmp_path / "data").exists()


def test_a_folder_with_something_else(tmp_path: Path) -> None:
    (tmp_path / "readme.txt").write_text("nothing")
    with pytest.raises(DataError, match=r"neither S1/Seq1/annot\.mat nor TS1/annot_data\.mat"):
        mpi_inf_3dhp.prepare(tmp_path, tmp_path / "data")


def cells(frames: int = 5, width: int = 56, count: int = 14, value: float = 1.0) -> list[Any]:
    return [np.full((frames, width), value) for _ in range(count)]


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"annot2": cells(width=54)}, r"of shape \(5, 54\); expected \(frames, 56\).*28 joints"),
        ({"annot2": cells(count=9)}, r"annot2 .* of shapes \(9, 1\).*each of its 14 cameras"),
        ({"annot2": np.ones((5, 56))}, r"annot2 .* of shapes \(5, 56\)"),
        ({"annot2": cells(frames=4)}, "between 4 and 5 frames"),
        ({"univ_annot3": cells(width=84, value=np.nan)}, "invalid coordinate nan in frame 0"),
        ({"cameras": np.arange(1, 15)[None]}, "no camera 0"),
        ({"cameras": "text"}, "each of its 1 cameras"),
        ({"annot2": scipy.sparse.eye(14).tocsc()}, "annot2 holds 1 values of the type object"),
        ({"annot2": ["text"] * 14}, r"an array of shape \(1,\)"),
    ],
)
def test_training_files_that_cannot_be(
    change: dict[str, Any], complaint: str, tmp_path: Path
) -> None:
    write_3dhp_training(tmp_path / "raw")
    whole: dict[str, Any] = {
        "annot2": cells(),
        "univ_annot3": cells(width=84),
        "cameras": np.arange(14)[None],
    }
    write_mat(tmp_path / "raw" / "S2" / "Seq2" / "annot.mat", **(whole | change))
    with pytest.raises(DataError, match=rf"S2/Seq2/annot\.mat (has|cannot be read) .*{complaint}"):
        mpi_inf_3dhp.prepare(tmp_path / "raw", tmp_path / "data")
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"annot2": np.ones((2, 16, 1, 6))}, r"of shape \(2, 16, 1, 6\); expected \(2, 17, 1"),
        ({"annot2": np.ones((2, 17, 1, 5))}, "5 frames in annot2, 6 in univ_annot3 and 6 in"),
        ({"univ_annot3": np.ones((3, 17, 6))}, r"of shape \(3, 17, 6\)"),
        ({"valid_frame": np.full((1, 6), np.nan)}, "values in valid_frame that are neither 0"),
        ({"valid_frame": np.full((1, 6), 7.0)}, "values in valid_frame that are neither 0 nor 1"),
    ],
)
def test_test_files_that_cannot_be(change: dict[str, Any], complaint: str, tmp_path: Path) -> None:
    write_3dhp_tests(tmp_path / "raw")
    whole: dict[str, Any] = {
        "annot2": np.ones((2, 17, 1, 6)),
        "univ_annot3": np.ones((3, 17, 1, 6)),
        "valid_frame": np.ones((1, 6)),
    }
    write_mat(tmp_path / "raw" / "TS3" / "annot_data.mat", v73=True, **(whole | change))
    with pytest.raises(DataError, match=rf"TS3/annot_data\.mat has .*{complaint}"):
        mpi_inf_3dhp.prepare(tmp_path / "raw", tmp_path / "data")


def test_nothing_is_written_if_either_part_is_incomplete(tmp_path: Path) -> None:
    write_3dhp_training(tmp_path / "raw")
    write_3dhp_tests(tmp_path / "raw")
    (tmp_path / "raw" / "TS3" / "annot_data.mat").unlink()
    with pytest.raises(DataError, match="1 of 6 sequences of MPI-INF-3DHP: TS3"):
        mpi_inf_3dhp.prepare(tmp_path / "raw", tmp_path / "data")
    assert not (tmp_path / "data").exists()


def test_a_truncated_file(tmp_path: Path) -> None:
    write_3dhp_tests(tmp_path / "raw")
    cut(tmp_path / "raw" / "TS6" / "annot_data.mat")
    with pytest.raises(DataError, match=r"TS6/annot_data\.mat cannot be read as a MATLAB 7\.3"):
        mpi_inf_3dhp.prepare(tmp_path / "raw", tmp_path / "data")
