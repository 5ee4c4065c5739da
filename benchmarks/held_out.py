"""Error of weights on motion capture they were not trained on: the numbers of the model cards.

    python benchmarks/held_out.py FOLDER [weights/default.safetensors]

FOLDER is the motion capture (<subject>/<clip>.bvh); the left-out subjects are those the
checkpoint names. Windows, bodies and cameras are drawn with a fixed seed, other than the one that
chose the best epoch; the subjects, though, are those that chose it.
"""

from __future__ import annotations

import sys
from pathlib import Path

import torch

from vidpose.data.mocap import read_folder
from vidpose.models import load_checkpoint
from vidpose.train import Recipe, evaluate, split, validation_windows

WINDOWS = 8192
SEED = 17


def main(folder: Path, weights: Path) -> None:
    checkpoint = load_checkpoint(weights)
    recipe = Recipe(
        frames=checkpoint.model.config.frames,
        fps=checkpoint.fps,
        held_out=tuple(checkpoint.training["recipe"]["held_out"]),
        val_windows=WINDOWS,
    )
    _, clips = split(read_folder(folder), recipe.held_out)
    windows = validation_windows(clips, recipe, torch.device("cpu"), SEED)
    print(f"{weights}, subjects {', '.join(recipe.held_out)}, {WINDOWS} windows each, mm\n")
    print("| 2D | MPJPE | P-MPJPE |\n|---|---|---|")
    for name, (inputs, target) in windows.items():
        errors = evaluate(checkpoint.model, inputs, target)
        print(f"| {name} | {errors['mpjpe_mm']:.1f} | {errors['p_mpjpe_mm']:.1f} |")


if __name__ == "__main__":
    folder, *rest = map(Path, sys.argv[1:])
    main(folder, rest[0] if rest else Path("weights/default.safetensors"))
