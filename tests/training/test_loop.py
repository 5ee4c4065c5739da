import errno
import os
import signal
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.training.runs import (
    ALONE,
    SLOW,
    TINY,
    Killed,
    assert_same_run,
    assert_same_weights,
    killed_after,
    log_of,
    quiet,
)
from tests.training_data import tiny_dataset
from vidpose.errors import UsageError, VidposeError
from vidpose.events import Event
from vidpose.models import load_checkpoint
from vidpose.training import loop
from vidpose.training.batches import TrainingData, dataset_data
from vidpose.training.distributed import World
from vidpose.training.loop import train
from vidpose.training.run_folder import RunFolder
from vidpose.training.stopping import StoppedError
from vidpose.utils.devices import mixed_precision


@pytest.fixture
def data() -> TrainingData:
    return dataset_data(tiny_dataset(), TINY, ALONE.device)


def test_training_reduces_the_error_and_writes_usable_checkpoints(
    data: TrainingData, tmp_path: Path
) -> None:
    events: list[Event] = []
    recipe = replace(TINY, epochs=20)
    best = train(data, tmp_path / "run", recipe, ALONE, report=events.append)
    rows = log_of(tmp_path / "run")
    assert [row["epoch"] for row in rows] == [str(n + 1) for n in range(20)]
    assert float(rows[-1]["train_mpjpe_mm"]) < 0.5 * float(rows[0]["train_mpjpe_mm"])
    assert len(events) == 20
    assert str(events[0]).startswith("epoch 1/20: training ")
    checkpoint = load_checkpoint(best)
    assert (checkpoint.normalisation, checkpoint.fps) == ("screen", 50.0)
    assert checkpoint.training["keypoints"] == "gt"
    errors = checkpoint.training["validation_errors"]
    assert errors["mpjpe_mm"] == pytest.approx(
        min(float(row["val_mpjpe_mm"]) for row in rows), abs=1e-6
    )
    assert errors["p_mpjpe_mm"] < errors["mpjpe_mm"]
    assert load_checkpoint(tmp_path / "run" / "last.safetensors").training["epoch"] == 20


@pytest.mark.parametrize("when", [1, 2, 5])
def test_resumed_in_the_middle_of_an_epoch_equals_uninterrupted(
    data: TrainingData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, when: int
) -> None:
    monkeypatch.setattr(loop, "SAVE_S", 0.0)  # saves whenever it may
    quiet(data, tmp_path / "whole")
    assert data.source.samples / TINY.batch > 3  # an epoch has four steps
    with pytest.raises(Killed):
        quiet(data, tmp_path / "killed", progress=killed_after(when))
    state = torch.load(tmp_path / "killed" / "state.pt", weights_only=True)["run"]
    assert (state["epoch"], state["step"]) == divmod(when, 4)
    quiet(data, tmp_path / "killed", resume=True)
    assert_same_run(tmp_path / "whole", tmp_path / "killed")


def test_killed_before_a_save_within_an_epoch(data: TrainingData, tmp_path: Path) -> None:
    quiet(data, tmp_path / "whole")
    with pytest.raises(Killed):
        quiet(data, tmp_path / "killed", progress=killed_after(6))
    quiet(data, tmp_path / "killed", resume=True)
    assert_same_run(tmp_path / "whole", tmp_path / "killed")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_saves_the_run(data: TrainingData, tmp_path: Path, number: int) -> None:
    def progress(steps: Iterable[Any], total: int | None, label: str) -> Iterable[Any]:
        for place, step in enumerate(steps):
            if not place:
                os.kill(os.getpid(), number)
            yield step

    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(StoppedError, match=r"stopped in epoch 1 .* with --resume"):
        quiet(data, tmp_path / "run", progress=progress)
    assert signal.getsignal(signal.SIGINT) == before
    assert RunFolder(tmp_path / "run").state.exists()
    quiet(data, tmp_path / "run", resume=True)
    quiet(data, tmp_path / "whole")
    assert_same_run(tmp_path / "whole", tmp_path / "run")


def test_gradient_accumulation_makes_the_same_step(data: TrainingData, tmp_path: Path) -> None:
    """With stochastic depth."""
    quiet(data, tmp_path / "whole", SLOW)
    quiet(data, tmp_path / "parts", replace(SLOW, accumulate=3))
    assert_same_weights(tmp_path / "whole", tmp_path / "parts")


def test_a_run_is_not_overwritten_and_not_mixed(data: TrainingData, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="holds no run to resume"):
        quiet(data, tmp_path / "run", resume=True)
    quiet(data, tmp_path / "run", replace(TINY, epochs=1))
    with pytest.raises(UsageError, match="holds a run already"):
        quiet(data, tmp_path / "run")
    with pytest.raises(UsageError, match=r"other options \(batch: 64, now 16\)"):
        quiet(data, tmp_path / "run", replace(TINY, batch=16), resume=True)
    fewer = dataset_data(tiny_dataset(takes=3), TINY, ALONE.device)
    with pytest.raises(UsageError, match="samples: 240, now 160"):
        quiet(fewer, tmp_path / "run", resume=True)
    others = dataset_data(tiny_dataset(seed=1), TINY, ALONE.device)
    with pytest.raises(UsageError, match=r"\(checksum: [0-9a-f]{8}, now [0-9a-f]{8}\)"):
        quiet(others, tmp_path / "run", resume=True)
    marked = replace(data, provenance=data.provenance | {"synthetic": True})
    quiet(marked, tmp_path / "synthetic", replace(TINY, epochs=1))
    with pytest.raises(UsageError, match="synthetic: True, now None"):
        quiet(data, tmp_path / "synthetic", resume=True)
    state = torch.load(tmp_path / "run" / "state.pt", weights_only=True)
    del state["recipe"]["procrustes"], state["data"]["checksum"]  # an older version's
    (state["optimizer"],) = state.pop("optimizers")
    for group in state["optimizer"]["param_groups"]:
        group["fused"] = None
    torch.save(state, tmp_path / "run" / "state.pt")
    with pytest.raises(UsageError, match=r"options \(procrustes: 0\.0, now 1\.0\)"):
        quiet(data, tmp_path / "run", replace(TINY, procrustes=1.0), resume=True)
    quiet(data, tmp_path / "run", resume=True)  # longer is allowed


def poisoned(data: TrainingData, from_epoch: int) -> TrainingData:
    nan = float("nan")

    class Source:
        samples, on_host = data.source.samples, False

        def batch(self, epoch: int, step: int, size: int, world: World) -> Any:
            batch = data.source.batch(epoch, step, size, world)
            return batch._replace(targets=batch.targets * (nan if epoch >= from_epoch else 1))

    return replace(data, source=Source())


def test_a_non_finite_loss_stops_and_keeps_the_last_good_weights(
    data: TrainingData, tmp_path: Path
) -> None:
    quiet(data, tmp_path / "run", replace(TINY, epochs=1))
    files = ("best.safetensors", "last.safetensors", "state.pt")
    before = [(tmp_path / "run" / name).read_bytes() for name in files]
    with pytest.raises(VidposeError, match=r"no longer finite in epoch 2.*best\.safetensors"):
        quiet(poisoned(data, 1), tmp_path / "run", resume=True)
    assert [(tmp_path / "run" / name).read_bytes() for name in files] == before


def test_a_full_disk_keeps_what_was_saved(
    data: TrainingData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    quiet(data, tmp_path / "run", replace(TINY, epochs=1))
    before = sorted((p.name, p.stat().st_size) for p in (tmp_path / "run").glob("*.*"))

    def full(path: Path, content: bytes) -> int:
        path.open("wb").close()
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(loop, "SAVE_S", 0.0)
    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(VidposeError, match="the disk is full"):
        quiet(data, tmp_path / "run", resume=True)
    assert sorted((p.name, p.stat().st_size) for p in (tmp_path / "run").glob("*.*")) == before


def test_a_damaged_state_is_reported(data: TrainingData, tmp_path: Path) -> None:
    quiet(data, tmp_path / "run", replace(TINY, epochs=1))
    state = tmp_path / "run" / "state.pt"
    state.write_bytes(state.read_bytes()[:1000])
    with pytest.raises(VidposeError, match=r"is damaged or holds no run \(.*start a new run"):
        quiet(data, tmp_path / "run", resume=True)


def test_bf16_trains_like_fp32(data: TrainingData, tmp_path: Path) -> None:
    with mixed_precision(ALONE.device, "bf16"):
        assert torch.is_autocast_enabled("cpu")
    last = []
    for precision in ("fp32", "bf16"):
        quiet(data, tmp_path / precision, replace(TINY, precision=precision, epochs=5))
        last.append(float(log_of(tmp_path / precision)[-1]["train_mpjpe_mm"]))
    assert last[1] == pytest.approx(last[0], rel=0.05)


@pytest.mark.parametrize("name", ["best.safetensors", "last.safetensors", "log.csv", "curve.png"])
def test_files_of_others_are_not_overwritten(name: str, data: TrainingData, tmp_path: Path) -> None:
    (tmp_path / name).write_text("precious")
    with pytest.raises(UsageError, match=f"holds {name} already"):
        quiet(data, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert (tmp_path / name).read_text() == "precious"


def test_what_is_in_the_way_is_told_before_the_work(data: TrainingData, tmp_path: Path) -> None:
    for n, name in enumerate(("best.safetensors", "log.csv", "curve.png")):
        (tmp_path / f"{n}" / name).mkdir(parents=True)
        with pytest.raises(VidposeError, match=f"{name} cannot be written: it is a folder"):
            quiet(data, tmp_path / f"{n}")
    (tmp_path / "target").mkdir()
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "tensorboard").symlink_to(tmp_path / "target")
    with pytest.raises(UsageError, match="tensorboard is not a folder of a run"):
        quiet(data, tmp_path / "run")
    assert not list((tmp_path / "target").iterdir())


def test_two_runs_do_not_write_into_one_folder(data: TrainingData, tmp_path: Path) -> None:
    """Neither a new run, nor two that are resumed."""

    def progress(steps: Iterable[Any], total: int | None, label: str) -> Iterable[Any]:
        for resume in (False, True) if RunFolder(tmp_path).state.exists() else (False,):
            with pytest.raises(UsageError, match=r"another run is writing to|holds a run already"):
                quiet(data, tmp_path, resume=resume)
        yield from steps

    quiet(data, tmp_path, progress=progress)
    assert len(log_of(tmp_path)) == TINY.epochs


def test_a_run_behind_a_link_to_another_disk(data: TrainingData, tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "run").symlink_to(tmp_path / "disk")
    quiet(data, tmp_path / "run")
    assert (tmp_path / "disk" / "state.pt").exists()
