"""The code that `test_distributed` runs in several processes."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from tests.training.runs import SLOW
from tests.training_data import tiny_dataset
from vidpose.training import learner
from vidpose.training.batches import FixedWindows, dataset_data
from vidpose.training.distributed import World, join_world
from vidpose.training.loop import train, validate
from vidpose.training.recipe import Recipe
from vidpose.training.stopping import StoppedError

SHORT = replace(SLOW, batch=239, epochs=1)
"""With 240 samples, the last batch has a single one."""


class Doubled(torch.nn.Module):
    """Predicts poses (B, 1, J, 3) from the centre frames' 2D joints."""

    def forward(self, inputs: Tensor) -> Tensor:
        centre = inputs[:, inputs.shape[1] // 2, None]
        return torch.cat([centre, centre[..., :1]], dim=-1)


def stopping(steps: Iterable[Any], total: int | None, label: str) -> Iterable[Any]:
    """Ctrl-C in the second step of the second epoch."""
    for place, step in enumerate(steps):
        if label.startswith("epoch 2") and place == 1:
            os.kill(os.getpid(), signal.SIGINT)
        yield step


def main(out: Path, world: World) -> None:
    def run(name: str, recipe: Recipe, **how: Any) -> None:
        train(dataset_data(tiny_dataset(), recipe, world.device), out / name, recipe, world, **how)

    run("plain", SLOW, report=print)
    run("accumulated", replace(SLOW, accumulate=2))
    run("short", SHORT)
    learner.BACKEND = "aot_eager"  # which needs no compiler
    run("compiled", replace(SLOW, compile=True))
    try:
        run("resumed", SLOW, progress=stopping)
    except StoppedError:
        run("resumed", SLOW, resume=True)

    inputs = torch.ones(4, 3, 17, 2)
    inputs[1, :, 5] = torch.nan  # the second process's
    model: Any = Doubled()
    errors = validate(model, FixedWindows(inputs, torch.ones(4, 1, 17, 3)), SLOW, world)
    (out / f"validated-{world.rank}.json").write_text(json.dumps(errors))


if __name__ == "__main__":
    with join_world("cpu") as joined:
        main(Path(sys.argv[1]), joined)
