"""CPU time of short commands, mostly start-up; optionally compares two checkouts.

    python benchmarks/start_up.py [--old CHECKOUT] [--video V] [--runs 5]

Each run is a separate process; commands and checkouts alternate, and the first round is not
counted. The table has median CPU seconds, user plus system. `import torch` is the lower bound for
commands that lift; half a second of video also has to be decoded, detected and lifted.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median

from common import (
    DEMO,
    ROOT,
    argument_parser,
    check_comparison,
    machine,
    markdown_table,
    run_script,
)

from vidpose.errors import VidposeError

SECONDS = "0.5"
VIDPOSE = ("-m", "vidpose")


def commands(video: Path, folder: Path) -> dict[str, tuple[str, ...]]:
    """Arguments of Python by row name; the commands after `infer` use its result."""
    result, again = folder / f"{video.stem}.npz", folder / "again"
    return {
        "`import torch`": ("-c", "import torch"),
        "`--help`": (*VIDPOSE, "--help"),
        "`infer`, a wrong path": (*VIDPOSE, "infer", "missing.mp4"),
        "`lift`, a wrong path": (*VIDPOSE, "lift", "missing.json"),
        f"`infer`, {SECONDS} s": (
            *(*VIDPOSE, "infer", str(video), "--end", SECONDS, "-o", str(folder)),
        ),
        "`lift`, its 2D joints": (*VIDPOSE, "lift", str(result), "-o", str(again)),
        "`render`, its result": (*VIDPOSE, "render", str(result), "-o", str(again / "a.mp4")),
    }


def cpu_s(checkout: Path, arguments: tuple[str, ...], folder: Path, fails: bool) -> float:
    """CPU seconds of one process with a checkout's code."""
    environment = os.environ | {"PYTHONPATH": str(checkout)}
    with (folder / "log.txt").open("w+") as log:
        child = subprocess.Popen(
            [sys.executable, *arguments], cwd=folder, env=environment, stdout=log, stderr=log
        )
        _, status, usage = os.wait4(child.pid, 0)  # unlike wait, returns this child's usage
        child.returncode = os.waitstatus_to_exitcode(status)
        log.seek(0)
        if bool(child.returncode) != fails:
            raise VidposeError(f"{' '.join(arguments)} in {checkout}:\n{log.read()}")
    return usage.ru_utime + usage.ru_stime


def measure(checkouts: dict[str, Path], video: Path, runs: int) -> list[tuple[str, ...]]:
    """Table rows: a command's name and each checkout's median."""
    seconds: dict[str, dict[str, list[float]]] = {}
    for turn in range(runs + 1):
        for name, checkout in checkouts.items():
            with tempfile.TemporaryDirectory() as place:
                folder = Path(place)
                for what, arguments in commands(video, folder).items():
                    took = cpu_s(checkout, arguments, folder, fails="wrong" in what)
                    if turn:
                        seconds.setdefault(what, {}).setdefault(name, []).append(took)
    return [
        (what, *(f"{median(of[name]):.2f}" for name in checkouts)) for what, of in seconds.items()
    ]


def main() -> None:
    parser = argument_parser(__doc__)
    parser.add_argument("--old", type=Path, metavar="CHECKOUT", help="compare with this checkout")
    parser.add_argument("--video", type=Path, default=DEMO)
    parser.add_argument("--runs", type=int, default=5, help="of each command")
    given = parser.parse_args()
    checkouts = {"old": given.old.resolve()} if given.old else {}
    checkouts["new"] = ROOT
    check_comparison(checkouts.values(), given.video, given.runs)
    about = machine()
    rows = measure(checkouts, given.video.resolve(), given.runs)
    print(f"{given.video.name}, {given.runs} alternating runs each. {about}.\n")
    print(markdown_table(("CPU time, s", *checkouts), rows))


if __name__ == "__main__":
    run_script(main)
