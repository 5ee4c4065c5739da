"""Speed, memory and results of `vidpose infer` in two checkouts of the code, side by side.

    python benchmarks/compare_checkouts.py OLD_CHECKOUT [--new CHECKOUT] [--video V] [--runs 5]
        [-- OPTION OF INFER...]

Each run is a separate process. The checkouts alternate, and the first round is not counted. On a
busy machine CPU time is more meaningful than frames/s; two copies of one checkout show the
measurement noise. The table has the median of each checkout, the ratio of the medians (new to old),
and the lowest and highest ratio of a round. Units: frames/s of the command without the start of
Python and vidpose's imports; CPU seconds and MB of memory of the whole process. The last line names
the arrays of the result that are not bit-identical. If there are any, the exit code is 1.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import numpy as np
from common import (
    DEMO,
    ROOT,
    argument_parser,
    check_comparison,
    machine,
    markdown_table,
    run_script,
)
from numpy.typing import NDArray

from vidpose.errors import UsageError, VidposeError

CHILD = """
import json, sys, time
import vidpose
from vidpose.cli import main
start = time.perf_counter()
main(sys.argv[2:], standalone_mode=False)
seconds = time.perf_counter() - start
with open(sys.argv[1], "w") as file:
    json.dump({"seconds": seconds, "imported": vidpose.__file__}, file)
"""
Arrays = dict[str, NDArray]


@dataclass(frozen=True, kw_only=True)
class Run:
    """One run of `vidpose infer` in a new process."""

    frames_per_s: float
    cpu_s: float
    peak_mb: float
    arrays: Arrays
    """The result file's arrays without `meta`, which contains versions."""


MEASURES = {
    "frames_per_s": ("frames/s", ".2f"),
    "cpu_s": ("CPU time, s", ".1f"),
    "peak_mb": ("peak memory, MB", ".0f"),
}


def infer(checkout: Path, video: Path, folder: Path, options: list[str]) -> Run:
    """Run the command with a checkout's code; `folder` must be empty."""
    report, out = folder / "report.json", folder / "out"
    command = [sys.executable, "-c", CHILD, str(report), "infer", str(video), "-o", str(out)]
    environment = os.environ | {"PYTHONPATH": str(checkout)}
    with (folder / "log.txt").open("w+") as log:
        child = subprocess.Popen(
            [*command, *options], cwd=folder, env=environment, stdout=log, stderr=log
        )
        _, status, usage = os.wait4(child.pid, 0)  # unlike wait, returns this child's usage
        child.returncode = os.waitstatus_to_exitcode(status)
        log.seek(0)
        if child.returncode:
            raise VidposeError(f"`infer` failed in {checkout}:\n{log.read()}")
    found = json.loads(report.read_text())
    if not Path(found["imported"]).is_relative_to(checkout):
        raise UsageError(f"{checkout} has no vidpose: {found['imported']} was imported instead.")
    arrays = read_arrays(next(out.glob("*.npz")))
    kib = 1 if sys.platform == "darwin" else 1024  # ru_maxrss is in bytes on macOS
    return Run(
        frames_per_s=len(arrays["timestamps"]) / found["seconds"],
        cpu_s=usage.ru_utime + usage.ru_stime,
        peak_mb=usage.ru_maxrss * kib / 1e6,
        arrays=arrays,
    )


def read_arrays(path: Path) -> Arrays:
    with np.load(path, allow_pickle=False) as file:
        return {name: file[name] for name in file.files if name != "meta"}


def different(old: Arrays, new: Arrays) -> list[str]:
    """The arrays that are not bit-identical, each with its difference."""
    found = []
    for name in sorted(old.keys() | new.keys()):
        if name not in old or name not in new:
            found.append(f"{name} (only in the {'old' if name in old else 'new'} result)")
            continue
        a, b = old[name], new[name]
        if (a.dtype, a.shape) != (b.dtype, b.shape):
            found.append(f"{name} ({a.dtype} {a.shape} and {b.dtype} {b.shape})")
        elif a.tobytes() != b.tobytes():
            number = np.issubdtype(a.dtype, np.number)
            apart = np.nanmax(np.abs(a.astype(float) - b)) if number else np.nan
            found.append(f"{name} (by up to {apart:.3g})" if number else name)
    return found


def compare(
    checkouts: dict[str, Path], video: Path, runs: int, options: list[str]
) -> tuple[str, list[str]]:
    """The table as Markdown, and the arrays that differ."""
    done: dict[str, list[Run]] = {name: [] for name in checkouts}
    for turn in range(runs + 1):
        # Swap the order every round: the machine may be slower after a run.
        for name, checkout in sorted(checkouts.items(), reverse=turn % 2 == 0):
            with tempfile.TemporaryDirectory() as folder:
                run = infer(checkout, video, Path(folder), options)
            if turn:
                done[name].append(run)
            what = f"run {turn}" if turn else "warm-up"
            speed = f"{run.frames_per_s:.2f} frames/s, {run.cpu_s:.1f} s, {run.peak_mb:.0f} MB"
            print(f"{what}, {name}: {speed}", file=sys.stderr, flush=True)
    rows = []
    for measure, (title, digits) in MEASURES.items():
        old, new = ([getattr(run, measure) for run in done[name]] for name in ("old", "new"))
        ratios = [b / a for a, b in zip(old, new, strict=True)]
        numbers = [format(median(some), digits) for some in (old, new)]
        ratio = f"{median(new) / median(old):.3f}"
        rows.append([title, *numbers, ratio, f"{min(ratios):.3f} to {max(ratios):.3f}"])
    table = markdown_table(("median", "old", "new", "new / old", "per round"), rows)
    return table, different(done["old"][0].arrays, done["new"][0].arrays)


def main() -> None:
    arguments = sys.argv[1:]
    split = arguments.index("--") if "--" in arguments else len(arguments)
    parser = argument_parser(__doc__)
    parser.add_argument("old", type=Path, metavar="OLD_CHECKOUT")
    parser.add_argument("--new", type=Path, default=ROOT, help="default: where this script is")
    parser.add_argument("--video", type=Path, default=DEMO)
    parser.add_argument("--runs", type=int, default=5, help="of each checkout")
    given = parser.parse_args(arguments[:split])
    checkouts = {"old": given.old.resolve(), "new": given.new.resolve()}
    check_comparison(checkouts.values(), given.video, given.runs)
    table, unequal = compare(checkouts, given.video.resolve(), given.runs, arguments[split + 1 :])
    print(f"{given.video.name}, {given.runs} alternating runs each. {machine()}.\n\n{table}")
    if unequal:
        print(f"Arrays that differ: {'; '.join(unequal)}.")
        sys.exit(1)
    print("All arrays are bit-identical.")


if __name__ == "__main__":
    run_script(main)
