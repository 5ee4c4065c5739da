"""Files from elsewhere: whatever goes wrong while one is read becomes one sentence.

A damaged or hostile file makes its reader raise anything: NumPy alone raises seven kinds of error
on headers. So the readers of outside files run inside `reading`, which turns every exception into
the error of the file's kind, and values from files pass the checks below, which say what is sane.
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
"""Letters that are repeated of what a reader or a file says."""
LONGEST_INTEGER = 18
"""Digits that fit into 64 bits."""
LONGEST_NAME = 200
DEEPEST = 64
"""No file that is read here nests its values deeper; Python's own recursion ends at 1000."""


@contextmanager
def reading(
    path: Path, error: type[VidposeError], problem: str, advice: str = ""
) -> Iterator[None]:
    """Turn whatever a reader raises into one sentence; errors that are sentences already pass.

    Args:
        path: the file, which begins the sentence.
        error: its class.
        problem: goes on with it: "is not a readable NumPy file".
        advice: what to do, its end.

    Raises:
        error: in the place of every exception.
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
        raise error(f"{path} cannot be read: reading it is not permitted.") from found
    except Exception as found:  # hostile bytes make readers raise every error there is
        raise error(f"{path} {problem} ({reason(found)}){end}") from found


def reason(error: Exception) -> str:
    """Why, in a few words on one line."""
    if isinstance(error, KeyError) and error.args:
        return f"{str(error.args[0])[:LONGEST_REASON]} is missing"
    if isinstance(error, RecursionError):
        return "it is nested too deep"
    said = error.args[0] if error.args and isinstance(error.args[0], str) else str(error)
    text = " ".join(said.split()).rstrip(".")
    if isinstance(error, MemoryError):
        return "it asks for more memory than there is"
    return text[:LONGEST_REASON] or f"its reader says {type(error).__name__}"


def parse_json(text: str | bytes) -> Any:
    """The value of a JSON text. Whole numbers beyond 64 bits become floats.

    Raises:
        ValueError: it is no JSON, nests too deep, or has text that is not Unicode.
    """
    try:
        value = json.loads(text, parse_int=_integer)
    except RecursionError:
        raise ValueError("it is nested too deep") from None
    marker = b"\\ud" if isinstance(text, bytes) else "\\ud"
    if marker in text.lower():  # type: ignore[operator]
        try:  # a half of a pair of surrogates cannot be printed, nor written to another file
            # Names of files that are not UTF-8 have halves of their own, and are known to be such.
            json.dumps(value, ensure_ascii=False).encode("utf-8", "surrogateescape")
        except UnicodeEncodeError:
            raise ValueError("a text in it is not valid Unicode") from None
    return value


def parse_object(name: str, text: str | bytes) -> dict[str, Any]:
    """The same for a JSON object that will be written to other files again.

    Raises:
        ValueError: it is none, or nests deeper than `DEEPEST`; begins with `name`.
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
    raise ValueError(f"{name}: it is nested too deep")


def _integer(digits: str) -> int | float:
    return int(digits) if len(digits.lstrip("-")) <= LONGEST_INTEGER else float(digits)


def number(name: str, value: Any, low: float, high: float) -> float:
    """A finite number from `low` to `high`; Python's, NumPy's, or an array of one.

    Raises:
        ValueError: it is none; names what it is.
    """
    if getattr(value, "size", 0) == 1:
        value = value.item()
    good = isinstance(value, int | float) and not isinstance(value, bool) and low <= value <= high
    if not good or not math.isfinite(value):
        raise ValueError(f"{name}: expected a number from {low:g} to {high:g}, got {value!r:.40}")
    return float(value)


def whole(name: str, value: Any, low: int, high: int) -> int:
    """A whole number from `low` to `high`; 3.0 is one, too.

    Raises:
        ValueError: it is none.
    """
    found = number(name, value, low, high)
    if found != int(found):
        raise ValueError(f"{name}: expected a whole number, got {found:g}")
    return int(found)


def name_of(name: str, value: Any) -> str:
    """A short text of one line that can be printed everywhere.

    Raises:
        ValueError: it is none.
    """
    text = str(value)
    if len(text) > LONGEST_NAME or not text.isprintable():
        raise ValueError(f"{name}: expected a short name, got {text[:40]!r}")
    return text
