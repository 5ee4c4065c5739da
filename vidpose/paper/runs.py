"""Runs of an experiment, trained as by `vidpose train` and evaluated as by `vidpose eval`.

The name of a run's folder has a checksum of everything that determines its numbers. So tables
share runs, no run is repeated, and an interrupted one is resumed.
"""

from __future__ import annotations

import json
import zlib
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import chain
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import torch

from vidpose.datasets.virtual_cameras import Variation
from vidpose.errors import DataError
from vidpose.evaluation.evaluate import METRICS, Evaluation, SequenceErrors, evaluate
from vidpose.events import Info
from vidpose.models import Checkpoint, load_checkpoint
from vidpose.models.flops import parameters
from vidpose.paper.datasets import ExperimentData
from vidpose.paper.workspace import Workspace
from vidpose.training.batches import (
    Batch,
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
from vidpose.utils.outside import parse_object, reading

FORMAT = "vidpose-paper-run/1"
QUICK_VAL_WINDOWS = 1024


@dataclass(frozen=True, kw_only=True)
class Budget:
    """How many windows a run trains on, and how many frames it is evaluated on."""

    windows: int | None
    """Windows per epoch; None: all."""
    fraction: float | None
    """Share of all windows in an epoch; replaces `windows`."""
    test_frames: int | None
    """Approximate number of test frames; None: all."""

    def of(self, total: int) -> int:
        """Return the windows per epoch if there are `total`."""
        if self.fraction is not None:
            return max(1, round(self.fraction * total))
        return total if self.windows is None else min(self.windows, total)


@dataclass(frozen=True, kw_only=True)
class Run:
    """One training run of a network."""

    recipe: Recipe
    data: ExperimentData = field(repr=False)
    budget: Budget
    before: Run | None = None
    """The run whose weights initialise this one."""

    def identity(self) -> dict[str, Any]:
        """Return everything that determines the numbers, as JSON values.

        Keys are fixed: folders of finished runs are named by a checksum of them.
        """
        recipe = self.recipe.to_dict()
        recipe["singles"] = recipe.pop("single_frame")
        del recipe["mixed"]  # always 0
        return {
            "recipe": recipe,
            "material": self.data.identity,
            "budget": vars(self.budget),
            "before": None if self.before is None else self.before.identity(),
        }

    def folder(self, runs: Path) -> Path:
        """Return the run's folder, named by model, window, seed and a checksum of `identity`."""
        checksum = zlib.crc32(json.dumps(self.identity(), sort_keys=True).encode())
        r = self.recipe
        return runs / f"{r.model}-f{r.frames}-seed{r.seed}-{checksum:08x}"


@dataclass(frozen=True, kw_only=True)
class RunResult:
    """The evaluation of one network."""

    model: str
    frames: int
    parameters: int
    keypoints: str
    means: dict[str, float]
    """By key of `METRICS`: the protocol's mean."""
    columns: dict[str, dict[str, float]]
    """Means by column and key."""
    epochs: int | None = None
    windows: int | None = None
    """Windows per epoch."""
    seed: int | None = None
    where: str = ""
    """The run's folder, or the file of the weights."""


def complete(run: Run, workspace: Workspace) -> RunResult:
    """Train and evaluate a run, resume an interrupted one, or read the result of a finished one."""
    folder = run.folder(workspace.runs)
    path = folder / "result.json"
    if (found := _read(path)) is not None:
        return found
    best = trained(run, workspace)
    dataset = run.data.shortened(run.budget.test_frames)
    evaluation = evaluate(best, dataset, device=workspace.device, progress=workspace.progress)[0]
    result = replace(
        result_of(evaluation, best, run.data),
        epochs=run.recipe.epochs,
        windows=int(best.training["windows_an_epoch"]),
        seed=run.recipe.seed,
        where=str(folder),
    )
    with replacing(path) as temporary:
        temporary.write_text(json.dumps({"format": FORMAT} | vars(result), indent=1) + "\n")
    return result


def trained(run: Run, workspace: Workspace) -> Checkpoint:
    """Train a run to its end, resuming it if needed, and load its best weights."""
    folder = RunFolder(run.folder(workspace.runs))
    if not _is_finished(folder, run.recipe.epochs):
        resume = folder.state.exists()
        init = None if run.before is None or resume else trained(run.before, workspace)
        by_count = resume and folder.splits_by_count()
        workspace.report(Info(f"Training {folder.folder.name}"))
        train(
            training_data(run, workspace.device, by_count=by_count),
            folder.folder,
            run.recipe,
            World(workspace.device, ""),
            resume=resume,
            init=init,
            progress=workspace.progress,
        )
    return load_checkpoint(folder.best)


def _is_finished(folder: RunFolder, epochs: int) -> bool:
    if not (folder.best.exists() and folder.log.exists()):
        return False
    return len(folder.log.read_text().splitlines()) > epochs


def training_data(run: Run, device: torch.device, *, by_count: bool = False) -> TrainingData:
    """Return a run's training data within its budget; `by_count` as in `mocap_data`."""
    budget, recipe, dataset = run.budget, run.recipe, run.data.dataset
    if run.data.clips:
        clean = dataset.keypoints == "clean"
        vary = replace(Variation(), noise=0.0) if clean else Variation()
        recipe = replace(recipe, windows=budget.of(recipe.windows))
        data = mocap_data(
            run.data.clips, run.data.held_out, recipe, device, vary=vary, by_count=by_count
        )
    else:
        data = dataset_data(dataset, recipe, device, by_count=by_count)
        count = budget.of(data.source.samples)
        validation = data.validation
        if budget.windows is not None or budget.fraction is not None:
            validation = downsampled(validation, QUICK_VAL_WINDOWS)
        data = replace(data, source=FirstSamples(data.source, count), validation=validation)
    return replace(data, provenance=data.provenance | {"windows_an_epoch": data.source.samples})


class FirstSamples:
    """The first samples of every epoch of a source, which reshuffles for each epoch."""

    def __init__(self, source: Source, samples: int) -> None:
        self.samples, self.on_host = samples, source.on_host
        self._source = source

    def batch(self, epoch: int, step: int, size: int, world: World) -> Batch:
        """See `vidpose.training.batches.Source`."""
        batch = self._source.batch(epoch, step, size, world)
        total = min(batch.size, self.samples - step * size)
        mine = max(0, total - batch.start)
        return Batch(batch.inputs[:mine], batch.targets[:mine], batch.start, total)


def downsampled(samples: Samples, count: int) -> Samples:
    """Keep about `count` of the samples, evenly spaced."""
    if len(samples) <= count:
        return samples
    return FixedWindows(*samples[torch.linspace(0, len(samples) - 1, count).long()])


def result_of(evaluation: Evaluation, checkpoint: Checkpoint, data: ExperimentData) -> RunResult:
    """Extract a table's numbers from an evaluation."""
    columns: dict[str, list[SequenceErrors]] = {}
    for sequence in chain(*evaluation.groups.values()):
        columns.setdefault(data.column(sequence), []).append(sequence)
    families = {
        f"{key} of {family}": evaluation.over_joints(key, evaluation.by_group(key, groups))
        for family, groups in evaluation.families.items()
        for key in METRICS
    }
    return RunResult(
        model=checkpoint.model.name,
        frames=evaluation.frames,
        parameters=parameters(checkpoint.model),
        keypoints=evaluation.keypoints,
        means={key: evaluation.value(key) for key in METRICS} | families,
        columns={
            name: evaluation.all_metrics(partial(evaluation.pooled, sequences=members))
            for name, members in columns.items()
        },
        where=str(checkpoint.path or ""),
    )


def _read(path: Path) -> RunResult | None:
    """Read the result of a finished run; None if there is none.

    Raises:
        DataError: the file is not such a result.
    """
    if not path.exists():
        return None
    with reading(path, DataError, "is not a result of `vidpose paper`", "delete its folder"):
        content = parse_object("the file", path.read_bytes())
        if content.pop("format") != FORMAT:
            raise ValueError(f"its format is not {FORMAT}")
        result = RunResult(**content)
        for name, value in result.means.items():
            if not isinstance(value, float):
                raise ValueError(f"{name} is not a number")
    return result


def mean_and_spread(values: list[float]) -> tuple[float, float | None]:
    """Mean and standard deviation (n - 1) over runs; the latter is None for a single run."""
    return mean(values), stdev(values) if len(values) > 1 else None
