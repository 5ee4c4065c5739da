import json
import math
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.training.runs import (
    SLOW,
    TINY,
    assert_same_weights,
    log_of,
    quiet,
    weights,
)
from tests.training.several_processes import SHORT
from tests.training.test_batches import Numbers
from tests.training.test_windows import random_track
from tests.training_data import tiny_dataset
from vidpose.errors import UsageError
from vidpose.training import distributed
from vidpose.training.batches import Shuffled, dataset_data, prefetched
from vidpose.training.distributed import World, join_world
from vidpose.training.learner import build_model
from vidpose.training.recipe import Recipe
from vidpose.training.windows import fits

CUDA = torch.device("cuda")


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The runs of two processes; see `several_processes`."""
    out = tmp_path_factory.mktemp("two")
    command = [
        *(sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"),
        *("-m", "tests.training.several_processes", str(out)),
    ]
    here = str(Path(__file__).parents[2])
    path = os.pathsep.join(filter(None, [here, os.environ.get("PYTHONPATH")]))
    environment = os.environ | {"PYTHONPATH": path, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        command, cwd=here, env=environment, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.count("epoch 1/2") == 1  # one of them reports
    return out


@pytest.mark.parametrize(
    ("name", "recipe"),
    [("plain", SLOW), ("accumulated", SLOW), ("short", SHORT), ("compiled", SLOW)],
)
def test_two_processes_equal_one(name: str, recipe: Recipe, two: Path, tmp_path: Path) -> None:
    """Also with gradient accumulation, and with a last batch that is too short for both."""
    quiet(dataset_data(tiny_dataset(), recipe, torch.device("cpu")), tmp_path / "one", recipe)
    torch.manual_seed(recipe.seed)
    start = build_model(recipe, 17).state_dict()["head.1.weight"]
    steps = 8 if recipe == SLOW else 2
    moved = (weights(tmp_path / "one")["head.1.weight"] - start).abs().mean()
    assert moved > 1e-5 * steps
    assert_same_weights(tmp_path / "one", two / name)
    rows = [log_of(run)[-1] for run in (tmp_path / "one", two / name)]
    for column in ("train_mpjpe_mm", "val_mpjpe_mm", "val_p_mpjpe_mm"):
        assert float(rows[0][column]) == pytest.approx(float(rows[1][column]), abs=1e-3)


def test_two_processes_resume_like_an_uninterrupted_run(two: Path) -> None:
    ours, theirs = weights(two / "resumed"), weights(two / "plain")
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)
    for ours_row, theirs_row in zip(log_of(two / "resumed"), log_of(two / "plain"), strict=True):
        for column in ("train_mpjpe_mm", "val_mpjpe_mm"):
            assert float(ours_row[column]) == pytest.approx(float(theirs_row[column]), abs=1e-6)


def test_non_finite_poses_do_not_block_the_other_processes(two: Path) -> None:
    for rank in (0, 1):
        errors = json.loads((two / f"validated-{rank}.json").read_text())
        assert errors == {"mpjpe_mm": math.inf, "p_mpjpe_mm": math.inf}


@pytest.fixture
def fake_gpu(monkeypatch: pytest.MonkeyPatch) -> dict[str, int]:
    """Count pinning and copying of tensors, which stay on the CPU."""
    done = {"pinned": 0, "sent": 0}
    move = torch.Tensor.to

    def pin(tensor: torch.Tensor) -> torch.Tensor:
        done["pinned"] += 1
        return tensor

    def to(tensor: torch.Tensor, *where: Any, **how: Any) -> torch.Tensor:
        if where[:1] != (CUDA,):
            return move(tensor, *where, **how)
        assert how == {"non_blocking": True}
        done["sent"] += 1
        return tensor

    monkeypatch.setattr(torch.Tensor, "pin_memory", pin)
    monkeypatch.setattr(torch.Tensor, "to", to)
    return done


def test_batches_travel_to_a_gpu_from_pinned_memory(fake_gpu: dict[str, int]) -> None:
    source = Shuffled(Numbers(), seed=0, on_host=True)
    batches = list(prefetched(source, 0, range(3), 4, World(CUDA, "")))
    assert sorted(torch.cat([batch.inputs for batch in batches]).tolist()) == list(range(10))
    assert fake_gpu == {"pinned": 6, "sent": 6}


def test_windows_that_do_not_fit_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    track = random_track(100)
    for free, enough in ((10**9, True), (10_000, False)):
        monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device, free=free: (free, 10**10))
        assert fits([track], False, CUDA) is enough
    with pytest.raises(UsageError, match="do not fit into the GPU's memory; add --on-host"):
        dataset_data(tiny_dataset(), replace(TINY), CUDA)


def test_more_processes_than_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(distributed, "choose_device", lambda name: (CUDA, "as asked"))
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setenv("WORLD_SIZE", "3")
    monkeypatch.setenv("LOCAL_RANK", "2")
    with (
        pytest.raises(UsageError, match=r"more processes than there are GPUs \(2\)"),
        join_world("cuda"),
    ):
        raise AssertionError
