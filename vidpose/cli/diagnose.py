"""`vidpose profile` and `vidpose doctor`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from vidpose.cli.common import (
    DEVICE,
    FILE,
    PRECISION,
    WEIGHTS,
    say,
)
from vidpose.errors import UsageError


@click.command()
@click.argument("video", metavar="[VIDEO]", required=False, type=FILE)
@WEIGHTS
@click.option(
    "--frames",
    type=int,
    multiple=True,
    metavar="N",
    help="Windows of the paper's network to measure; may be given again. [default: 9, 27, 81]",
)
@click.option(
    "--detector",
    type=click.Choice(["auto", "mediapipe", "hrnet", "cpn"]),
    default="auto",
    show_default=True,
    help="What finds the joints in VIDEO.",
)
@DEVICE
@PRECISION
@click.option("--start", type=float, metavar="S", help="Begin S seconds after the first frame.")
@click.option("--end", type=float, metavar="S", help="End S seconds after the first frame.")
def profile(
    video: Path | None,
    frames: tuple[int, ...],
    detector: str,
    start: float | None,
    end: float | None,
    **options: Any,
) -> None:
    """Tell what lifting costs, or where the time goes with a VIDEO.

    Without a VIDEO: parameters, FLOPs a window and frames/s of the lifter, and of the paper's
    network (its Table 6), slid over a track without the mirror image. With one: what each stage
    takes on it, one after another; infer lets them overlap. Nothing is written.
    """
    from vidpose.diagnostics.profile import PAPER_FRAMES, profile_networks, profile_run
    from vidpose.poses import extent
    from vidpose.utils.progress import bar

    if video is None:
        for what, given in (("--start", start), ("--end", end)):
            if given is not None:
                raise UsageError(f"{what} is for a VIDEO; name one.")
        networks = profile_networks(frames=frames or PAPER_FRAMES, **options)
        width = max(len(network.name) for network in networks)
        click.echo(f"{'network':{width}}  frames  parameters  MFLOPs a window  frames/s")
        for network in networks:
            say(
                f"{network.name:{width}}  {network.frames:6}  {network.parameters:10,}  "
                f"{network.flops / 1e6:15,.1f}  {network.frames_per_s:8,.1f}"
            )
        return
    if frames:
        raise UsageError("--frames is for networks alone; leave it out with a VIDEO.")
    stages, count, people = profile_run(
        video, detector=detector, start=start, end=end, progress=bar("frames"), **options
    )
    click.echo(f"{extent(people, count)} of {video}")
    click.echo("stage   seconds  frames/s  share")
    for stage in stages:
        click.echo(
            f"{stage.name:6}  {stage.seconds:7.2f}  {stage.frames_per_s:8,.1f}  {stage.share:5.0%}"
        )


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Write the report as JSON.")
@click.option(
    "--data",
    type=FILE,
    metavar="DIR",
    help="Look at the datasets in DIR instead: what is missing, or has the wrong shape.",
)
def doctor(as_json: bool, data: Path | None) -> None:
    """Tell what is installed, what is missing, and the line that mends it.

    The exit code is 1 if something that `vidpose infer` needs is broken; with --data, if a dataset
    cannot be opened as it is.
    """
    import json

    from vidpose.diagnostics import doctor

    checks = doctor.examine() if data is None else doctor.examine_data(data)
    if as_json:
        click.echo(json.dumps(doctor.as_json(checks), indent=2))
    else:
        width = max(len(check.name) for check in checks)
        for check in checks:
            click.echo(f"{check.state:6}  {check.name:{width}}  {check.found}")
            if check.fix:
                click.echo(f"{'':6}  {'':{width}}  -> {check.fix}")
    if not doctor.is_well(checks):
        raise SystemExit(1)
