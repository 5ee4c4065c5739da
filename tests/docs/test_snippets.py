"""Every command and every Python block of README and docs does what it says, on small files."""

from __future__ import annotations

import argparse
import ast
import re
import runpy
import shutil
from functools import cache
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner

from tests.docs.rules import (
    ADDED,
    GIVEN,
    NOT_RUN,
    OTHER_PROGRAMS,
    PYTHON_NOT_RUN,
    REPLACED,
)
from tests.docs.snippets import PAGES, ROOT, Block, blocks, inline_commands
from tests.docs.workspace import fill, open_two_walkers
from vidpose.cli import main

LANGUAGES = {"bash", "python", "text"}
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")
WITH_CODE = [page for page in PAGES if any(block.language != "text" for block in blocks(page))]


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("workspace")
    with pytest.MonkeyPatch.context() as patch:
        _use_two_walkers(patch)
        fill(folder)
    return folder


@pytest.fixture
def workspace(filled: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the folder that is filled, to work in."""
    _use_two_walkers(monkeypatch)
    folder = tmp_path / "work"
    shutil.copytree(filled, folder)
    monkeypatch.chdir(folder)
    return folder


def _use_two_walkers(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("pipeline", "diagnostics.profile"):
        monkeypatch.setattr(f"vidpose.{module}.open_detector", open_two_walkers)


@pytest.mark.parametrize("page", PAGES)
def test_blocks_say_what_they_are(page: str) -> None:
    for block in blocks(page):
        assert block.language in LANGUAGES, (
            f"{block.place}: begin the block with ```bash, ```python or ```text"
        )


@pytest.mark.parametrize("page", WITH_CODE)
@pytest.mark.usefixtures("workspace")
def test_what_a_page_says_works(page: str) -> None:
    names: dict[str, Any] = {name: give() for name, give in GIVEN.items()}
    for block in blocks(page):
        if block.language == "bash":
            for words in block.commands():
                check(words, block.place)
        elif block.language == "python":
            run_python(block, names)


@pytest.mark.parametrize("page", PAGES)
def test_commands_in_the_text_exist_and_so_do_their_options(page: str) -> None:
    for words in inline_commands(page):
        check_usage(words, f"{page}, `{' '.join(words)}`")


def test_no_rule_is_left_over() -> None:
    everything = [
        (block, " ".join(words))
        for page in PAGES
        for block in blocks(page)
        if block.language == "bash"
        for words in block.commands()
    ]
    texts = [text for _, text in everything]
    python = [block.text for page in PAGES for block in blocks(page) if block.language == "python"]
    for old in REPLACED:
        assert any(old in text for text in texts + python), old
    for rule in (*NOT_RUN, *OTHER_PROGRAMS):
        assert any(_matches(rule, text.split()) for text in texts), rule
    assert set(PYTHON_NOT_RUN) <= set(PAGES)


def check(words: list[str], place: str) -> None:
    """Run a command, or see that it could be run."""
    text = " ".join(words)
    if any(_matches(rule, words) for rule in OTHER_PROGRAMS):
        return
    if words[0] != "pip" and any("[" in word or word.endswith("...") for word in words):
        check_usage(words, place)
    elif words[0] == "vidpose" and not any(_matches(rule, words) for rule in NOT_RUN):
        run_vidpose(smaller(words), place)
    elif words[0] == "vidpose":
        command, rest = find_command(words[1:], place)
        command.make_context(command.name, rest)
    elif words[0] == "pip":
        check_pip(text, place)
    elif words[0] == "python" and words[1].endswith(".py"):
        parser_of(words[1]).parse_args(words[2:])
    else:
        check_usage(words, place)


def smaller(words: list[str]) -> list[str]:
    text = "\0".join(words)
    for old, new in REPLACED.items():
        text = text.replace(old.replace(" ", "\0"), new.replace(" ", "\0"))
    more = max((rule for rule in ADDED if _matches(rule, words)), key=len, default="")
    return [*text.split("\0"), *ADDED.get(more, "").split()]


def _matches(rule: str, words: list[str]) -> bool:
    """Whether a command begins with the rule's words; an option of the rule may stand anywhere."""
    begin, *option = rule.split(" -", 1)
    start = begin.split()
    return words[: len(start)] == start and all(
        f" -{part} " in f" {' '.join(words)} " for part in option
    )


def run_vidpose(words: list[str], place: str) -> None:
    if words[1] == "train":
        make_room(Path(words[words.index("--out") + 1]) if "--out" in words else TRAINED)
    done = CliRunner().invoke(main, words[1:])
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    assert done.exit_code == 0, f"{place}: {' '.join(words)}\n{done.output}"


TRAINED = Path("outputs/train")
"""Where a run goes by default."""


def make_room(run: Path) -> None:
    """Remove the stand-in for the weights of a run that has not been yet."""
    if not (run / "state.pt").exists():
        (run / "best.safetensors").unlink(missing_ok=True)


def check_usage(words: list[str], place: str) -> None:
    """See that a command and the options it names exist."""
    options = {option for word in words for option in re.findall(r"(?<![\w-])--?[a-z][\w-]*", word)}
    if words[0] == "make":
        for word in words[1:]:
            variable, given, _ = word.partition("=")
            rule = rf"^{variable} \?=" if given else rf"^{word}:"
            assert word.startswith("-") or re.search(rule, MAKEFILE, re.M), f"{place}: make {word}"
        return
    if words[0] == "vidpose":
        command, _ = find_command(words[1:], place)
        known = {name for p in command.params for name in (*p.opts, *p.secondary_opts)}
        known |= {"-h", "--help", "--version"}
    elif words[0] == "python" and words[1].endswith(".py"):
        known = set(parser_of(words[1])._option_string_actions)
    else:
        pytest.fail(f"{place}: a command that no rule is for: {' '.join(words)}")
    assert options <= known, f"{place}: there is no {', '.join(options - known)}"


def find_command(words: list[str], place: str) -> tuple[click.Command, list[str]]:
    """The command that is meant, and what follows its name."""
    command: click.Command = main
    while isinstance(command, click.Group) and words and not words[0].startswith("-"):
        name, *words = words
        if "|" in name:  # `prepare h36m|humaneva`: one stands for all
            name = name.split("|")[0]
        assert name in command.commands, f"{place}: there is no command {name}"
        command = command.commands[name]
    return command, words


def check_pip(text: str, place: str) -> None:
    """See that the extras and files that pip is to install from exist."""
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    for extra in re.findall(r"\[(\w+)\]", text):
        assert re.search(rf"^{extra} = \[", project, re.M), f"{place}: no extra {extra}"
    for file in re.findall(r"(?:-r|--requirement) (\S+)", text):
        assert (ROOT / file).is_file(), f"{place}: no file {file}"


class _ParserMadeError(Exception):
    pass


@cache
def parser_of(script: str) -> argparse.ArgumentParser:
    """The parser of one of our scripts, which is not run any further."""
    made: list[argparse.ArgumentParser] = []

    def stop(self: argparse.ArgumentParser, *_: Any) -> None:
        made.append(self)
        raise _ParserMadeError

    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str((ROOT / script).parent))
        patch.setattr("sys.argv", [script])
        patch.setattr(argparse.ArgumentParser, "parse_args", stop)
        with pytest.raises(_ParserMadeError):
            runpy.run_path(str(ROOT / script), run_name="__main__")
    return made[0]


def run_python(block: Block, names: dict[str, Any]) -> None:
    text = block.text
    for old, new in REPLACED.items():
        text = text.replace(old, new)
    code = ast.parse(text, block.place)
    ast.increment_lineno(code, block.line - 1)
    if block.page not in PYTHON_NOT_RUN:
        exec(compile(code, block.page, "exec"), names)
