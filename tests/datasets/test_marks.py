"""A mark distinguishes synthetic data from a real dataset in the same file format."""

from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from tests.dataset_files import h36m_like, make_checkpoint
from vidpose.cli import main
from vidpose.datasets import is_synthetic, open_dataset
from vidpose.datasets.marks import KEY, NOT_REAL, mark
from vidpose.datasets.synthetic import write_synthetic
from vidpose.models import save_checkpoint
from vidpose.utils.npz import read_npz, write_pickled_npz


@pytest.mark.parametrize("layout", ["h36m", "humaneva", "mpi_inf_3dhp"])
def test_every_layout_has_it(layout: str, tmp_path: Path) -> None:
    write_synthetic(tmp_path, layout, seconds=0.1)
    keypoints = None if layout == "mpi_inf_3dhp" else "gt"
    dataset = open_dataset(layout, tmp_path, keypoints=keypoints)
    assert dataset.synthetic
    assert dataset.title == f"{layout}, {NOT_REAL}"
    assert is_synthetic(layout, tmp_path)


def test_real_data_has_none(tmp_path: Path) -> None:
    """Neither with the mark of `prepare h36m` nor in VideoPose3D's own files, without a mark."""
    for path in write_synthetic(tmp_path, seconds=0.1):
        entries = read_npz(path)
        write_pickled_npz(path, entries | mark("h36m"))
    assert not open_dataset("h36m", tmp_path).synthetic
    for path in tmp_path.glob("*.npz"):
        entries = read_npz(path)
        write_pickled_npz(path, {key: value for key, value in entries.items() if key != KEY})
    assert not open_dataset("h36m", tmp_path).synthetic
    assert not h36m_like().synthetic


def test_one_synthetic_file_of_two_is_enough(tmp_path: Path) -> None:
    for path in write_synthetic(tmp_path, seconds=0.1):
        if "_2d_" not in path.name:
            write_pickled_npz(path, read_npz(path) | mark("h36m"))
    assert open_dataset("h36m", tmp_path).synthetic


def test_eval_and_train_say_it_first_and_print_no_published_figures(tmp_path: Path) -> None:
    write_synthetic(tmp_path, seconds=0.2, actions=["Walking", "Sitting"])
    weights = tmp_path / "tiny.safetensors"
    save_checkpoint(weights, make_checkpoint())
    subjects = ("--test-subjects", "S9", "--actions", "Walking,Sitting")
    asked = ("--dataset", "h36m", "--data", str(tmp_path), *subjects, "--device", "cpu")
    done = CliRunner().invoke(main, ["eval", *asked, "--weights", str(weights), "--no-flip"])
    assert done.exit_code == 0, done.output
    assert NOT_REAL in done.output.splitlines()[0]
    assert "Published figures are for the real dataset, so they are not shown." in done.output
    assert "published by" not in done.output
    assert "unverified" not in done.output
    small = ("--epochs", "1", "--frames", "3", "--depth", "1", "--embed-dim", "8")
    out = ("--out", str(tmp_path / "run"), "--train-subjects", "S1", *small)
    done = CliRunner().invoke(main, ["train", *asked, *out])
    assert done.exit_code == 0, done.output
    assert NOT_REAL in done.output.splitlines()[0]


def test_the_mark_is_plain_text(tmp_path: Path) -> None:
    (path,) = (p for p in write_synthetic(tmp_path, seconds=0.1) if "_3d_" in p.name)
    with np.load(path) as archive:
        assert str(archive[KEY]).endswith("prepare synthetic")
