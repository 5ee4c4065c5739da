"""Command-line options made from the fields of option dataclasses, and help under headings."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import MISSING, fields
from typing import Any

import click

from vidpose.options import Option, flag

COMMON = "Most used"


class Field(click.Option):
    """An option that knows the heading it stands under in `--help`."""

    def __init__(self, *args: Any, heading: str = "Options", **more: Any) -> None:
        super().__init__(*args, **more)
        self.heading = heading


class GroupedCommand(click.Command):
    """A command whose `--help` groups options under headings, the most used ones first."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """See `click.Command`."""
        groups: dict[str, list[tuple[str, str]]] = {COMMON: []}
        for parameter in self.get_params(ctx):
            record = parameter.get_help_record(ctx)
            if record is not None:
                groups.setdefault(getattr(parameter, "heading", "Other"), []).append(record)
        for heading, records in groups.items():
            if records:
                with formatter.section(heading):
                    formatter.write_dl(records)


def headed(heading: str, *names: str, **more: Any) -> Callable[[Any], Any]:
    """`click.option` under a heading."""
    return click.option(*names, cls=Field, heading=heading, **more)


def from_fields(
    *stages: type, without: tuple[str, ...] = (), changed_only: bool = False
) -> Callable[[Any], Any]:
    """A decorator that adds an option for every field of some dataclasses.

    Args:
        stages: dataclasses whose fields were made with `vidpose.options.option`.
        without: names of fields to leave out.
        changed_only: an option that is not given is None, whatever the field's default: for
            commands whose defaults depend on another option.
    """
    made = [
        _click_option(f.name, f.metadata["option"], f.default, changed_only)
        for stage in stages
        for f in fields(stage)
        if "option" in f.metadata and f.name not in without
    ]

    def decorate(command: Any) -> Any:
        for option in reversed(made):
            command = option(command)
        return command

    return decorate


class Parsed(click.ParamType):
    """A value that `Option.parse` reads."""

    def __init__(self, parse: Callable[[str], Any]) -> None:
        self.parse = parse
        self.name = "text"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """See `click.ParamType`."""
        return self.parse(value) if isinstance(value, str) else value


def _click_option(name: str, about: Option, default: Any, changed_only: bool) -> Any:
    text = about.help
    hidden_default = changed_only or default is MISSING or about.default_text or default is None
    if hidden_default:
        default = None if changed_only or default is MISSING or about.kind is bool else default
        if about.default_text:
            text += f" [default: {about.default_text}]"
    names = [flag(name)]
    kind: Any = about.kind
    if about.kind is bool:
        # A switch that is on or undecided by default needs a way to say no.
        if default is not False or name == "render":
            names = [f"{flag(name)}/--no-{flag(name)[2:]}"]
        kind = None
    elif about.choices:
        kind = click.Choice(about.choices)
    elif about.parse is not None:
        kind = Parsed(about.parse)
    elif about.minimum is not None:
        kind = (
            click.IntRange(min=int(about.minimum))
            if kind is int
            else click.FloatRange(about.minimum)
        )
    more: dict[str, Any] = {} if kind is None else {"type": kind}
    if kind is None and len(names[0].split("/")) == 1:
        more["is_flag"] = True
    return click.option(
        *names,
        name,
        cls=Field,
        heading=COMMON if about.common else about.heading,
        default=default,
        show_default=not hidden_default and default is not False,
        metavar=about.metavar,
        help=text,
        **more,
    )
