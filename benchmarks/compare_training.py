"""Speed and loss of training steps in two checkouts of the code, side by side.

    python benchmarks/compare_training.py OLD_CHECKOUT [--new CHECKOUT] [--data MOCAP]
        [--only NAME ...] [--ways NAME ...] [--steps N] [--cpu-time]

Each variant runs in its own process with one thread. They alternate step by step, on the same
batches with the same learning rates. A step is a step of `vidpose train`: draw the batch, forward,
backward, optimizers, moving average. The recipe of our own weights (width 16, windows of 81 frames,
batches of 32) needs a folder of motion capture, --data; the paper's network trains on the synthetic
set. Tables: median milliseconds per step and windows/s, without the first two steps; and the loss
over the run in millimetres, averaged over each fifth of the steps.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean, median
from tempfile import TemporaryDirectory
from typing import Any

from common import ROOT, argument_parser, machine, markdown_table, run_script

from vidpose.datasets.synthetic import write_synthetic
from vidpose.errors import UsageError, VidposeError

CHILD = """
import json, sys, time
from dataclasses import replace
from pathlib import Path
import torch
import vidpose
from vidpose.training.distributed import World
from vidpose.training.learner import Learner
from vidpose.training.optimizers import learning_rate
from vidpose.training.options import TrainOptions
from vidpose.training.recipe import recipe_for
from vidpose.training.run import open_data
from vidpose.utils.progress import silent

torch.set_num_threads(1)
what = json.loads(sys.argv[1])
steps, clock = what["steps"], time.process_time if what["cpu_time"] else time.perf_counter
recipe = replace(recipe_for(what["dataset"]), **what["recipe"])
world = World(torch.device("cpu"), "as asked")
data = open_data(
    TrainOptions(dataset=what["dataset"], data=Path(what["data"])), recipe, world, silent
)
learner = Learner(recipe, 17, world)
learner.model.train()
print(json.dumps(vidpose.__file__), flush=True)
for number, _ in enumerate(sys.stdin):
    epoch, step = divmod(number, data.source.samples // recipe.batch)
    start = clock()
    batch = data.source.batch(epoch, step, recipe.batch, world)
    loss = learner.step(batch, number, learning_rate(recipe, number, steps))
    taken = clock() - start
    print(json.dumps([taken, 1000 * float(loss) / batch.size]), flush=True)
"""
NETWORKS: dict[str, dict[str, Any]] = {
    "own": {"embed_dim": 16},
    "f27": {"frames": 27, "batch": 256},
    "f81": {"frames": 81, "batch": 64},
}
WAYS: dict[str, tuple[str, dict[str, Any]]] = {
    "old-fp32": ("old", {"precision": "fp32"}),
    "old-bf16": ("old", {"precision": "bf16"}),
    "new-fp32": ("new", {"precision": "fp32"}),
    "new-bf16": ("new", {"precision": "bf16"}),
    "new-fp32-compiled": ("new", {"precision": "fp32", "compile": True}),
    "new-bf16-compiled": ("new", {"precision": "bf16", "compile": True}),
}
WARM_UP, PARTS = 2, 5


@dataclass
class Run:
    """A variant and its measurements so far."""

    child: subprocess.Popen[str]
    seconds: list[float]
    losses_mm: list[float]

    def step(self) -> None:
        assert self.child.stdin is not None
        self.child.stdin.write("\n")
        self.child.stdin.flush()
        taken, loss_mm = self.answer()
        self.seconds.append(taken)
        self.losses_mm.append(loss_mm)

    def answer(self) -> Any:
        assert self.child.stdout is not None
        if not (line := self.child.stdout.readline()):
            raise VidposeError("a training run ended early; its output is above.")
        return json.loads(line)


def start(checkout: Path, what: dict[str, Any]) -> Run:
    """Start a run with a checkout's code."""
    child = subprocess.Popen(
        [sys.executable, "-c", CHILD, json.dumps(what)],
        cwd=checkout,  # the first place where Python looks
        env=os.environ | {"PYTHONPATH": str(checkout), "OMP_NUM_THREADS": "1"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    run = Run(child, [], [])
    imported = run.answer()
    if not Path(imported).is_relative_to(checkout):
        raise UsageError(f"{checkout} has no vidpose: {imported} was imported instead.")
    return run


def compare(
    checkouts: dict[str, Path], name: str, ways: Sequence[str], what: dict[str, Any]
) -> str:
    """The tables of one network, as Markdown."""
    own = name == "own"
    recipe = NETWORKS[name] | ({"windows": 32 * what["steps"], "epochs": 1} if own else {})
    what = what | {"dataset": "mocap" if own else "synthetic"}
    runs: dict[str, Run] = {}
    try:
        for way in ways:
            checkout, changes = WAYS[way]
            runs[way] = start(checkouts[checkout], what | {"recipe": recipe | changes})
        for _ in range(what["steps"]):
            for run in runs.values():
                run.step()
    finally:
        for run in runs.values():
            run.child.kill()
    batch = recipe.get("batch", 32)
    taken = {way: median(run.seconds[WARM_UP:]) for way, run in runs.items()}
    first = taken[ways[0]]
    speed = [
        (way, f"{1000 * s:.0f}", f"{batch / s:.1f}", f"{first / s:.2f}") for way, s in taken.items()
    ]
    part = what["steps"] // PARTS
    ends = [part * (i + 1) for i in range(PARTS)]
    curves = [
        (way, *(f"{mean(run.losses_mm[end - part : end]):.1f}" for end in ends))
        for way, run in runs.items()
    ]
    header = ("variant", "ms", "windows/s", f"speed-up over {ways[0]}")
    steps = ("loss, mm, in steps", *(f"{end - part + 1} to {end}" for end in ends))
    return f"{name}\n\n{markdown_table(header, speed)}\n{markdown_table(steps, curves)}"


def main() -> None:
    parser = argument_parser(__doc__)
    parser.add_argument("old", type=Path, metavar="OLD_CHECKOUT")
    parser.add_argument("--new", type=Path, default=ROOT, help="default: where this script is")
    parser.add_argument("--data", type=Path, metavar="MOCAP", help="a folder of motion capture")
    parser.add_argument("--only", nargs="+", choices=NETWORKS, metavar="NAME")
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=list(WAYS), metavar="NAME")
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--cpu-time", action="store_true", help="for a busy machine")
    given = parser.parse_args()
    names = given.only or [name for name in NETWORKS if name != "own" or given.data]
    if "own" in names and given.data is None:
        raise UsageError("our own recipe needs motion capture; give a folder with --data.")
    if given.steps < PARTS:
        raise UsageError(f"--steps must be at least {PARTS}.")
    checkouts = {"old": given.old.resolve(), "new": given.new.resolve()}
    what = {"steps": given.steps, "cpu_time": given.cpu_time}
    print(f"{given.steps} steps each, alternating, one thread each. {machine()}.\n")
    with TemporaryDirectory() as folder:
        write_synthetic(Path(folder))
        for name in names:
            data = given.data.resolve() if name == "own" else folder
            print(compare(checkouts, name, given.ways, what | {"data": str(data)}), flush=True)


if __name__ == "__main__":
    run_script(main)
