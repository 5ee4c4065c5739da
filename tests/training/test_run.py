from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from tests.bvh_files import write_mocap
from tests.training.runs import ALONE, Killed, assert_same_run, killed_after, log_of, weights
from tests.training_data import tiny_dataset
from vidpose.datasets.motion_clips import read_folder
from vidpose.datasets.random_tensors import RandomTensors
from vidpose.datasets.synthetic import write_synthetic
from vidpose.datasets.virtual_cameras import VirtualCameras
from vidpose.errors import DataError, UsageError
from vidpose.events import Event, Warn
from vidpose.models import load_checkpoint
from vidpose.skeleton import H36M17
from vidpose.training import loop
from vidpose.training.batches import TRAINING, dataset_data, frame_weights, mocap_data
from vidpose.training.options import TrainOptions
from vidpose.training.recipe import MOCAP, Recipe
from vidpose.training.run import run

TINY_MOCAP = replace(
    MOCAP,
    frames=3,
    embed_dim=8,
    depth=1,
    epochs=2,
    windows=32 * 40,
    batch=32,
    val_windows=64,
    lr=2e-3,
)


def run_mocap(mocap: Path, out: Path, test_subjects: tuple[str, ...] = ("02",), **how: Any) -> Path:
    changes = {
        name: value
        for name, value in TINY_MOCAP.to_dict().items()
        if name != "name" and value != getattr(MOCAP, name)
    }
    names = ("init_from", "resume", "more_data", "val_subjects")
    options = {name: how.pop(name) for name in names if name in how}
    return run(
        TrainOptions(dataset="mocap", data=mocap, out=out, test_subjects=test_subjects, **options),
        ALONE,
        **changes | how,
    )


def test_motion_capture_with_another_axis_up_gets_a_warning(tmp_path: Path) -> None:
    joints = np.concatenate([clip.joints for clip in read_folder(write_mocap(tmp_path, ("01",)))])
    (tmp_path / "mocap").mkdir()
    for subject in ("01", "02", "03"):
        np.savez(
            tmp_path / "mocap" / f"{subject}.npz",
            joints=joints[..., [0, 2, 1]],
            joint_names=np.array(H36M17.joint_names),
            fps=120.0,
        )
    events: list[Event] = []
    run_mocap(tmp_path / "mocap", tmp_path / "run", report=events.append, val_subjects=("03",))
    assert "in most frames of 01, 02, 03; check that z is up" in "\n".join(map(str, events))


def test_motion_capture_by_name_and_fine_tuning(tmp_path: Path) -> None:
    mocap = write_mocap(tmp_path / "mocap", ("01", "02", "03"))
    events: list[Event] = []
    best = run_mocap(mocap, tmp_path / "run", report=events.append)
    assert str(events[0]).startswith("Training on mocap in ")
    assert not any("check that z is up" in str(event) for event in events)
    checkpoint = load_checkpoint(best)
    assert (checkpoint.normalisation, checkpoint.fps) == ("person-2", 30.0)
    assert checkpoint.training["held_out"] == ["02"]
    rows = log_of(tmp_path / "run")
    assert float(rows[-1]["train_mpjpe_mm"]) < 0.8 * float(rows[0]["train_mpjpe_mm"])
    events.clear()
    run_mocap(mocap, tmp_path / "tuned", init_from=best, frames=5, report=events.append)
    assert any("3 frames; this run: h36m17, 5 frames" in str(event) for event in events)
    began_with = load_checkpoint(tmp_path / "tuned" / "best.safetensors").training["began_with"]
    assert began_with == checkpoint.training | {"sha256": checkpoint.sha256}
    tuned = log_of(tmp_path / "tuned")
    assert float(tuned[0]["val_mpjpe_mm"]) < float(rows[0]["val_mpjpe_mm"])


def test_initial_weights_with_another_normalisation(tmp_path: Path) -> None:
    """The weights that come with vidpose are "person-2", most datasets' default is "screen"."""
    mocap = write_mocap(tmp_path / "mocap", ("01", "02", "03"))
    first = run_mocap(
        mocap, tmp_path / "first", epochs=1, windows=64, model="poseformer", velocity=0
    )
    folder = tmp_path / "data"
    write_synthetic(folder, "h36m", actions=("Walking",), seconds=0.2)
    small: dict[str, Any] = {"frames": 3, "embed_dim": 8, "depth": 1, "epochs": 1, "batch": 256}

    def warned(out: str, **changes: Any) -> list[str]:
        events: list[Event] = []
        options = TrainOptions(dataset="h36m", data=folder, out=tmp_path / out, init_from=first)
        run(options, ALONE, report=events.append, **small | changes)
        return [str(event) for event in events if isinstance(event, Warn)]

    (said,) = warned("screen")
    assert said.endswith(
        "best.safetensors was trained with the normalisation person-2 and this run has screen, so "
        "little of what the weights have learned applies; add --normalisation person-2 to keep "
        "theirs."
    )
    assert warned("same", normalisation="person-2") == []
    assert warned("alike", normalisation="person") == []


def test_a_run_is_not_resumed_on_other_motion_capture(tmp_path: Path) -> None:
    how: dict[str, Any] = {"frames": 3, "windows": 64}
    mocap = write_mocap(tmp_path / "mocap", ("01", "02", "03"))
    best = run_mocap(mocap, tmp_path / "run", epochs=1, **how)
    assert load_checkpoint(best).training["subjects"] == ["01", "03"]
    other = mocap / "03" / "03_01.bvh"
    other.write_text((mocap / "01" / "01_01.bvh").read_text())
    with pytest.raises(UsageError, match=r"\(checksum: [0-9a-f]{8}, now [0-9a-f]{8}\)"):
        run_mocap(mocap, tmp_path / "run", epochs=2, resume=True, **how)
    state = torch.load(tmp_path / "run" / "state.pt", weights_only=True)
    del state["data"]["checksum"], state["data"]["subjects"]  # an older version's
    torch.save(state, tmp_path / "run" / "state.pt")
    run_mocap(mocap, tmp_path / "run", epochs=2, resume=True, **how)


def test_a_resumed_run_keeps_the_record_of_its_initial_weights(tmp_path: Path) -> None:
    mocap = write_mocap(tmp_path / "mocap", ("01", "02", "03"))
    how: dict[str, Any] = {"frames": 3, "windows": 64}
    first, other = (
        run_mocap(mocap, tmp_path / name, epochs=1, seed=seed, **how)
        for seed, name in enumerate(("first", "other"))
    )
    best = run_mocap(mocap, tmp_path / "run", epochs=1, init_from=first, **how)
    last = best.with_name("last.safetensors")
    began_with = load_checkpoint(last).training["began_with"]
    for init in (None, first):
        run_mocap(mocap, tmp_path / "run", epochs=2, resume=True, init_from=init, **how)
        assert load_checkpoint(last).training["began_with"] == began_with
        assert load_checkpoint(last).training["epoch"] == 2
    with pytest.raises(UsageError, match=r"\(began_with: [0-9a-f]{64}, now [0-9a-f]{64}\)"):
        run_mocap(mocap, tmp_path / "run", epochs=3, resume=True, init_from=other, **how)
    with pytest.raises(UsageError, match="began_with: None, now"):
        run_mocap(mocap, tmp_path / "first", epochs=2, resume=True, init_from=other, **how)


@pytest.mark.parametrize("when", [2, 5])
def test_the_vidpose_recipe_resumes_bit_for_bit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, when: int
) -> None:
    """All frames of a window, velocities, moving average, virtual cameras."""
    monkeypatch.setattr(loop, "SAVE_S", 0.0)
    mocap = write_mocap(tmp_path / "mocap", ("01", "02", "03"))
    own: dict[str, Any] = {"model": MOCAP.model, "velocity": MOCAP.velocity, "ema": MOCAP.ema}
    own |= {"frames": 5, "windows": 192, "batch": 64, "epochs": 2, "optimizer": "muon"}
    run_mocap(mocap, tmp_path / "whole", **own)
    with pytest.raises(Killed):
        run_mocap(mocap, tmp_path / "killed", **own, progress=killed_after(when))
    run_mocap(mocap, tmp_path / "killed", **own, resume=True)
    assert_same_run(tmp_path / "whole", tmp_path / "killed")
    averages = [
        torch.load(tmp_path / run / "state.pt", weights_only=True)["average"]
        for run in ("whole", "killed")
    ]
    for name, tensor in averages[0].items():
        assert torch.equal(tensor, averages[1][name]), name
    assert not torch.equal(
        averages[0]["module.head.1.bias"], weights(tmp_path / "whole")["head.1.bias"]
    )


@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
def test_single_frame_training_leaves_temporal_attention_alone(
    tmp_path: Path, optimizer: str
) -> None:
    mocap = write_mocap(tmp_path / "mocap", ("01", "02", "03"))
    with pytest.raises(UsageError, match="give --init-from"):
        run_mocap(mocap, tmp_path / "single", single_frame=True)
    first = run_mocap(mocap, tmp_path / "first", epochs=1, frames=5)
    changes: dict[str, Any] = {"epochs": 1, "frames": 5, "single_frame": True, "init_from": first}
    changes |= {"optimizer": optimizer}
    run_mocap(mocap, tmp_path / "single", **changes)
    begun, ended = load_file(first), weights(tmp_path / "single")
    assert torch.equal(ended["frame_position"], begun["frame_position"])
    name = "temporal_blocks.0.attention.qkv.weight"
    queries_and_keys = 2 * begun[name].shape[1]
    torch.testing.assert_close(ended[name][:queries_and_keys], begun[name][:queries_and_keys])
    assert (ended[name][queries_and_keys:] - begun[name][queries_and_keys:]).abs().max() > 1e-3
    assert (ended["head.1.weight"] - begun["head.1.weight"]).abs().max() > 1e-3
    assert load_checkpoint(tmp_path / "single" / "best.safetensors").model.config.frames == 5

    recipe = replace(TINY_MOCAP, single_frame=True)
    source = mocap_data(read_folder(mocap), ("02",), recipe, ALONE.device).source
    batch = source.batch(0, 0, 32, ALONE)
    assert (batch.inputs.shape, batch.targets.shape) == ((32, 1, 17, 2), (32, 1, 17, 3))
    data = mocap_data(read_folder(mocap), ("02",), recipe, ALONE.device)
    assert data.validation[torch.arange(3)][0].shape == (3, 1, 17, 2)
    with pytest.raises(UsageError, match="single frames are for motion capture"):
        dataset_data(tiny_dataset(), recipe, ALONE.device)


def test_two_sources_and_validation_subjects(tmp_path: Path) -> None:
    first = read_folder(write_mocap(tmp_path / "first", ("01", "02", "03")))
    second = read_folder(write_mocap(tmp_path / "second", ("11", "12", "13"), frames=400))
    recipe = replace(TINY_MOCAP, more_share=0.25)
    data = mocap_data(
        first, ("02", "12"), recipe, ALONE.device, more=second, val_subjects=("03", "13")
    )
    assert data.provenance["held_out"] == ["02", "12", "03", "13"]
    assert frame_weights(first, (), 0.25) is None
    weights = frame_weights([*first, *second], second, 0.25)
    assert weights is not None
    cameras = VirtualCameras([*first, *second], weights=weights)
    random = RandomTensors(torch.Generator().manual_seed(0), torch.device("cpu"))
    clips, places = cameras._draw_centres(4000, random)
    assert (clips >= len(first)).float().mean().item() == pytest.approx(0.25, abs=0.03)
    lengths = torch.tensor([len(clip.joints) for clip in [*first, *second]])[clips]
    assert bool((places >= 0).all() and (places < lengths).all())
    assert (places / lengths).mean().item() == pytest.approx(0.5, abs=0.03)


def test_subjects_are_drawn_equally_often(tmp_path: Path) -> None:
    """However many clips they have and however long these are, in each of two folders."""
    first = read_folder(write_mocap(tmp_path / "first", ("01", "02")))
    first += read_folder(write_mocap(tmp_path / "long", ("02", "03"), frames=400))
    second = read_folder(write_mocap(tmp_path / "second", ("11", "12"), frames=100))
    for more, expected in ((), 1 / 3), (second, 0.75 / 3):
        clips = [*first, *more]
        weights = frame_weights(clips, more, 0.25, even=True)
        assert weights is not None
        shares = dict.fromkeys((clip.subject for clip in clips), 0.0)
        for clip, weight in zip(clips, weights, strict=True):
            shares[clip.subject] += weight * len(clip.joints)
        assert [shares[name] for name in ("01", "02", "03")] == pytest.approx([expected] * 3)
        assert sum(shares.values()) == pytest.approx(1)
    assert shares["11"] == pytest.approx(0.125)
    one = [clip for clip in first if clip.subject == "02"]
    assert frame_weights(one, (), 0.25, even=True) is None


def test_a_run_with_two_folders(tmp_path: Path) -> None:
    mocap = write_mocap(tmp_path / "first", ("01", "02", "03"))
    more = write_mocap(tmp_path / "second", ("11", "12", "13"))
    options: dict[str, Any] = {"more_data": more, "val_subjects": ("03", "13")}
    best = run_mocap(mocap, tmp_path / "run", epochs=1, frames=5, more_share=0.5, **options)
    assert load_checkpoint(best).training["held_out"] == ["02", "03", "13"]
    with pytest.raises(UsageError, match="--more-share has no effect without --more-data"):
        run_mocap(mocap, tmp_path / "other", epochs=1, frames=5, more_share=0.5)
    with pytest.raises(UsageError, match="--val-fraction has no effect with --val-subjects"):
        run_mocap(mocap, tmp_path / "other", val_fraction=0.1, val_subjects=("03",))
    with pytest.raises(UsageError, match="--more-share 1: give a number below 1"):
        run_mocap(mocap, tmp_path / "other", more_data=more, more_share=1.0)


def test_the_share_of_mixed_windows_can_be_chosen(tmp_path: Path) -> None:
    mocap = write_mocap(tmp_path / "mocap", ("01", "02", "03"))
    assert TRAINING.mixed == Recipe().mixed
    run_mocap(mocap, tmp_path / "run", epochs=1, frames=5, mixed=0.25)
    again = run_mocap(mocap, tmp_path / "run", epochs=1, frames=5, mixed=0.25, resume=True)
    assert load_checkpoint(again).training["variation"]["mixed"] == 0.25
    with pytest.raises(UsageError, match="mixed"):
        run_mocap(mocap, tmp_path / "run", epochs=1, frames=5, resume=True)
    with pytest.raises(UsageError, match="mixed"):
        run_mocap(mocap, tmp_path / "other", mixed=1.5)


def test_a_damaged_fine_tuning_run_asks_for_its_initial_weights(tmp_path: Path) -> None:
    mocap = write_mocap(tmp_path / "mocap", ("01", "02", "03"))
    first = run_mocap(mocap, tmp_path / "first", epochs=1, frames=5)
    how: dict[str, Any] = {"epochs": 1, "frames": 5}
    run_mocap(mocap, tmp_path / "run", init_from=first, **how)
    (tmp_path / "run" / "state.pt").write_bytes(b"damaged")
    before = sorted((tmp_path / "run").iterdir())
    with pytest.raises(UsageError, match="add --init-from with its initial weights"):
        run_mocap(mocap, tmp_path / "run", resume=True, **how)
    assert sorted((tmp_path / "run").iterdir()) == before
    again = run_mocap(mocap, tmp_path / "run", resume=True, init_from=first, **how)
    assert load_checkpoint(again).training["began_with"]["held_out"] == ["02"]


def test_selection_on_test_subjects_gives_a_warning(tmp_path: Path) -> None:
    mocap = write_mocap(tmp_path / "mocap", ("01", "02", "03"))
    events: list[Event] = []
    best = run_mocap(mocap, tmp_path / "run", select_on="test", epochs=1, report=events.append)
    assert isinstance(events[1], Warn)
    assert "the test error is too optimistic" in str(events[1])
    assert "test_errors" in load_checkpoint(best).training


def test_held_out_subjects_are_checked(tmp_path: Path) -> None:
    mocap = write_mocap(tmp_path / "mocap", ("01", "02"))
    for held_out in (("07",), ("01", "02"), ("02", "07")):
        with pytest.raises(DataError, match="has subjects 01, 02 and cannot hold out"):
            run_mocap(mocap, tmp_path / "run", test_subjects=held_out)
    with pytest.raises(UsageError, match="normalisation 'person-2'"):
        run_mocap(mocap, tmp_path / "run", normalisation="screen")


@pytest.mark.parametrize(
    ("dataset", "given", "changes", "name"),
    [
        ("mocap", {"keypoints": "clean"}, {}, "--keypoints has no effect on motion capture"),
        ("mocap", {"on_host": True}, {}, "--on-host has no effect on motion capture"),
        ("mocap", {"train_subjects": ("01",)}, {}, "--train-subjects has no effect"),
        ("mocap", {"actions": ("Walking",)}, {}, "--actions has no effect"),
        ("mocap", {}, {"mirror": False}, "--mirror has no effect"),
        ("mocap", {}, {"lr_decay": 0.9}, "--lr-decay has no effect with cosine rates"),
        ("h36m", {}, {"windows": 9}, "--windows has no effect except on motion capture"),
        ("h36m", {}, {"val_windows": 9}, "--val-windows has no effect except on motion capture"),
        ("h36m", {}, {"fps": 25.0}, "--fps has no effect except on motion capture"),
        ("h36m", {}, {"stride": 2}, "--stride has no effect on the network poseformer"),
        ("h36m", {}, {"velocity": 2.0}, "--velocity has no effect on a network that takes"),
        ("h36m", {}, {"warmup": 0.1}, "--warmup has no effect with exponential rates"),
        (
            "h36m",
            {},
            {"model": "martinez", "embed_dim": 8},
            "--embed-dim has no effect on the network m",
        ),
        (
            *("h36m", {}, {"select_on": "test", "val_fraction": 0.1}),
            "--val-fraction has no effect with --select-on test",
        ),
    ],
)
def test_options_without_effect_are_rejected(
    dataset: str, given: dict[str, Any], changes: dict[str, Any], name: str, tmp_path: Path
) -> None:
    options = TrainOptions(dataset=dataset, data=tmp_path, out=tmp_path / "run", **given)
    with pytest.raises(UsageError, match=name):
        run(options, ALONE, **changes)
