"""The trainable state of a run: a network, its optimizers, and the average of its weights."""

from __future__ import annotations

import math
from contextlib import nullcontext
from dataclasses import fields
from typing import Any

import torch
from torch import Tensor, nn
from torch.compiler import set_stance
from torch.nn.parallel import DistributedDataParallel

from vidpose.errors import UsageError
from vidpose.models import MODELS, LiftingModel
from vidpose.models.blocks import compile_blocks, draw_drop_paths_for
from vidpose.training.average import MovingAverage
from vidpose.training.batches import Batch, draw_seed
from vidpose.training.distributed import World
from vidpose.training.losses import losses
from vidpose.training.optimizers import optimizers_for
from vidpose.training.recipe import Recipe
from vidpose.utils.devices import mixed_precision

BACKEND = "inductor"
"""Backend of `torch.compile`."""


class Learner:
    """A recipe's network with its optimizers and moving average."""

    def __init__(self, recipe: Recipe, joints: int, world: World) -> None:
        torch.manual_seed(recipe.seed)
        self.recipe, self.world = recipe, world
        self.model = build_model(recipe, joints).to(world.device)
        self.optimizers = optimizers_for(self.model, recipe)
        self.average = MovingAverage(self.model, recipe.ema) if recipe.ema else None
        if recipe.compile:
            check_compiler(world.device)
            compile_blocks(self.model, BACKEND)
        self._network: nn.Module = self.model
        if world.size > 1:
            devices = [world.device] if world.device.type == "cuda" else None
            self._network = DistributedDataParallel(self.model, devices)

    @property
    def eval_model(self) -> LiftingModel:
        """The network to validate and save: the moving average, if there is one."""
        return self.model if self.average is None else self.average.model

    def step(self, batch: Batch, number: int, lr: float) -> Tensor:
        """Take one optimizer step.

        Args:
            batch: this process's part of the batch.
            number: number of the step, counted from the start of the run.
            lr: learning rate.

        Returns:
            The paper's loss, summed over this process's samples, metres.
        """
        for group in (group for some in self.optimizers for group in some.param_groups):
            group["lr"] = lr
        loss_sum = self.gradients(batch, number)
        for optimizer in self.optimizers:
            optimizer.step()
        if self.average is not None:
            self.average.update(self.model)
        return loss_sum

    def gradients(self, batch: Batch, number: int) -> Tensor:
        """Compute the gradients of the mean loss over all processes' windows; see `step`."""
        recipe, device = self.recipe, self.world.device
        inputs, targets, start = batch.inputs, batch.targets, batch.start
        # DistributedDataParallel averages the processes' gradients.
        weight = self.world.size / batch.size
        if not len(inputs):
            # This process has no part of a short batch, but the others wait for its gradients.
            inputs, targets = (t.new_zeros(1, *t.shape[1:]) for t in (inputs, targets))
            start, weight = 0, 0.0
        loss_sum = torch.zeros((), dtype=torch.float64, device=device)
        self.model.zero_grad(set_to_none=True)
        parts = list(
            zip(inputs.chunk(recipe.accumulate), targets.chunk(recipe.accumulate), strict=True)
        )
        mine = self.world.share(recipe.batch)
        usual = math.ceil((mine.stop - mine.start) / recipe.accumulate)
        for i, (some, wanted) in enumerate(parts):
            torch.manual_seed(draw_seed(recipe.seed, number, "drop path"))
            draw_drop_paths_for(self.model, start, start + len(some), batch.size)
            start += len(some)
            together: Any = nullcontext()
            if isinstance(self._network, DistributedDataParallel) and i < len(parts) - 1:
                together = self._network.no_sync()  # synchronise gradients once, with the last part
            # Compiling for a smaller last batch would take longer than running it eagerly.
            stance = nullcontext() if len(some) == usual else set_stance("force_eager")
            with together, stance:
                with mixed_precision(device, recipe.precision):
                    predicted = self._network(some)
                mpjpe_m, loss = losses(predicted.float(), wanted, recipe)
                torch.autograd.backward(loss * weight)
            if weight:
                loss_sum += mpjpe_m.detach()
        return loss_sum

    def state_dict(self) -> dict[str, Any]:
        """Return the state for `load_state_dict`."""
        return {
            "model": self.model.state_dict(),
            "optimizers": [optimizer.state_dict() for optimizer in self.optimizers],
            "average": {} if self.average is None else self.average.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore a state from `state_dict`."""
        self.model.load_state_dict(state["model"])
        parts = state.get("optimizers") or [state["optimizer"]]  # older runs had one
        for optimizer, part in zip(self.optimizers, parts, strict=True):
            optimizer.load_state_dict(part)
        if self.average is not None:
            self.average.load_state_dict(state["average"])


def check_compiler(device: torch.device) -> None:
    """Check that `torch.compile` works on this machine.

    Raises:
        UsageError: it does not.
    """
    torch.compiler.reset()  # earlier compilations of this process count towards a limit
    try:
        torch.compile(torch.sin, backend=BACKEND)(torch.ones(8, device=device))
    except Exception as error:
        why = str(error).strip().splitlines()
        raise UsageError(
            "--compile needs a C++ compiler such as g++ and Python's header files "
            f"({why[0] if why else type(error).__name__}); install them, or leave --compile out."
        ) from None


def network_class(recipe: Recipe) -> type[LiftingModel]:
    """Look up the class of a recipe's network.

    Raises:
        UsageError: there is no such network, or it does not support single-frame training.
    """
    if recipe.model not in MODELS:
        raise UsageError(f"--model {recipe.model}: choose {', '.join(MODELS)}.")
    kind = MODELS[recipe.model]
    if recipe.single_frame and not kind.all_frames:
        raise UsageError("--single-frame is for the network sequence, which predicts all frames.")
    return kind


def network_sizes(kind: type[LiftingModel]) -> set[str]:
    """The fields of a recipe that are sizes of this kind of network."""
    return {field.name for field in fields(Recipe)} & {f.name for f in fields(kind.config_class)}


def build_model(recipe: Recipe, joints: int) -> LiftingModel:
    """Build a recipe's network from the recipe's fields that are sizes of it.

    Raises:
        UsageError: there is no such network, or its sizes are invalid.
    """
    kind = network_class(recipe)
    sizes = {name: getattr(recipe, name) for name in network_sizes(kind)}
    try:
        return kind(joints=joints, **sizes)
    except ValueError as error:
        raise UsageError(f"the network {recipe.model} cannot be built: {error}.") from None
