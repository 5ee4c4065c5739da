"""The training loop of a lifting network, read from top to bottom.

A `Recipe` configures a run and a `RunFolder` holds its files. No random state is carried from step
to step: every draw follows from the seed and the number of the step, so a run that is resumed or
split over several processes is the same run.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor
from torch.compiler import set_stance

from vidpose.events import Info, Report, ignore
from vidpose.metrics import mpjpe, p_mpjpe
from vidpose.models import Checkpoint, LiftingModel, save_checkpoint
from vidpose.models.transfer import transfer
from vidpose.training.batches import Samples, TrainingData, prefetched
from vidpose.training.distributed import World
from vidpose.training.learner import Learner
from vidpose.training.optimizers import learning_rate
from vidpose.training.recipe import Recipe
from vidpose.training.run_folder import NEW_RUN_ADVICE, RunFolder, RunState, UnusableStateError
from vidpose.training.stopping import StoppedError, stop_requests
from vidpose.utils.devices import mixed_precision
from vidpose.utils.outside import reading
from vidpose.utils.progress import Progress, silent

SAVE_S = 600.0
"""Seconds between saves within an epoch: about the most that a killed run loses."""
EVAL_BATCH = 1024
CHECK_STEPS = 20
"""Steps between checks whether to stop or save on a GPU, because a check synchronises with it."""


def train(
    data: TrainingData,
    out: Path,
    recipe: Recipe,
    world: World,
    *,
    resume: bool = False,
    init: Checkpoint | None = None,
    report: Report = ignore,
    progress: Progress = silent,
) -> Path:
    """Train a lifting network.

    Args:
        data: the training and validation data.
        out: the run's folder.
        recipe: the network, and how to train it.
        world: the device, and the processes that train together; each calls this function.
        resume: continue from `out/state.pt`; the results are those of an uninterrupted run.
        init: initial weights, copied as far as they fit; `report` gets a summary. A resumed run
            does not need them.
        report: receives events for the user.
        progress: wraps the steps of an epoch.

    Returns:
        The path of the best checkpoint.

    Raises:
        UsageError: the folder already holds a run and `resume` is False, there is no run to
            resume, the run has another recipe or other data, or another process is writing to it.
        StoppedError: Ctrl-C or SIGTERM was received; the state is saved.
        VidposeError: the loss is not finite, or a file cannot be written (files saved before are
            kept); or the state.pt to resume from is damaged.
    """
    if not world.is_first:
        report, progress = ignore, silent
    folder = RunFolder(out)
    folder.check(resume)
    learner = Learner(recipe, len(data.skeleton), world)
    run = RunState()
    if init is not None:
        # Provenance includes the training subjects of the initial weights.
        began_with = init.training | {"sha256": init.sha256}
        data = replace(data, provenance=data.provenance | {"began_with": began_with})
    if resume:
        run, learned = folder.restore(recipe, data.provenance)
        data = replace(data, provenance=learned["data"] | data.provenance)
        what = "holds another network's state"
        with reading(folder.state, UnusableStateError, what, NEW_RUN_ADVICE):
            learner.load_state_dict(learned)
    elif init is not None:
        for line in transfer(init, learner.model, data.skeleton):
            report(Info(line))
    saver = Saver(folder, data, learner)
    steps = math.ceil(data.source.samples / recipe.batch)
    with folder.alone(world.is_first), stop_requests() as stop_is_asked:
        if not resume:
            saver.save(run)  # from now on, the folder always holds a run that can be resumed
        while run.epoch < recipe.epochs:
            begun = time.monotonic()
            train_mm = 1000 * train_epoch(learner, data, run, saver, stop_is_asked, progress)
            errors = validate(learner.eval_model, data.validation, recipe, world)
            row = {
                "epoch": run.epoch + 1,
                "lr": learning_rate(recipe, (run.epoch + 1) * steps - 1, steps),
                "train_mpjpe_mm": train_mm,
                **{f"val_{name}": value for name, value in errors.items()},
                "seconds": round(time.monotonic() - begun, 1),
            }
            better = errors["mpjpe_mm"] < run.best_mm
            best_mm = min(run.best_mm, errors["mpjpe_mm"])
            run = RunState(run.epoch + 1, best_mm=best_mm, log=[*run.log, row])
            saver.end_epoch(run, errors, better)
            report(
                Info(
                    f"epoch {run.epoch}/{recipe.epochs}: training {train_mm:.1f} mm, "
                    f"{recipe.select_on} {errors['mpjpe_mm']:.1f} (P {errors['p_mpjpe_mm']:.1f})"
                    + (" best" if better else "")
                )
            )
    return folder.best


class Saver:
    """Writes a run's files in the first process, and keeps time in all."""

    def __init__(self, folder: RunFolder, data: TrainingData, learner: Learner) -> None:
        self.folder = folder
        self._data, self._learner = data, learner
        self._saved_at = time.monotonic()

    @property
    def is_due(self) -> bool:
        """Whether the last save was more than `SAVE_S` ago."""
        return time.monotonic() - self._saved_at > SAVE_S

    def save(self, run: RunState) -> None:
        """Write state.pt."""
        learner = self._learner
        if learner.world.is_first:
            learned = learner.state_dict()
            self.folder.save(run, learner.recipe, self._data.provenance, learned)
        self._saved_at = time.monotonic()

    def end_epoch(self, run: RunState, errors: dict[str, float], better: bool) -> None:
        """Write all files; the best checkpoint only if `better`."""
        recipe, data = self._learner.recipe, self._data
        if self._learner.world.is_first:
            checkpoint = Checkpoint(
                model=self._learner.eval_model,
                normalisation=recipe.normalisation,
                fps=data.fps,
                skeleton=data.skeleton.name,
                training={
                    **data.provenance,
                    "recipe": recipe.to_dict(),
                    "epoch": run.epoch,
                    f"{recipe.select_on}_errors": errors,
                },
            )
            for path in [self.folder.best] * better + [self.folder.last]:
                save_checkpoint(path, checkpoint)
            self.folder.write_log(run.log)
        self.save(run)


def train_epoch(
    learner: Learner,
    data: TrainingData,
    run: RunState,
    saver: Saver,
    stop_is_asked: Callable[[], bool],
    progress: Progress,
) -> float:
    """Train on the remaining batches of an epoch, counting them in `run`, and save regularly.

    Returns:
        The paper's loss, averaged over the epoch's samples, metres.
    """
    recipe, world, source = learner.recipe, learner.world, data.source
    steps = math.ceil(source.samples / recipe.batch)
    check_steps = CHECK_STEPS if world.device.type == "cuda" else 1
    # The saved sum is over all processes: count it once.
    before = run.loss_sum if world.is_first else 0.0
    loss_sum = torch.tensor(before, dtype=torch.float64, device=world.device)
    batches = prefetched(source, run.epoch, range(run.step, steps), recipe.batch, world)
    learner.model.train()
    label = f"epoch {run.epoch + 1}/{recipe.epochs}"
    for batch in progress(batches, steps - run.step, label):
        number = run.epoch * steps + run.step
        loss_sum += learner.step(batch, number, learning_rate(recipe, number, steps))
        run.step += 1
        run.samples += batch.size
        if run.step % check_steps and run.step < steps:
            continue
        stop, save = world.any_of(stop_is_asked(), saver.is_due)
        if stop or save:
            run.loss_sum = _checked(world.total(loss_sum), run, saver.folder)
            saver.save(run)
        if stop:
            raise StoppedError(saver.folder.folder, run.epoch + 1, run.step, steps)
    return _checked(world.total(loss_sum), run, saver.folder) / run.samples


def _checked(loss_sum: Tensor, run: RunState, folder: RunFolder) -> float:
    value = float(loss_sum)
    if not math.isfinite(value):
        raise folder.diverged("the loss is no longer finite", run)
    return value


@torch.no_grad()
def validate(
    model: LiftingModel, samples: Samples, recipe: Recipe, world: World
) -> dict[str, float]:
    """Compute MPJPE and P-MPJPE in mm, without flip augmentation; all processes get the result."""
    model.eval()
    errors = torch.zeros(2, dtype=torch.float64, device=world.device)
    index = torch.arange(len(samples))
    for part in index[world.rank :: world.size].split(EVAL_BATCH):
        if not len(part):
            break
        inputs, targets = (t.to(world.device) for t in samples[part])
        # The compiled blocks are for training batches of one size.
        with set_stance("force_eager"), mixed_precision(world.device, recipe.precision):
            predicted = model(inputs)
        p, t = (x.flatten(0, 1).float().cpu().numpy() for x in (predicted, targets))
        if not math.isfinite(float(p.sum())):
            errors.fill_(math.inf)  # no early return: the other processes wait for the sum
            break
        errors += len(part) * errors.new_tensor([mpjpe(p, t), p_mpjpe(p, t)])
    mean = 1000 * world.total(errors) / len(samples)
    return {"mpjpe_mm": float(mean[0]), "p_mpjpe_mm": float(mean[1])}
