"""The `vidpose` command. Each command parses, calls one library function, and prints.

Nothing heavy is imported at the top of these modules: `vidpose --help` answers at once.
"""

from __future__ import annotations

import atexit
import gc
import os
import signal
import sys
from typing import Any

import click

from vidpose import __version__
from vidpose.cli import diagnose, evaluate, infer, plot, prepare, train, view, weights
from vidpose.errors import VidposeError


class Commands(click.Group):
    """Turns an error meant for the user into one sentence and an exit code."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except VidposeError as error:
            click.echo(f"Error: {error}", err=True)
            ctx.exit(error.exit_code)


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, message="vidpose %(version)s")
def main() -> None:
    """Video of people in, 3D joints out; and the place to train what lifts them."""
    # A job engine's SIGTERM ends the program like Ctrl-C: nothing half-written stays behind.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    # Threads that wait for work leave the cores to the other stages; read when torch is imported.
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    # As Python ends it looks for garbage among all that PyTorch has made, for a quarter of a
    # second. The memory goes back to the system anyway.
    atexit.register(gc.freeze)


for command in (
    infer.infer,
    infer.render,
    view.view,
    infer.lift,
    infer.export,
    plot.plot,
    train.train,
    prepare.prepare,
    evaluate.evaluate,
    evaluate.paper,
    weights.weights,
    diagnose.profile,
    diagnose.doctor,
):
    main.add_command(command)
