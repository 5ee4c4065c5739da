"""Training a lifter: one loop, read from top to bottom.

What a run learns stands in its `Recipe`, what it leaves in its `RunFolder`. Nothing random is
carried from step to step: every draw follows from the seed and the step's number, so a run that is
resumed, or split over several processes, is the same run.
"""

from __future__ import annotations

import inspect
import math
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import fields, replace
from pathlib import Path
from types import FrameType
from typing import Any, cast

import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.parallel import DistributedDataParallel
from torch.optim.swa_utils import AveragedModel

from vidpose.datasets import open_dataset
from vidpose.datasets.mocap import read_folder
from vidpose.datasets.virtual_cameras import TEST
from vidpose.errors import UsageError, VidposeError
from vidpose.metrics import mpjpe, p_mpjpe
from vidpose.models import MODELS, Checkpoint, LiftingModel, load_checkpoint, save_checkpoint
from vidpose.models.blocks import draw_drop_paths_for
from vidpose.models.transfer import transfer
from vidpose.training.batches import (
    Samples,
    TrainingData,
    dataset_data,
    draw_seed,
    mocap_data,
    prefetched,
)
from vidpose.training.distributed import World
from vidpose.training.optimizers import optimizers_for
from vidpose.training.recipe import Recipe, recipe_for
from vidpose.training.run_folder import RunFolder, RunState
from vidpose.utils.devices import choose_precision
from vidpose.utils.progress import Progress, silent
from vidpose.zoo.registry import find_weights

SAVE_S = 600.0
"""A run that is killed loses at most about this many seconds; it saves after every epoch, too."""
EVAL_BATCH = 1024
CHECK_STEPS = 20
"""Steps from one look at whether to stop or to save to the next, on a GPU, which it waits for."""


def run(
    dataset: str,
    folder: Path,
    out: Path,
    world: World,
    *,
    recipe: str | None = None,
    keypoints: str | None = None,
    test_subjects: Sequence[str] | None = None,
    train_subjects: Sequence[str] | None = None,
    actions: Sequence[str] | None = None,
    init_from: str | Path | None = None,
    on_host: bool = False,
    resume: bool = False,
    report: Callable[[str], None] = print,
    progress: Progress = silent,
    **changes: Any,
) -> Path:
    """Train on a dataset by its name; see `train` for what is not said here.

    Args:
        dataset: h36m, mpi_inf_3dhp, humaneva, synthetic, custom or mocap.
        folder: where it is.
        out: the run's folder.
        world: the device, and the processes that train together.
        recipe: paper, official or vidpose; by default the dataset's own.
        keypoints: where the 2D joints come from; by default the dataset's own.
        test_subjects, train_subjects, actions: see `vidpose.datasets.open_dataset`; of motion
            capture everybody is trained on who is not tested on.
        init_from: weights to begin with, by name or path.
        on_host: leave the windows on the host, in files in the run's folder.
        changes: of the recipe's fields.

    Returns:
        The path of the best checkpoint.
    """
    chosen = recipe_for(dataset, recipe, keypoints)
    changed = {name: value for name, value in changes.items() if getattr(chosen, name) != value}
    chosen = replace(chosen, **changes)
    RunFolder(out).check(resume)
    say = report if world.is_first else (lambda line: None)
    say(
        f"Training on {dataset} in {folder}, recipe {chosen.name}"
        + "".join(f", {name} {value}" for name, value in changed.items())
        + f". Device: {world.device.type} ({world.why})"
        + (f", {world.size} processes" if world.size > 1 else "")
        + f". Run: {out}"
    )
    if chosen.select_on == "test":
        say(
            "The test subjects choose the best weights, as in the official code: the error on "
            "them is then no longer that of people never seen."
        )
    if chosen.singles and init_from is None and not resume:
        raise UsageError(
            "single frames leave alone what a network knows of other frames, and a new one knows "
            "nothing; give --init-from weights that were trained on windows."
        )
    init = None if init_from is None else load_checkpoint(find_weights(init_from))
    if dataset == "mocap":
        if train_subjects is not None or actions is not None:
            raise UsageError("mocap has test subjects to choose, and nothing else.")
        clips = read_folder(folder, lambda paths: progress(paths, len(paths), "reading"))
        data = mocap_data(clips, test_subjects or TEST, chosen, world.device)
    else:
        files = out / f"windows-{world.rank}" if on_host else None
        opened = open_dataset(
            dataset,
            folder,
            keypoints=keypoints,
            test_subjects=test_subjects,
            train_subjects=train_subjects,
            actions=actions,
        )
        data = dataset_data(opened, chosen, world.device, folder=files)
    if init is not None:
        # Whom weights have learned from is told by all that they began with.
        began_with = init.training | {"sha256": init.sha256}
        data = replace(data, told=data.told | {"began_with": began_with})
    best = train(
        data, out, chosen, world, resume=resume, init=init, report=report, progress=progress
    )
    if world.is_first:
        from vidpose.render.plots import learning_curve

        learning_curve(RunFolder(out).log, RunFolder(out).curve)
    return best


def train(
    data: TrainingData,
    out: Path,
    recipe: Recipe,
    world: World,
    *,
    resume: bool = False,
    init: Checkpoint | None = None,
    report: Callable[[str], None] = print,
    progress: Progress = silent,
) -> Path:
    """Train a lifting network.

    Args:
        data: what to learn from.
        out: the run's folder.
        recipe: what to train and how.
        world: the device, and the processes that train together; each calls this.
        resume: go on from `out/state.pt`: the numbers are those of an uninterrupted run.
        init: begin with these weights, as far as they fit; what does not is told.
        report: takes lines for the user.
        progress: wraps the steps of an epoch.

    Returns:
        The path of the best checkpoint.

    Raises:
        UsageError: the folder holds a run already and `resume` is not asked for, or there is
            none to resume, or it has another recipe or other data.
        StoppedError: Ctrl-C or SIGTERM came; the state is saved.
        VidposeError: the loss is no longer a number, or a file cannot be written; what was saved
            before is kept.
    """
    folder = RunFolder(out)
    folder.check(resume)
    device, source = world.device, data.source
    if not world.is_first:
        report, progress = (lambda line: None), silent

    torch.manual_seed(recipe.seed)
    model = build_model(recipe, len(data.skeleton)).to(device)
    if init is not None and not resume:
        for line in transfer(init, model, data.skeleton):
            report(line)
    optimizers = optimizers_for(model, recipe)
    average = AveragedModel(model, avg_fn=moving_average(recipe.ema)) if recipe.ema else None
    kept = model if average is None else cast(LiftingModel, average.module)
    run = folder.restore(recipe, data.told, model, optimizers, average) if resume else RunState()
    learner: torch.nn.Module = model
    if world.size > 1:
        learner = DistributedDataParallel(model, [device] if device.type == "cuda" else None)
    steps = math.ceil(source.samples / recipe.batch)
    check_steps = CHECK_STEPS if device.type == "cuda" else 1
    board = folder.tensorboard() if world.is_first else None
    saved_at, begun = time.monotonic(), time.monotonic()

    def save() -> None:
        if world.is_first:
            folder.save(run, recipe, data.told, model, optimizers, average)

    with stop_requests() as stop_is_asked:
        while run.epoch < recipe.epochs:
            model.train()
            loss_sum = torch.tensor(run.loss_sum, dtype=torch.float64, device=device)
            batches = prefetched(source, run.epoch, range(run.step, steps), recipe.batch, world)
            label = f"epoch {run.epoch + 1}/{recipe.epochs}"
            for inputs, targets, whole in progress(batches, steps - run.step, label):
                lr = recipe.lr_at(run.epoch * steps + run.step, steps)
                for group in (group for some in optimizers for group in some.param_groups):
                    group["lr"] = lr
                loss = learn(learner, model, inputs, targets, whole, recipe, world, run, steps)
                for optimizer in optimizers:
                    optimizer.step()
                if average is not None:
                    average.update_parameters(model)
                loss_sum += loss
                run.step += 1
                run.samples += whole
                if run.step % check_steps and run.step < steps:
                    continue
                asked = world.total(torch.tensor(float(stop_is_asked()), device=device)) > 0
                late = world.is_first and time.monotonic() - saved_at > SAVE_S
                if bool(asked) or late:
                    run.loss_sum = _checked(loss_sum, run, folder)
                    save()
                    saved_at = time.monotonic()
                if bool(asked):
                    raise StoppedError(out, run.epoch + 1, run.step, steps)
            train_mm = 1000 * _checked(world.total(loss_sum), run, folder) / run.samples
            errors = validate(kept, data.validation, recipe, world)
            lr = recipe.lr_at((run.epoch + 1) * steps - 1, steps)
            run = RunState(run.epoch + 1, best_mm=run.best_mm, log=run.log)
            row = {"epoch": run.epoch, "lr": lr, "train_mpjpe_mm": train_mm}
            row |= {f"val_{name}": value for name, value in errors.items()}
            row["seconds"] = round(time.monotonic() - begun, 1)
            begun = time.monotonic()
            run.log.append(row)
            better = errors["mpjpe_mm"] < run.best_mm
            run.best_mm = min(run.best_mm, errors["mpjpe_mm"])
            if world.is_first:
                told = data.told | {"recipe": recipe.to_dict(), "epoch": run.epoch}
                told |= {f"{recipe.select_on}_errors": errors}
                made = Checkpoint(
                    model=kept,
                    normalisation=recipe.normalisation,
                    fps=data.fps,
                    skeleton=data.skeleton.name,
                    training=told,
                )
                if better:
                    save_checkpoint(folder.best, made)
                save_checkpoint(folder.last, made)
                folder.write_log(run.log)
                save()
                saved_at = time.monotonic()
                if board is not None:
                    for name, value in row.items():
                        board.add_scalar(name, value, run.epoch)
                    board.flush()
            report(
                f"epoch {run.epoch}/{recipe.epochs}: training {train_mm:.1f} mm, "
                f"{recipe.select_on} {errors['mpjpe_mm']:.1f} (P {errors['p_mpjpe_mm']:.1f})"
                + (" best" if better else "")
            )
    return folder.best


def build_model(recipe: Recipe, joints: int) -> LiftingModel:
    """The network of a recipe; sizes that its kind does not have are left out."""
    kind = MODELS[recipe.model]
    known = inspect.signature(kind).parameters
    sizes = {
        field.name: getattr(recipe, field.name) for field in fields(recipe) if field.name in known
    }
    try:
        return kind(joints=joints, **sizes)
    except ValueError as error:
        raise UsageError(f"the network {recipe.model} cannot be built: {error}.") from None


def learn(
    learner: torch.nn.Module,
    model: LiftingModel,
    inputs: Tensor,
    targets: Tensor,
    whole: int,
    recipe: Recipe,
    world: World,
    run: RunState,
    steps: int,
) -> Tensor:
    """One step's gradients: the paper's loss, MPJPE of the root-relative pose (Eq. 8).

    Where the recipe asks for it, the same of the velocities and of the poses after Procrustes is
    added.

    Returns:
        The paper's loss summed over this process's samples, metres.
    """
    device = world.device
    offset = world.rank * len(inputs)
    total = torch.zeros((), dtype=torch.float64, device=device)
    model.zero_grad(set_to_none=True)
    parts = list(
        zip(inputs.chunk(recipe.accumulate), targets.chunk(recipe.accumulate), strict=True)
    )
    for i, (some, wanted) in enumerate(parts):
        torch.manual_seed(draw_seed(recipe.seed, run.epoch * steps + run.step, "drop path"))
        draw_drop_paths_for(model, offset, offset + len(some), whole)
        offset += len(some)
        together: Any = nullcontext()
        if isinstance(learner, DistributedDataParallel) and i < len(parts) - 1:
            together = learner.no_sync()  # gradients are exchanged once, with the last part
        with together:
            with mixed_precision(device, recipe.precision):
                predicted = learner(some)
            mpjpe_m, loss = losses(predicted.float(), wanted, recipe)
            # DistributedDataParallel takes the mean of the processes' gradients.
            torch.autograd.backward(loss * (world.size / whole))
        total += mpjpe_m.detach()
    return total


def losses(predicted: Tensor, wanted: Tensor, recipe: Recipe) -> tuple[Tensor, Tensor]:
    """The paper's loss and the recipe's: (B, F, J, 3) poses -> means over frames and joints, summed
    over the windows.
    """
    error = predicted - wanted
    mpjpe_m = loss = error.norm(dim=-1).mean(dim=(1, 2)).sum()
    if recipe.procrustes:
        left = procrustes_error(predicted, wanted).norm(dim=-1)
        loss = loss + recipe.procrustes * left.mean(dim=(1, 2)).sum()
    if recipe.velocity and error.shape[1] > 1:
        mpjve_m = error.diff(dim=1).norm(dim=-1).mean(dim=(1, 2)).sum()
        loss = loss + recipe.velocity * mpjve_m
    return mpjpe_m, loss


def procrustes_error(predicted: Tensor, wanted: Tensor) -> Tensor:
    """(..., J, 3) twice -> what is left once each pose is moved, turned and scaled to fit.

    As `vidpose.metrics.procrustes`, where the source is. The similarity that was found counts as
    given for the gradient, which is exact for the sum of squares that it makes least, and nearly so
    for the mean distance.
    """
    predicted = predicted - predicted.mean(dim=-2, keepdim=True)
    wanted = wanted - wanted.mean(dim=-2, keepdim=True)
    with torch.no_grad():
        # What is no number any more is the loss's to tell.
        u, singular, vt = torch.linalg.svd(wanted.mT @ predicted.nan_to_num(0, 0, 0))
        handed = torch.ones_like(singular)
        handed[..., -1] = torch.det(u @ vt).sign()  # mirror images are not allowed
        rotation = (u * handed[..., None, :]) @ vt
        spread = predicted.square().sum(dim=(-2, -1)).clamp_min(1e-9)
        scale = (singular * handed).sum(dim=-1) / spread
    return scale[..., None, None] * predicted @ rotation.mT - wanted


def moving_average(keep: float) -> Callable[[Tensor, Tensor, Tensor | int], Tensor]:
    """What `AveragedModel` does with each weight; keeps less in the first steps of a run."""

    def update(average: Tensor, weight: Tensor, steps: Tensor | int) -> Tensor:
        n = int(steps)
        return average.lerp(weight, 1 - min(keep, (1 + n) / (10 + n)))

    return update


@torch.no_grad()
def validate(
    model: LiftingModel, samples: Samples, recipe: Recipe, world: World
) -> dict[str, float]:
    """MPJPE and P-MPJPE in mm, without flip averaging; the same in every process."""
    model.eval()
    errors = torch.zeros(2, dtype=torch.float64, device=world.device)
    index = torch.arange(len(samples))
    for part in index[world.rank :: world.size].split(EVAL_BATCH):
        inputs, targets = (t.to(world.device) for t in samples[part])
        with mixed_precision(world.device, recipe.precision):
            predicted = model(inputs)
        p, t = (x.flatten(0, 1).float().cpu().numpy() for x in (predicted, targets))
        if not math.isfinite(float(p.sum())):
            return {"mpjpe_mm": math.inf, "p_mpjpe_mm": math.inf}
        errors += len(part) * errors.new_tensor([mpjpe(p, t), p_mpjpe(p, t)])
    mean = 1000 * world.total(errors) / len(samples)
    return {"mpjpe_mm": float(mean[0]), "p_mpjpe_mm": float(mean[1])}


@contextmanager
def mixed_precision(device: torch.device, precision: str = "auto") -> Iterator[None]:
    """Matrix products in bf16: where the hardware computes in it, or as told."""
    if choose_precision(precision, device) == "fp32":
        yield
    elif device.type == "cuda":
        with torch.autocast("cuda", torch.bfloat16):
            yield
    else:
        # On a CPU the fused attention's backward pass in bf16 is slower than the plain one's.
        with torch.autocast("cpu", torch.bfloat16), sdpa_kernel(SDPBackend.MATH):
            yield


class StoppedError(VidposeError):
    """The user stopped a run; its state is saved."""

    exit_code = 130

    def __init__(self, out: Path, epoch: int, step: int, steps: int) -> None:
        super().__init__(
            f"stopped in epoch {epoch} after step {step} of {steps}; the run is saved: the same "
            f"command with --resume goes on ({out})."
        )


@contextmanager
def stop_requests() -> Iterator[Callable[[], bool]]:
    """Ctrl-C and SIGTERM wait for the end of a step; a second one does not."""
    asked = False

    def ask(number: int, frame: FrameType | None) -> None:
        nonlocal asked
        if asked:
            raise KeyboardInterrupt
        asked = True

    numbers = (signal.SIGINT, signal.SIGTERM)
    try:
        before = [signal.signal(number, ask) for number in numbers]
    except ValueError:  # not the main thread: whoever started it deals with signals
        yield lambda: False
        return
    try:
        yield lambda: asked
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)


def _checked(loss_sum: Tensor, run: RunState, folder: RunFolder) -> float:
    value = float(loss_sum)
    if not math.isfinite(value):
        raise VidposeError(
            f"the loss is no longer a number in epoch {run.epoch + 1}; lower --lr and start anew"
            + folder.last_good()
        )
    return value
