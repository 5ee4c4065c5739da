"""Tiny training runs, and a comparison of two of them."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor

from vidpose.training.batches import TrainingData
from vidpose.training.distributed import World
from vidpose.training.loop import train
from vidpose.training.recipe import Recipe

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


def quiet(data: TrainingData, out: Path, recipe: Recipe = TINY, **how: Any) -> Path:
    return train(data, out, recipe, ALONE, **how)


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


def assert_same_weights(a: Path, b: Path) -> None:
    """Compare weights up to rounding, which depends on the order of sums.

    Attention weights do not depend on the keys' bias, and a LayerNorm's output not on the bias of
    the frame pooling. The gradients of these are only rounding errors, which Adam scales up to
    full steps, so they are not compared.
    """
    for name, ours in weights(a).items():
        theirs = weights(b)[name]
        if name == "frame_pooling.bias":
            continue
        if name.endswith("qkv.bias"):
            ours, theirs = (torch.cat(t.chunk(3)[::2]) for t in (ours, theirs))
        torch.testing.assert_close(ours, theirs, atol=1e-6, rtol=0, msg=name)


class Killed(BaseException):
    """Simulates SIGKILL: the run's code cannot catch it."""


def killed_after(count: int) -> Any:
    """A progress that raises `Killed` after `count` steps in total."""
    left = [count]

    def progress(steps: Iterable[Any], total: int | None, label: str) -> Iterable[Any]:
        for step in steps:
            if label.startswith("epoch") and not left[0]:
                raise Killed
            left[0] -= label.startswith("epoch")
            yield step

    return progress
