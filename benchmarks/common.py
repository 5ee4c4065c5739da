"""Helpers of the benchmarks: options, alternating timing, tables, a description of the machine."""

from __future__ import annotations

import argparse
import importlib.util
import os
import platform
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import torch

from vidpose.errors import DataError, MissingDependencyError, UsageError, VidposeError
from vidpose.utils.devices import computes_in_bf16
from vidpose.utils.files import replacing

ROOT = Path(__file__).parents[1]
DEMO = ROOT / "demo_videos" / "demo.mp4"
INSTRUCTIONS = ("avx2", "avx512f", "avx512_vnni", "avx512_bf16", "amx_bf16")
"""CPU flags, as named by Linux, that determine the speed of matrix products."""


def argument_parser(doc: str | None) -> argparse.ArgumentParser:
    """A parser whose help starts with the unmodified docstring of the script."""
    return argparse.ArgumentParser(
        description=doc, formatter_class=argparse.RawDescriptionHelpFormatter
    )


def require_mediapipe() -> None:
    """Raise an error with the install command if the package mediapipe is missing.

    Raises:
        MissingDependencyError: it is not installed.
    """
    if importlib.util.find_spec("mediapipe") is None:
        raise MissingDependencyError(
            "This compares with MediaPipe; run `pip install --no-deps mediapipe==0.10.21 absl-py "
            "attrs 'protobuf<5' 'numpy<2'` with Python 3.12 or older."
        )


def check_comparison(checkouts: Iterable[Path], video: Path, runs: int) -> None:
    """Check the arguments of a comparison of checkouts; raises UsageError or DataError."""
    for checkout in checkouts:
        if not (checkout / "vidpose" / "__init__.py").is_file():
            raise UsageError(f"{checkout} is no checkout of vidpose; give its top folder.")
    if not video.is_file():
        raise DataError(f"{video} does not exist; give a video file.")
    if runs < 1:
        raise UsageError("--runs must be at least 1.")


def run_script(main: Callable[[], object]) -> None:
    """Run a script; a VidposeError ends it with a one-sentence error and vidpose's exit code."""
    try:
        main()
    except VidposeError as error:
        print(f"Error: {error}", file=sys.stderr)
        sys.exit(error.exit_code)


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Settings of a measurement."""

    video: Path
    quick: bool = False
    """Small sizes, to check that everything runs."""
    runs: int = 3
    """Runs of each method; the median is reported."""
    cpu_time: bool = False
    """Measure the CPU time of this process instead of wall time. For a busy machine; use one
    thread, because waiting threads use CPU time, too."""


@dataclass(frozen=True, kw_only=True)
class Table:
    title: str
    note: str
    """One paragraph that describes the measurement."""
    header: tuple[str, ...]
    rows: list[tuple[str, ...]]

    def markdown(self) -> str:
        return f"## {self.title}\n\n{self.note}\n\n{markdown_table(self.header, self.rows)}"


def markdown_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)


def alternate(
    ways: Mapping[str, Callable[[], Any]], runs: int, cpu_time: bool = False
) -> dict[str, float]:
    """Median seconds of each method.

    The methods alternate, so that other load on the machine slows all of them equally. The first
    round is a warm-up and is not counted.
    """
    clock = time.process_time if cpu_time else time.perf_counter
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for turn in range(runs + 1):
        for name, way in ways.items():
            start = clock()
            way()
            if turn:
                seconds[name].append(clock() - start)
    return {name: median(some) for name, some in seconds.items()}


def machine() -> str:
    """One sentence: CPU, instruction sets, cores, GPU, PyTorch, Python and the load."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.is_file() else []
    cpu = {key.strip(): value.strip() for key, _, value in (li.partition(":") for li in lines)}
    name = cpu.get("model name") or platform.processor() or platform.machine()
    flags = [flag for flag in INSTRUCTIONS if flag in cpu.get("flags", "").split()]
    bf16 = "bf16" if computes_in_bf16(torch.device("cpu")) else "no bf16"
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else "no GPU"
    return (
        f"{name}, {os.cpu_count()} cores ({', '.join(flags) or platform.machine()}; {bf16}), "
        f"{gpu}, PyTorch {torch.__version__}, {torch.get_num_threads()} threads, "
        f"Python {platform.python_version()}, load {os.getloadavg()[0]:.1f} at the start"
    )


def publish(text: str, out: Path) -> None:
    """Print a report and write it to a file."""
    print(text)
    with replacing(out) as temporary:
        temporary.write_text(text)
    print(f"Written to {out}")
