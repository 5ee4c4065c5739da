import csv
import errno
import os
import signal
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from tests.bvh_files import write_mocap
from tests.training_data import tiny_dataset
from vidpose.datasets.mocap import read_folder
from vidpose.errors import DataError, UsageError, VidposeError
from vidpose.metrics import procrustes
from vidpose.models import load_checkpoint
from vidpose.training import loop as training
from vidpose.training.batches import TrainingData, dataset_data, mocap_data
from vidpose.training.distributed import World
from vidpose.training.loop import StoppedError, mixed_precision, train
from vidpose.training.recipe import MOCAP, Recipe
from vidpose.training.run_folder import RunFolder, RunState

ALONE = World(torch.device("cpu"), "as asked")
TINY = Recipe(
    frames=3,
    embed_dim=8,
    depth=2,
    epochs=3,
    batch=64,
    lr=2e-3,
    val_fraction=0.25,
    precision="fp32",
)

SLOW = replace(TINY, drop_path=0.5, epochs=2, lr=2e-5)


@pytest.fixture
def data() -> TrainingData:
    return dataset_data(tiny_dataset(), TINY, ALONE.device)


def quiet(data: TrainingData, out: Path, recipe: Recipe = TINY, **how: Any) -> Path:
    return train(data, out, recipe, ALONE, report=lambda line: None, **how)


def weights(run: Path) -> dict[str, Tensor]:
    state: dict[str, Tensor] = torch.load(run / "state.pt", weights_only=True)["model"]
    return state


def log_of(run: Path) -> list[dict[str, str]]:
    with open(run / "log.csv") as stream:
        return list(csv.DictReader(stream))


def assert_same_run(a: Path, b: Path) -> None:
    for name, tensor in weights(a).items():
        assert torch.equal(tensor, weights(b)[name]), name
    for file in ("best.safetensors", "last.safetensors"):
        ours, theirs = load_file(a / file), load_file(b / file)
        assert all(torch.equal(ours[name], theirs[name]) for name in ours), file
    logs = [log_of(run) for run in (a, b)]
    for row in logs[0] + logs[1]:
        del row["seconds"]
    assert logs[0] == logs[1]


def test_learns_and_leaves_usable_checkpoints(data: TrainingData, tmp_path: Path) -> None:
    lines: list[str] = []
    recipe = replace(TINY, epochs=20)
    best = train(data, tmp_path / "run", recipe, ALONE, report=lines.append)
    rows = log_of(tmp_path / "run")
    assert [row["epoch"] for row in rows] == [str(n + 1) for n in range(20)]
    assert float(rows[-1]["train_mpjpe_mm"]) < 0.5 * float(rows[0]["train_mpjpe_mm"])
    assert len(lines) == 20
    checkpoint = load_checkpoint(best)
    assert (checkpoint.normalisation, checkpoint.fps) == ("screen", 50.0)
    assert checkpoint.training["keypoints"] == "gt"
    errors = checkpoint.training["validation_errors"]
    assert errors["mpjpe_mm"] == pytest.approx(
        min(float(row["val_mpjpe_mm"]) for row in rows), abs=1e-6
    )
    assert errors["p_mpjpe_mm"] < errors["mpjpe_mm"]
    assert load_checkpoint(tmp_path / "run" / "last.safetensors").training["epoch"] == 20


def assert_same_weights(a: Path, b: Path) -> None:
    """To rounding, which the order of sums changes.

    An attention's scores do not depend on the bias of its keys, nor a layer norm's output on what
    the mean over frames adds to all channels: the gradients of these are nothing but rounding,
    which Adam blows up to steps.
    """
    for name, ours in weights(a).items():
        theirs = weights(b)[name]
        if name == "frame_pooling.bias":
            continue
        if name.endswith("qkv.bias"):
            ours, theirs = (torch.cat(t.chunk(3)[::2]) for t in (ours, theirs))
        torch.testing.assert_close(ours, theirs, atol=1e-6, rtol=0, msg=name)


class Killed(BaseException):
    """What SIGKILL is to a test: nothing of the run's code gets to know."""


def killed_after(count: int) -> Any:
    """A progress that lets so many steps in all pass and then pulls the plug."""
    left = [count]

    def progress(steps: Iterable[Any], total: int | None, label: str) -> Iterable[Any]:
        for step in steps:
            if label.startswith("epoch") and not left[0]:
                raise Killed
            left[0] -= label.startswith("epoch")
            yield step

    return progress


@pytest.mark.parametrize("when", [1, 2, 5])
def test_resumed_in_the_middle_of_an_epoch_equals_uninterrupted(
    data: TrainingData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, when: int
) -> None:
    monkeypatch.setattr(training, "SAVE_S", 0.0)  # saves whenever it may
    quiet(data, tmp_path / "whole")
    assert data.source.samples / TINY.batch > 3  # an epoch has four steps
    with pytest.raises(Killed):
        quiet(data, tmp_path / "killed", progress=killed_after(when))
    state = torch.load(tmp_path / "killed" / "state.pt", weights_only=True)["run"]
    assert (state["epoch"], state["step"]) == divmod(when, 4)
    quiet(data, tmp_path / "killed", resume=True)
    assert_same_run(tmp_path / "whole", tmp_path / "killed")


def test_killed_before_anything_was_saved_in_an_epoch(data: TrainingData, tmp_path: Path) -> None:
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
    with pytest.raises(StoppedError, match=r"stopped in epoch 1 .* --resume goes on"):
        quiet(data, tmp_path / "run", progress=progress)
    assert signal.getsignal(signal.SIGINT) == before
    assert RunFolder(tmp_path / "run").state.exists()
    quiet(data, tmp_path / "run", resume=True)
    quiet(data, tmp_path / "whole")
    assert_same_run(tmp_path / "whole", tmp_path / "run")


def test_accumulated_parts_make_the_same_step(data: TrainingData, tmp_path: Path) -> None:
    """Stochastic depth included."""
    quiet(data, tmp_path / "whole", SLOW)
    quiet(data, tmp_path / "parts", replace(SLOW, accumulate=3))
    assert_same_weights(tmp_path / "whole", tmp_path / "parts")


SCRIPT = """
import sys
from dataclasses import replace
from pathlib import Path
from tests.test_train import SLOW
from tests.training_data import tiny_dataset
from vidpose.training.batches import dataset_data
from vidpose.training.distributed import join_world
from vidpose.training.loop import train

with join_world("cpu") as world:
    recipe = replace(SLOW, accumulate=int(sys.argv[2]))
    data = dataset_data(tiny_dataset(), recipe, world.device)
    train(data, Path(sys.argv[1]), recipe, world)
"""


@pytest.mark.parametrize("accumulate", [1, 2])
def test_two_processes_equal_one(data: TrainingData, tmp_path: Path, accumulate: int) -> None:
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    command = [
        *(sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"),
        *(str(script), str(tmp_path / "two"), str(accumulate)),
    ]
    here = str(Path(__file__).parents[2])
    path = os.pathsep.join(filter(None, [here, os.environ.get("PYTHONPATH")]))
    environment = os.environ | {"PYTHONPATH": path, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.count("epoch 1/2") == 1  # one of them reports
    quiet(data, tmp_path / "one", SLOW)
    torch.manual_seed(SLOW.seed)
    start = training.build_model(SLOW, 17).state_dict()["head.1.weight"]
    assert (weights(tmp_path / "one")["head.1.weight"] - start).abs().mean() > 1e-4
    assert_same_weights(tmp_path / "one", tmp_path / "two")
    rows = [log_of(tmp_path / run)[-1] for run in ("one", "two")]
    for name in ("train_mpjpe_mm", "val_mpjpe_mm", "val_p_mpjpe_mm"):
        assert float(rows[0][name]) == pytest.approx(float(rows[1][name]), abs=1e-3)


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
    state = torch.load(tmp_path / "run" / "state.pt", weights_only=True)
    del state["recipe"]["procrustes"]  # an older version's
    (state["optimizer"],) = state.pop("optimizers")
    for group in state["optimizer"]["param_groups"]:
        group["fused"] = None
    torch.save(state, tmp_path / "run" / "state.pt")
    with pytest.raises(UsageError, match=r"options \(procrustes: 0\.0, now 1\.0\)"):
        quiet(data, tmp_path / "run", replace(TINY, procrustes=1.0), resume=True)
    quiet(data, tmp_path / "run", resume=True)  # longer is allowed


def poisoned(data: TrainingData, from_epoch: int) -> TrainingData:
    class Source:
        samples, on_host = data.source.samples, False

        def batch(self, epoch: int, step: int, size: int, world: World) -> Any:
            inputs, targets, whole = data.source.batch(epoch, step, size, world)
            return inputs, targets * (float("nan") if epoch >= from_epoch else 1), whole

    return replace(data, source=Source())


def test_a_loss_that_is_no_number_stops_and_keeps_the_last_good(
    data: TrainingData, tmp_path: Path
) -> None:
    quiet(data, tmp_path / "run", replace(TINY, epochs=1))
    files = ("best.safetensors", "last.safetensors", "state.pt")
    before = [(tmp_path / "run" / name).read_bytes() for name in files]
    with pytest.raises(VidposeError, match=r"no longer a number in epoch 2.*best\.safetensors"):
        quiet(poisoned(data, 1), tmp_path / "run", resume=True)
    assert [(tmp_path / "run" / name).read_bytes() for name in files] == before


def test_a_full_disk_keeps_what_was_saved(
    data: TrainingData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    quiet(data, tmp_path / "run", replace(TINY, epochs=1))
    before = sorted((p.name, p.stat().st_size) for p in (tmp_path / "run").glob("*.*"))

    def full(state: object, path: Path) -> None:
        path.write_bytes(b"half")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(training, "SAVE_S", 0.0)
    monkeypatch.setattr(torch, "save", full)
    with pytest.raises(VidposeError, match="the disk is full"):
        quiet(data, tmp_path / "run", resume=True)
    assert sorted((p.name, p.stat().st_size) for p in (tmp_path / "run").glob("*.*")) == before


def test_a_damaged_state_is_told(data: TrainingData, tmp_path: Path) -> None:
    quiet(data, tmp_path / "run", replace(TINY, epochs=1))
    state = tmp_path / "run" / "state.pt"
    state.write_bytes(state.read_bytes()[:1000])
    with pytest.raises(VidposeError, match="cannot be read; start a new run"):
        quiet(data, tmp_path / "run", resume=True)


def test_bf16_learns_as_fp32_does(data: TrainingData, tmp_path: Path) -> None:
    with mixed_precision(ALONE.device, "bf16"):
        assert torch.is_autocast_enabled("cpu")
    last = []
    for precision in ("fp32", "bf16"):
        quiet(data, tmp_path / precision, replace(TINY, precision=precision, epochs=5))
        last.append(float(log_of(tmp_path / precision)[-1]["train_mpjpe_mm"]))
    assert last[1] == pytest.approx(last[0], rel=0.05)


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


def run_mocap(mocap: Path, out: Path, **how: Any) -> Path:
    changes = {
        name: value
        for name, value in TINY_MOCAP.to_dict().items()
        if name != "name" and value != getattr(MOCAP, name)
    }
    options: dict[str, Any] = (
        {"test_subjects": ("02",), "report": lambda line: None} | changes | how
    )
    return training.run("mocap", mocap, out, ALONE, **options)


def test_motion_capture_by_name_and_fine_tuning(tmp_path: Path) -> None:
    mocap = write_mocap(tmp_path / "mocap", ("01", "02", "03"))
    lines: list[str] = []
    best = run_mocap(mocap, tmp_path / "run", report=lines.append)
    assert lines[0].startswith("Training on mocap in ")
    checkpoint = load_checkpoint(best)
    assert (checkpoint.normalisation, checkpoint.fps) == ("person", 30.0)
    assert checkpoint.training["held_out"] == ["02"]
    rows = log_of(tmp_path / "run")
    assert float(rows[-1]["train_mpjpe_mm"]) < 0.8 * float(rows[0]["train_mpjpe_mm"])
    lines.clear()
    run_mocap(mocap, tmp_path / "tuned", init_from=best, frames=5, report=lines.append)
    assert any("3 frames; this run: h36m17, 5 frames" in line for line in lines)
    began_with = load_checkpoint(tmp_path / "tuned" / "best.safetensors").training["began_with"]
    assert began_with == checkpoint.training | {"sha256": checkpoint.sha256}
    tuned = log_of(tmp_path / "tuned")
    assert float(tuned[0]["val_mpjpe_mm"]) < float(rows[0]["val_mpjpe_mm"])


@pytest.mark.parametrize("when", [2, 5])
def test_the_recipe_of_our_own_weights_is_resumed_to_the_bit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, when: int
) -> None:
    """All frames of a window, velocities, moving average, virtual cameras."""
    monkeypatch.setattr(training, "SAVE_S", 0.0)
    mocap = write_mocap(tmp_path / "mocap", ("01", "02", "03"))
    own = {"model": MOCAP.model, "velocity": MOCAP.velocity, "ema": MOCAP.ema}
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


def test_a_moving_average_follows_quickly_at_first_and_slowly_later() -> None:
    average = training.moving_average(0.9)
    old, new = torch.tensor([1.0]), torch.tensor([2.0])
    assert average(old, new, torch.tensor(0)).item() == pytest.approx(1.9)
    assert average(old, new, torch.tensor(10_000)).item() == pytest.approx(1.1)


def test_velocities_count_as_the_recipe_says() -> None:
    class Wrong(torch.nn.Module):
        """Off by 0.1 m in every other frame: by 0.05 m on average, its velocity by 0.1 m."""

        def __init__(self) -> None:
            super().__init__()
            self.off = torch.nn.Parameter(torch.tensor(0.1))

        def forward(self, inputs: Tensor) -> Tensor:
            joints = torch.zeros(*inputs.shape[:3], 3)
            joints[:, ::2, :, 0] += self.off
            return joints

    for velocity in (0.0, 2.0):
        model: Any = Wrong()
        recipe = replace(TINY, velocity=velocity)
        inputs, targets = torch.zeros(3, 4, 17, 2), torch.zeros(3, 4, 17, 3)
        total = training.learn(model, model, inputs, targets, 3, recipe, ALONE, RunState(), 1)
        assert total.item() == pytest.approx(3 * 0.05)
        assert model.off.grad.item() == pytest.approx(0.5 + velocity)


def test_what_procrustes_leaves_is_what_the_metric_says() -> None:
    rng = np.random.default_rng(0)
    target = rng.normal(size=(6, 17, 3))
    turn, _ = np.linalg.qr(rng.normal(size=(3, 3)))
    predicted = 0.5 * (target + 0.3 * rng.normal(size=target.shape)) @ turn + 2.0
    predicted[3:, :, 0] *= -1  # one half as in a mirror
    left = training.procrustes_error(torch.from_numpy(predicted), torch.from_numpy(target))
    wanted = procrustes(predicted, target) - target
    np.testing.assert_allclose(left - left.mean(1, keepdim=True), wanted, atol=1e-9)
    sizes = np.linalg.norm(wanted, axis=-1).mean(1)
    assert abs(sizes[:3].mean() - sizes[3:].mean()) > 0.2

    nothing = torch.full((1, 17, 3), torch.nan)
    assert training.procrustes_error(nothing, torch.zeros(1, 17, 3)).isnan().all()

    poses = torch.from_numpy(predicted).requires_grad_()
    training.procrustes_error(poses, torch.from_numpy(target)).square().sum().backward()
    step = 1e-6 * torch.from_numpy(rng.normal(size=predicted.shape))
    ends = [
        training.procrustes_error(poses.detach() + way * step, torch.from_numpy(target))
        for way in (1, -1)
    ]
    assert poses.grad is not None
    slope = (ends[0].square().sum() - ends[1].square().sum()) / 2
    assert (poses.grad * step).sum().item() == pytest.approx(slope.item(), rel=1e-4)


def test_procrustes_counts_as_the_recipe_says() -> None:
    torch.manual_seed(0)
    predicted, wanted = torch.randn(2, 4, 3, 17, 3)
    plain, loss = training.losses(predicted, wanted, replace(TINY, procrustes=2.0))
    left = training.procrustes_error(predicted, wanted).norm(dim=-1)
    assert plain.item() == pytest.approx(4 * (predicted - wanted).norm(dim=-1).mean().item())
    assert loss.item() == pytest.approx(plain.item() + 2 * 4 * left.mean().item())


@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
def test_single_frames_leave_what_is_known_of_others(tmp_path: Path, optimizer: str) -> None:
    mocap = write_mocap(tmp_path / "mocap", ("01", "02", "03"))
    with pytest.raises(UsageError, match="give --init-from"):
        run_mocap(mocap, tmp_path / "singles", singles=True)
    first = run_mocap(mocap, tmp_path / "first", epochs=1, frames=5)
    changes = {"epochs": 1, "frames": 5, "singles": True, "init_from": first}
    changes |= {"optimizer": optimizer}
    run_mocap(mocap, tmp_path / "singles", **changes)
    begun, ended = load_file(first), weights(tmp_path / "singles")
    assert torch.equal(ended["frame_position"], begun["frame_position"])
    name = "temporal_blocks.0.attention.qkv.weight"
    looks = 2 * begun[name].shape[1]
    torch.testing.assert_close(ended[name][:looks], begun[name][:looks])
    assert (ended[name][looks:] - begun[name][looks:]).abs().max() > 1e-3
    assert (ended["head.1.weight"] - begun["head.1.weight"]).abs().max() > 1e-3
    assert load_checkpoint(tmp_path / "singles" / "best.safetensors").model.config.frames == 5

    recipe = replace(TINY_MOCAP, singles=True)
    source = mocap_data(read_folder(mocap), ("02",), recipe, ALONE.device).source
    inputs, targets, whole = source.batch(0, 0, 32, ALONE)
    assert (inputs.shape, targets.shape, whole) == ((32, 1, 17, 2), (32, 1, 17, 3), 32)
    data = mocap_data(read_folder(mocap), ("02",), recipe, ALONE.device)
    assert data.validation[torch.arange(3)][0].shape == (3, 1, 17, 2)
    with pytest.raises(UsageError, match="single frames are for motion capture"):
        dataset_data(tiny_dataset(), recipe, ALONE.device)


def test_selection_on_test_subjects_is_said_aloud(tmp_path: Path) -> None:
    mocap = write_mocap(tmp_path / "mocap", ("01", "02", "03"))
    lines: list[str] = []
    best = run_mocap(mocap, tmp_path / "run", select_on="test", epochs=1, report=lines.append)
    assert "no longer that of people never seen" in lines[1]
    assert "test_errors" in load_checkpoint(best).training


def test_held_out_subjects_are_checked(tmp_path: Path) -> None:
    mocap = write_mocap(tmp_path / "mocap", ("01", "02"))
    for held_out in (("07",), ("01", "02"), ("02", "07")):
        with pytest.raises(DataError, match="has subjects 01, 02; it cannot leave out"):
            run_mocap(mocap, tmp_path / "run", test_subjects=held_out)
    with pytest.raises(UsageError, match="normalisation 'person'"):
        run_mocap(mocap, tmp_path / "run", normalisation="screen")
