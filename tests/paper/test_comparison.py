import csv
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.clips import make_clip
from tests.fakes import tiny_weights, use_fake_detector
from vidpose.datasets import open_dataset
from vidpose.datasets.synthetic import write_synthetic
from vidpose.errors import UsageError
from vidpose.evaluation.evaluate import evaluate
from vidpose.events import Event
from vidpose.models import Checkpoint, SequencePoseFormer, load_checkpoint, save_checkpoint
from vidpose.models.normalisation import NORMALISATIONS
from vidpose.paper import options as paper_options
from vidpose.paper import rerun
from vidpose.paper.runs import Budget


@pytest.fixture
def data(tmp_path: Path) -> Path:
    write_synthetic(tmp_path / "data" / "synthetic", actions=("Walking", "Sitting"), seconds=0.2)
    return tmp_path / "data"


def read(path: Path) -> list[dict[str, str]]:
    with open(path, newline="") as stream:
        return list(csv.DictReader(stream))


def test_figure3_of_weights_agrees_with_evaluate(data: Path, tmp_path: Path) -> None:
    weights = tiny_weights(tmp_path / "mine.safetensors")
    said: list[Event] = []
    written = rerun(
        "figure3", tmp_path / "out", data, device="cpu", report=said.append,
        weights=(str(weights),), action="Sitting",
    )  # fmt: skip
    dataset = open_dataset("synthetic", data / "synthetic")
    expected = evaluate(load_checkpoint(weights), dataset)[0].per_joint("mpjpe_mm", "Sitting")
    rows = read(written[0])
    assert [row["joint"] for row in rows[:2]] == ["Hip", "RHip"]
    np.testing.assert_allclose([float(row["mpjpe_mm"]) for row in rows], expected, rtol=1e-4)
    assert "Figure 3: error by joint, Sitting\nData: a synthetic dataset" in str(said[-3])
    assert written[1].read_bytes()[:4] == b"\x89PNG"


def test_figure3_trains_the_networks_of_table1(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    budget = Budget(windows=32, fraction=None, test_frames=40)
    monkeypatch.setattr(paper_options, "QUICK", budget)
    monkeypatch.setattr(paper_options, "SMALL", {"embed_dim": 8, "depth": 1, "frames": 9})
    options: Any = {"device": "cpu", "epochs": 1, "only": ("poseformer", "martinez")}
    written = rerun("figure3", tmp_path / "out", data, **options)
    assert {row["network"] for row in read(written[0])} == {"PoseFormer", "Martinez et al."}
    runs = sorted((tmp_path / "out" / "runs").iterdir())
    rerun("table1", tmp_path / "out", data, **options, seeds=1)
    assert sorted((tmp_path / "out" / "runs").iterdir()) == runs  # the runs are shared


def test_figure4_shows_truth_and_networks(data: Path, tmp_path: Path) -> None:
    weights = tiny_weights(tmp_path / "mine.safetensors")
    said: list[Event] = []
    written = rerun(
        "figure4", tmp_path / "out", data, device="cpu", report=said.append,
        weights=(str(weights),), sequence="S9/Sitting/54138969", at=0.1,
    )  # fmt: skip
    rows = read(written[0])
    assert [row["pose"] for row in rows] == ["truth"] * 17 + ["mine"] * 17
    points = np.array([[float(row[f"{axis}_m"]) for axis in "xyz"] for row in rows])
    truth, pose = points[:17], points[17:]
    dataset = open_dataset("synthetic", data / "synthetic")
    sequence = next(s for s in dataset.test if s.name == "S9/Sitting/54138969")
    np.testing.assert_allclose(truth, sequence.joints_3d[5] - sequence.joints_3d[5, 0], atol=1e-5)
    error = 1000 * np.linalg.norm(pose - truth, axis=-1).mean()
    assert str(said[1]) == f"S9/Sitting/54138969, 0.10 s: mine {error:.1f} mm"
    assert written[1].read_bytes()[:4] == b"\x89PNG"


def test_figure4_shows_the_centre_frame_of_a_sequence_network(data: Path, tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = SequencePoseFormer(frames=5, embed_dim=8, depth=1).eval()
    weights = tmp_path / "mine.safetensors"
    save_checkpoint(
        weights, Checkpoint(model=model, normalisation="screen", fps=50.0, skeleton="h36m17")
    )
    written = rerun(
        "figure4", tmp_path / "out", data, device="cpu",
        weights=(str(weights),), sequence="S9/Sitting/54138969", at=0.1,
    )  # fmt: skip
    sequence = next(
        s for s in open_dataset("synthetic", data / "synthetic").test
        if s.name == "S9/Sitting/54138969"
    )  # fmt: skip
    inputs, _ = NORMALISATIONS["screen"](
        torch.tensor(sequence.keypoints_2d[3:8]), sequence.frame_size, 1.0
    )
    with torch.no_grad():
        expected = model(inputs[None])[0, 2].numpy()
    rows = [row for row in read(written[0]) if row["pose"] == "mine"]
    pose = [[float(row[f"{axis}_m"]) for axis in "xyz"] for row in rows]
    np.testing.assert_allclose(pose, expected - expected[0], atol=1e-5)


def test_figure4_of_a_video(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    use_fake_detector(monkeypatch)
    video = make_clip(tmp_path / "me.mp4", frames=20)
    weights = tiny_weights(tmp_path / "mine.safetensors")
    written = rerun(
        "figure4", tmp_path / "out", tmp_path / "data", device="cpu",
        weights=(str(weights),), video=video,
    )  # fmt: skip
    assert {row["pose"] for row in read(written[0])} == {"mine"}


def test_bad_options_are_usage_errors(data: Path, tmp_path: Path) -> None:
    weights = (str(tiny_weights(tmp_path / "mine.safetensors")),)
    with pytest.raises(
        UsageError, match="--action Flying: the test sequences of synthetic have Sitting"
    ):
        rerun("figure3", tmp_path, data, action="Flying")
    with pytest.raises(UsageError, match="evaluated without training; omit --only"):
        rerun("figure3", tmp_path, data, weights=weights, epochs=3)
    with pytest.raises(UsageError, match="is given twice"):
        rerun("figure4", tmp_path, data, weights=weights * 3)
    with pytest.raises(UsageError, match="give --video or a --sequence"):
        rerun("figure4", tmp_path, data, video=Path("x.mp4"), sequence="S9/Sitting/0")
