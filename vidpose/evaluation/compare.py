"""`vidpose eval`: evaluate one or several checkpoints on a dataset and write the results."""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Sequence as ListOf
from dataclasses import dataclass
from pathlib import Path

from vidpose.datasets.dataset import Dataset
from vidpose.errors import UsageError
from vidpose.evaluation import tables
from vidpose.evaluation.evaluate import Evaluation, check_fits, evaluate
from vidpose.evaluation.protocols import protocol_of, scored_joints
from vidpose.events import FileWritten, Info, Report, Setup, ignore
from vidpose.models import load_checkpoint
from vidpose.utils.devices import choose_device
from vidpose.utils.files import check_writable
from vidpose.utils.marks import check_numbers
from vidpose.utils.progress import Progress, silent
from vidpose.zoo.registry import find_weights


@dataclass(frozen=True, kw_only=True)
class Outputs:
    """Which tables are reported, and which files are written."""

    show: tuple[str, ...] = ("action", "joint")
    """The reported tables, of `tables.TABLES`."""
    plots: Path | None = None
    """A folder for plots."""
    action: str | None = None
    """Plot the errors by joint only for this row of the table."""
    csv: Path | None = None
    json: Path | None = None

    def check(self) -> None:
        """Check, before the evaluation, that every output can be written.

        Raises:
            UsageError: an output would replace a file that vidpose did not write, or two outputs
                have the same name.
            VidposeError: an output cannot be written.
        """
        check_numbers(self.csv, tables.CSV_MARK, self.json, tables.FORMAT.encode())
        if self.plots:
            check_writable(self.plots / "joints.png")

    def write(self, found: ListOf[tuple[Evaluation, ...]], report: Report) -> None:
        """Write the files and plots of the evaluations that `compare` returns."""
        every = [evaluation for evaluations in found for evaluation in evaluations]
        for path, write in ((self.csv, tables.write_csv), (self.json, tables.write_json)):
            if path:
                write(path, every)
                report(FileWritten("Written", path))
        if self.plots:
            from vidpose.evaluation import plots

            firsts = [evaluations[0] for evaluations in found]
            for path in plots.draw_all(self.plots, firsts, self.action):
                report(FileWritten("Written", path))


def compare(
    weights: ListOf[str | Path],
    open_data: Callable[[], Dataset],
    *,
    flip: bool = True,
    joints: int | None = None,
    device: str = "auto",
    outputs: Outputs = Outputs(),
    report: Report = ignore,
    progress: Progress = silent,
) -> list[tuple[Evaluation, ...]]:
    """Evaluate weights on a dataset's test sequences; report tables, write files and plots.

    Args:
        weights: names of weights that come with vidpose, or paths of checkpoints.
        open_data: opens the dataset, as `vidpose.datasets.open_dataset` does; called after
            weights and outputs have been checked.
        flip: use flip averaging; the numbers without it are reported, too.
        joints: see `vidpose.evaluation.protocols.scored_joints`.
        device: auto, cpu or cuda.
        outputs: the tables to report and the files to write.
        report: receives the tables, notes and warnings.
        progress: wraps the sequences of each checkpoint.

    Returns:
        The result of `evaluate` for each of the weights.

    Raises:
        UsageError: weights do not fit the dataset, are given twice, or are too many for a plot;
            the dataset has no such action.
        DataError: the dataset cannot be read or has no frame to score.
        WeightsError: weights cannot be read.
        VidposeError: an output cannot be written, or a network predicts NaN or infinity.
    """
    outputs.check()
    labels = _labels([find_weights(name) for name in weights])
    checkpoints = {label: load_checkpoint(path) for path, label in labels.items()}
    if outputs.plots:
        from vidpose.evaluation import plots

        plots.check_count(len(checkpoints))
    chosen, why = choose_device(device)
    dataset = open_data()
    for checkpoint in checkpoints.values():
        check_fits(checkpoint, dataset)
    scored_joints(dataset.skeleton, joints)
    check_action(dataset, outputs.action)

    what = f"{', '.join(checkpoints)} on {dataset.title}"
    report(Setup(f"Measuring {what}. Device: {chosen.type} ({why})."))
    found = []
    for label, checkpoint in checkpoints.items():
        evaluations = evaluate(
            checkpoint,
            dataset,
            flip=flip,
            joints=joints,
            device=chosen,
            label=label,
            report=report,
            progress=progress,
        )
        report(Info(f"\n{tables.text(evaluations, outputs.show)}"))
        found.append(evaluations)
    firsts = [evaluations[0] for evaluations in found]
    if len(firsts) > 1:
        report(Info(f"\n{tables.comparison(firsts)}"))
    if printed := tables.literature(firsts[0]):
        report(Info(f"\n{printed}"))
    outputs.write(found, report)
    return found


def _labels(paths: ListOf[Path]) -> dict[Path, str]:
    """Label each path by its shortest unique tail, without the suffix."""
    full = [path.resolve().with_suffix("") for path in paths]
    twice = next((p for p, f in zip(paths, full, strict=True) if full.count(f) > 1), None)
    if twice:
        raise UsageError(f"{twice} is given twice; choose different weights to compare.")
    for length in range(1, max(len(path.parts) for path in full) + 1):
        labels = ["/".join(path.parts[-length:]) for path in full]
        if len(set(labels)) == len(labels):
            break
    return dict(zip(paths, labels, strict=True))


def check_action(dataset: Dataset, action: str | None) -> None:
    """Raise UsageError if no test sequence belongs to this row of the table."""
    group = protocol_of(dataset).group
    known = sorted({group(sequence) for sequence in dataset.test if sequence.valid.any()})
    if action is not None and action not in known:
        raise UsageError(
            f"--action {action}: the test sequences of {dataset.name} have {', '.join(known)}."
        )
