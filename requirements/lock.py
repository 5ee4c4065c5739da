"""Write the lock files: what `make` installs, by version and hash, one pair for each Python.

    make lock        (which calls: python requirements/lock.py EXTRA ...)

uv resolves what pyproject.toml asks for, with the extras named, to the newest
wheels that every system in `SYSTEMS` has. Nothing is installed. `py311.txt` has all that does not
depend on the build of PyTorch; `py311-torch.txt` has PyTorch's build for GPUs and the libraries
that come with it. The hashes of MMPose's own packages are written to vidpose/detect/mmpose.txt.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

HERE = Path(__file__).resolve().parent
PYPROJECT = HERE.parent / "pyproject.toml"
MMPOSE = HERE.parent / "vidpose" / "detect" / "mmpose.txt"
PYTHONS = ("3.10", "3.11", "3.12", "3.13", "3.14")
SYSTEMS = (
    {"sys_platform": "linux", "platform_machine": "x86_64"},
    {"sys_platform": "linux", "platform_machine": "aarch64"},
    {"sys_platform": "darwin", "platform_machine": "arm64"},
    {"sys_platform": "win32", "platform_machine": "AMD64"},
)
"""Where the locks hold; elsewhere a line of them cannot be installed."""
PINNED = ("torch==2.14.1", "torchvision==0.29.1")
"""The pair that all tests were run with. A torchvision of another PyTorch does not import, and its
metadata does not say which one it needs."""
NOT_EVERYWHERE = {"ezc3d": "sys_platform != 'linux' or platform_machine != 'aarch64'"}
"""Where there are wheels of what not every system has; elsewhere the lock does without."""
TO_BUILD = ("editables",)
"""What hatchling needs for `pip install --editable`, besides what pyproject.toml names."""
OF_TORCH = re.compile(r"torch|torchvision|triton|nvidia-.*|cuda-.*")
"""What PyTorch's build for the CPU has other files of, or none."""
HEADER = "# Made by `make lock`; docs/installation.md says how it is used.\n"

Compile = Callable[[Path, Sequence[str]], str]
"""A file with requirements and further arguments -> uv's lock."""


def compile_with_uv(source: Path, arguments: Sequence[str]) -> str:
    """Let uv choose versions and name the hashes; no address of an index gets into the lock."""
    command = [sys.executable, "-m", "uv", "pip", "compile", source.name, *arguments]
    command += ["--generate-hashes", "--only-binary", ":all:"]
    command += ["--quiet", "--no-header", "--no-annotate", "--no-emit-index-url"]
    settings = {"UV_PYTHON_DOWNLOADS": "never"}
    done = subprocess.run(
        command, cwd=source.parent, env=os.environ | settings, capture_output=True, text=True
    )
    if done.returncode:
        sys.exit(f"uv found no set of packages for {' '.join(arguments)}:\n{done.stderr}")
    return done.stdout


def as_marker(system: Mapping[str, str]) -> str:
    """As requirements files have it."""
    return " and ".join(f"{key} == '{value}'" for key, value in system.items())


def wanted(pyproject: dict[str, Any], extras: Sequence[str]) -> list[str]:
    """All requirements to be locked: of vidpose, its extras and its build."""
    project = pyproject["project"]
    asked = [*pyproject["build-system"]["requires"], *TO_BUILD, *PINNED, *project["dependencies"]]
    for extra in extras:
        asked += project["optional-dependencies"][extra]
    markers = {name: f" ; {marker}" for name, marker in NOT_EVERYWHERE.items()}
    return [one + markers.get(Requirement(one).name, "") for one in asked]


def lock(python: str, requirements: Sequence[str], compile_: Compile) -> str:
    """uv's lock for one Python, on all systems.

    Args:
        python: such as 3.11.
        requirements: what is to be locked.
        compile_: what resolves; `compile_with_uv`.
    """
    following = f"3.{int(python.split('.')[1]) + 1}"
    until = f"python_full_version < '{following}'"
    systems = [f"{as_marker(system)} and {until}" for system in SYSTEMS]
    # `required`: uv admits only versions that have wheels on each of them. JSON's lists are TOML's.
    text = f"""
        [project]
        name = "vidpose"
        version = "0"
        requires-python = ">={python}"
        dependencies = {json.dumps(requirements)}
        [tool.uv]
        environments = {json.dumps(systems)}
        required-environments = {json.dumps(systems)}
    """
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder, "pyproject.toml")
        source.write_text(text, encoding="utf-8")
        return compile_(source, ["--universal", "--python-version", python])


def on_systems(requirement: Requirement, python: str) -> str:
    """`name==version`, and its marker in short: none where it holds on all of `SYSTEMS`.

    So the lock fails on a system that it was not made for, instead of installing nothing there.
    """
    given = {
        "python_version": python,
        "python_full_version": f"{python}.0",
        "implementation_name": "cpython",
        "platform_python_implementation": "CPython",
    }
    marker = requirement.marker
    held = [one for one in SYSTEMS if marker is None or marker.evaluate({**given, **one})]
    text = f"{requirement.name}{requirement.specifier}"
    return text if len(held) == len(SYSTEMS) else f"{text} ; {' or '.join(map(as_marker, held))}"


def split(locked: str, python: str) -> tuple[list[str], list[str]]:
    """uv's entries, hashes included: (all that any build of PyTorch goes with, the rest)."""
    ours, torch = list[str](), list[str]()
    for line, hashes in re.findall(r"^([^\s#].*?)( \\\n(?: +--hash.*\n)+)", locked, re.MULTILINE):
        requirement = Requirement(line)
        entries = torch if OF_TORCH.fullmatch(requirement.name) else ours
        entries.append(on_systems(requirement, python) + hashes)
    return ours, torch


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("extras", nargs="+", metavar="EXTRA", help="of pyproject.toml")
    extras = parser.parse_args().extras
    requirements = wanted(tomllib.loads(PYPROJECT.read_text("utf-8")), extras)
    # All are made before the first is written: the locks change together or not at all.
    locks = {one: split(lock(one, requirements, compile_with_uv), one) for one in PYTHONS}
    hashed = compile_with_uv(MMPOSE, ["--no-deps", "--universal", "--python-version", PYTHONS[0]])
    for python, (ours, torch) in locks.items():
        stem = f"py{python.replace('.', '')}"
        (HERE / f"{stem}.txt").write_text(HEADER + "".join(ours), encoding="utf-8")
        (HERE / f"{stem}-torch.txt").write_text(HEADER + "".join(torch), encoding="utf-8")
        print(f"Python {python}: {len(ours)} packages, and {len(torch)} of PyTorch")
    comment = re.match(r"(?:#.*\n)*", MMPOSE.read_text("utf-8"))
    MMPOSE.write_text((comment[0] if comment else "") + hashed, encoding="utf-8")


if __name__ == "__main__":
    main()
