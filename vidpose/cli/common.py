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
    """`-o`, the folder for results, or one result's file."""
    default = Path("outputs")
    return headed(COMMON, "-o", "--out", type=FILE, default=default, show_default=True, help=help)


def names(ctx: click.Context, option: click.Parameter, value: str | None) -> tuple[str, ...] | None:
    """`S1,S5` -> ("S1", "S5")."""
    return None if value is None else tuple(name.strip() for name in value.split(","))


DATA = click.option(
    "--data",
    type=FILE,
    metavar="DIR",
    help="Where the dataset is. [default: data, or data/synthetic]",
)
TEST_SUBJECTS = click.option(
    "--test-subjects",
    callback=names,
    metavar="NAME,...",
    help="Whom to test on, and not to train on. [default: as the field does; for mocap 02,10,12]",
)


def usual_data(dataset: str) -> Path:
    return Path("data/synthetic" if dataset == "synthetic" else "data")


def say(event: Event) -> None:
    """Print an event: warnings and failures to standard error."""
    click.echo(str(event), err=isinstance(event, (Warn, Failure)))


def refuse_given(names: Iterable[str], why: str) -> None:
    """Refuse options of this command that would have no effect, if they were given.

    Raises:
        UsageError: one was.
    """
    context = click.get_current_context()
    for name in names:
        if context.get_parameter_source(name) is ParameterSource.COMMANDLINE:
            raise UsageError(f"--{name.replace('_', '-')} {why}.")
