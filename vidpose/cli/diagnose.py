"""`vidpose profile` and `vidpose doctor`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from vidpose.cli.common import FILE, refuse_given
from vidpose.cli.options import Number, from_fields
from vidpose.errors import UsageError
from vidpose.options import LiftOptions


@click.command()
@click.argument("video", metavar="[VIDEO]", required=False, type=FILE)
@from_fields(LiftOptions, only=("weights", "device", "precision"))
@click.option(
    "--frames",
    type=Number(int, 1, 100_001),
    multiple=True,
    metavar="N",
    help="Receptive field of the paper's network to measure; repeatable. [default: 9, 27, 81]",
)
@click.option(
    "--detector",
    type=click.Choice(["auto", "mediapipe", "hrnet", "cpn"]),
    default="auto",
    show_default=True,
    help="2D pose detector for VIDEO.",
)
@click.option(
    "--start", type=Number(float), metavar="S", help="Start S seconds after the first frame."
)
@click.option("--end", type=Number(float), metavar="S", help="End S seconds after the first frame.")
def profile(
    video: Path | None,
    frames: tuple[int, ...],
    detector: str,
    start: float | None,
    end: float | None,
    **options: Any,
) -> None:
    """Measure the cost of lifting, or with a VIDEO, the time of each stage.

    Without a VIDEO: parameters, FLOPs per window and frames/s of the lifter and of the paper's
    network (its Table 6), with sliding-window inference and without flip augmentation. With a
    VIDEO: the time of each stage, run one after another; infer runs them in parallel. Writes no
    files.
    """
    from vidpose.diagnostics.profile import PAPER_FRAMES, profile_networks, profile_run
    from vidpose.poses import extent
    from vidpose.utils.progress import bar
    from vidpose.utils.tables import aligned

    if video is None:
        refuse_given(("detector", "start", "end"), "is for a VIDEO; name one")
        rows = [
            [
                *(network.name, network.frames, f"{network.parameters:,}"),
                *(f"{network.flops / 1e6:,.1f}", f"{network.frames_per_s:,.1f}"),
            ]
            for network in profile_networks(frames=frames or PAPER_FRAMES, **options)
        ]
        header = ["network", "frames", "parameters", "MFLOPs/window", "frames/s"]
        click.echo(aligned(rows, header))
        return
    if frames:
        raise UsageError("--frames measures networks only; leave it out with a VIDEO.")
    stages, count, people = profile_run(
        video, detector=detector, start=start, end=end, progress=bar("frames"), **options
    )
    click.echo(f"{extent(people, count)} of {video}")
    rows = [
        [one.name, f"{one.seconds:.2f}", f"{one.frames_per_s:,.1f}", f"{one.share:.0%}"]
        for one in stages
    ]
    click.echo(aligned(rows, ["stage", "seconds", "frames/s", "share"]))


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
@click.option(
    "--data",
    type=FILE,
    metavar="DIR",
    help="Check the datasets in DIR instead: missing files and wrong shapes.",
)
def doctor(as_json: bool, data: Path | None) -> None:
    """Report what is installed, what is missing, and the command that fixes it.

    The exit code is 1 if something that `vidpose infer` needs is broken, or with --data, if a
    dataset cannot be opened.
    """
    import json

    from vidpose.diagnostics import doctor
    from vidpose.utils.tables import aligned

    checks = doctor.examine() if data is None else doctor.examine_data(data)
    if as_json:
        click.echo(json.dumps(doctor.as_json(checks), indent=2))
    else:
        rows = []
        for check in checks:
            rows.append([check.state, check.name, check.found])
            rows += [["", "", f"-> {check.fix}"]] if check.fix else []
        click.echo(aligned(rows, left=(0, 1, 2)))
    if not doctor.is_well(checks):
        raise SystemExit(1)
