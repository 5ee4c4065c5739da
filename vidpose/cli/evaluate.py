"""`vidpose eval` and `vidpose paper`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from vidpose.cli.common import DATA, FILE, TEST_SUBJECTS, names, say, usual_data
from vidpose.cli.options import Number, from_fields
from vidpose.errors import UsageError
from vidpose.options import LiftOptions


@click.command("eval")
@click.argument("more_weights", metavar="[WEIGHTS]...", nargs=-1)
@click.option(
    "--dataset",
    type=click.Choice(["h36m", "humaneva", "mpi_inf_3dhp", "mocap", "synthetic", "custom"]),
    required=True,
    help="Dataset, with its test sequences and protocol.",
)
@DATA
@TEST_SUBJECTS
@click.option("--actions", callback=names, metavar="NAME,...", help="Only these actions.")
@click.option(
    "--weights",
    "weights_options",
    multiple=True,
    metavar="NAME|PATH",
    help="Weights to evaluate: a name of weights that come with vidpose, or a checkpoint; "
    "repeatable. [default: default]",
)
@click.option(
    "--compare",
    "together",
    is_flag=True,
    help="Evaluate two or more WEIGHTS and plot them together: --compare A B.",
)
@click.option(
    "--keypoints",
    metavar="NAME",
    help="The 2D joints to lift, as in data_2d_h36m_NAME.npz: cpn_ft_h36m_dbb, gt ... "
    "[default: those usual for the dataset]",
)
@from_fields(LiftOptions, only=("flip", "device"))
@click.option(
    "--joints",
    type=click.Choice(["14", "16", "17"]),
    help="Average over these joints: 16 excludes the root, 14 also spine and nose. [default: all]",
)
@click.option(
    "--show",
    type=click.Choice(["action", "joint", "joint-action", "sequence"]),
    multiple=True,
    default=("action", "joint"),
    show_default=True,
    help="A table to print; repeatable.",
)
@click.option("--csv", type=FILE, metavar="FILE", help="Write every table as CSV.")
@click.option(
    "--json", type=FILE, metavar="FILE", help="Write the data of all tables and plots as JSON."
)
@click.option(
    "--plots",
    type=FILE,
    metavar="DIR",
    help="Folder for error plots. [default, with --compare: outputs/eval]",
)
@click.option(
    "--action", metavar="NAME", help="Plot the per-joint errors of this row of the table only."
)
def evaluate(
    more_weights: tuple[str, ...],
    weights_options: tuple[str, ...],
    together: bool,
    dataset: str,
    data: Path | None,
    joints: str | None,
    flip: bool,
    device: str,
    **options: Any,
) -> None:
    """Evaluate weights on a dataset, following its published protocol.

    Lifts every frame of the test sequences at the dataset's own frame rate. Tables show published
    numbers next to ours, each marked as read or as unverified.
    """
    from vidpose.datasets import open_dataset
    from vidpose.evaluation.compare import Outputs, compare
    from vidpose.utils.progress import bar

    names = weights_options + more_weights or ("default",)
    if together and len(names) < 2:
        raise UsageError("--compare needs two weights or more, as in: eval --compare A B.")
    if len(names) > 1:
        options["plots"] = options["plots"] or Path("outputs/eval")
    choice = {key: options[key] for key in ("keypoints", "test_subjects", "actions")}
    if dataset not in ("custom", "mocap"):
        choice["train_subjects"] = ()  # their files are large, and may be missing
    compare(
        names,
        lambda: open_dataset(dataset, data or usual_data(dataset), **choice),
        flip=flip,
        joints=None if joints is None else int(joints),
        device=device,
        outputs=Outputs(**{key: value for key, value in options.items() if key not in choice}),
        report=say,
        progress=bar("sequences"),
    )


@click.command("paper")
@click.argument("name", metavar="TABLE|FIGURE")
@click.option(
    "-o",
    "--out",
    type=FILE,
    default=Path("outputs/paper"),
    show_default=True,
    help="Folder for NAME.csv, NAME.png and the runs; finished runs in it are not repeated.",
)
@click.option(
    "--data",
    type=FILE,
    default=Path("data"),
    show_default=True,
    help="Folder of the datasets. A missing one is replaced by DIR/mocap if that exists, else by "
    "DIR/synthetic, which is generated.",
    metavar="DIR",
)
@click.option(
    "--mocap", type=FILE, metavar="DIR", help="Run on this motion capture; table7: start from it."
)
@TEST_SUBJECTS
@click.option(
    "--weights",
    multiple=True,
    metavar="NAME|PATH",
    help="Evaluate or visualise these weights instead of training; repeatable.",
)
@click.option(
    "--size",
    type=click.Choice(["small", "paper"]),
    help="Networks to train: small ones, a minute each on a CPU, or the paper's, with the recipe "
    "of `vidpose train`. [default: small]",
)
@click.option("--epochs", type=Number(int, 1), metavar="N", help="Epochs per run.")
@click.option(
    "--fraction",
    type=Number(float, 1e-6, 1),
    metavar="X",
    help="Fraction of the training windows to use per epoch.",
)
@click.option("--seeds", type=Number(int, 1), metavar="N", help="Runs per row. [default: 2]")
@click.option("--only", callback=names, metavar="ROW,...", help="Only these rows of the table.")
@click.option("--action", metavar="NAME", help="figure3: the errors on this action.")
@click.option("--video", type=FILE, help="figure4 to figure6: use your own video.")
@click.option(
    "--result",
    type=FILE,
    metavar="RESULT.npz",
    help="figure4 to figure6: use a result of `vidpose infer`, without detecting again.",
)
@click.option(
    "--person",
    type=Number(int),
    metavar="ID",
    help="The person in --result or --video. [default: the one visible longest]",
)
@click.option(
    "--sequence", metavar="SUBJECT/ACTION/CAMERA", help="figure4 to figure6: use a test sequence."
)
@click.option(
    "--at",
    type=Number(float),
    metavar="S",
    help="figure4 to figure6: time in seconds. [default: the middle]",
)
@from_fields(LiftOptions, only=("device",))
def paper(name: str, out: Path, data: Path, device: str, **options: Any) -> None:
    """Reproduce a table or figure of the PoseFormer paper: table1 to table7, figure3 to figure6.

    Each uses whatever data is available and reports which; published numbers appear next to ours,
    each marked as read or as unverified. docs/paper.md describes every table and figure.
    """
    from vidpose.paper import rerun
    from vidpose.utils.progress import bar

    given = {key: value for key, value in options.items() if value not in (None, ())}
    rerun(name, out, data, device=device, report=say, progress=bar("steps"), **given)
