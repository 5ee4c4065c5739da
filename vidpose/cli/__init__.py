"""The `vidpose` command. Each subcommand parses, calls one library function, and prints.

Heavy imports stay inside the commands, so that `vidpose --help` is fast.
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
"""Error codes of writes to standard output when it is a file on a full or broken disk."""


class Commands(click.Group):
    """Command group that turns a `VidposeError` into one line and an exit code."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except VidposeError as error:
            click.echo(f"Error: {error}", err=True)
            ctx.exit(error.exit_code)

    def main(self, *args: Any, **more: Any) -> Any:
        """Also report a standard output that cannot be written; click handles a closed pipe."""
        try:
            return super().main(*args, **more)
        except OSError as error:
            # Other files that cannot be written raise a `VidposeError`, or have a filename here.
            if error.errno not in FULL or error.filename is not None:
                raise
            # Python flushes standard output as it exits, which would fail again.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            click.echo(f"Error: the output cannot be written: {error.strerror}.", err=True)
            sys.exit(VidposeError.exit_code)


def _prepare_output() -> None:
    """Make standard output and error accept any text, even if they are closed."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:  # closed: the next file opened would receive printed text
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
    """Estimate 3D human poses from video, and train the networks that lift them from 2D."""
    _prepare_output()
    # A job scheduler's SIGTERM ends the program like Ctrl-C, so that no partial file is left.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    # Idle threads yield their cores to the other stages. PyTorch reads this on import.
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    # Skips the final garbage collection over PyTorch's objects, a quarter of a second. The memory
    # goes back to the system anyway.
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
