"""Tables 1 to 5 and 7: train and evaluate every row, or evaluate given weights."""

from __future__ import annotations

from pathlib import Path

from vidpose.errors import UsageError
from vidpose.evaluation.evaluate import check_fits, evaluate
from vidpose.evaluation.published import POSEFORMER
from vidpose.events import Info
from vidpose.models import load_checkpoint
from vidpose.paper.datasets import ExperimentData, find_data
from vidpose.paper.options import SEEDS, ExperimentOptions
from vidpose.paper.results_table import ResultsTable, RowResult
from vidpose.paper.runs import complete, result_of
from vidpose.paper.tables import EXPERIMENTS, SCRATCH, TUNED, Experiment, Row
from vidpose.paper.workspace import Workspace
from vidpose.zoo.registry import find_weights


def table(name: str, workspace: Workspace, options: ExperimentOptions) -> list[Path]:
    """Run one of Tables 1 to 5 and 7; report, write and plot it."""
    experiment = EXPERIMENTS[name]
    options.rows(experiment)  # raises an error for a wrong name before any long work
    # Virtual cameras cannot replace HumanEva's images.
    usable = {} if name == "table7" else options.choice
    data = find_data(experiment.dataset, workspace, keypoints=experiment.keypoints, **usable)
    source = None
    if not options.weights and any(row.fine_tuned for row in options.rows(experiment)):
        source = _source(data, options.mocap, workspace)
    elif name == "table7" and options.mocap is not None:
        raise UsageError("--mocap has no effect without fine-tuning; leave it out.")
    if options.weights:
        results, how = _measured(options.weights, data, workspace), "weights as given"
    else:
        results, how = _trained(experiment, options, data, source, workspace)
    found = ResultsTable(
        experiment=experiment,
        data=data,
        how=how,
        rows=results,
        can_confirm=data.is_public and options.is_papers and (source is None or source.is_public),
    )
    workspace.report(Info(found.text()))
    return found.write(name, workspace)


def _trained(
    experiment: Experiment,
    options: ExperimentOptions,
    data: ExperimentData,
    source: ExperimentData | None,
    workspace: Workspace,
) -> tuple[list[RowResult], str]:
    """Train and evaluate every row with every seed; also return the budget in words."""
    rows, seeds = options.rows(experiment), options.seeds or SEEDS
    results = [
        RowResult(
            row,
            [
                complete(options.run(row, experiment, data, source, seed), workspace)
                for seed in range(seeds)
            ],
        )
        for row in rows
    ]
    how = options.describe((run.epochs, run.windows) for result in results for run in result.runs)
    how += f", {seeds} seed{'s' if seeds != 1 else ''}"
    return results, how + (f"; fine-tuned from {source.description}" if source else "")


def _source(data: ExperimentData, mocap: Path | None, workspace: Workspace) -> ExperimentData:
    """Return the data for pre-training before HumanEva: Human3.6M, motion capture or synthetic.

    Raises:
        UsageError: motion capture is requested, but focal lengths are unknown, so that networks
            cannot use the normalisation person-2.
    """
    # Virtual cameras have no image size, so the normalisation "screen" is not possible.
    usable = data.has_focal_lengths and not data.clips
    if mocap is not None and not usable:
        raise UsageError(
            "--mocap: table7 can pre-train on motion capture only if the files in --data have "
            "HumanEva's layout and focal lengths; leave it out."
        )
    return find_data("h36m", workspace, mocap=mocap, use_mocap=usable)


def _measured(
    weights: tuple[str, ...], data: ExperimentData, workspace: Workspace
) -> list[RowResult]:
    """Evaluate given weights on all test frames."""
    checkpoints = [load_checkpoint(find_weights(name)) for name in weights]
    for checkpoint in checkpoints:
        check_fits(checkpoint, data.dataset)
    results = []
    for name, checkpoint in zip(weights, checkpoints, strict=True):
        evaluation = evaluate(
            checkpoint,
            data.dataset,
            device=workspace.device,
            report=workspace.report,
            progress=workspace.progress,
        )[0]
        method = POSEFORMER
        if data.replaces == "humaneva":
            method = TUNED if "began_with" in checkpoint.training else SCRATCH
        is_poseformer = checkpoint.model.name == "poseformer"
        paper = (method, evaluation.frames) if is_poseformer else None
        row = Row(str(name), evaluation.label, paper=paper)
        results.append(RowResult(row, [result_of(evaluation, checkpoint, data)]))
    return results
