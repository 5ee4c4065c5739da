"""`vidpose weights`."""

from __future__ import annotations

from pathlib import Path

import click

from vidpose.cli.common import (
    FILE,
    say,
)


@click.group()
def weights() -> None:
    """Trained networks: which there are, and fetching them.

    Nothing else in vidpose ever downloads anything.
    """


@weights.command("list")
def weights_list() -> None:
    """List all weights: what comes with vidpose, and what it can fetch."""
    from vidpose.zoo.registry import listing

    lines = listing()
    sizes = ["not known" if line.size is None else f"{line.size / 1e6:.1f} MB" for line in lines]
    widths = [max(len(line.name) for line in lines), max(len(line.what) for line in lines)]
    for line, size in zip(lines, sizes, strict=True):
        click.echo(f"{line.name:{widths[0]}}  {line.what:{widths[1]}}  {size:>9}  {line.state}")
        click.echo(f"    file     {line.path}")
        click.echo(f"    from     {line.source} (licence: {line.licence})")
        click.echo(f"    SHA-256  {line.sha256}")


@weights.command("fetch")
@click.argument("names", metavar="NAME...", nargs=-1, required=True)
def weights_fetch(names: tuple[str, ...]) -> None:
    """Fetch weights into the cache, or verify those that are there.

    The cache is the folder VIDPOSE_CACHE, by default ~/.cache/vidpose.
    """
    from vidpose.utils.progress import bar
    from vidpose.zoo.registry import fetch

    for name in names:
        click.echo(f"{name}: {fetch(name, bar('MB'))}")


@weights.command("import")
@click.argument("source", metavar="FILE.bin", type=FILE)
@click.option("-o", "--out", type=FILE, help="The .safetensors to write. [default: beside FILE]")
@click.option(
    "--skeleton",
    metavar="NAME",
    help="Whose joints they are. [default: by their number, h36m17 or humaneva15]",
)
@click.option(
    "--fps",
    type=float,
    metavar="N",
    help="Frames a second of the training videos. [default: 50; for humaneva15 60]",
)
def weights_import(source: Path, out: Path | None, skeleton: str | None, fps: float | None) -> None:
    """Turn an official checkpoint of PoseFormer or VideoPose3D into one of vidpose's.

    FILE.bin is what their authors publish, detected81f.bin for example. No code in it is run. All
    its weights must fit; those that do not are named.
    """
    from vidpose.models.official import import_weights

    made = import_weights(source, out, skeleton=skeleton, fps=fps)
    sizes = f"{made.model.config.frames} frames, {made.model.config.joints} joints"
    epoch = f", epoch {made.training['epoch']}" if "epoch" in made.training else ""
    say(
        f"{made.training['program']}, {sizes} ({made.skeleton}), {made.fps:g} frames a second"
        f"{epoch}: {made.path}"
    )
