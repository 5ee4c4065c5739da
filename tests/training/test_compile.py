"""Training with --compile, without a compiler: the code is traced and then run eagerly."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch._dynamo.testing import CompileCounterWithBackend

from tests.training.runs import (
    ALONE,
    SLOW,
    TINY,
    Killed,
    assert_same_run,
    assert_same_weights,
    killed_after,
    quiet,
)
from tests.training.test_learner import a_batch
from tests.training_data import tiny_dataset
from vidpose.errors import UsageError
from vidpose.training import learner, loop
from vidpose.training.batches import Batch, TrainingData, dataset_data
from vidpose.training.learner import Learner
from vidpose.training.options import TrainOptions
from vidpose.training.recipe import MOCAP, Recipe
from vidpose.training.run import check_effects

# PyTorch hides its own warnings as they are shown, which is too late where they are errors.
pytestmark = pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor")


@pytest.fixture(autouse=True)
def traced(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Counts what is compiled."""
    counter = CompileCounterWithBackend("aot_eager")
    monkeypatch.setattr(learner, "BACKEND", counter)
    yield counter
    torch.compiler.reset()


@pytest.fixture
def data() -> TrainingData:
    return dataset_data(tiny_dataset(), TINY, ALONE.device)


def compiled(counter: Any) -> int:
    """Number of graphs so far, without the one that checks for a compiler."""
    return int(counter.frame_count) - 1


def test_a_run_is_the_same_with_stochastic_depth_and_a_short_last_batch(
    data: TrainingData, tmp_path: Path, traced: Any
) -> None:
    """Two kinds of blocks, with and without stochastic depth; no other size is compiled."""
    recipe = replace(SLOW, batch=100)  # of 240
    quiet(data, tmp_path / "plain", recipe)
    quiet(data, tmp_path / "compiled", replace(recipe, compile=True))
    assert_same_weights(tmp_path / "plain", tmp_path / "compiled")
    assert compiled(traced) == 4


def test_a_run_in_parts(data: TrainingData, tmp_path: Path, traced: Any) -> None:
    quiet(data, tmp_path / "plain", SLOW)
    quiet(data, tmp_path / "compiled", replace(SLOW, compile=True, accumulate=3))
    assert_same_weights(tmp_path / "plain", tmp_path / "compiled")
    assert compiled(traced) == 4


def test_a_resumed_run_equals_an_uninterrupted_one(
    data: TrainingData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop, "SAVE_S", 0.0)
    recipe = replace(SLOW, compile=True)
    quiet(data, tmp_path / "whole", recipe)
    with pytest.raises(Killed):
        quiet(data, tmp_path / "killed", recipe, progress=killed_after(3))
    quiet(data, tmp_path / "killed", recipe, resume=True)
    assert_same_run(tmp_path / "whole", tmp_path / "killed")


def test_a_run_may_be_resumed_compiled(data: TrainingData, tmp_path: Path, traced: Any) -> None:
    quiet(data, tmp_path / "run", replace(TINY, epochs=1))
    quiet(data, tmp_path / "run", replace(TINY, epochs=2, compile=True), resume=True)
    assert compiled(traced) > 0


@pytest.mark.parametrize(("frames", "precision"), [(1, "bf16"), (3, "fp32")])
def test_windows_and_single_frames_with_muon(frames: int, precision: str, traced: Any) -> None:
    recipe = replace(
        MOCAP, frames=3, embed_dim=8, depth=2, batch=8, precision=precision, drop_path=0.3
    )
    whole = a_batch()
    batch = Batch(whole.inputs[:, :frames], whole.targets.expand(-1, frames, -1, -1), 0, 8)
    after = []
    for compile in (False, True):
        one = Learner(replace(recipe, compile=compile), 17, ALONE)
        one.model.train()
        losses = [float(one.step(batch, number, 1e-3)) for number in range(3)]
        after.append((losses, one.state_dict()))
    assert compiled(traced) == 4
    assert after[1][0] == pytest.approx(after[0][0], rel=1e-5)
    assert after[0][1]["model"].keys() == after[1][1]["model"].keys()


def test_a_missing_compiler_is_a_usage_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def none(*_: Any) -> Any:
        raise RuntimeError("no g++ here\nand much more")

    monkeypatch.setattr(learner, "BACKEND", none)
    with pytest.raises(UsageError, match=r"--compile needs a C\+\+ compiler.*leave --compile out"):
        Learner(replace(TINY, compile=True), 17, ALONE)


@pytest.mark.parametrize("name", ["martinez", "videopose"])
def test_networks_without_blocks_are_rejected(name: str) -> None:
    recipe = Recipe(model=name, compile=True, frames=1 if name == "martinez" else 27)
    options = TrainOptions(dataset="h36m")
    with pytest.raises(UsageError, match="--compile has no effect on the network"):
        check_effects(options, recipe, {"compile": True})
