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
    help="Whose test sequences, and whose protocol.",
)
@DATA
@TEST_SUBJECTS
@click.option("--actions", callback=names, metavar="NAME,...", help="Only these groups of actions.")
@click.option(
    "--weights",
    "weights_options",
    multiple=True,
    metavar="NAME|PATH",
    help="What is measured: weights that come with vidpose, or a checkpoint. [default: default]",
)
@click.option(
    "--compare",
    "together",
    is_flag=True,
    help="Measure two or more WEIGHTS, and draw them in one plot: --compare A B.",
)
@click.option(
    "--keypoints",
    metavar="NAME",
    help="The 2D joints to lift, as in data_2d_h36m_NAME.npz: cpn_ft_h36m_dbb, gt ... "
    "[default: the dataset's usual]",
)
@from_fields(LiftOptions, only=("flip", "device"))
@click.option(
    "--joints",
    type=click.Choice(["14", "16", "17"]),
    help="Average over these joints: 16 leave out the root, 14 spine and nose, too. [default: all]",
)
@click.option(
    "--show",
    type=click.Choice(["action", "joint", "joint-action", "sequence"]),
    multiple=True,
    default=("action", "joint"),
    show_default=True,
    help="A table to print; may be given several times.",
)
@click.option("--csv", type=FILE, metavar="FILE", help="Write every table as CSV.")
@click.option("--json", type=FILE, metavar="FILE", help="Write all that tables and plots show.")
@click.option(
    "--plots",
    type=FILE,
    metavar="DIR",
    help="Draw the errors into this folder. [default, with --compare: outputs/eval]",
)
@click.option(
    "--action", metavar="NAME", help="Draw the errors by joint of this row of the table only."
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
    """Measure weights on a dataset, by the protocol of its papers.

    Every frame of the dataset's test sequences is lifted, at the dataset's own frame rate. The
    numbers that papers print stand next to ours, each marked as read or as unverified.
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
    help="Where the datasets are. In place of a missing one DIR/mocap is used, if it is there, "
    "else DIR/synthetic, which is made.",
    metavar="DIR",
)
@click.option(
    "--mocap", type=FILE, metavar="DIR", help="Run on this motion capture; table7: begin with it."
)
@TEST_SUBJECTS
@click.option(
    "--weights",
    multiple=True,
    metavar="NAME|PATH",
    help="Measure, or look into, these weights, and train nothing; may be given several times.",
)
@click.option(
    "--size",
    type=click.Choice(["small", "paper"]),
    help="What is trained: small networks that a CPU can train in a minute, or the paper's, with "
    "the recipe of `vidpose train`. [default: small]",
)
@click.option("--epochs", type=Number(int, 1), metavar="N", help="Of each run.")
@click.option(
    "--fraction",
    type=Number(float, 1e-6, 1),
    metavar="X",
    help="The share of the training windows that an epoch goes through.",
)
@click.option("--seeds", type=Number(int, 1), metavar="N", help="Runs of each row. [default: 2]")
@click.option("--only", callback=names, metavar="ROW,...", help="Only these rows of the table.")
@click.option("--action", metavar="NAME", help="figure3: the errors on this action.")
@click.option("--video", type=FILE, help="figure4 to figure6: look at your own video.")
@click.option(
    "--result",
    type=FILE,
    metavar="RESULT.npz",
    help="figure4 to figure6: look at a result of `vidpose infer`; nothing is detected again.",
)
@click.option(
    "--person",
    type=Number(int),
    metavar="ID",
    help="The person in --result or --video. [default: the one seen longest]",
)
@click.option(
    "--sequence", metavar="SUBJECT/ACTION/CAMERA", help="figure4 to figure6: a test sequence."
)
@click.option(
    "--at",
    type=Number(float),
    metavar="S",
    help="figure4 to figure6: the moment. [default: the middle]",
)
@from_fields(LiftOptions, only=("device",))
def paper(name: str, out: Path, data: Path, device: str, **options: Any) -> None:
    """Rerun a table or figure of the PoseFormer paper: table1 to table7, figure3 to figure6.

    Each runs on whatever data is there and says on which; our numbers stand next to the paper's,
    each of those marked as read or as unverified. docs/paper.md has what each one shows.
    """
    from vidpose.paper import rerun
    from vidpose.utils.progress import bar

    given = {key: value for key, value in options.items() if value not in (None, ())}
    rerun(name, out, data, device=device, report=say, progress=bar("steps"), **given)
