"""A training step never synchronises with the GPU.

The tests look for synchronising operators on the CPU, where the same operators run.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from tests.datasets.test_virtual_cameras import standing
from tests.training.runs import ALONE, TINY
from vidpose.training.batches import FixedWindows, Shuffled, VirtualBatches
from vidpose.training.learner import Learner
from vidpose.training.recipe import MOCAP

aten = torch.ops.aten
WAITING = {
    aten._local_scalar_dense,  # .item(), int(), float(), bool() of a tensor
    aten.nonzero,
    aten.masked_select,
    aten._linalg_svd,  # whether it converged
    aten.linalg_cholesky,
    aten.linalg_matrix_exp,
    aten.lift_fresh,  # a tensor of Python's numbers, which is sent there
    aten.unique_consecutive,
    aten._unique2,
    aten.repeat_interleave,
    aten.equal,
}


class Spy(TorchDispatchMode):
    """Records operators that synchronise with a GPU."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[str] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        packet = func.overloadpacket
        by_flags = packet in (aten.index, aten.index_put, aten.index_put_) and any(
            index is not None and index.dtype == torch.bool for index in args[1]
        )
        if packet in WAITING or by_flags:
            self.seen.append(str(packet))
        return func(*args, **(kwargs or {}))


def waiting(step: Callable[[], object]) -> list[str]:
    """The synchronising operators in a second step; the first may copy constants."""
    step()
    with Spy() as spy:
        step()
    return spy.seen


@pytest.mark.parametrize(
    "wait",
    [
        lambda x: x.sum().item(),
        lambda x: x[x > 0],
        lambda x: x.new_tensor([1.0, 2.0]),
        lambda x: torch.linalg.svd(x),
        lambda x: torch.linalg.matrix_exp(x),
        lambda x: x[:, [0, 2]],
    ],
)
def test_operators_that_synchronise_are_detected(wait: Callable[[torch.Tensor], object]) -> None:
    assert waiting(lambda: wait(torch.eye(3)))


def test_a_step_on_motion_capture() -> None:
    recipe = replace(
        MOCAP, frames=5, embed_dim=8, depth=2, drop_path=0.2, batch=4, windows=8, precision="bf16"
    )
    learner = Learner(recipe, 17, ALONE)
    learner.model.train()
    clips = [standing(frames=20), standing(frames=30)]
    source = VirtualBatches(clips, recipe, ALONE.device, weights=[0.4, 0.6])
    assert not waiting(lambda: learner.step(source.batch(0, 1, 4, ALONE), 1, 1e-3))


def test_a_step_on_shuffled_windows() -> None:
    recipe = replace(TINY, drop_path=0.5, accumulate=2, procrustes=1.0, ema=0.9)
    learner = Learner(recipe, 17, ALONE)
    learner.model.train()
    windows = FixedWindows(torch.randn(40, 3, 17, 2), torch.randn(40, 1, 17, 3))
    source = Shuffled(windows, 0)
    assert not waiting(lambda: learner.step(source.batch(0, 1, 16, ALONE), 1, 1e-3))
