"""The `vidpose` command. Each command parses, calls one library function, and prints.

Nothing heavy is imported at the top of these modules: `vidpose --help` answers at once.
"""

from __future__ import annotations

import atexit
import errno
import gc
import os
import signal
import sys
from typing import Any

import click

from vidpose import __version__
from vidpose.cli import diagnose, evaluate, infer, live, plot, prepare, train, view, weights
from vidpose.errors import VidposeError

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)
"""What standard output answers that goes into a file on a full or broken disk."""


class Commands(click.Group):
    """Turns an error meant for the user into one sentence and an exit code."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except VidposeError as error:
            click.echo(f"Error: {error}", err=True)
            ctx.exit(error.exit_code)

    def main(self, *args: Any, **more: Any) -> Any:
        """See `click.Command`; it deals with a pipe that nobody reads any more."""
        try:
            return super().main(*args, **more)
        except OSError as error:
            # Files that cannot be written are `VidposeError`s, and name the file.
            if error.errno not in FULL or error.filename is not None:
                raise
            # So that Python, which writes what is left as it ends, does not fail once more.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            click.echo(f"Error: the output cannot be written: {error.strerror}.", err=True)
            sys.exit(VidposeError.exit_code)


def _prepare_output() -> None:
    """See that standard output and error take whatever is written to them."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:  # closed, so that the next file opened would get what others print
            os.open(os.devnull, os.O_RDWR)
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(os.devnull, "w"))  # noqa: SIM115
        elif hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")  # names of files that are not UTF-8


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, message="vidpose %(version)s")
def main() -> None:
    """Video of people in, 3D joints out; and the place to train what lifts them."""
    _prepare_output()
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
    live.live,
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
