"""The code blocks and commands of README and docs."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from textwrap import dedent

ROOT = Path(__file__).parents[2]
PAGES = sorted(
    path.relative_to(ROOT).as_posix()
    for pattern in ("*.md", "docs/**/*.md", "weights/**/*.md")
    for path in ROOT.glob(pattern)
)
"""Every page, as a path from the repository's root."""

FENCE = re.compile(r"^(?P<indent> *)```(?P<language>.*)\n(?P<text>(?:.*\n)*?)(?P=indent)```$", re.M)
COMMAND = re.compile(r"(vidpose|make|python [\w/]+\.py) ")


@dataclass(frozen=True)
class Block:
    page: str
    line: int
    """Of its first line of code, from 1."""
    language: str
    text: str

    @property
    def place(self) -> str:
        return f"{self.page}:{self.line}"

    def commands(self) -> Iterator[list[str]]:
        """A shell block's commands in words, without `.venv/bin/` and comments."""
        for line in self.text.replace("\\\n", " ").splitlines():
            words = shlex.split(line, comments=True)
            if words:
                yield [words[0].removeprefix(".venv/bin/"), *words[1:]]


def blocks(page: str) -> list[Block]:
    """The fenced blocks of a page, in their order."""
    text = (ROOT / page).read_text(encoding="utf-8")
    return [
        Block(
            page,
            text[: fence.start("text")].count("\n") + 1,
            fence["language"].strip(),
            dedent(fence["text"]),
        )
        for fence in FENCE.finditer(text)
    ]


def inline_commands(page: str) -> list[list[str]]:
    """What stands in backticks outside the blocks and begins like a command, in words."""
    text = FENCE.sub("", (ROOT / page).read_text(encoding="utf-8"))
    codes = (" ".join(code.split()) for code in re.findall(r"`([^`]+)`", text))
    spoken = sorted({code.removeprefix(".venv/bin/") for code in codes})
    return [text.split() for text in spoken if COMMAND.match(text)]
