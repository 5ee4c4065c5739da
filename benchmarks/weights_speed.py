"""Lifting with the weights that come with vidpose, as `infer` does: a track in a picture."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
import torch
from lifting_speed import somebody
from measuring import Settings, Table, alternate

from vidpose.lifting.lifter import Lifter, load_lifter_checkpoint
from vidpose.utils.devices import choose_precision

WEIGHTS = Path(__file__).parents[1] / "weights"
SIZE = (1280, 720)


def table(settings: Settings) -> Table:
    torch.manual_seed(0)
    frames = 192 if settings.quick else 3000
    keypoints_px = 200 * somebody(frames).numpy() + np.array(SIZE) / 2
    precisions = sorted({"fp32", choose_precision("auto", torch.device("cpu"))}, reverse=True)
    ways = {}
    for precision in precisions:
        for name in ("default", "fast"):
            checkpoint = load_lifter_checkpoint(WEIGHTS / f"{name}.safetensors")
            lifter = Lifter(checkpoint, precision=precision)
            times = np.arange(frames) / checkpoint.fps
            lift = partial(lifter, keypoints_px, times, SIZE, float(SIZE[0]))
            ways[f"{name}, {precision}"] = lift
    seconds = alternate(ways, settings.runs, settings.cpu_time)
    rows: list[tuple[str, ...]] = []
    for way, taken in seconds.items():
        base = seconds[way.replace("fast", "default")]
        rows.append((way, f"{frames / taken:.1f}", f"{base / taken:.2f}"))
    return Table(
        title="The weights that come with vidpose",
        note=f"{frames} frames of one person, mirror image averaged; in bf16 only where the "
        "hardware computes in it.",
        header=("weights", "frames/s", "times as fast as default"),
        rows=rows,
    )
