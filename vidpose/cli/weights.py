"""`vidpose weights`."""

from __future__ import annotations

from pathlib import Path

import click

from vidpose.cli.common import FILE, say
from vidpose.cli.options import Number


@click.group()
def weights() -> None:
    """List, download, import and export network weights.

    No other command downloads anything.
    """


@weights.command("list")
def weights_list() -> None:
    """List all weights: those that come with vidpose, and those it can download."""
    from vidpose.utils.tables import aligned
    from vidpose.zoo.registry import listing

    lines = listing()
    sizes = ("unknown" if line.size is None else f"{line.size / 1e6:.1f} MB" for line in lines)
    rows = [
        [line.name, line.what, size, line.state] for line, size in zip(lines, sizes, strict=True)
    ]
    for row, line in zip(aligned(rows, left=(0, 1, 3)).splitlines(), lines, strict=True):
        click.echo(row)
        click.echo(f"    file     {line.path}")
        click.echo(f"    from     {line.source} (licence: {line.licence})")
        click.echo(f"    SHA-256  {line.sha256}")


@weights.command("fetch")
@click.argument("names", metavar="NAME...", nargs=-1, required=True)
def weights_fetch(names: tuple[str, ...]) -> None:
    """Download weights to the cache, or verify those already there.

    The cache is the folder VIDPOSE_CACHE, by default ~/.cache/vidpose.
    """
    from vidpose.utils.progress import bar
    from vidpose.zoo.registry import fetch

    for name in names:
        click.echo(f"{name}: {fetch(name, bar('MB'))}")


@weights.command("import")
@click.argument("source", metavar="FILE.bin", type=FILE)
@click.option("-o", "--out", type=FILE, help="The .safetensors to write. [default: next to FILE]")
@click.option(
    "--skeleton",
    metavar="NAME",
    help="Skeleton. [default: h36m17 or humaneva15, whichever the authors publish networks of that "
    "size for]",
)
@click.option(
    "--fps",
    type=Number(float),
    metavar="N",
    help="Frame rate of the training videos. [default: 50; for humaneva15 60]",
)
def weights_import(source: Path, out: Path | None, skeleton: str | None, fps: float | None) -> None:
    """Convert an official checkpoint of PoseFormer or VideoPose3D to vidpose's format.

    FILE.bin is a file published by their authors, such as detected81f.bin. No code in it is
    executed. All weights must match; the error names those that do not.
    """
    from vidpose.models.official import import_weights

    made = import_weights(source, out, skeleton=skeleton, fps=fps)
    program, config = made.training["program"], made.model.config
    epoch = f", epoch {made.training['epoch']}" if "epoch" in made.training else ""
    click.echo(
        f"{program}, {config.frames} frames, {config.joints} joints ({made.skeleton}), "
        f"{made.fps:g} frames/s{epoch}: {made.path}"
    )
    assumed = [flag for flag, given in (("--skeleton", skeleton), ("--fps", fps)) if given is None]
    if skeleton is None:
        click.echo(
            f"The file does not record its skeleton or frame rate; {program} publishes such "
            f"networks for {made.skeleton} at {made.fps:g} frames/s. If this one differs, give "
            f"{' and '.join(assumed)}."
        )
    elif fps is None:
        click.echo(
            f"The file does not record its frame rate; {made.fps:g} frames/s is assumed. If this "
            "one differs, give --fps."
        )


@weights.command("export")
@click.argument("name", metavar="NAME|PATH")
@click.option(
    "--to", type=click.Choice(["onnx"]), default="onnx", show_default=True, help="The format."
)
@click.option(
    "-o", "--out", type=FILE, help="The .onnx to write. [default: NAME.onnx in the current folder]"
)
@click.option(
    "--flip/--no-flip",
    default=True,
    show_default=True,
    help="Include test-time flip augmentation, as in infer. More accurate; takes twice as long.",
)
def weights_export(name: str, to: str, out: Path | None, flip: bool) -> None:
    """Export a lifter to ONNX, for programs without PyTorch.

    NAME|PATH is the name of weights that come with vidpose, or a checkpoint. The model takes one
    person's 2D joints in pixels and returns metres; docs/onnx.md describes how to use it.
    """
    from vidpose.lifting.onnx_export import export_onnx

    click.echo(f"Written: {export_onnx(name, out, flip=flip, report=say)}")
