"""Speed of batching training windows by one gather or by slicing and padding; windows/s.

python benchmarks/run.py --only training_windows [--quick] [--runs N] [--cpu-time]
"""

from __future__ import annotations

import numpy as np
import torch
from common import Settings, Table, alternate
from numpy.typing import NDArray

from vidpose.skeleton import H36M17
from vidpose.training.windows import Track, Windows

FRAMES = 81
BATCH = 1024
TRACK_FRAMES = 2000
MIRRORED = torch.from_numpy(H36M17.mirrored)
H36M_FRAMES = 1_559_752
"""Frames of the training subjects, all cameras."""


def table(settings: Settings) -> Table:
    tracks = [_track(seed) for seed in range(2 if settings.quick else 100)]
    windows = Windows(tracks, FRAMES, mirrored=MIRRORED)
    generator = torch.Generator().manual_seed(0)
    index = torch.randint(len(windows), (BATCH,), generator=generator)
    plain = [(t.inputs.numpy(), t.targets.numpy()) for t in tracks]
    found = alternate(
        {"plain": lambda: _plain(plain, index), "ours": lambda: windows[index]},
        10 * settings.runs,
        settings.cpu_time,
    )
    ours, theirs = windows[index], _plain(plain, index)
    if not all(torch.equal(a, torch.from_numpy(b)) for a, b in zip(ours, theirs, strict=True)):
        raise AssertionError("the two methods disagree")
    per_row = windows.bytes / windows.rows
    rows_of_h36m = 2 * (H36M_FRAMES + 600 * (FRAMES - 1))
    return Table(
        title="Training windows",
        note=f"Batches of {BATCH} windows of {FRAMES} frames, inputs and targets, drawn at random, "
        "half of them mirrored. Plain: NumPy slices, pads, mirrors and stacks each window; ours: "
        "`Windows`, one gather. Laid out for all training frames of Human3.6M "
        f"({H36M_FRAMES:,}, mirrored copies included, edges repeated) the table takes "
        f"{per_row * rows_of_h36m / 1e9:.2f} GB (derived from {windows.bytes / 1e6:.0f} MB here).",
        header=("method", "windows/s", "speed-up"),
        rows=[
            (name, f"{BATCH / seconds:,.0f}", f"{found['plain'] / seconds:.1f}")
            for name, seconds in found.items()
        ],
    )


def _track(seed: int) -> Track:
    generator = torch.Generator().manual_seed(seed)
    return Track(
        torch.randn(TRACK_FRAMES, 17, 2, generator=generator),
        torch.randn(TRACK_FRAMES, 17, 3, generator=generator),
        torch.ones(TRACK_FRAMES, dtype=torch.bool),
    )


def _plain(
    tracks: list[tuple[NDArray[np.float32], NDArray[np.float32]]], index: torch.Tensor
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    reach = FRAMES // 2
    windows, targets = [], []
    for sample in index.tolist():
        copy, sample = divmod(sample, len(tracks) * TRACK_FRAMES)
        track, centre = divmod(sample, TRACK_FRAMES)
        inputs, joints = tracks[track]
        low, high = centre - reach, centre + reach + 1
        window = inputs[max(low, 0) : high]
        missing = max(-low, 0), max(high - TRACK_FRAMES, 0)
        window = np.pad(window, (missing, (0, 0), (0, 0)), "edge")
        target = joints[centre]
        if copy:
            window = window[:, H36M17.mirrored] * np.array([-1, 1], np.float32)
            target = target[H36M17.mirrored] * np.array([-1, 1, 1], np.float32)
        windows.append(window)
        targets.append(target[None])
    return np.stack(windows), np.stack(targets)
