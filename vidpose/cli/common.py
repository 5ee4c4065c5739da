"""Options and helpers that several commands share."""

from __future__ import annotations

from pathlib import Path

import click

from vidpose.events import Event, Failure, Warn

FILE = click.Path(path_type=Path)
# Options that several commands have.
WEIGHTS = click.option(
    "--weights",
    default="default",
    show_default=True,
    metavar="NAME|PATH",
    help="What lifts them to 3D: weights that come with vidpose, or a checkpoint.",
)
DEVICE = click.option(
    "--device",
    type=click.Choice(["auto", "cpu", "cuda"]),
    default="auto",
    show_default=True,
    help="Where networks compute; auto takes a GPU if there is one.",
)
FOCAL = click.option(
    "--focal-px",
    type=float,
    metavar="PX",
    help="The camera's focal length in pixels. [default: the picture's longer side]",
)
FLIP = click.option(
    "--flip/--no-flip",
    default=True,
    show_default=True,
    help="Lift the mirror image too and average: better, and twice the work.",
)
RIGID = click.option(
    "--rigid/--no-rigid",
    default=True,
    show_default=True,
    help="Give every bone of a person one length, the median of what was lifted.",
)
PRECISION = click.option(
    "--precision",
    type=click.Choice(["auto", "fp32", "bf16"]),
    default="auto",
    show_default=True,
    help="What the lifter computes in; auto: bf16 where the hardware does. bf16 moves joints by "
    "less than a millimetre.",
)
VIEW = click.option(
    "--view",
    default="three-quarter",
    show_default=True,
    metavar="NAME|AZIMUTH,ELEVATION",
    help="Where the 3D panel looks from: three-quarter, front, side, top, or two angles in "
    "degrees.",
)


def _names(
    ctx: click.Context, option: click.Parameter, value: str | None
) -> tuple[str, ...] | None:
    """`S1,S5` -> ("S1", "S5")."""
    return None if value is None else tuple(name.strip() for name in value.split(","))


DATA = click.option(
    "--data",
    type=FILE,
    metavar="DIR",
    help="Where the dataset is. [default: data, or data/synthetic]",
)
TEST_SUBJECTS = click.option(
    "--test-subjects",
    callback=_names,
    metavar="NAME,...",
    help="Whom to test on, and not to train on. [default: as the field does; for mocap 02,10,12]",
)


def _usual_data(dataset: str) -> Path:
    return Path("data/synthetic" if dataset == "synthetic" else "data")


def say(event: Event) -> None:
    """Print an event: warnings and failures to standard error."""
    click.echo(str(event), err=isinstance(event, (Warn, Failure)))
