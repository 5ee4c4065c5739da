import csv
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.clips import make_clip
from tests.dataset_files import make_checkpoint, make_sequence
from tests.fakes import tiny_weights, use_fake_detector
from tests.results import make_result
from vidpose.datasets.synthetic import write_synthetic
from vidpose.errors import UsageError
from vidpose.events import Event
from vidpose.models import Checkpoint, Martinez, PoseFormer, save_checkpoint
from vidpose.models.normalisation import NORMALISATIONS
from vidpose.paper import rerun
from vidpose.paper.attention import maps_of
from vidpose.paper.keypoint_track import own_track, track_of_sequence
from vidpose.paper.options import ExperimentOptions
from vidpose.paper.workspace import Workspace
from vidpose.poses import save
from vidpose.utils.progress import silent


def checkpoint_for_test(frames: int = 5) -> Checkpoint:
    torch.manual_seed(0)
    model = PoseFormer(frames=frames, embed_dim=8, depth=2).eval()
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.7)
    return Checkpoint(model=model, normalisation="person", fps=50.0, skeleton="h36m17")


def test_the_maps_come_from_the_forward_pass_of_the_pose() -> None:
    """Recomputing the temporal blocks with the returned maps gives the returned pose."""
    checkpoint, sequence = checkpoint_for_test(), make_sequence(frames=20)
    found = maps_of(checkpoint, track_of_sequence(sequence), 0.2)
    assert found.spatial.shape == (2, 8, 17, 17)
    assert found.temporal.shape == (2, 8, 5, 5)
    for maps in (found.spatial, found.temporal):
        np.testing.assert_allclose(maps.sum(axis=-1), 1, rtol=1e-5)
        assert maps.std() > 0.01, "attention is uniform"

    # The window is the sequence's own frames around 0.2 s, normalised.
    inputs, rotation = NORMALISATIONS["person"](
        torch.tensor(sequence.keypoints_2d[8:13]), (1000, 1000), 1000.0
    )
    torch.testing.assert_close(found.window.inputs, inputs, rtol=1e-4, atol=1e-4)

    model: Any = checkpoint.model
    with torch.no_grad():
        x = model.spatial(found.window.inputs).unflatten(0, (1, 5)) + model.frame_position
        for block, maps in zip(model.temporal_blocks, found.temporal, strict=True):
            values = block.attention.qkv(block.norm1(x)).chunk(3, dim=-1)[2]
            values = values.unflatten(-1, (8, -1)).transpose(-3, -2)
            seen = torch.tensor(maps, dtype=torch.float32)[None] @ values
            x = x + block.attention.proj(seen.transpose(-3, -2).flatten(-2))
            x = x + block.mlp(block.norm2(x))
        pose = model.head(model.frame_pooling(model.temporal_norm(x))).unflatten(-1, (17, 3))
    again = (pose[0, 0] @ rotation[2]).numpy()
    np.testing.assert_allclose(found.pose, again - again[0], atol=1e-4)


def test_the_spatial_maps_are_of_the_centre_frame() -> None:
    checkpoint, sequence = checkpoint_for_test(), make_sequence(frames=20)
    found = maps_of(checkpoint, track_of_sequence(sequence), 0.2)
    model: Any = checkpoint.model
    maps: list[torch.Tensor] = []
    with torch.no_grad():
        model.spatial(found.window.inputs[2:3], maps)
    np.testing.assert_allclose(found.spatial, torch.stack(maps)[:, 0].numpy(), atol=1e-5)


def test_another_frame_rate_and_the_ends_of_a_clip() -> None:
    """At 25 frames/s the window has every other frame; the clip's ends are repeated."""
    checkpoint = checkpoint_for_test()
    slow = Checkpoint(model=checkpoint.model, normalisation="screen", fps=25.0, skeleton="h36m17")
    sequence = make_sequence(frames=20)
    seen = maps_of(slow, track_of_sequence(sequence), 0.2).window.inputs
    whole, _ = NORMALISATIONS["screen"](torch.tensor(sequence.keypoints_2d), (1000, 1000), 1.0)
    torch.testing.assert_close(seen, whole[6:16:2], rtol=1e-4, atol=1e-4)
    first = maps_of(slow, track_of_sequence(sequence), 0.0).window.inputs
    torch.testing.assert_close(first, whole[[0, 0, 0, 2, 4]], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(("name", "labels"), [("figure5", 17), ("figure6", 9)])
def test_maps_of_your_own_video(
    name: str, labels: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_fake_detector(monkeypatch)
    video = make_clip(tmp_path / "me.mp4", frames=30)
    weights = tiny_weights(tmp_path / "w.safetensors")
    said: list[Event] = []
    written = rerun(
        name, tmp_path / "out", tmp_path / "data", device="cpu", report=said.append,
        weights=(str(weights),), video=video,
    )  # fmt: skip
    assert any("me.mp4" in str(event) for event in said)
    with open(written[0], newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert len(rows) == 8 * labels**2
    assert {row["looks"] for row in rows} == {row["at"] for row in rows}
    assert ("RKnee" if name == "figure5" else "+0") in {row["looks"] for row in rows}
    first = [float(r["weight"]) for r in rows if (r["head"], r["looks"]) == ("1", rows[0]["looks"])]
    assert sum(first) == pytest.approx(1, abs=1e-3)
    assert written[1].read_bytes()[:4] == b"\x89PNG"


def test_maps_of_a_result(tmp_path: Path) -> None:
    """Nothing is detected, and the title names the person."""
    result = make_result(people=2, frames=12)
    weights = str(tiny_weights(tmp_path / "w.safetensors"))
    options: Any = {"device": "cpu", "weights": (weights,)}
    options["result"] = save(result, tmp_path / "me.npz")
    said: list[Event] = []
    rerun("figure5", tmp_path, tmp_path, **options, person=2, at=0.2, report=said.append)
    assert "me.npz, person 2; at 0.20 s" in str(said[0])
    track = own_track(
        ExperimentOptions(result=options["result"], person=2),
        Workspace(
            out=tmp_path,
            data=tmp_path,
            device=torch.device("cpu"),
            report=said.append,
            progress=silent,
        ),
    )
    assert track is not None
    np.testing.assert_array_equal(track.keypoints_px, result.keypoints_2d[1])
    # Figure 4 draws the pose without the image if the video is missing.
    written = rerun("figure4", tmp_path, tmp_path, **options)
    assert written[1].read_bytes()[:4] == b"\x89PNG"
    with pytest.raises(UsageError, match="there is no person 7; there are 1, 2"):
        rerun("figure6", tmp_path, tmp_path, **options, person=7)


def test_maps_of_a_sequence(tmp_path: Path) -> None:
    data = tmp_path / "data"
    write_synthetic(data / "synthetic", actions=("Walking", "Sitting"), seconds=0.2)
    options: Any = {
        "device": "cpu",
        "weights": (str(tiny_weights(tmp_path / "w.safetensors")),),
    }
    said: list[Event] = []
    rerun("figure6", tmp_path, data, **options, report=said.append)
    assert "S9/Sitting/54138969: a synthetic dataset in Human3.6M's layout" in str(said[0])
    with pytest.raises(UsageError, match="--sequence S9/Flying/0: there is no such sequence"):
        rerun("figure5", tmp_path, data, **options, sequence="S9/Flying/0")


def test_bad_options_are_usage_errors(tmp_path: Path) -> None:
    torch.manual_seed(0)
    other = Checkpoint(
        model=Martinez(width=8).eval(), normalisation="screen", fps=50.0, skeleton="h36m17"
    )
    save_checkpoint(tmp_path / "m.safetensors", other)
    with pytest.raises(UsageError, match="a Martinez, which has no spatial and temporal"):
        rerun("figure5", tmp_path, weights=(str(tmp_path / "m.safetensors"),))
    with pytest.raises(UsageError, match="give --video or --mocap, not both"):
        rerun("figure5", tmp_path, video=tmp_path / "x.mp4", mocap=tmp_path)
    with pytest.raises(UsageError, match="give --result or --mocap, not both"):
        rerun("figure5", tmp_path, result=tmp_path / "x.npz", mocap=tmp_path)
    with pytest.raises(UsageError, match="--result replaces --video and --sequence"):
        rerun("figure5", tmp_path, result=tmp_path / "x.npz", video=tmp_path / "x.mp4")
    with pytest.raises(UsageError, match="--person needs a --result or a --video"):
        rerun("figure5", tmp_path, person=1)
    with pytest.raises(UsageError, match="shows one network"):
        rerun("figure5", tmp_path, weights=("a", "b"))
    track = track_of_sequence(make_sequence(frames=20))
    with pytest.raises(UsageError, match=r"--at 9: choose a time in .*, 0\.00 to 0\.38 s"):
        maps_of(checkpoint_for_test(), track, 9.0)
    with pytest.raises(UsageError, match="has 15 joints"):
        maps_of(make_checkpoint(), track_of_sequence(make_sequence(joints=15)), None)
