"""Command-line options generated from option dataclasses, and help grouped by heading."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import MISSING, fields, replace
from typing import Any

import click

from vidpose.options import LARGEST, Option, check_number, flag

COMMON = "Most used"


class Field(click.Option):
    """An option with its heading in `--help`."""

    def __init__(self, *args: Any, heading: str = "Options", **more: Any) -> None:
        super().__init__(*args, **more)
        self.heading = heading


class GroupedCommand(click.Command):
    """A command whose `--help` groups options by heading, the most used ones first."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the options by heading."""
        for heading, records in grouped(self, ctx).items():
            with formatter.section(heading):
                formatter.write_dl(records)


def grouped(command: click.Command, ctx: click.Context) -> dict[str, list[tuple[str, str]]]:
    """Names and help of a command's options, except `--help`, by heading."""
    groups: dict[str, list[tuple[str, str]]] = {COMMON: []}
    for parameter in command.params:
        if isinstance(parameter, click.Argument):
            continue
        record = parameter.get_help_record(ctx)
        if record is not None:
            groups.setdefault(getattr(parameter, "heading", "Options"), []).append(record)
    return {heading: records for heading, records in groups.items() if records}


def headed(heading: str, *names: str, **more: Any) -> Callable[[Any], Any]:
    """`click.option` under a heading."""
    return click.option(*names, cls=Field, heading=heading, **more)


def from_fields(
    *stages: type,
    only: tuple[str, ...] = (),
    changed_only: bool = False,
    defaults_for: Mapping[str, object] | None = None,
) -> Callable[[Any], Any]:
    """Return a decorator that adds an option for every field of some dataclasses.

    Args:
        stages: dataclasses whose fields were made with `vidpose.options.option`.
        only: names of the fields to take; by default all.
        changed_only: an option that is not given is None, whatever the field's default: for
            commands whose defaults depend on another option.
        defaults_for: with `changed_only`, objects with the defaults in other cases, by the name
            of the case; the help lists them.
    """
    made = [
        _click_option(
            f.name,
            _with_defaults(f.name, f.metadata["option"], f.default, defaults_for or {})
            if changed_only
            else f.metadata["option"],
            f.default,
            changed_only,
        )
        for stage in stages
        for f in fields(stage)
        if "option" in f.metadata and (not only or f.name in only)
    ]

    def decorate(command: Any) -> Any:
        for option in reversed(made):
            command = option(command)
        return command

    return decorate


def _with_defaults(name: str, about: Option, default: Any, others: Mapping[str, object]) -> Option:
    """Add the defaults to the help text of an option."""
    if about.default_text or about.kind is bool or default is None:
        return about
    values = {"": default} | {f"for {case} ": getattr(o, name) for case, o in others.items()}
    shown = [
        f"{case}{value:g}" if isinstance(value, float) else f"{case}{value}"
        for case, value in values.items()
        if not case or value != default
    ]
    return replace(about, default_text="; ".join(shown))


class Parsed(click.ParamType):
    """Parameter type that calls `Option.parse`."""

    def __init__(self, parse: Callable[[str], Any]) -> None:
        self.parse = parse
        self.name = "text"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Convert command-line text."""
        return self.parse(value) if isinstance(value, str) else value


class Number(click.ParamType):
    """Parameter type of numbers, checked by `vidpose.options.check_number`."""

    def __init__(self, kind: type, minimum: float | None = None, maximum: float = LARGEST) -> None:
        self.kind, self.minimum, self.maximum = kind, minimum, maximum
        self.name = "integer" if kind is int else "float"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Convert command-line text."""
        name = param.name if param is not None and param.name else "value"
        if isinstance(value, str):
            with suppress(ValueError):  # then `check_number` rejects the text
                value = self.kind(value)
        check_number(name, value, self.kind, self.minimum, self.maximum)
        return value


def _click_option(name: str, about: Option, default: Any, changed_only: bool) -> Any:
    text = about.help
    required = default is MISSING and not changed_only
    hidden_default = changed_only or default is MISSING or about.default_text or default is None
    if hidden_default:
        default = None if changed_only or default is MISSING or about.kind is bool else default
        if about.default_text:
            text += f" [default: {about.default_text}]"
    names = [flag(name)]
    kind: Any = about.kind
    if about.kind is bool:
        # A switch that is on or undecided by default needs a `--no-` form.
        if default is not False or name == "render":
            names = [f"{flag(name)}/--no-{flag(name)[2:]}"]
        kind = None
    elif about.choices:
        kind = click.Choice(about.choices)
    elif about.parse is not None:
        kind = Parsed(about.parse)
    elif about.kind in (int, float):
        kind = Number(about.kind, about.minimum, about.maximum)
    more: dict[str, Any] = {"required": True} if required else {"default": default}
    if kind is not None:
        more["type"] = kind
    if kind is None and len(names[0].split("/")) == 1:
        more["is_flag"] = True
    return click.option(
        *names,
        name,
        cls=Field,
        heading=COMMON if about.common else about.heading,
        show_default=not hidden_default and default is not False,
        metavar=about.metavar or ("N" if about.kind in (int, float) else None),
        help=text,
        **more,
    )
