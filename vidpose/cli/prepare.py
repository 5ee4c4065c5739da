"""`vidpose prepare`."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import click

from vidpose.cli.common import FILE, names, say
from vidpose.cli.options import Number, from_fields
from vidpose.errors import UsageError
from vidpose.options import DetectorOptions, LiftOptions

DETECTORS = ("hrnet", "cpn", "mediapipe")
DETECTION = ("detector_size", "pose_weights", "person_weights", "detect_every", "device")
"""The options that go with --detector."""
DATASETS = {
    "h36m": """Human3.6M: data_3d_h36m.npz and data_2d_h36m_gt.npz.

    SOURCE contains, at any depth, S1/MyPoseFeatures/D3_Positions/*.cdf or *.cdf.mat, the old
    S1/MyPoses/3D_positions/*.h5, or the archives they come in.
    """,
    "mpi_inf_3dhp": """MPI-INF-3DHP: data_train_3dhp.npz and data_test_3dhp.npz.

    SOURCE contains, at any depth, S1/Seq1/annot.mat and TS1/annot_data.mat.
    """,
    "humaneva": """HumanEva-I: data_3d_humaneva15.npz and data_2d_humaneva15_gt.npz.

    SOURCE contains, at any depth, Train/S1/Walking_1.mat and so on, as exported by VideoPose3D's
    ConvertHumanEva.m.
    """,
}


def _out(default: str, more: str = "") -> Callable[[Any], Any]:
    return click.option(
        "-o",
        "--out",
        type=FILE,
        default=Path(default),
        show_default=True,
        help=f"Folder for the files{more}.",
    )


def _written(paths: Iterable[Path]) -> None:
    for path in paths:
        click.echo(f"Written: {path}")


@click.group()
def prepare() -> None:
    """Convert the raw download of a dataset to training files.

    With --detector, detect 2D joints in the videos of the download instead. docs/prepare.md
    describes what to download, and where to put it.
    """


def _add_command(dataset: str, text: str) -> None:
    @prepare.command(dataset, help=text)
    @click.argument("source", type=FILE)
    @_out("data")
    @click.option(
        "--detector",
        type=click.Choice(DETECTORS),
        help="Detect 2D joints in the videos in SOURCE instead of reading its poses.",
    )
    @from_fields(DetectorOptions, LiftOptions, only=DETECTION, changed_only=True)
    def command(source: Path, out: Path, detector: str | None, **options: Any) -> None:
        from vidpose.datasets.prepare import PREPARE
        from vidpose.utils.progress import bar

        given = {name: value for name, value in options.items() if value is not None}
        if detector is None and given:
            raise UsageError(f"--{min(given).replace('_', '-')} goes with --detector.")
        if detector is None:
            _written(PREPARE[dataset](source, out, report=say, progress=bar("files")))
            return
        from vidpose.datasets.prepare.detections import detect_videos

        device = given.pop("device", "auto")
        chosen = DetectorOptions(detector=detector, **given)
        show = bar("frames")
        _written([detect_videos(dataset, source, out, chosen, device, report=say, progress=show)])


for _dataset, _text in DATASETS.items():
    _add_command(_dataset, _text)


@prepare.command("synthetic")
@_out("data/synthetic", "; existing ones are replaced")
@click.option(
    "--layout",
    type=click.Choice(list(DATASETS)),
    default="h36m",
    show_default=True,
    help="The dataset whose file layout to use.",
)
@click.option(
    "--subjects",
    callback=names,
    metavar="NAME,...",
    help="Subjects of that dataset. [default: all]",
)
@click.option(
    "--actions",
    callback=names,
    metavar="NAME,...",
    help="Actions of that dataset, or all. [default: some of Human3.6M's]",
)
@click.option(
    "--seconds",
    type=Number(float, 0.1, 3600),
    default=3.0,
    show_default=True,
    help="Length of each sequence.",
)
@click.option("--seed", type=Number(int, 0, 2**32 - 1), default=0, show_default=True)
def prepare_synthetic(out: Path, actions: tuple[str, ...] | None, **options: Any) -> None:
    """Generate synthetic people in the file layout of a dataset.

    For trying out training and evaluation without licensed data; the resulting errors say nothing
    about real people.
    """
    from vidpose.datasets import h36m
    from vidpose.datasets.synthetic import write_synthetic
    from vidpose.utils.progress import bar

    if actions == ("all",):
        actions = h36m.ACTIONS if options["layout"] == "h36m" else None
    _written(write_synthetic(out, actions=actions, **options, progress=bar("takes")))
