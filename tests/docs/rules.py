"""How the snippets of README and docs become small enough to run, and what is not run, and why.

A command that is in none of these lists is run as it stands, on small files that have the names it
takes (`workspace.py`). What is not run is still parsed by the program itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from vidpose.models import PoseFormer

REPLACED = {
    # A process of its own would not see the stand-in for the detector.
    "--jobs 2": "--jobs 1",
    "jobs=4": "jobs=1",
    # A synthetic dataset of Human3.6M's own size.
    "--actions all --seconds 52": "--actions Walking --seconds 1",
}
"""In commands and Python, by what stands in the docs."""

TINY = "--weights other.safetensors --no-flip"
TRAIN = "--frames 3 --embed-dim 8 --depth 1 --epochs 1 --batch 512"
ADDED = {
    "vidpose infer": TINY,
    "vidpose lift": TINY,
    "vidpose train": TRAIN,
    "vidpose train --dataset mocap": f"{TRAIN} --windows 64 --val-windows 16 --stride 1",
    "vidpose train --model poseformer": f"{TRAIN} --windows 64 --val-windows 16",
    "vidpose prepare synthetic": "--seconds 1",
    "vidpose profile": "--frames 9",
    "vidpose profile my_video.mp4": "",
}
"""What is put at the end of commands so that they take a second: the last value counts, and so does
the longest of these that a command begins with."""

NOT_RUN = {
    "vidpose weights fetch": "downloads",
    "vidpose infer --ray": "needs a Ray cluster",
    "vidpose infer --device cuda": "needs a GPU",
    "vidpose prepare h36m": "needs the raw download",
    "vidpose prepare humaneva": "needs the raw download",
    "vidpose prepare mpi_inf_3dhp": "needs the raw download",
    "vidpose paper table4": "trains ten networks",
    "vidpose paper table6": "times the paper's networks; see tests/paper",
    "vidpose paper figure5": "draws the attention of a network of full size; see tests/paper",
    "vidpose live": "opens a camera, a stream or a window; see tests/live",
    "vidpose weights export": "takes half a minute of exporting; see tests/lifting",
    "vidpose train --init-from": "begins with weights of one width; see tests/training",
}
"""Commands that are only parsed, by their words, and why."""

OTHER_PROGRAMS = {
    "git clone": "this repository's address is not known",
    "source": "the shell",
    "python3.11 -m venv": "Python's own",
    "pip-audit": "needs the network",
    "curl": "downloads a licensed dataset's 2D joints",
    "find": "the system's own",
    "split": "the system's own",
}
"""Commands that are not ours, and why they stand there; nothing of them is checked."""

PYTHON_NOT_RUN = {
    "docs/cpn.md": "needs CPN's weights, COCO and MMPose",
    "docs/live.md": "opens a camera; see tests/live",
    "docs/onnx.md": "takes half a minute of exporting; see tests/lifting",
    "docs/guides/opensim.md": "needs OpenSim and a model of a body",
}
"""Pages whose Python is compiled only, and why."""


def _frames() -> Iterator[tuple[NDArray[np.uint8], float]]:
    """Pictures and times."""
    return ((np.full((240, 320, 3), 90, np.uint8), step / 10) for step in range(20))


def _joints(unit_m: float, offset_m: float = 0.0) -> Callable[[], Any]:
    """(20, 17, 3): somebody who is the same in all frames."""
    pose = np.random.default_rng(0).normal(size=(17, 3)) * 0.3
    return lambda: np.repeat((pose[None] + offset_m) / unit_m, 20, axis=0)


def _pixels() -> NDArray[np.float64]:
    """(20, 17, 2): the person of `_joints` in a picture of 1920 x 1080, seen from afar."""
    return np.asarray(960 + 100 * _joints(1.0)()[..., :2])


GIVEN: Mapping[str, Callable[[], Any]] = {
    "frames": _frames,
    "keypoints_2d": _pixels,
    "xy": _pixels,
    "xyz": _joints(1.0),
    "predicted": _joints(1.0, offset_m=0.05),
    "target": _joints(1.0),
    "predicted_m": _joints(1.0, offset_m=0.05),
    "target_m": _joints(1.0),
    "predicted_mm": _joints(0.001, offset_m=0.05),
    "target_mm": _joints(0.001),
    "model": lambda: PoseFormer(frames=9, embed_dim=8, depth=1).eval(),
    "keypoints": lambda: torch.zeros(1, 9, 17, 2),
}
"""What a page leaves to its reader, by the name it has there."""
