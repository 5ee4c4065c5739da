from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.cli.test_infer import Run, run, sentence
from tests.clips import cut, make_clip
from tests.datasets.prepare.raw_files import write_3dhp_tests, write_h36m, write_humaneva
from tests.fakes import FakeDetector
from vidpose.datasets import open_dataset
from vidpose.datasets.mpi_inf_3dhp import CAMERAS
from vidpose.datasets.prepare import detections
from vidpose.options import DetectorOptions
from vidpose.utils.npz import read_npz

__all__ = ["run"]


def test_h36m(run: Run, tmp_path: Path) -> None:
    write_h36m(tmp_path / "download")
    result = run("prepare", "h36m", "download")
    assert result.exit_code == 0, result.output
    assert result.stdout.splitlines() == [
        "209 takes of 7 subjects.",
        "Written: data/data_3d_h36m.npz",
        "Written: data/data_2d_h36m_gt.npz",
    ]
    assert sorted(path.name for path in (tmp_path / "data").iterdir()) == [
        *("data_2d_h36m_gt.npz", "data_3d_h36m.npz")
    ]


def test_mpi_inf_3dhp_and_humaneva(run: Run, tmp_path: Path) -> None:
    write_3dhp_tests(tmp_path / "download")
    result = run("prepare", "mpi_inf_3dhp", "download", "--out", "elsewhere")
    assert result.exit_code == 0, result.output
    assert result.stdout == "Written: elsewhere/data_test_3dhp.npz\n"
    assert result.stderr == (
        "Warning: no training sequence is below download; elsewhere/data_train_3dhp.npz is not "
        "written.\n"
    )
    write_humaneva(tmp_path / "download")
    result = run("prepare", "humaneva", "download", "-o", "elsewhere")
    assert result.exit_code == 0, result.output
    assert len(list((tmp_path / "elsewhere").glob("*humaneva15*.npz"))) == 2


def test_detections(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[DetectorOptions] = []

    def open_fake(options: DetectorOptions, device: torch.device) -> tuple[FakeDetector, str]:
        asked.append(options)
        return FakeDetector(lambda index: True), "a stand-in (this is a test)"

    monkeypatch.setattr(detections, "open_detector", open_fake)
    folder = tmp_path / "download" / "S1" / "Seq1" / "imageSequence"
    folder.mkdir(parents=True)
    for camera in CAMERAS:
        make_clip(folder / f"video_{camera}.avi", codec="mpeg4", frames=5)
    options = ("--detector", "cpn", "--pose-weights", "a.pth", "--person-weights", "b.pth")
    result = run("prepare", "mpi_inf_3dhp", "download", *options, "--detect-every", "3")
    assert result.exit_code == 0, result.output
    first, last = result.stdout.splitlines()
    assert first == "Detector: a stand-in (this is a test). 8 videos."
    assert last == "Written: data/data_2d_mpi_inf_3dhp_cpn.npz"
    assert asked == [
        DetectorOptions(
            detector="cpn", people=1, pose_weights="a.pth", person_weights="b.pth", detect_every=3
        )
    ]
    positions = read_npz(tmp_path / "data" / "data_2d_mpi_inf_3dhp_cpn.npz")["positions_2d"]
    assert np.shape(positions["S1"]["Seq1"]) == (8, 5, 17, 2)


@pytest.mark.parametrize(
    ("layout", "files"),
    [
        ("h36m", ["data_2d_h36m_cpn_ft_h36m_dbb", "data_2d_h36m_gt", "data_3d_h36m"]),
        ("humaneva", ["data_2d_humaneva15_gt", "data_3d_humaneva15"]),
        ("mpi_inf_3dhp", ["data_test_3dhp", "data_train_3dhp"]),
    ],
)
def test_synthetic(layout: str, files: list[str], run: Run, tmp_path: Path) -> None:
    result = run("prepare", "synthetic", "--layout", layout, "--seconds", "0.2")
    assert result.exit_code == 0, result.output
    folder = tmp_path / "data" / "synthetic"
    assert sorted(path.stem for path in folder.iterdir()) == files
    assert sorted(result.stdout.splitlines()) == [
        f"Written: data/synthetic/{name}.npz" for name in files
    ]
    assert open_dataset(layout, folder, keypoints="gt").train


def test_synthetic_of_some(run: Run, tmp_path: Path) -> None:
    options = ("--subjects", "S1,S9", "--actions", "Sitting", "--seconds", "0.2", "--seed", "3")
    assert run("prepare", "synthetic", "-o", "a", *options).exit_code == 0
    poses = read_npz(tmp_path / "a" / "data_3d_h36m.npz")["positions_3d"]
    assert {subject: list(takes) for subject, takes in poses.items()} == {
        subject: ["Sitting", "Sitting 1"] for subject in ("S1", "S9")
    }
    assert run("prepare", "synthetic", "-o", "b", *options[:-1], "4").exit_code == 0
    other = read_npz(tmp_path / "b" / "data_3d_h36m.npz")["positions_3d"]
    assert not np.allclose(poses["S1"]["Sitting"], other["S1"]["Sitting"])
    line = sentence(run("prepare", "synthetic", "--subjects", "S77"), 2)
    assert "S77: choose among S1, S5" in line


@pytest.mark.parametrize("dataset", ["h36m", "mpi_inf_3dhp", "humaneva"])
def test_invalid_sources(dataset: str, run: Run, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for detector in ((), ("--detector", "mediapipe")):
        line = sentence(run("prepare", dataset, "nowhere", *detector))
        assert line == "Error: nowhere is not a folder; give the folder of the raw download."
        line = sentence(run("prepare", dataset, "empty", *detector))
        assert line == "Error: empty is empty; give the folder of the raw download."
    assert not (tmp_path / "data").exists()


def test_errors_are_sentences(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_h36m(tmp_path / "download")
    take = tmp_path / "download" / "S1" / "MyPoseFeatures" / "D3_Positions" / "Eating.cdf"
    cut(take)
    assert "Eating.cdf cannot be read as a CDF file" in sentence(run("prepare", "h36m", "download"))
    take.unlink()
    assert "S1 has 1 of 2 Eating" in sentence(run("prepare", "h36m", "download"))
    (tmp_path / "file").touch()
    line = sentence(run("prepare", "humaneva", "download", "-o", "file"))
    assert "file/data_3d_humaneva15.npz cannot be written" in line
    write_h36m(tmp_path / "again")
    monkeypatch.setitem(sys.modules, "cdflib", None)
    line = sentence(run("prepare", "h36m", "again"))
    assert line.endswith("cdflib reads; it is not installed: pip install -e '.[datasets]'")
    line = sentence(run("prepare", "h36m", "download", "--pose-weights", "a.pth"), 2)
    assert line == "Error: --pose-weights goes with --detector."
    assert not (tmp_path / "data").exists()


def test_help_names_what_is_expected(run: Run) -> None:
    assert "synthetic" in run("prepare", "--help").stdout
    for dataset, file in (
        ("h36m", "D3_Positions"),
        ("mpi_inf_3dhp", "annot_data.mat"),
        ("humaneva", "ConvertHumanEva.m"),
    ):
        assert file in run("prepare", dataset, "--help").stdout
