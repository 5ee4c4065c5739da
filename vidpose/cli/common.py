"""Options and helpers that several commands share."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from vidpose.cli.options import COMMON, headed
from vidpose.errors import UsageError
from vidpose.events import Event, Failure, Warn

FILE = click.Path(path_type=Path)


def results_to(help: str) -> Callable[[Any], Any]:
    """The `-o` option: a folder for results, or the file of one result."""
    default = Path("outputs")
    return headed(COMMON, "-o", "--out", type=FILE, default=default, show_default=True, help=help)


def names(ctx: click.Context, option: click.Parameter, value: str | None) -> tuple[str, ...] | None:
    """`S1,S5` -> ("S1", "S5")."""
    return None if value is None else tuple(name.strip() for name in value.split(","))


DATA = click.option(
    "--data",
    type=FILE,
    metavar="DIR",
    help="Folder of the dataset. [default: data, or data/synthetic]",
)
TEST_SUBJECTS = click.option(
    "--test-subjects",
    callback=names,
    metavar="NAME,...",
    help="Held-out subjects. [default: the usual ones of the dataset; for mocap 02,10,12]",
)


def usual_data(dataset: str) -> Path:
    return Path("data/synthetic" if dataset == "synthetic" else "data")


def say(event: Event) -> None:
    """Print an event: warnings and failures to standard error."""
    click.echo(str(event), err=isinstance(event, (Warn, Failure)))


def refuse_given(names: Iterable[str], why: str) -> None:
    """Check that options without effect were not given on the command line.

    Raises:
        UsageError: one was given.
    """
    context = click.get_current_context()
    for name in names:
        if context.get_parameter_source(name) is ParameterSource.COMMANDLINE:
            raise UsageError(f"--{name.replace('_', '-')} {why}.")
