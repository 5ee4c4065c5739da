from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch.optim.swa_utils import AveragedModel

from tests.training.runs import ALONE, TINY
from vidpose.models import VideoPose
from vidpose.training.average import MovingAverage, effective_decay
from vidpose.training.batches import Batch
from vidpose.training.distributed import World
from vidpose.training.learner import Learner


def a_batch(count: int = 8) -> Batch:
    generator = torch.Generator().manual_seed(0)
    inputs = torch.randn(count, 3, 17, 2, generator=generator)
    return Batch(inputs, torch.randn(count, 1, 17, 3, generator=generator), 0, count)


def gradients(learner: Learner, batch: Batch) -> tuple[float, list[torch.Tensor]]:
    loss = float(learner.gradients(batch, 5))
    return loss, [p.grad.clone() for p in learner.model.parameters() if p.grad is not None]


@pytest.mark.parametrize("accumulate", [1, 3])
@pytest.mark.parametrize("ranks", [2, 3, 5])
def test_shares_of_a_batch_add_up_to_it(ranks: int, accumulate: int) -> None:
    """Also if some processes have no samples; with stochastic depth."""
    recipe = replace(TINY, drop_path=0.5, procrustes=1.0, accumulate=accumulate)
    learner = Learner(recipe, 17, ALONE)
    batch = a_batch(3)
    loss, wanted = gradients(learner, batch)
    found: list[Any] = []
    for rank in range(ranks):
        learner.world = World(ALONE.device, "", rank, ranks)
        mine = learner.world.share(3)
        part = Batch(batch.inputs[mine], batch.targets[mine], mine.start, 3)
        found.append(gradients(learner, part))
    assert sum(one for one, _ in found) == pytest.approx(loss)
    for i, gradient in enumerate(wanted):
        # DistributedDataParallel's mean.
        mean = sum(theirs[i] for _, theirs in found) / ranks
        torch.testing.assert_close(mean, gradient, atol=1e-6, rtol=1e-4)


def test_a_moving_average_follows_quickly_at_first_and_slowly_later() -> None:
    assert effective_decay(0.9, 1) == pytest.approx(2 / 11)
    assert effective_decay(0.9, 10_000) == 0.9


def test_a_moving_average_of_weights_and_its_state() -> None:
    """The state equals that of PyTorch's `AveragedModel`, which older runs used."""
    torch.manual_seed(0)
    model = VideoPose(frames=3, channels=8)  # has batch norms, whose statistics are the newest
    ours = MovingAverage(model, 0.9)
    theirs = AveragedModel(
        model, avg_fn=lambda old, new, steps: old.lerp(new, 1 - effective_decay(0.9, int(steps)))
    )
    for _ in range(12):
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.add_(torch.randn_like(parameter))
            for buffer in model.buffers():
                buffer.add_(1)
        ours.update(model)
        theirs.update_parameters(model)
    state, wanted = ours.state_dict(), theirs.state_dict()
    assert state.keys() == wanted.keys()
    for name, value in wanted.items():
        torch.testing.assert_close(state[name], value, msg=name)
    assert not torch.equal(state["module.shrink.weight"], model.state_dict()["shrink.weight"])
    again = MovingAverage(model, 0.9)
    again.load_state_dict(wanted)
    again.update(model)
    theirs.update_parameters(model)
    torch.testing.assert_close(
        again.state_dict()["module.shrink.weight"], theirs.state_dict()["module.shrink.weight"]
    )
