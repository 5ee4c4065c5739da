"""Optimizers and learning rate schedules: AdamW, with Muon for a transformer's matrices."""

from __future__ import annotations

import math
import re
from collections import defaultdict
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from vidpose.models import LiftingModel
from vidpose.models.blocks import TransformerConfig
from vidpose.training.recipe import Recipe
from vidpose.utils.devices import choose_precision

MOMENTUM = 0.95
ADAMW_RMS = 0.2
"""Typical root mean square of AdamW's steps, in learning rates (Liu et al., see `Muon`)."""
QUINTIC = (3.4445, -4.7750, 2.0315)
"""Newton-Schulz coefficients, chosen by K. Jordan so that small singular values grow fastest."""
ITERATIONS = 5


def learning_rate(recipe: Recipe, step: int, steps_per_epoch: int) -> float:
    """Compute the learning rate of a step, counted from the start of the run."""
    if recipe.schedule == "exponential":
        return recipe.lr * recipe.lr_decay ** (step // steps_per_epoch)
    total = recipe.epochs * steps_per_epoch
    warmup = max(1, round(recipe.warmup * total))
    if step < warmup:
        return recipe.lr * (step + 1) / warmup
    past = (step - warmup) / max(1, total - warmup)
    return recipe.lr * 0.5 * (1 + math.cos(math.pi * past))


def optimizers_for(model: LiftingModel, recipe: Recipe) -> list[torch.optim.Optimizer]:
    """Make the recipe's optimizers for a model, which is on its device already."""
    groups = _groups(model, recipe)
    matrices = _matrices(model) if recipe.optimizer == "muon" else {}

    def those_of(parts: int | None) -> list[dict[str, Any]]:
        some = [[p for p in group["params"] if matrices.get(p) == parts] for group in groups]
        return [group | {"params": params} for group, params in zip(groups, some, strict=True)]

    adamw = torch.optim.AdamW(those_of(None), lr=recipe.lr, fused=True)
    if not matrices:
        return [adamw]
    theirs = [group | {"parts": parts} for parts in (1, 3) for group in those_of(parts)]
    device = next(model.parameters()).device
    bf16 = choose_precision(recipe.precision, device) == "bf16"
    return [Muon(theirs, lr=recipe.lr, bf16=bf16), adamw]


def _matrices(model: LiftingModel) -> dict[Tensor, int]:
    """Select the matrices in transformer blocks, with the number of matrices stacked in each:
    queries, keys and values are three. Other networks have none.
    """
    if not isinstance(model.config, TransformerConfig):
        return {}
    return {
        parameter: 3 if name.endswith("qkv.weight") else 1
        for name, parameter in model.named_parameters()
        if "blocks." in name and parameter.ndim == 2
    }


def _groups(model: LiftingModel, recipe: Recipe) -> list[dict[str, Any]]:
    """Group the parameters by weight decay.

    In single-frame training a frame attends only to itself, so temporal queries and keys get no
    gradient and would only decay. They have no weight decay, and the positional embedding of the
    frames is frozen.
    """
    attention, rest = [], []
    for name, parameter in model.named_parameters():
        if recipe.single_frame and name == "frame_position":
            parameter.requires_grad_(False)
        elif recipe.single_frame and re.fullmatch(r"temporal_blocks\..*\.qkv\..*", name):
            attention.append(parameter)
        else:
            rest.append(parameter)
    groups = [{"params": rest, "weight_decay": recipe.weight_decay}]
    return groups + ([{"params": attention, "weight_decay": 0.0}] if attention else [])


class Muon(torch.optim.Optimizer):
    """Muon: steps along the orthogonalised momentum of each matrix.

    K. Jordan et al., "Muon: an optimizer for hidden layers in neural networks", 2024. Steps are
    scaled as in J. Liu et al., "Muon is scalable for LLM training", 2025 (arXiv 2502.16982), so
    that AdamW's learning rates and weight decay can be used.

    PyTorch's own Muon always computes in bf16, which takes five times as long on a CPU without
    bf16 support, and treats stacked queries, keys and values as a single matrix.
    """

    def __init__(self, params: list[dict[str, Any]], lr: float, *, bf16: bool = False) -> None:
        """Take parameter groups of matrices.

        A group's `parts`, 1 by default, is the number of matrices stacked in each parameter.
        Orthogonalise in bf16, as K. Jordan does, or in fp32.
        """
        self._bf16 = bf16
        super().__init__(params, {"lr": lr, "weight_decay": 0.0, "parts": 1, "bf16": bf16})

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore a state; bf16 only if both the saved optimizer and this one use it.

        Runs from before the option `bf16` used fp32, and this machine may not support bf16.
        """
        super().load_state_dict(state_dict)
        for group in self.param_groups:
            group["bf16"] = self._bf16 and group.get("bf16", False)

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """Take a step, with all matrices of one shape in a batch."""
        assert closure is None
        alike: dict[Any, list[tuple[Tensor, Tensor, float]]] = defaultdict(list)
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is None:
                    continue
                if not (state := self.state[parameter]):
                    state["momentum"] = torch.zeros_like(parameter)
                momentum = state["momentum"].lerp_(parameter.grad, 1 - MOMENTUM)
                ahead = parameter.grad.lerp(momentum, MOMENTUM)  # Nesterov's
                parameter.mul_(1 - group["lr"] * group["weight_decay"])
                parts = group["parts"]
                for weights, wanted in zip(parameter.chunk(parts), ahead.chunk(parts), strict=True):
                    rate = group["lr"] * ADAMW_RMS * math.sqrt(max(wanted.shape))
                    key = wanted.shape, torch.bfloat16 if group["bf16"] else torch.float32
                    alike[key].append((weights, wanted, rate))
        for (_, dtype), some in alike.items():
            steps = orthogonal(torch.stack([wanted for _, wanted, _ in some]), dtype)
            for (weights, _, rate), step in zip(some, steps, strict=True):
                weights.sub_(step, alpha=rate)


def orthogonal(matrices: Tensor, dtype: torch.dtype = torch.float32) -> Tensor:
    """(N, A, B) -> (N, A, B), with the same singular vectors and singular values near 1.

    Newton-Schulz iterations bring singular values to between 0.68 and 1.2, except those below
    about 1/300 of the matrix's norm. Rows of zeros stay zero. Products are in `dtype`; bf16 takes
    half the time on hardware that supports it.
    """
    a, b, c = QUINTIC
    tall = matrices.shape[1] > matrices.shape[2]
    x = matrices.mT if tall else matrices
    x = x / x.norm(dim=(1, 2), keepdim=True).clamp_min(1e-12)
    x = x.to(dtype)
    for _ in range(ITERATIONS):
        square = x @ x.mT
        x = a * x + (b * square + c * square @ square) @ x
    return (x.mT if tall else x).to(matrices.dtype)
