"""Run Tables 1 to 5 and 7: train and evaluate every row, or evaluate given weights."""

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
    """Reproduce a table of 1 to 5 or 7: train and evaluate; report, write and draw."""
    experiment = EXPERIMENTS[name]
    options.rows(experiment)  # raises for an unknown row before any long work
    # For table7, --mocap is the data for pre-training, see `_source`.
    usable = {} if name == "table7" else options.choice
    data = find_data(
        experiment.dataset,
        workspace,
        keypoints=experiment.keypoints,
        training=not options.weights,
        **usable,
    )
    source = None
    if not options.weights and any(row.fine_tuned for row in options.rows(experiment)):
        source = _source(data, options.mocap, workspace)
    elif name == "table7" and options.mocap is not None:
        raise UsageError("--mocap: no row is fine-tuned; omit the option.")
    if options.weights:
        results, how = _measured(options.weights, data, workspace), "weights as given"
    else:
        results, how = _trained(experiment, options, data, source, workspace)
    found = ResultsTable(
        experiment=experiment,
        data=data,
        how=how,
        rows=results,
        can_confirm=data.is_public
        and options.is_paper_setup
        and (source is None or source.is_public),
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
    """The results of every row with every seed, and the budget in words."""
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
    """The pre-training data for HumanEva: Human3.6M, motion capture or a synthetic dataset.

    Raises:
        UsageError: `mocap` is given, but input cannot be normalised by person.
    """
    # Virtual cameras have no image frame, so both datasets must be normalised by person.
    usable = data.has_focal_lengths and not data.clips
    if mocap is not None and not usable:
        raise UsageError(
            "--mocap: table7 can pre-train on motion capture only if the files in --data are in "
            "HumanEva's layout with focal lengths; omit the option."
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
