"""Systems and Python versions on which everything installs from wheels, without a compiler.

    python benchmarks/wheels.py [--python 3.10 ...]

For each system and Python version, uv (`pip install uv`) resolves the dependencies of vidpose and
its extras from wheels only. Nothing is installed. The first table has the Python versions for which
it found a solution; the second, the versions of the plain installation on the first system. Below
are uv's reasons where there is no solution. The answers depend on the package index at that time.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from common import ROOT, argument_parser, markdown_table, run_script

from vidpose.errors import MissingDependencyError

PYTHONS = ("3.10", "3.11", "3.12", "3.13", "3.14")
SYSTEMS = {
    "Linux x86-64": "x86_64-unknown-linux-gnu",
    "Linux aarch64": "aarch64-unknown-linux-gnu",
    "macOS 14 arm64": "aarch64-apple-darwin",
    "macOS 14 x86-64": "x86_64-apple-darwin",
    "Windows x86-64": "x86_64-pc-windows-msvc",
}
PLAIN = "plain"
EXTRAS = (
    *("mmpose", "datasets", "tensorboard", "ray", "tables", "c3d", "parquet", "onnx", "browser"),
    "fuzz",
)
MMPOSE = "mmpose.txt"
"""MMPose's own packages, installed without their dependencies."""
SETS = (PLAIN, *EXTRAS, MMPOSE)


@dataclass(frozen=True, kw_only=True)
class Answer:
    """uv's answer for one set on one system and Python version."""

    versions: dict[str, str]
    """Versions by package; empty if there is no solution."""
    reason: str = ""


Resolve = Callable[[Sequence[str], str, str], Answer]
"""Takes names from `SETS`, uv's name of a system, and a Python version."""


def resolve(sets: Sequence[str], system: str, python: str) -> Answer:
    """Let uv resolve versions; for `mmpose.txt` alone, without dependencies."""
    if MMPOSE in sets:
        source = ["vidpose/detect/mmpose.txt", "--no-deps"]
    else:
        extras = (("--extra", name) for name in sets if name != PLAIN)
        source = ["pyproject.toml", *(word for pair in extras for word in pair)]
    command = ["uv", "pip", "compile", *source, "--python-platform", system]
    command += ["--python-version", python, "--only-binary", ":all:"]
    command += ["--quiet", "--no-header", "--no-annotate"]
    # PyTorch's wheels for macOS begin there; uv takes an older one otherwise.
    settings = {"MACOSX_DEPLOYMENT_TARGET": "14.0", "UV_PYTHON_DOWNLOADS": "never"}
    done = subprocess.run(
        command, cwd=ROOT, env=os.environ | settings, capture_output=True, text=True
    )
    if done.returncode:
        text = " ".join(done.stderr.split())
        cause = re.search(r"Because (.*? has no .*?)(?: \(|,| and )", text)
        return Answer(versions={}, reason=cause[1] if cause else done.stderr.strip())
    pins = (line.split(";")[0].strip().split("==") for line in done.stdout.splitlines())
    return Answer(versions={pin[0]: pin[1] for pin in pins if len(pin) == 2})


def answers(system: str, python: str, ask: Resolve) -> dict[str, Answer]:
    """The answer by set. If all extras together have wheels, so has each: one call suffices."""
    together = ask((PLAIN, *EXTRAS), system, python)
    found = {PLAIN: ask((PLAIN,), system, python), MMPOSE: ask((MMPOSE,), system, python)}
    for extra in EXTRAS:
        found[extra] = together if together.versions else ask((PLAIN, extra), system, python)
    return found


def spans(pythons: Sequence[str], asked: Sequence[str]) -> str:
    """A text for the Python versions."""
    if list(pythons) == list(asked):
        return f"{asked[0]} to {asked[-1]}" if len(asked) > 1 else asked[0]
    return ", ".join(pythons) or "none"


def report(pythons: Sequence[str], direct: Sequence[str], ask: Resolve) -> str:
    """Both tables and the reasons, as Markdown.

    Args:
        pythons: Python versions such as 3.11.
        direct: names of the direct dependencies.
        ask: the resolver; `resolve`.
    """
    found = {
        (name, python): answers(system, python, ask)
        for name, system in SYSTEMS.items()
        for python in pythons
    }
    rows, lacking = [], dict[tuple[str, str], list[str]]()
    for one in SETS:
        cells = []
        for system in SYSTEMS:
            good = [python for python in pythons if found[system, python][one].versions]
            cells.append(spans(good, pythons))
            for python in pythons:
                reason = found[system, python][one].reason
                if python not in good:
                    lacking.setdefault((system, reason), []).append(f"{one} {python}")
        rows.append((one, *cells))
    reasons = [f"- {system}: {why} ({', '.join(of)})" for (system, why), of in lacking.items()]
    first = next(iter(SYSTEMS))
    versions = [
        (name, *(found[first, python][PLAIN].versions.get(name, "-") for python in pythons))
        for name in direct
    ]
    return "\n".join(
        (
            markdown_table(("what", *SYSTEMS), rows),
            markdown_table((first, *pythons), versions),
            *reasons,
        )
    )


def direct_packages() -> list[str]:
    """Names of vidpose's dependencies without extras."""
    text = (ROOT / "pyproject.toml").read_text("utf-8")
    listed = re.search(r"^dependencies = \[\n(.*?)^\]", text, re.MULTILINE | re.DOTALL)
    return re.findall(r'^\s*"([\w-]+)', listed[1], re.MULTILINE) if listed else []


def main() -> None:
    parser = argument_parser(__doc__)
    parser.add_argument("--python", nargs="+", choices=PYTHONS, default=PYTHONS)
    given = parser.parse_args()
    if shutil.which("uv") is None:
        raise MissingDependencyError("This needs uv; run `pip install uv`.")
    print("Asking ...", file=sys.stderr, flush=True)
    print(report(given.python, direct_packages(), resolve))


if __name__ == "__main__":
    run_script(main)
