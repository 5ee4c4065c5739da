from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from vidpose.datasets import open_dataset
from vidpose.datasets.synthetic import write_synthetic
from vidpose.errors import DataError, UsageError
from vidpose.utils.npz import read_npz, write_pickled_npz

TRAIN, TEST = "data_train_3dhp.npz", "data_test_3dhp.npz"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("3dhp")
    write_synthetic(folder, "mpi_inf_3dhp", seconds=0.8)
    return folder


def test_the_usual_protocol(made: Path) -> None:
    dataset = open_dataset("mpi_inf_3dhp", made)
    assert dataset.skeleton.name == "mpi_inf_3dhp"
    assert dataset.skeleton.root == 14
    assert len(dataset.train) == 8 * 2 * 8
    assert [s.name for s in dataset.test] == [f"TS{i}/TS{i}/0" for i in range(1, 7)]
    assert [s.frame_size for s in dataset.test] == 4 * [(2048, 2048)] + 2 * [(1920, 1080)]
    assert {s.camera for s in dataset.train} == set("01245678")
    seq2 = next(s for s in dataset.train if s.name == "S3/Seq2/4")
    assert (seq2.fps, len(seq2), seq2.frame_size) == (50, 40, (2048, 2048))
    assert seq2.valid.all()
    stored = read_npz(made / TRAIN)["data"]["S3 Seq2"][0]["4"]
    np.testing.assert_allclose(seq2.joints_3d, stored["data_3d"] / 1000, rtol=1e-6)
    np.testing.assert_array_equal(seq2.keypoints_2d, stored["data_2d"])
    assert seq2.focal_px == pytest.approx(0.73 * 2048, rel=1e-4)


def test_only_valid_frames_of_the_test_count(made: Path) -> None:
    stored = read_npz(made / TEST)["data"]["TS2"]["valid"]
    sequence = open_dataset("mpi_inf_3dhp", made, test_subjects=["TS2"]).test[0]
    np.testing.assert_array_equal(sequence.valid, stored == 1)
    assert 0 < sequence.valid.sum() < len(sequence)
    half = open_dataset("mpi_inf_3dhp", made, test_subjects=["TS2"], downsample=2).test[0]
    np.testing.assert_array_equal(half.valid, sequence.valid[::2])


def test_options_that_make_no_sense(made: Path) -> None:
    with pytest.raises(UsageError, match="mpi_inf_3dhp has no actions"):
        open_dataset("mpi_inf_3dhp", made, actions=["Walking"])
    with pytest.raises(UsageError, match="only one kind of 2D joints; leave cpn out"):
        open_dataset("mpi_inf_3dhp", made, keypoints="cpn")
    with pytest.raises(
        DataError, match=r"test_3dhp\.npz: data has no subject TS7; it has TS1, TS2"
    ):
        open_dataset("mpi_inf_3dhp", made, test_subjects=["TS7"])


def _metres(view: Any) -> None:
    view["data_3d"] = view["data_3d"] / 1000


def _flags(view: Any) -> None:
    view["valid"] = view["valid"] * 2


def _short(view: Any) -> None:
    view["data_2d"] = view["data_2d"][:-1]


def _joints(view: Any) -> None:
    view["data_3d"] = view["data_3d"][:, :16]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (_metres, "data, TS1, data_3d: expected millimetres, found metres"),
        (_flags, "data, TS1, valid: expected 0 or 1 for each of 20 frames"),
        (_short, r"data, TS1: expected as many frames in data_2d as in data_3d \(20\), found 19"),
        (_joints, r"data_3d: expected numbers \(frames, 17, 3\), found float32 \(20, 16, 3\)"),
        (lambda view: view.pop("data_3d"), "expected data_2d and data_3d, found no data_3d"),
    ],
)
def test_a_test_set_that_cannot_be_used(
    made: Path, tmp_path: Path, change: Callable[[Any], None], message: str
) -> None:
    entries = read_npz(made / TEST)
    change(entries["data"]["TS1"])
    write_pickled_npz(tmp_path / TEST, entries)
    with pytest.raises(DataError, match=rf"data_test_3dhp\.npz: .*{message}"):
        open_dataset("mpi_inf_3dhp", tmp_path, train_subjects=[], test_subjects=["TS1"])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda found: found[0].pop("5"), "expected cameras 0, 1, 2, 4, .*, found no 5"),
        (lambda found: found.pop(), "expected its cameras and its frame rate, found a list of 1"),
        (lambda found: found.__setitem__(1, "fast"), "expected a frame rate, found 'fast'"),
        (lambda found: found.__setitem__(0, 3), "expected a dict, found 3"),
    ],
)
def test_a_training_set_that_cannot_be_used(
    made: Path, tmp_path: Path, change: Callable[[Any], None], message: str
) -> None:
    entries = read_npz(made / TRAIN)
    change(entries["data"]["S2 Seq1"])
    write_pickled_npz(tmp_path / TRAIN, entries)
    with pytest.raises(DataError, match=rf"data_train_3dhp\.npz: data, S2 Seq1: {message}"):
        open_dataset("mpi_inf_3dhp", tmp_path, train_subjects=["S2"], test_subjects=[])
