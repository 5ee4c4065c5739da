"""`vidpose view`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from vidpose.cli.common import FILE, say
from vidpose.cli.options import COMMON, GroupedCommand, from_fields, headed
from vidpose.viewer.options import ViewOptions


@click.command(cls=GroupedCommand)
@click.argument("result", metavar="RESULT.npz", type=FILE)
@headed(COMMON, "--video", type=FILE, help="The source video. [default: its recorded path]")
@headed(COMMON, "-o", "--out", type=FILE, help="The .html to write. [default: RESULT.html]")
@from_fields(ViewOptions)
def view(result: Path, video: Path | None, out: Path | None, **options: Any) -> None:
    """Write a result as an HTML page: one file, no server, no network.

    The page plays the 3D poses next to the video, with curves of every joint and angle. Open it
    with a double-click.
    """
    from vidpose.poses import load
    from vidpose.utils.progress import bar
    from vidpose.viewer.page import write_page

    chosen = ViewOptions(**options)
    poses = load(result)
    write_page(
        poses, out or result.with_suffix(".html"), video, chosen, report=say, progress=bar("frames")
    )
