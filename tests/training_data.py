"""Small datasets whose 3D can be learned from their 2D, made on the spot."""

from __future__ import annotations

import numpy as np

from vidpose.datasets.dataset import Dataset, Sequence
from vidpose.skeleton import H36M17


def tiny_dataset(frames: int = 40, takes: int = 4, seed: int = 0) -> Dataset:
    """People who sway and turn in front of a level camera."""
    rng = np.random.default_rng(seed)
    pose = rng.normal(size=(17, 3)) * 0.3
    pose[0] = 0

    def sequence(subject: str, take: int) -> Sequence:
        turn = np.linspace(0, rng.uniform(0.5, 2.0), frames) + rng.uniform(0, 6)
        cos, sin, zero, one = np.cos(turn), np.sin(turn), np.zeros(frames), np.ones(frames)
        rows = [[cos, zero, sin], [zero, one, zero], [-sin, zero, cos]]
        joints = pose @ np.moveaxis(np.array(rows), 2, 0) + np.array([0, 0, 5.0])
        pixels = joints[..., :2] / joints[..., 2:] * 1000 + 500
        return Sequence(
            subject=subject,
            action=f"Turning {take}",
            camera="0",
            keypoints_2d=pixels.astype(np.float32),
            joints_3d=joints.astype(np.float32),
            valid=np.ones(frames, bool),
            frame_size=(1000, 1000),
            fps=50.0,
            focal_px=1000.0,
        )

    return Dataset(
        name="tiny",
        keypoints="gt",
        skeleton=H36M17,
        train=tuple(sequence("S1", take) for take in range(takes)),
        test=tuple(sequence("S9", take) for take in range(2)),
    )
