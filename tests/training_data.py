"""Small synthetic datasets whose 3D can be learned from their 2D."""

from __future__ import annotations

import numpy as np

from tests.dataset_files import make_sequence
from vidpose.datasets.dataset import Dataset, PoseSequence
from vidpose.skeleton import H36M17


def tiny_dataset(frames: int = 40, takes: int = 4, seed: int = 0) -> Dataset:
    """People who sway and turn in front of a level camera."""
    rng = np.random.default_rng(seed)
    pose = rng.normal(size=(17, 3)) * 0.3
    pose[0] = 0

    def sequence(subject: str, take: int) -> PoseSequence:
        turn = np.linspace(0, rng.uniform(0.5, 2.0), frames) + rng.uniform(0, 6)
        cos, sin, zero, one = np.cos(turn), np.sin(turn), np.zeros(frames), np.ones(frames)
        rows = [[cos, zero, sin], [zero, one, zero], [-sin, zero, cos]]
        joints = pose @ np.moveaxis(np.array(rows), 2, 0) + np.array([0, 0, 5.0])
        pixels = joints[..., :2] / joints[..., 2:] * 1000 + 500
        return make_sequence(
            subject,
            f"Turning {take}",
            frames=frames,
            keypoints_2d=pixels.astype(np.float32),
            joints_3d=joints.astype(np.float32),
        )

    return Dataset(
        name="tiny",
        keypoints="gt",
        skeleton=H36M17,
        train=tuple(sequence("S1", take) for take in range(takes)),
        test=tuple(sequence("S9", take) for take in range(2)),
    )
