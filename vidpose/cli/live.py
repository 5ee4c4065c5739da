"""`vidpose live`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from vidpose.cli.common import refuse_given, results_to, say
from vidpose.cli.options import GroupedCommand, from_fields
from vidpose.options import (
    DetectorOptions,
    InferOptions,
    LiftOptions,
    LiveOptions,
    PostprocessOptions,
    RenderOptions,
    options_of,
)

STAGES = (LiveOptions, DetectorOptions, LiftOptions, PostprocessOptions)
OFFERED = (
    *(name for stage in STAGES for name in options_of(stage) if name != "start"),
    "view",
)


@click.command(cls=GroupedCommand)
@click.argument("source", metavar="[CAMERA|URL|FILE]", default="0")
@results_to("Folder for the result, which is named after the time, or the name of an .npz.")
@from_fields(*STAGES, RenderOptions, only=OFFERED)
def live(source: str, out: Path, **options: Any) -> None:
    """Estimate 3D poses live, from a camera or a stream.

    CAMERA is a number, 0 for the first one; URL is a stream, such as rtsp://..., udp://... or
    http://...; FILE is a video to play instead of a camera. A window shows the 2D and 3D poses.
    Press Q or Ctrl-C to stop; vidpose then writes a result file.
    """
    from vidpose.utils.progress import bar
    from vidpose.video.capture import is_file

    chosen = LiveOptions.pick(options)
    if chosen.headless:
        refuse_given(("view",), "has no effect with --headless; leave it out")
    if is_file(source):
        from vidpose.video import check_file

        check_file(Path(source))  # before the slow import of PyTorch

    from vidpose.live import live
    from vidpose.postprocess.quality import quality_text

    if options["half"] is None:
        options["half"] = "auto"
    others = {name: value for name, value in options.items() if name not in options_of(LiveOptions)}
    result = live(
        source,
        out,
        options=InferOptions.of(**others),
        live_options=chosen,
        report=say,
        progress=bar("frames"),
    )
    if result is not None:
        click.echo(quality_text(result.meta["trust"]))
