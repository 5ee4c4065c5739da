"""Speed of lifting with the weights that come with vidpose; frames/s.

    python benchmarks/run.py --only weights_speed [--quick] [--runs N] [--cpu-time]

Lifts one person in pixels as `vidpose infer` does.
"""

from __future__ import annotations

from functools import partial

import numpy as np
import torch
from common import ROOT, Settings, Table, alternate
from lifting_speed import swaying_person

from vidpose.lifting.lifter import Lifter, load_lifter_checkpoint
from vidpose.utils.devices import choose_precision

WEIGHTS = ROOT / "weights"
SIZE = (1280, 720)


def table(settings: Settings) -> Table:
    torch.manual_seed(0)
    frames = 192 if settings.quick else 3000
    keypoints_px = 200 * swaying_person(frames).numpy() + np.array(SIZE) / 2
    precisions = sorted({"fp32", choose_precision("auto", torch.device("cpu"))}, reverse=True)
    ways = {}
    for precision in precisions:
        checkpoint = load_lifter_checkpoint(WEIGHTS / "default.safetensors")
        lifter = Lifter(checkpoint, precision=precision)
        times = np.arange(frames) / checkpoint.fps
        ways[precision] = partial(lifter, keypoints_px, times, SIZE, float(SIZE[0]))
    seconds = alternate(ways, settings.runs, settings.cpu_time)
    rows: list[tuple[str, ...]] = []
    for way, taken in seconds.items():
        rows.append((way, f"{frames / taken:.1f}", f"{seconds['fp32'] / taken:.2f}"))
    return Table(
        title="The weights that come with vidpose",
        note=f"{frames} frames of one person, flip averaging; bf16 only if the hardware "
        "supports it.",
        header=("precision", "frames/s", "speed-up over fp32"),
        rows=rows,
    )
