"""The workflow of a researcher, from dataset files to a table, on synthetic data."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from tests.dataset_files import make_checkpoint
from vidpose.cli import main
from vidpose.datasets.synthetic import write_synthetic
from vidpose.models import save_checkpoint
from vidpose.skeleton import MPI_INF_3DHP

SIZES = ("--frames", "9", "--embed-dim", "8", "--depth", "1", "--batch", "128", "--lr", "4e-3")


def run(*arguments: object) -> str:
    result = CliRunner().invoke(main, [*map(str, arguments), "--device", "cpu"])
    assert result.exit_code == 0, result.output
    return result.output


@pytest.mark.parametrize("layout", ["h36m", "humaneva", "mpi_inf_3dhp"])
def test_train_eval_compare(layout: str, tmp_path: Path) -> None:
    write_synthetic(tmp_path, layout, seconds=0.5, actions=None)
    out = tmp_path / "run"
    dataset = ("--dataset", layout, "--data", tmp_path)
    run("train", *dataset, "--out", out, *SIZES, "--epochs", 4)
    with open(out / "log.csv") as stream:
        rows = list(csv.DictReader(stream))
    errors = [float(row["train_mpjpe_mm"]) for row in rows]
    assert errors == sorted(errors, reverse=True)
    assert errors[-1] < 0.7 * errors[0]
    assert (out / "curve.png").stat().st_size > 10_000
    assert any((out / "tensorboard").iterdir())

    weights = out / "best.safetensors"
    output = run(
        *("eval", *dataset, "--weights", weights, "--plots", tmp_path / "plots"),
        *("--json", tmp_path / "e.json", "--csv", tmp_path / "e.csv"),
    )
    assert "MPJPE" in output
    assert json.loads((tmp_path / "e.json").read_text())
    assert len(list((tmp_path / "plots").glob("*.png"))) >= 4
    compared = run(
        *("eval", *dataset, "--compare", weights, out / "last.safetensors"),
        *("--plots", tmp_path / "both"),
    )
    assert "best" in compared
    assert "last" in compared
    assert list((tmp_path / "both").glob("*.png"))


def test_eval_needs_no_training_data(tmp_path: Path) -> None:
    """Those of MPI-INF-3DHP are a large file of their own."""
    write_synthetic(tmp_path, "mpi_inf_3dhp", seconds=0.2)
    (tmp_path / "data_train_3dhp.npz").unlink()
    weights = tmp_path / "tiny.safetensors"
    save_checkpoint(weights, make_checkpoint(skeleton=MPI_INF_3DHP))
    output = run(*("eval", "--dataset", "mpi_inf_3dhp", "--data", tmp_path), "--weights", weights)
    assert "6 sequences" in output


def test_missing_synthetic_data_are_generated(tmp_path: Path) -> None:
    output = run(
        *("train", "--dataset", "synthetic", "--data", tmp_path / "made", *SIZES),
        *("--out", tmp_path / "run", "--epochs", 1, "--train-subjects", "S1"),
        *("--actions", "Walking", "--select-on", "test"),
    )
    assert "the test error is too optimistic" in output
    assert (tmp_path / "made" / "data_3d_h36m.npz").is_file()
