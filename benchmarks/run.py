"""Write all speed and memory tables, and a description of the machine, to a Markdown file.

    python benchmarks/run.py [-o outputs/benchmarks.md] [--quick] [--runs N] [--cpu-time]
        [--video V] [--only NAME ...]
    python benchmarks/run.py --list

Methods are compared in one run, alternating, and the medians are reported. Ratios hold across
machines; absolute times do not. Each table names its units. A table is a module in this folder
whose `table` takes `Settings` and returns a `Table`. `--list` prints one line for each of these,
and for each benchmark that is a separate command.
"""

from __future__ import annotations

import ast
from importlib import import_module
from pathlib import Path

import cv2
import torch
from common import DEMO, Settings, argument_parser, machine, run_script

import vidpose
from vidpose.utils.files import check_writable, replacing

FOLDER = Path(__file__).parent
TABLES = (
    "lifting_speed",
    "weights_speed",
    "onnx_speed",
    "reading_speed",
    "rendering_speed",
    "encoding_speed",
    "end_to_end",
    "training_windows",
    "training_speed",
    "memory",
    "number_of_people",
)


def commands() -> list[str]:
    """Names of the benchmarks that are separate commands."""
    paths = sorted(FOLDER.glob("*.py"))
    return [
        p.stem for p in paths if 'if __name__ == "__main__"' in p.read_text() and p.stem != "run"
    ]


def what(name: str) -> str:
    """The first line of a benchmark's docstring."""
    doc = ast.get_docstring(ast.parse((FOLDER / f"{name}.py").read_text()))
    return doc.splitlines()[0] if doc else ""


def show_list() -> None:
    width = max(map(len, (*TABLES, *commands())))
    for title, names in (
        ("python benchmarks/run.py --only NAME", TABLES),
        ("python benchmarks/NAME.py --help", commands()),
    ):
        print(f"{title}\n")
        for name in names:
            print(f"    {name:{width}}  {what(name)}")
        print()


def measure(out: Path, names: list[str], settings: Settings) -> None:
    check_writable(out)
    if settings.cpu_time:
        torch.set_num_threads(1)
        cv2.setNumThreads(1)
    about = (
        f"vidpose {vidpose.__version__}. {machine()}; medians of {settings.runs} alternating runs."
    )
    if settings.cpu_time:
        about += " Seconds are CPU time, with one thread."
    if settings.quick:
        about += " Quick mode: small sizes, so ratios are rough."
    parts = [f"# Benchmarks\n\n{about}\n"]
    print(parts[0])
    for name in names:
        parts.append(import_module(name).table(settings).markdown())
        print(parts[-1], flush=True)
        with replacing(out) as temporary:  # after each, since a run takes long
            temporary.write_text("\n".join(parts))
    print(f"Written to {out}")


def main() -> None:
    parser = argument_parser(__doc__)
    parser.add_argument("-o", "--out", type=Path, default=Path("outputs/benchmarks.md"))
    parser.add_argument("--quick", action="store_true", help="small sizes")
    parser.add_argument("--runs", type=int, default=3, help="of each method")
    parser.add_argument("--cpu-time", action="store_true", help="for a busy machine")
    parser.add_argument("--only", nargs="+", choices=TABLES, default=list(TABLES), metavar="NAME")
    parser.add_argument("--video", type=Path, default=DEMO)
    parser.add_argument("--list", action="store_true", help="list all benchmarks and exit")
    given = parser.parse_args()
    if given.list:
        show_list()
    else:
        settings = Settings(
            video=given.video, quick=given.quick, runs=given.runs, cpu_time=given.cpu_time
        )
        measure(given.out, given.only, settings)


if __name__ == "__main__":
    run_script(main)
