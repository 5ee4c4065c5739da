"""Speed of lifting with ONNX Runtime, from a file of `weights export`; frames/s.

    python benchmarks/run.py --only onnx_speed [--quick] [--runs N] [--cpu-time]

Lifts the track of weights_speed in parts as in examples/lift_with_onnx.py; both on one thread.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from functools import partial
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import torch
from common import ROOT, Settings, Table, alternate
from lifting_speed import swaying_person
from weights_speed import SIZE, WEIGHTS

from vidpose.lifting.lifter import Lifter, load_lifter_checkpoint
from vidpose.lifting.onnx_export import export_onnx

NAMES = ("default",)


def session(path: Path) -> Any:
    """Open an ONNX file for one thread."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def example() -> Any:
    """The function of examples/lift_with_onnx.py."""
    spec = spec_from_file_location("lift_with_onnx", ROOT / "examples" / "lift_with_onnx.py")
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.lift


def table(settings: Settings) -> Table:
    torch.manual_seed(0)
    frames = 192 if settings.quick else 3000
    keypoints_px = 200 * swaying_person(frames).numpy() + np.array(SIZE) / 2
    lift = example()
    ways: dict[str, Callable[[], Any]] = {}
    with tempfile.TemporaryDirectory() as folder:
        for name in NAMES:
            weights = WEIGHTS / f"{name}.safetensors"
            checkpoint = load_lifter_checkpoint(weights)
            path = export_onnx(weights, Path(folder) / f"{name}.onnx")
            lifter = Lifter(checkpoint, precision="fp32")
            times = np.arange(frames) / checkpoint.fps
            ways[f"{name}, PyTorch"] = partial(lifter, keypoints_px, times, SIZE, float(SIZE[0]))
            ways[f"{name}, ONNX Runtime"] = partial(lift, session(path), keypoints_px, SIZE)
        threads = torch.get_num_threads()
        torch.set_num_threads(1)
        try:
            seconds = alternate(ways, settings.runs, settings.cpu_time)
        finally:
            torch.set_num_threads(threads)
    rows: list[tuple[str, ...]] = []
    for way, taken in seconds.items():
        base = seconds[f"{way.split(',')[0]}, PyTorch"]
        rows.append((way, f"{frames / taken:.1f}", f"{base / taken:.2f}"))
    return Table(
        title="The lifter in ONNX Runtime",
        note=f"{frames} frames of one person, flip averaging, fp32, one thread.",
        header=("weights, runtime", "frames/s", "speed-up over PyTorch"),
        rows=rows,
    )
