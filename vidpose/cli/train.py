"""`vidpose train`."""

from __future__ import annotations

from typing import Any

import click

from vidpose.cli.common import say
from vidpose.cli.options import GroupedCommand, from_fields
from vidpose.training.options import TrainOptions
from vidpose.training.recipe import MOCAP, Recipe


@click.command(cls=GroupedCommand)
@from_fields(TrainOptions)
@from_fields(Recipe, changed_only=True, defaults_for={"mocap": MOCAP})
@click.option("--singles", is_flag=True, hidden=True)  # the former name of --single-frame
def train(singles: bool, **given: Any) -> None:
    """Train PoseFormer, or another lifting network.

    Writes to the run folder: log.csv, one line per epoch, and its plot; best.safetensors, the
    weights with the lowest validation error; last.safetensors, the latest ones; and state.pt, from
    which --resume continues. Ctrl-C saves the run. On several GPUs or machines:

        torchrun --nproc-per-node 2 -m vidpose train ...
    """
    from vidpose.training.distributed import join_world
    from vidpose.training.run import run
    from vidpose.utils.progress import bar

    options = TrainOptions.pick(given)
    changes = {name: value for name, value in given.items() if not hasattr(options, name)}
    changes["single_frame"] = changes["single_frame"] or singles or None
    changes = {name: value for name, value in changes.items() if value is not None}
    with join_world(options.device) as world:
        best = run(options, world, report=say, progress=bar("steps"), **changes)
        if world.is_first:
            click.echo(f"Best weights: {best}")
