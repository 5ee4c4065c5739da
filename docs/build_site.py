"""Build the documentation's site: `make docs`, or `python docs/build_site.py`.

The pages are staged in `build/docs/pages`, in the repository's own layout, together with two that
are made here: the reference of the command line, from the commands, and that of the Python API,
from the docstrings. Zensical makes `build/docs/site` of them. A broken link, a page that the
navigation lacks, or anything that a browser would load from another machine ends the build.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from html import escape
from html.parser import HTMLParser
from pathlib import Path

import click

from vidpose.cli import main as program
from vidpose.cli.options import grouped

ROOT = Path(__file__).parents[1]
BUILD = ROOT / "build" / "docs"
PAGES, SITE = BUILD / "pages", BUILD / "site"
COPIED = ("*.md", "LICENSE", "NOTICE", "docs/**/*.md", "docs/images/*", "weights/**/*.md")

API = {
    "From a video": ["vidpose.infer", "vidpose.infer_many", "vidpose.Outcome", "vidpose.Predictor"],
    "From 2D joints": ["vidpose.lift", "vidpose.lift_file"],
    "The result": ["vidpose.load", "vidpose.save", "vidpose.Pose3D", "vidpose.Pose2D"],
    "After the result": [
        "vidpose.export.export",
        "vidpose.export.export_files",
        "vidpose.postprocess.joint_angles.JointAngles",
        "vidpose.postprocess.gait.gait",
        "vidpose.postprocess.ground_plane.place_in_world",
    ],
    "Metrics": [
        f"vidpose.metrics.{name}" for name in ("mpjpe", "p_mpjpe", "n_mpjpe", "mpjve", "pck", "auc")
    ],
    "Networks and datasets": [
        "vidpose.load_model",
        "vidpose.models.PoseFormer",
        "vidpose.models.SequencePoseFormer",
        "vidpose.models.save_checkpoint",
        "vidpose.datasets.open_dataset",
    ],
    "Errors": ["vidpose.VidposeError"],
}
"""What the reference of the Python API shows, by heading."""


def main() -> None:
    stage(PAGES)
    shutil.copy(ROOT / "docs" / "zensical.toml", BUILD)
    zensical = [sys.executable, "-m", "zensical", "build", "--clean", "--strict"]
    done = subprocess.run(
        [*zensical, "--config-file", BUILD / "zensical.toml"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    print(done.stdout, end="")
    if done.returncode or "griffe: " in done.stdout:  # a docstring that does not fit its function
        sys.exit("The site was not built; the reasons stand above.")
    remote = [
        f"{page.relative_to(SITE)}: {address}"
        for page in sorted(SITE.rglob("*"))
        if page.suffix in (".html", ".css")
        for address in loaded_from_elsewhere(page.read_text(encoding="utf-8"))
    ]
    if remote:
        sys.exit("Pages load from other machines:\n" + "\n".join(remote))
    print(f"The site: {SITE / 'index.html'}")


def stage(pages: Path) -> None:
    """Put all pages into a folder that is new."""
    shutil.rmtree(pages, ignore_errors=True)
    for pattern in COPIED:
        for file in ROOT.glob(pattern):
            target = pages / file.relative_to(ROOT)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(file, target)
    reference = pages / "docs" / "reference"
    reference.mkdir()
    (reference / "cli.md").write_text(cli_page(), encoding="utf-8")
    (reference / "api.md").write_text(api_page(), encoding="utf-8")


def cli_page() -> str:
    """Markdown with every command and its options."""
    context = click.Context(program, info_name="vidpose")
    return "# Command line\n\n" + "\n\n".join(_of_command(program, context)) + "\n"


def _of_command(command: click.Command, context: click.Context) -> Iterator[str]:
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            child = command.get_command(context, name)
            if child is not None and not child.hidden:
                yield from _of_command(child, click.Context(child, context, info_name=name))
        return
    yield f"## {context.command_path}"
    yield f"```\n{context.command_path} {' '.join(command.collect_usage_pieces(context))}\n```"
    for paragraph in (command.help or "").split("\n\n"):
        yield _text(" ".join(paragraph.split()))
    for heading, records in grouped(command, context).items():
        rows = [f"| `{names}` | {_text(about)} |" for names, about in records]
        yield "\n".join([f"| {heading} | |", "|---|---|", *rows])


def _text(text: str) -> str:
    """Plain text as Markdown, except for code in backticks."""
    parts = re.split(r"(`[^`]*`)", text)
    return "".join(
        part if part.startswith("`") else re.sub(r"([*_|\[\]])", r"\\\1", escape(part, quote=False))
        for part in parts
    )


def api_page() -> str:
    """Markdown that mkdocstrings fills in from the docstrings, without importing anything."""
    lines = ["# Python", "", "What programs may rely on, from the docstrings.", ""]
    for heading, names in API.items():
        lines += [f"## {heading}", ""]
        for name in names:
            lines += [f"::: {name}", "    options:", "      heading_level: 3", ""]
    return "\n".join(lines)


def loaded_from_elsewhere(text: str) -> list[str]:
    """Addresses on other machines that a browser would load with a page of HTML or CSS."""
    reader = _Loaded()
    reader.feed(text)
    styles = re.findall(r"(?:url\(|@import)\s*[\"']?((?:https?:)?//[^\"')\s]+)", text)
    return [a for a in reader.addresses if re.match(r"(https?:)?//", a)] + styles


class _Loaded(HTMLParser):
    """Collects what elements load by themselves; links that a reader follows are not among it."""

    def __init__(self) -> None:
        super().__init__()
        self.addresses: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if tag == "link" and given.get("rel") not in ("canonical", "prev", "next", "alternate"):
            self.addresses.append(given.get("href", ""))
        if tag != "a":
            self.addresses += [given.get("src", ""), given.get("srcset", "")]


if __name__ == "__main__":
    main()
