"""`vidpose prepare`: raw downloads to training files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from vidpose.cli.common import (
    FILE,
    _names,
    say,
)
from vidpose.errors import UsageError


@click.group()
def prepare() -> None:
    """Turn the raw download of a dataset into the files that training reads.

    With --detector, it is the videos of the download that are turned into 2D joints.
    docs/prepare.md tells what to download, and where it goes.
    """


def _out(command: Any) -> Any:
    return click.option(
        "-o",
        "--out",
        type=FILE,
        default=Path("data"),
        show_default=True,
        help="Folder for the files.",
    )(command)


def _detection(command: Any) -> Any:
    """The options that turn videos into 2D joints."""
    for option in (
        click.option(
            "--device",
            type=click.Choice(["auto", "cpu", "cuda"]),
            help="Where the detector computes; auto takes a GPU if there is one. [default: auto]",
        ),
        click.option(
            "--detect-every",
            type=click.IntRange(min=1),
            metavar="N",
            help="Look for people every N frames, for HRNet and CPN. [default: 8]",
        ),
        click.option(
            "--person-weights",
            metavar="FILE|NAME",
            help="RTMDet's weights. [default: the best in the cache]",
        ),
        click.option(
            "--pose-weights",
            metavar="FILE|NAME",
            help="HRNet's or CPN's weights. [default: the best in the cache]",
        ),
        click.option(
            "--detector",
            type=click.Choice(["hrnet", "cpn", "mediapipe"]),
            help="Find the 2D joints in the videos below SOURCE, in place of reading its poses.",
        ),
    ):
        command = option(command)
    return command


@prepare.command("h36m")
@click.argument("source", type=FILE)
@_out
@_detection
def prepare_h36m(source: Path, out: Path, **options: Any) -> None:
    """Human3.6M: data_3d_h36m.npz and data_2d_h36m_gt.npz.

    SOURCE holds S1/MyPoseFeatures/D3_Positions/*.cdf or *.cdf.mat, or the old
    S1/MyPoses/3D_positions/*.h5, anywhere below it, or the archives they come in.
    """
    _prepare("h36m", source, out, options)


@prepare.command("mpi_inf_3dhp")
@click.argument("source", type=FILE)
@_out
@_detection
def prepare_mpi_inf_3dhp(source: Path, out: Path, **options: Any) -> None:
    """MPI-INF-3DHP: data_train_3dhp.npz and data_test_3dhp.npz.

    SOURCE holds S1/Seq1/annot.mat and TS1/annot_data.mat anywhere below it.
    """
    _prepare("mpi_inf_3dhp", source, out, options)


@prepare.command("humaneva")
@click.argument("source", type=FILE)
@_out
@_detection
def prepare_humaneva(source: Path, out: Path, **options: Any) -> None:
    """HumanEva-I: data_3d_humaneva15.npz and data_2d_humaneva15_gt.npz.

    SOURCE holds Train/S1/Walking_1.mat and so on anywhere below it, as VideoPose3D's
    ConvertHumanEva.m exports them.
    """
    _prepare("humaneva", source, out, options)


@prepare.command("synthetic")
@click.option(
    "-o",
    "--out",
    type=FILE,
    default=Path("data/synthetic"),
    show_default=True,
    help="Folder for the files; those in it are replaced.",
)
@click.option(
    "--layout",
    type=click.Choice(["h36m", "mpi_inf_3dhp", "humaneva"]),
    default="h36m",
    show_default=True,
    help="Whose files they are to be like.",
)
@click.option(
    "--subjects", callback=_names, metavar="NAME,...", help="As in that dataset. [default: all]"
)
@click.option(
    "--actions",
    callback=_names,
    metavar="NAME,...",
    help="As in that dataset, or all. [default: some of Human3.6M's]",
)
@click.option(
    "--seconds", type=float, default=3.0, show_default=True, help="How long every take is."
)
@click.option("--seed", type=int, default=0, show_default=True)
def prepare_synthetic(out: Path, actions: tuple[str, ...] | None, **options: Any) -> None:
    """Made-up people in the very files of a dataset.

    For trying out training and evaluation without licensed data: the numbers mean nothing for
    real people.
    """
    from vidpose.datasets import h36m
    from vidpose.datasets.synthetic import write_synthetic
    from vidpose.utils.progress import bar

    if actions == ("all",):
        actions = h36m.ACTIONS if options["layout"] == "h36m" else None
    written = write_synthetic(out, actions=actions, **options, progress=bar("takes"))
    for path in written:
        click.echo(f"Written: {path}")


def _prepare(dataset: str, source: Path, out: Path, options: dict[str, Any]) -> None:
    from vidpose.datasets.prepare import PREPARE
    from vidpose.utils.progress import bar

    given = {name: value for name, value in options.items() if value is not None}
    if given and "detector" not in given:
        raise UsageError(f"--{min(given).replace('_', '-')} goes with --detector.")
    if given:
        from vidpose.datasets.prepare.detections import detect_videos

        written = [detect_videos(dataset, source, out, **given, report=say, progress=bar("frames"))]
    else:
        written = [*PREPARE[dataset](source, out, report=say, progress=bar("files"))]
    for path in written:
        click.echo(f"Written: {path}")
