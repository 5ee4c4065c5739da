"""The lock files say the same as pyproject.toml, and hold on every Python and system."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

Script = Callable[[str], Any]

ROOT = Path(__file__).parents[2]
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
EXTRAS: dict[str, list[str]] = PYPROJECT["project"]["optional-dependencies"]
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")
NOT_LOCKED = {"docs", "fuzz"}
"""Extras that `make demo` and `make test` do not install."""
PYTHONS = ("3.10", "3.11", "3.12", "3.13", "3.14")
SYSTEMS = {
    "Linux x86-64": ("linux", "x86_64"),
    "Linux on Arm": ("linux", "aarch64"),
    "macOS": ("darwin", "arm64"),
    "Windows": ("win32", "AMD64"),
}
ENTRY = re.compile(
    r"([a-z0-9.-]+==[^\s;]+(?: ; [^\\\n]+)?) \\\n((?:    --hash=sha256:[0-9a-f]{64}.*\n)+)"
)


def paths(python: str) -> list[Path]:
    stem = f"py{python.replace('.', '')}"
    return [ROOT / "requirements" / f"{stem}{end}.txt" for end in ("", "-torch")]


def applies(requirement: Requirement, python: str, system: str) -> bool:
    platform, machine = SYSTEMS[system]
    environment = {
        "python_version": python,
        "python_full_version": f"{python}.0",
        "sys_platform": platform,
        "platform_machine": machine,
        "implementation_name": "cpython",
        "platform_python_implementation": "CPython",
    }
    return requirement.marker is None or requirement.marker.evaluate(environment)


def locked(python: str, system: str) -> dict[str, str]:
    """Version by package, of what the lock installs there."""
    versions = dict[str, str]()
    for path in paths(python):
        for line, _ in ENTRY.findall(path.read_text(encoding="utf-8")):
            one = Requirement(line)
            if applies(one, python, system):
                assert one.name not in versions, f"{one.name} is locked twice"
                versions[one.name] = str(one.specifier).removeprefix("==")
    return versions


def asked() -> list[str]:
    """What pyproject.toml asks for and the locks are to have."""
    lists = [wanted for extra, wanted in EXTRAS.items() if extra not in NOT_LOCKED]
    build: list[str] = PYPROJECT["build-system"]["requires"]
    return sum(lists, [*build, *PYPROJECT["project"]["dependencies"]])


@pytest.mark.parametrize("system", SYSTEMS)
@pytest.mark.parametrize("python", PYTHONS)
def test_all_of_pyproject_is_locked_within_its_bounds(
    script: Script, python: str, system: str
) -> None:
    versions, without = locked(python, system), script("lock").NOT_EVERYWHERE
    for requirement in map(Requirement, asked()):
        absent = without.get(requirement.name)
        if not applies(requirement, python, system) or (
            absent and not applies(Requirement(f"{requirement.name} ; {absent}"), python, system)
        ):
            continue
        version = versions.get(requirement.name)
        assert version is not None, f"{requirement} is not locked; run make lock"
        assert requirement.specifier.contains(version), f"{requirement}: {version}; run make lock"


@pytest.mark.parametrize("python", PYTHONS)
def test_every_line_has_a_version_and_hashes_and_no_address(python: str) -> None:
    for path in (*paths(python), ROOT / "vidpose" / "detect" / "mmpose.txt"):
        text = path.read_text(encoding="utf-8")
        assert ENTRY.search(text), path
        rest = re.sub(r"^#.*\n", "", ENTRY.sub("", text), flags=re.MULTILINE)
        assert not rest.strip(), f"{path.name}: {rest[:200]}"


def test_the_pythons_and_parts_are_all_that_there_are(script: Script) -> None:
    lock = script("lock")
    assert lock.PYTHONS == PYTHONS
    assert PYPROJECT["project"]["requires-python"] == f">={PYTHONS[0]}"
    assert [tuple(system.values()) for system in lock.SYSTEMS] == list(SYSTEMS.values())
    listed = re.search(r"^PARTS := (.*)$", MAKEFILE, re.MULTILINE)
    assert listed is not None
    # What `dev` has already is no part of its own; see `asked`.
    in_dev = {"onnx", "tables"}
    assert {*listed[1].split(), "dev"} | in_dev | NOT_LOCKED == set(EXTRAS)


@pytest.mark.parametrize("python", PYTHONS)
def test_what_a_build_of_pytorch_decides_is_by_itself(python: str) -> None:
    ours, torch = (path.read_text(encoding="utf-8") for path in paths(python))
    assert re.search(r"^torch==", torch, re.MULTILINE)
    assert not re.search(r"^(torch|triton|nvidia|cuda)", ours, re.MULTILINE)
    assert not re.search(r"^(numpy|sympy|filelock)==", torch, re.MULTILINE)


def test_upper_bounds_have_a_reason_next_to_them() -> None:
    lines = (ROOT / "pyproject.toml").read_text(encoding="utf-8").splitlines()
    everything = sum(EXTRAS.values(), [*asked()])
    bounded = {
        text
        for text in everything
        if any(one.operator not in (">", ">=") for one in Requirement(text).specifier)
    }
    assert "setuptools<81" in bounded
    for text in bounded:
        [line] = [line for line in lines if f'"{text}"' in line]
        assert "#" in line, text


UV_SAYS = """\
colorama==0.4.6 ; python_full_version < '3.12' and sys_platform == 'win32' \\
    --hash=sha256:aa
numpy==2.4.6 ; python_full_version < '3.12' and (sys_platform == 'win32' or \
sys_platform == 'linux' or sys_platform == 'darwin') \\
    --hash=sha256:bb \\
    --hash=sha256:cc
torch==2.14.1 \\
    --hash=sha256:dd
"""


def test_an_entry_names_systems_only_where_it_is_not_for_all(script: Script) -> None:
    ours, torch = script("lock").split(UV_SAYS, "3.11")
    windows = "sys_platform == 'win32' and platform_machine == 'AMD64'"
    assert ours == [
        f"colorama==0.4.6 ; {windows} \\\n    --hash=sha256:aa\n",
        "numpy==2.4.6 \\\n    --hash=sha256:bb \\\n    --hash=sha256:cc\n",
    ]
    assert torch == ["torch==2.14.1 \\\n    --hash=sha256:dd\n"]


def test_uv_is_asked_for_one_python_and_all_systems(script: Script) -> None:
    seen = list[Any]()

    def ask(source: Path, arguments: Sequence[str]) -> str:
        seen.append((tomllib.loads(source.read_text(encoding="utf-8")), arguments))
        return "numpy==1"

    lock = script("lock")
    wanted = lock.wanted(PYPROJECT, ["c3d"])
    assert lock.lock("3.13", wanted, ask) == "numpy==1"
    [(project, arguments)] = seen
    assert list(arguments) == ["--universal", "--python-version", "3.13"]
    assert project["tool"]["uv"]["required-environments"] == [
        f"sys_platform == '{system}' and platform_machine == '{machine}'"
        " and python_full_version < '3.14'"
        for system, machine in SYSTEMS.values()
    ]
    dependencies = project["project"]["dependencies"]
    assert "hatchling" in dependencies
    assert "torch==2.14.1" in dependencies
    assert set(PYPROJECT["project"]["dependencies"]) < set(dependencies)
    [ezc3d] = [Requirement(one) for one in dependencies if one.startswith("ezc3d")]
    assert [applies(ezc3d, "3.13", one) for one in SYSTEMS] == [True, False, True, True]
    assert not json.dumps(dependencies).count("ray")
