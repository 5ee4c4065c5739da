"""`vidpose eval`: one checkpoint or several measured on a dataset, and what is written."""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Sequence as ListOf
from dataclasses import dataclass
from pathlib import Path

from vidpose.datasets import open_dataset
from vidpose.datasets.dataset import Dataset
from vidpose.errors import UsageError
from vidpose.evaluation import tables
from vidpose.evaluation.evaluate import Evaluation, check_fits, evaluate, protocol_of, scored_joints
from vidpose.models import load_checkpoint
from vidpose.utils.devices import choose_device
from vidpose.utils.files import check_writable
from vidpose.utils.progress import Progress, silent
from vidpose.zoo.registry import find_weights


@dataclass(frozen=True, kw_only=True)
class Outputs:
    """Where the numbers go."""

    show: tuple[str, ...] = ("action", "joint")
    """Which of `tables.TABLES` are reported."""
    plots: Path | None = None
    """A folder for pictures."""
    action: str | None = None
    """Draw the errors by joint for this row of the table only."""
    csv: Path | None = None
    json: Path | None = None

    def check(self) -> None:
        """Raise VidposeError, before long work, if one of them could not be written."""
        plot = self.plots / "joints.png" if self.plots else None
        for path in (self.csv, self.json, plot):
            if path:
                check_writable(path)


def compare(
    weights: ListOf[str | Path],
    dataset: str,
    data: Path,
    *,
    keypoints: str | None = None,
    test_subjects: ListOf[str] | None = None,
    actions: ListOf[str] | None = None,
    flip: bool = True,
    joints: int | None = None,
    device: str = "auto",
    outputs: Outputs = Outputs(),
    report: Callable[[str], None] = print,
    progress: Progress = silent,
) -> list[tuple[Evaluation, ...]]:
    """Measure weights on a dataset's test sequences; report, write and draw what was found.

    Args:
        weights: names of weights that come with vidpose, or paths of checkpoints.
        dataset: as `vidpose.datasets.open_dataset` calls it.
        data: its folder.
        keypoints: which 2D joints; by default the dataset's usual.
        test_subjects: whom to measure on; by default the field's protocol.
        actions: exact names of groups of actions; by default the field's protocol.
        flip: average with the mirror image; the numbers without it are reported beside.
        joints: see `vidpose.evaluation.evaluate.scored_joints`.
        device: auto, cpu or cuda.
        outputs: what is written, besides the report.
        report: takes the tables, and what there is to say.
        progress: wraps the sequences of each checkpoint.

    Returns:
        For each of the weights what `evaluate` returns.

    Raises:
        UsageError: weights do not fit the dataset, are given twice, or are too many for a plot;
            the dataset has no such action.
        DataError: the dataset cannot be read, or there is nothing to measure on.
        WeightsError: weights cannot be read.
        VidposeError: an output cannot be written, or a network's poses are not numbers.
    """
    outputs.check()
    labels = _labels([find_weights(name) for name in weights])
    checkpoints = {label: load_checkpoint(path) for path, label in labels.items()}
    if outputs.plots:
        from vidpose.render import plots

        plots.check_count(len(checkpoints))
    chosen, why = choose_device(device)
    opened = open_dataset(
        dataset, data, keypoints=keypoints, test_subjects=test_subjects, actions=actions
    )
    for checkpoint in checkpoints.values():
        check_fits(checkpoint, opened)
    scored_joints(opened.skeleton, joints)
    _check_action(opened, outputs.action)

    report(f"Measuring {', '.join(checkpoints)} on {opened.name}. Device: {chosen.type} ({why}).")
    found = []
    for label, checkpoint in checkpoints.items():
        evaluations = evaluate(
            checkpoint,
            opened,
            flip=flip,
            joints=joints,
            device=chosen,
            label=label,
            report=report,
            progress=progress,
        )
        report(f"\n{tables.text(evaluations, outputs.show)}")
        found.append(evaluations)
    firsts = [evaluations[0] for evaluations in found]
    if len(firsts) > 1:
        report(f"\n{tables.comparison(firsts)}")
    if printed := tables.literature(firsts[0]):
        report(f"\n{printed}")
    _write(outputs, found, report)
    return found


def _write(
    outputs: Outputs, found: list[tuple[Evaluation, ...]], report: Callable[[str], None]
) -> None:
    every = [evaluation for evaluations in found for evaluation in evaluations]
    for path, write in ((outputs.csv, tables.write_csv), (outputs.json, tables.write_json)):
        if path:
            write(path, every)
            report(f"Written: {path}")
    if outputs.plots:
        from vidpose.render import plots

        firsts = [evaluations[0] for evaluations in found]
        for path in plots.draw_all(outputs.plots, firsts, outputs.action):
            report(f"Drawn: {path}")


def _labels(paths: ListOf[Path]) -> dict[Path, str]:
    """The shortest end of each path that tells it from the others, without its suffix."""
    whole = [path.resolve().with_suffix("") for path in paths]
    twice = next((p for p, w in zip(paths, whole, strict=True) if whole.count(w) > 1), None)
    if twice:
        raise UsageError(f"{twice} is given twice; give other weights to compare.")
    for length in range(1, max(len(path.parts) for path in whole) + 1):
        labels = ["/".join(path.parts[-length:]) for path in whole]
        if len(set(labels)) == len(labels):
            break
    return dict(zip(paths, labels, strict=True))


def _check_action(dataset: Dataset, action: str | None) -> None:
    group = protocol_of(dataset).group
    known = sorted({group(sequence) for sequence in dataset.test if sequence.valid.any()})
    if action is not None and action not in known:
        raise UsageError(
            f"--action {action}: the test sequences of {dataset.name} have {', '.join(known)}."
        )
