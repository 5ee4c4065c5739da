"""Benchmarks of the installation."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

Import = Callable[[str], Any]


def test_missing_wheels_are_reported_with_the_reason(module: Import) -> None:
    wheels = module("wheels")

    def ask(sets: Sequence[str], system: str, python: str) -> Any:
        if "ray" in sets and python == "3.14":
            return wheels.Answer(versions={}, reason="ray has no wheels")
        if system.startswith("x86_64-apple"):
            return wheels.Answer(versions={}, reason="torch has no wheels")
        return wheels.Answer(versions={"numpy": f"2.{python[2:]}"})

    text = wheels.report(("3.13", "3.14"), ["numpy"], ask)
    everywhere = "3.13 to 3.14"
    assert f"| plain | {everywhere} | {everywhere} | {everywhere} | none | {everywhere} |" in text
    assert f"| mmpose | {everywhere} |" in text  # although all extras together fail because of ray
    assert "| ray | 3.13 | 3.13 | 3.13 | none | 3.13 |" in text
    assert "- Linux x86-64: ray has no wheels (ray 3.14)" in text
    assert "- macOS 14 x86-64: torch has no wheels (plain 3.13, plain 3.14, mmpose 3.13," in text
    assert "| numpy | 2.13 | 2.14 |" in text


def test_the_packages_are_those_of_pyproject(module: Import) -> None:
    direct = module("wheels").direct_packages()
    assert {"av", "opencv-python-headless", "torchvision"} <= set(direct)
    assert "ray" not in direct


def test_the_size_of_an_environment(module: Import, tmp_path: Path) -> None:
    site = tmp_path / "lib" / "python3.11" / "site-packages"
    sizes = {"torch": 3, "nvidia/cudnn": 5, "triton": 2, "numpy": 1, "numpy-2.0.dist-info": 0}
    for name, mb in sizes.items():
        (site / name).mkdir(parents=True)
        (site / name / "file").write_bytes(bytes(mb * 1_000_000))
    (site / "again").symlink_to(site / "torch" / "file")
    assert module("install_size").measure(tmp_path) == (1, 11.0, 7.0)
