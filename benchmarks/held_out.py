"""Error of weights on motion capture they were not trained on: the numbers of the model cards.

    python benchmarks/held_out.py FOLDER [weights/default.safetensors]

FOLDER is the motion capture (<subject>/<clip>.bvh); the left-out subjects are those the
checkpoint names. Windows, bodies and cameras are drawn with a fixed seed, other than the one that
chooses the best epoch.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import torch

from vidpose.batches import VALIDATION, virtual_windows
from vidpose.data.mocap import read_folder, split
from vidpose.data.virtual import VirtualCameras
from vidpose.metrics import mpjpe, p_mpjpe
from vidpose.models import load_checkpoint
from vidpose.recipe import MOCAP

WINDOWS = 8192
SEED = 17


def main(folder: Path, weights: Path) -> None:
    checkpoint = load_checkpoint(weights)
    told = checkpoint.training
    held_out = told.get("held_out") or told["recipe"]["held_out"]
    _, clips = split(read_folder(folder), held_out)
    recipe = replace(MOCAP, frames=checkpoint.model.config.frames, fps=checkpoint.fps)
    print(f"{weights}, subjects {', '.join(held_out)}, {WINDOWS} windows each, mm\n")
    print("| 2D | MPJPE | P-MPJPE |\n|---|---|---|")
    for name, noise in (("clean", 0.0), ("noisy", 1.0)):
        vary = replace(VALIDATION, noise=noise)
        drawn = virtual_windows(VirtualCameras(clips), WINDOWS, recipe, vary, SEED)
        with torch.inference_mode():
            parts = [checkpoint.model(part)[:, 0] for part in drawn.inputs.split(256)]
        predicted = torch.cat(parts)
        predicted[:, 0] = 0  # the root is where it is by definition
        p, t = predicted.numpy(), drawn.targets[:, 0].numpy()
        print(f"| {name} | {1000 * mpjpe(p, t):.1f} | {1000 * p_mpjpe(p, t):.1f} |")


if __name__ == "__main__":
    folder, *rest = map(Path, sys.argv[1:])
    main(folder, rest[0] if rest else Path("weights/default.safetensors"))
