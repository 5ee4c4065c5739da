"""Reading of untrusted files: every failure becomes a one-sentence error.

A damaged or hostile file can make its reader raise anything: NumPy alone raises seven kinds of
error on headers. So readers of external files run inside `reading`, which turns every exception
into the error class of the file's kind, and the functions below validate values from files.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from vidpose.errors import VidposeError

LONGEST_REASON = 400
"""Characters to quote from a reader's error or a file."""
LONGEST_INTEGER = 18
"""Digits that fit into 64 bits."""
LONGEST_NAME = 200
DEEPEST = 64
"""Maximum nesting of values, more than any valid file has; Python's recursion limit is 1000."""


@contextmanager
def reading(
    path: Path, error: type[VidposeError], problem: str, advice: str = ""
) -> Iterator[None]:
    """Turn any exception of a reader into a one-sentence error; VidposeErrors pass unchanged.

    Args:
        path: the file, which begins the sentence.
        error: class of the error.
        problem: continues the sentence: "is not a readable NumPy file".
        advice: ends it: what to do.

    Raises:
        error: instead of every other exception.
    """
    end = f"; {advice}." if advice else "."
    try:
        yield
    except VidposeError:
        raise
    except FileNotFoundError as found:
        raise error(f"{path} does not exist{end}") from found
    except IsADirectoryError as found:
        raise error(f"{path} is a folder, not a file{end}") from found
    except PermissionError as found:
        raise error(f"{path} cannot be read; change its permissions.") from found
    except Exception as found:  # hostile bytes can make readers raise anything
        raise error(f"{path} {problem} ({reason(found)}){end}") from found


def reason(error: Exception) -> str:
    """The reason for an error in a few words on one line."""
    if isinstance(error, KeyError) and error.args:
        return f"{str(error.args[0])[:LONGEST_REASON]} is missing"
    if isinstance(error, RecursionError):
        return "it is nested too deeply"
    said = error.args[0] if error.args and isinstance(error.args[0], str) else str(error)
    text = " ".join(said.split()).rstrip(".")
    if isinstance(error, MemoryError):
        return "it asks for more memory than there is"
    return text[:LONGEST_REASON] or f"its reader raised {type(error).__name__}"


def parse_json(text: str | bytes) -> Any:
    """Parse a JSON text. Integers beyond 64 bits become floats.

    Raises:
        ValueError: it is not JSON, is nested too deeply, or has text that is not Unicode.
    """
    try:
        value = json.loads(text, parse_int=_integer)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    marker = b"\\ud" if isinstance(text, bytes) else "\\ud"
    if marker in text.lower():  # type: ignore[operator]
        try:  # a lone surrogate cannot be printed or written to another file
            # Lone surrogates from file names that are not UTF-8 are valid.
            json.dumps(value, ensure_ascii=False).encode("utf-8", "surrogateescape")
        except UnicodeEncodeError:
            raise ValueError("a text in it is not valid Unicode") from None
    return value


def parse_object(name: str, text: str | bytes) -> dict[str, Any]:
    """Parse a JSON object that will be written to other files again.

    Raises:
        ValueError: it is not an object, or is nested deeper than `DEEPEST`; begins with `name`.
    """
    try:
        value = parse_json(text)
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from None
    if not isinstance(value, dict):
        raise ValueError(f"{name}: not a JSON object")
    level: list[Any] = [value]
    for _ in range(DEEPEST):
        inner = (v.values() if isinstance(v, dict) else v for v in level)
        level = [v for values in inner for v in values if isinstance(v, dict | list)]
        if not level:
            return value
    raise ValueError(f"{name}: it is nested too deeply")


def _integer(digits: str) -> int | float:
    return int(digits) if len(digits.lstrip("-")) <= LONGEST_INTEGER else float(digits)


def number(name: str, value: Any, low: float, high: float) -> float:
    """Validate a finite number from `low` to `high`, from Python, NumPy, or an array of one.

    Raises:
        ValueError: it is not such a number; shows the value.
    """
    if getattr(value, "size", 0) == 1:
        value = value.item()
    good = isinstance(value, int | float) and not isinstance(value, bool) and low <= value <= high
    if not good or not math.isfinite(value):
        raise ValueError(f"{name}: expected a number from {low:g} to {high:g}, got {value!r:.40}")
    return float(value)


def whole(name: str, value: Any, low: int, high: int) -> int:
    """Validate a whole number from `low` to `high`, such as 3 or 3.0.

    Raises:
        ValueError: it is not such a number.
    """
    found = number(name, value, low, high)
    if found != int(found):
        raise ValueError(f"{name}: expected a whole number, got {found:g}")
    return int(found)


def name_of(name: str, value: Any) -> str:
    """Validate a short, printable text of one line.

    Raises:
        ValueError: it is not.
    """
    text = str(value)
    if len(text) > LONGEST_NAME or not text.isprintable():
        raise ValueError(f"{name}: expected a short name, got {text[:40]!r}")
    return text
