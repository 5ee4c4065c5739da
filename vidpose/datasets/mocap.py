"""Motion capture as a dataset to test on: subjects that are not trained on, under virtual cameras.

There is nothing to train on in it: training draws cameras anew for every window
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
"""The 2D joints by default: noisy, with jitter, drift, outliers and lost joints; or clean."""
TEST = ("02", "10", "12")
"""Subjects that are not trained on: walking, running, swordplay; soccer; tai chi."""
FPS = 30.0
SEED = 7
STRETCH_S = 8.0
"""Clips are cut into parts of this length: a still camera sees nobody much longer."""
SIDE_PX = 1000


def open_mocap(folder: Path, keypoints: str, test_subjects: Sequence[str]) -> Dataset:
    """The left-out subjects of a folder of motion capture, as virtual cameras see them.

    Args:
        folder: `<subject>/<clip>.bvh` or `<subject>.npz`.
        keypoints: noisy or clean.
        test_subjects: whom to test on.

    Raises:
        DataError: the motion capture cannot be read, or has no such subject.
        UsageError: there are no such 2D joints.
    """
    return mocap_dataset(read_folder(folder), keypoints, test_subjects)


def mocap_dataset(
    clips: Sequence[MotionClip], keypoints: str, test_subjects: Sequence[str]
) -> Dataset:
    """`open_mocap` of clips that are read already."""
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
    """Clips as sequences of a dataset, each part of `STRETCH_S` seen by a camera of its own.

    Cameras, bodies and noise are drawn as `Variation` says by default, which is plainer than what
    training draws (`TRAINING` in training/batches.py). The focal length is known; missing joints
    are interpolated.

    Args:
        clips: what to look at.
        fps: frames a second of the sequences.
        seed: decides bodies, cameras and noise; each sequence has the next one.
        noise: scales everything a detector does wrong.
    """
    cameras = VirtualCameras(clips)
    vary = Variation(noise=noise)
    for number, clip in enumerate(clips):
        length = len(clip.joints) / clip.fps
        for part in range(max(1, math.ceil(length / STRETCH_S - 0.25))):
            first = part * STRETCH_S
            frames = max(1, int(min(STRETCH_S, length - first) * fps))
            rays, joints = cameras.watch(number, first, frames, fps, vary, seed)
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
