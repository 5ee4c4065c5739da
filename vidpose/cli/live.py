"""`vidpose live`: people while they are filmed."""

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
@results_to("Folder for the result, which is named after the time, or an .npz.")
@from_fields(*STAGES, RenderOptions, only=OFFERED)
def live(source: str, out: Path, **options: Any) -> None:
    """Find people in 3D while they are filmed.

    CAMERA is a number, 0 for the first one; URL a stream, such as rtsp://..., udp://... or
    http://...; FILE a video in place of a camera. A window shows the people in the picture and in
    3D. It ends with Q or Ctrl-C, or when the source does, and then writes a result file.
    """
    from vidpose.utils.progress import bar
    from vidpose.video.capture import is_file

    chosen = LiveOptions.pick(options)
    if chosen.headless:
        refuse_given(("view",), "is of the window that --headless does without; leave it out")
    if is_file(source):
        from vidpose.video import check_file

        check_file(Path(source))  # a wrong path is told before PyTorch is imported

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
