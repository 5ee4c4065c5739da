"""Resuming runs of older versions of the training loop; see fixtures/old_run."""

import csv
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.bvh_files import write_mocap
from tests.training.runs import ALONE, log_of
from tests.training_data import tiny_dataset
from vidpose.models import load_checkpoint
from vidpose.training.batches import dataset_data
from vidpose.training.loop import train
from vidpose.training.options import TrainOptions
from vidpose.training.recipe import Recipe
from vidpose.training.run import run
from vidpose.training.run_folder import RunFolder

OLD = Path(__file__).parents[1] / "fixtures" / "old_run"
SIZES: dict[str, Any] = {"model": "joints", "embed_dim": 8, "depth": 1, "lr": 2e-3}
SIZES |= {"precision": "fp32"}


def interrupted(name: str, tmp_path: Path) -> Path:
    folder = tmp_path / "run"
    folder.mkdir()
    shutil.copy(OLD / name / "state.pt", folder)
    return folder


def assert_ended_as_then(name: str, folder: Path) -> None:
    with open(OLD / name / "log.csv") as stream:
        then = list(csv.DictReader(stream))
    for ours, theirs in zip(log_of(folder), then, strict=True):
        for column in ("lr", "train_mpjpe_mm", "val_mpjpe_mm", "val_p_mpjpe_mm"):
            assert float(ours[column]) == pytest.approx(float(theirs[column]), rel=1e-4)


def test_a_run_on_a_dataset(tmp_path: Path) -> None:
    """In the middle of its second epoch; Muon and a moving average."""
    recipe = Recipe(
        frames=5,
        epochs=3,
        batch=64,
        val_fraction=0.25,
        optimizer="muon",
        ema=0.9,
        procrustes=0.5,
        **SIZES,
    )
    folder = interrupted("dataset", tmp_path)
    train(dataset_data(tiny_dataset(), recipe, ALONE.device), folder, recipe, ALONE, resume=True)
    assert_ended_as_then("dataset", folder)
    # Not the weights: the bias of the keys has no gradient but rounding, which Adam scales up.
    torch.manual_seed(0)
    inputs = torch.randn(4, 5, 17, 2)
    with torch.no_grad():
        ours, theirs = (
            load_checkpoint(f / "best.safetensors").model(inputs) for f in (folder, OLD / "dataset")
        )
    torch.testing.assert_close(ours, theirs, atol=2e-4, rtol=0)


def test_a_run_on_motion_capture(tmp_path: Path) -> None:
    """In the middle of the first epoch. The normalisation of missing joints stays the old one. The
    expected log is new, because people now keep a distance from the camera.
    """
    folder = interrupted("mocap", tmp_path)
    options = TrainOptions(
        dataset="mocap",
        data=write_mocap(tmp_path / "bvh", ("01", "02", "03")),
        out=folder,
        resume=True,
        test_subjects=("02",),
    )
    changes: dict[str, Any] = {"frames": 3, "windows": 160, "val_windows": 64, "batch": 64}
    changes |= {"epochs": 2, "optimizer": "adamw", "ema": 0.0}
    best = run(options, ALONE, **changes, **SIZES)
    assert_ended_as_then("mocap", folder)
    assert load_checkpoint(best).normalisation == "person"


def test_a_checkpoint() -> None:
    checkpoint = load_checkpoint(OLD / "dataset" / "best.safetensors")
    assert (checkpoint.normalisation, checkpoint.fps) == ("screen", 50.0)
    assert checkpoint.training["recipe"]["singles"] is False


def test_old_names_are_read(tmp_path: Path) -> None:
    folder = interrupted("mocap", tmp_path)
    state = torch.load(folder / "state.pt", weights_only=True)
    state["recipe"]["singles"] = True
    torch.save(state, folder / "state.pt")
    content = RunFolder(folder).read()
    assert content["recipe"]["single_frame"] is True
    assert content["data"]["variation"]["correlated_noise"] == (0.0, 0.035)
