"""Runs of an experiment: trained with the loop of `vidpose train`, measured with `vidpose eval`'s.

A run's folder is named by all that decides it, so tables share runs, a run is never repeated, and
one that was broken off is resumed.
"""

from __future__ import annotations

import json
import math
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from vidpose.datasets.virtual_cameras import Variation
from vidpose.errors import DataError
from vidpose.evaluation.evaluate import METRICS, Evaluation, evaluate
from vidpose.models import Checkpoint, load_checkpoint
from vidpose.models.flops import parameters
from vidpose.paper.datasets import Material
from vidpose.training.batches import (
    FixedWindows,
    Samples,
    Source,
    TrainingData,
    dataset_data,
    mocap_data,
)
from vidpose.training.distributed import World
from vidpose.training.loop import train
from vidpose.training.recipe import Recipe
from vidpose.training.run_folder import RunFolder
from vidpose.utils.files import replacing
from vidpose.utils.progress import Progress, silent

FORMAT = "vidpose-paper-run/1"
QUICK_VAL_WINDOWS = 1024


@dataclass(frozen=True, kw_only=True)
class Budget:
    """How much a run may cost."""

    windows: int | None
    """In an epoch; None: as many as there are."""
    fraction: float | None
    """Of the windows there are, in place of `windows`."""
    test_frames: int | None
    """Frames that are measured on, about; None: all."""

    def of(self, everything: int) -> int:
        """Windows in an epoch, of so many."""
        if self.fraction is not None:
            return max(1, round(self.fraction * everything))
        return everything if self.windows is None else min(self.windows, everything)


@dataclass(frozen=True, kw_only=True)
class Run:
    """One network, trained once."""

    recipe: Recipe
    material: Material = field(repr=False)
    budget: Budget
    before: Run | None = None
    """The run whose weights it begins with."""

    def identity(self) -> dict[str, Any]:
        """All that decides its numbers; JSON values."""
        return {
            "recipe": self.recipe.to_dict(),
            "material": self.material.identity,
            "budget": vars(self.budget),
            "before": None if self.before is None else self.before.identity(),
        }

    def folder(self, runs: Path) -> Path:
        """Where it is; by name and a checksum of its identity."""
        mark = zlib.crc32(json.dumps(self.identity(), sort_keys=True).encode())
        r = self.recipe
        return runs / f"{r.model}-f{r.frames}-seed{r.seed}-{mark:08x}"


@dataclass(frozen=True, kw_only=True)
class Numbers:
    """What was measured of one network."""

    model: str
    frames: int
    parameters: int
    keypoints: str
    means: dict[str, float]
    """By key of `METRICS`, what the protocol's papers print."""
    columns: dict[str, dict[str, float]]
    """By column, then by key."""
    epochs: int | None = None
    windows: int | None = None
    """In an epoch."""
    seed: int | None = None
    where: str = ""
    """The run's folder, or the weights' file."""


def complete(
    run: Run,
    runs: Path,
    device: torch.device,
    *,
    report: Callable[[str], None] = lambda line: None,
    progress: Progress = silent,
) -> Numbers:
    """Train and measure, or go on where that was broken off, or read what was found before."""
    folder = run.folder(runs)
    result = folder / "result.json"
    if (found := _read(result)) is not None:
        return found
    best = trained(run, runs, device, report=report, progress=progress)
    dataset = run.material.dataset
    if run.budget.test_frames is not None:
        dataset = run.material.shortened(run.budget.test_frames)
    evaluation = evaluate(best, dataset, device=device, progress=progress)[0]
    numbers = replace(
        numbers_of(evaluation, best, run.material),
        epochs=run.recipe.epochs,
        windows=int(best.training["windows_an_epoch"]),
        seed=run.recipe.seed,
        where=str(folder),
    )
    with replacing(result) as temporary:
        temporary.write_text(json.dumps({"format": FORMAT} | vars(numbers), indent=1) + "\n")
    return numbers


def trained(
    run: Run,
    runs: Path,
    device: torch.device,
    *,
    report: Callable[[str], None] = lambda line: None,
    progress: Progress = silent,
) -> Checkpoint:
    """The best weights of a run, trained to its end."""
    folder = RunFolder(run.folder(runs))
    init = None
    if run.before is not None:
        init = trained(run.before, runs, device, report=report, progress=progress)
    if not _is_finished(folder, run.recipe.epochs):
        report(f"Training {folder.folder.name}")
        train(
            training_data(run, device),
            folder.folder,
            run.recipe,
            World(device, ""),
            resume=folder.state.exists(),
            init=init,
            report=lambda line: None,
            progress=progress,
        )
    return load_checkpoint(folder.best)


def _is_finished(folder: RunFolder, epochs: int) -> bool:
    if not (folder.best.exists() and folder.log.exists()):
        return False
    return len(folder.log.read_text().splitlines()) > epochs


def training_data(run: Run, device: torch.device) -> TrainingData:
    """What a run learns from, cut to its budget."""
    material, budget, recipe = run.material, run.budget, run.recipe
    if material.clips:
        clean = material.dataset.keypoints == "clean"
        vary = replace(Variation(), noise=0.0) if clean else Variation()
        recipe = replace(recipe, windows=budget.of(recipe.windows))
        data = mocap_data(material.clips, material.held_out, recipe, device, vary=vary)
    else:
        data = dataset_data(material.dataset, recipe, device)
        count = budget.of(data.source.samples)
        validation = data.validation
        if budget.windows is not None or budget.fraction is not None:
            validation = thinned(validation, QUICK_VAL_WINDOWS)
        data = replace(data, source=Part(data.source, count), validation=validation)
    return replace(data, told=data.told | {"windows_an_epoch": data.source.samples})


class Part:
    """The first so many samples of every epoch of a source, which shuffles anew for each."""

    def __init__(self, source: Source, samples: int) -> None:
        self.samples, self.on_host = samples, source.on_host
        self._source = source

    def batch(self, epoch: int, step: int, size: int, world: World) -> tuple[Tensor, Tensor, int]:
        """See `vidpose.training.batches.Source`."""
        inputs, targets, whole = self._source.batch(epoch, step, size, world)
        left = self.samples - step * size
        return inputs[:left], targets[:left], min(whole, left)


def thinned(samples: Samples, count: int) -> Samples:
    """About so many of the samples, evenly."""
    if len(samples) <= count:
        return samples
    return FixedWindows(*samples[torch.linspace(0, len(samples) - 1, count).long()])


def numbers_of(evaluation: Evaluation, checkpoint: Checkpoint, material: Material) -> Numbers:
    """What a table needs of an evaluation."""
    columns: dict[str, list[int]] = {}
    for group in evaluation.groups.values():
        for i in group:
            columns.setdefault(material.column(evaluation.sequences[i]), []).append(i)
    return Numbers(
        model=checkpoint.model.name,
        frames=evaluation.frames,
        parameters=parameters(checkpoint.model),
        keypoints=evaluation.keypoints,
        means={key: evaluation.value(key) for key in METRICS}
        | {
            f"{key} of {family}": evaluation.over_joints(key, evaluation.by_group(key, groups))
            for family, groups in evaluation.families.items()
            for key in METRICS
        },
        columns={
            name: {
                key: evaluation.over_joints(key, evaluation.pooled(key, members)) for key in METRICS
            }
            for name, members in columns.items()
        },
        where=str(checkpoint.path or ""),
    )


def _read(path: Path) -> Numbers | None:
    """A result written before; None if there is none.

    Raises:
        DataError: it is something else.
    """
    if not path.exists():
        return None
    try:
        content = json.loads(path.read_text())
        if content.pop("format") != FORMAT:
            raise ValueError
        numbers = Numbers(**content)
        if not all(isinstance(v, float) for v in numbers.means.values()):
            raise ValueError
    except (ValueError, KeyError, TypeError, AttributeError):
        raise DataError(f"{path} is no result of `vidpose paper`; delete its folder.") from None
    return numbers


def mean_and_spread(values: list[float]) -> tuple[float, float | None]:
    """The mean over runs, and their standard deviation (n - 1); None for a single one."""
    mean = sum(values) / len(values)
    if len(values) < 2:
        return mean, None
    return mean, math.sqrt(sum((v - mean) ** 2 for v in values) / (len(values) - 1))
