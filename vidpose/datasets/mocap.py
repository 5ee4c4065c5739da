"""Motion capture as a test set: held-out subjects seen by virtual cameras.

It has no training sequences, because training draws new cameras for every window
(`VirtualCameras`).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from vidpose.datasets.dataset import Dataset, MotionClip, PoseSequence
from vidpose.datasets.motion_clips import read_folder, split
from vidpose.datasets.virtual_cameras import Variation, VirtualCameras
from vidpose.errors import UsageError
from vidpose.skeleton import H36M17
from vidpose.utils.gaps import fill_missing

KEYPOINTS = "noisy"
"""Default 2D joints: noisy, with jitter, drift, outliers and dropout; the alternative is clean."""
TEST = ("02", "10", "12")
"""Held-out subjects: walking, running, swordplay; soccer; tai chi."""
FPS = 30.0
SEED = 7
STRETCH_S = 8.0
"""Clips are cut into parts of this length, about as long as a still camera sees a person."""
SIDE_PX = 1000


def open_mocap(folder: Path, keypoints: str, test_subjects: Sequence[str]) -> Dataset:
    """Open the held-out subjects of a folder of motion capture, seen by virtual cameras.

    Args:
        folder: `<subject>/<clip>.bvh` or `<subject>.npz`.
        keypoints: noisy or clean.
        test_subjects: the held-out subjects.

    Raises:
        DataError: the motion capture cannot be read, or lacks a subject.
        UsageError: `keypoints` is neither noisy nor clean.
    """
    return mocap_dataset(read_folder(folder), keypoints, test_subjects)


def mocap_dataset(
    clips: Sequence[MotionClip], keypoints: str, test_subjects: Sequence[str]
) -> Dataset:
    """`open_mocap` for clips that are already in memory."""
    if keypoints not in ("noisy", "clean"):
        raise UsageError(f"mocap has noisy and clean 2D joints, not {keypoints}.")
    _, test = split(clips, test_subjects)
    noise = 1.0 if keypoints == "noisy" else 0.0
    return Dataset(
        name="mocap",
        keypoints=keypoints,
        skeleton=H36M17,
        train=(),
        test=tuple(view_clips(test, FPS, SEED, noise)),
    )


def view_clips(
    clips: Sequence[MotionClip], fps: float, seed: int, noise: float
) -> Iterator[PoseSequence]:
    """Cut clips into parts of `STRETCH_S` and view each with a camera of its own.

    Cameras, bodies and noise follow the defaults of `Variation`, which vary less than training
    (`TRAINING` in training/batches.py). The focal length is known; missing joints are
    interpolated.

    Args:
        clips: the motion capture.
        fps: frame rate of the sequences.
        seed: seed of the first sequence's body, camera and noise; incremented for each sequence.
        noise: scale of the detector noise.
    """
    cameras = VirtualCameras(clips)
    vary = Variation(noise=noise)
    for number, clip in enumerate(clips):
        length = len(clip.joints) / clip.fps
        for part in range(max(1, math.ceil(length / STRETCH_S - 0.25))):
            first = part * STRETCH_S
            frames = max(1, int(min(STRETCH_S, length - first) * fps))
            rays, joints = cameras.view(number, first, frames, fps, vary, seed)
            filled = fill_missing(rays.numpy(), np.arange(frames) / fps)
            pixels = filled * SIDE_PX + (SIDE_PX - 1) / 2
            yield PoseSequence(
                subject=clip.subject,
                action=clip.name,
                camera=str(part),
                keypoints_2d=np.nan_to_num(pixels, nan=SIDE_PX / 2).astype(np.float32),
                joints_3d=joints.numpy(),
                valid=np.ones(frames, bool),
                frame_size=(SIDE_PX, SIDE_PX),
                fps=fps,
                focal_px=float(SIDE_PX),
            )
            seed += 1
