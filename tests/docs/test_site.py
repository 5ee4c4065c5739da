"""The site that `make docs` builds: what is staged for it, and that it is complete."""

from __future__ import annotations

import importlib.util
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest

import vidpose
from tests.docs.snippets import FENCE, PAGES, ROOT
from vidpose.cli import main

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
GENERATED = {"docs/reference/cli.md", "docs/reference/api.md"}


@pytest.fixture(scope="module")
def build_site() -> Any:
    spec = importlib.util.spec_from_file_location("build_site", ROOT / "docs" / "build_site.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_navigation_has_every_page_once() -> None:
    config = tomllib.loads((ROOT / "docs" / "zensical.toml").read_text(encoding="utf-8"))
    shown = list(_leaves(config["project"]["nav"]))
    assert sorted(shown) == sorted({*PAGES, *GENERATED}), (
        "each page needs one line in `nav` of docs/zensical.toml"
    )


def _leaves(nav: Any) -> Iterator[str]:
    if isinstance(nav, str):
        yield nav
    elif isinstance(nav, dict):
        for value in nav.values():
            yield from _leaves(value)
    else:
        for value in nav:
            yield from _leaves(value)


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page: str) -> None:
    text = FENCE.sub("", (ROOT / page).read_text(encoding="utf-8"))
    for target in LINK.findall(re.sub(r"`[^`\n]*`", "", text)):
        path, _, anchor = target.partition("#")
        if re.match(r"[a-z]+:", path):
            continue
        linked = (ROOT / page).parent / path if path else ROOT / page
        assert linked.is_file(), f"{page}: {target}"
        assert not anchor or anchor in _anchors(linked), f"{page}: {target}"


def _anchors(page: Path) -> set[str]:
    """The names of a page's headings, on GitHub as on the site."""
    text = FENCE.sub("", page.read_text(encoding="utf-8"))
    headings = re.findall(r"^#+ (.*)$", text, re.M)
    return {
        re.sub(r"[^\w\- ]", "", heading.replace("`", "").lower()).replace(" ", "-")
        for heading in headings
    }


def test_staged_pages_are_complete(build_site: Any, tmp_path: Path) -> None:
    (tmp_path / "old.md").write_text("from an earlier build")
    build_site.stage(tmp_path)
    staged = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*.md")}
    assert staged == {*PAGES, *GENERATED}
    assert (tmp_path / "docs" / "images" / "demo.jpg").is_file()


def test_the_command_line_reference_has_every_command_and_option(build_site: Any) -> None:
    page = build_site.cli_page()
    commands = list(_commands(main, "vidpose"))
    assert "vidpose weights import" in [path for path, _ in commands]
    for path, command in commands:
        section = page.split(f"\n## {path}\n")[1].split("\n## ")[0]
        for parameter in command.params:
            if isinstance(parameter, click.Option) and not parameter.hidden:
                assert all(f"`{n}" in section or f" {n}" in section for n in parameter.opts), path
    assert "| `--height-cm CM\\|ID=CM,...` |" not in page  # code needs no escape there
    assert "`--height-cm CM|ID=CM,...`" in page


def _commands(command: click.Command, path: str) -> Iterator[tuple[str, click.Command]]:
    if isinstance(command, click.Group):
        for name, child in command.commands.items():
            yield from _commands(child, f"{path} {name}")
    else:
        yield path, command


def test_the_api_reference_has_everything_public(build_site: Any) -> None:
    shown = {name for names in build_site.API.values() for name in names}
    assert shown >= {f"vidpose.{name}" for name in vidpose.__all__}
    assert all(f"::: {name}\n" in build_site.api_page() for name in shown)
    for name in shown:
        module, _, thing = name.rpartition(".")
        assert hasattr(importlib.import_module(module), thing), name


@pytest.mark.parametrize(
    ("page", "expected"),
    [
        ('<script src="https://a.org/x.js"></script>', ["https://a.org/x.js"]),
        ('<link rel="stylesheet" href="//a.org/x.css">', ["//a.org/x.css"]),
        ('<img src="http://a.org/x.png">', ["http://a.org/x.png"]),
        ("@import 'https://a.org/x.css'; b { src: url(https://a.org/f.woff) }", None),
        ('<a href="https://a.org">a</a><link rel="canonical" href="https://a.org">', []),
        ('<img src="images/x.png"><script src="./x.js"></script>', []),
    ],
)
def test_what_a_page_would_load_from_elsewhere(
    page: str, expected: list[str] | None, build_site: Any
) -> None:
    both = ["https://a.org/x.css", "https://a.org/f.woff"]
    assert build_site.loaded_from_elsewhere(page) == (both if expected is None else expected)
