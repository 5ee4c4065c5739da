"""Small handmade datasets, and tiny networks to evaluate on them."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from vidpose.datasets.dataset import Dataset, PoseSequence
from vidpose.models import Checkpoint, PoseFormer
from vidpose.skeleton import H36M17, Skeleton


def make_sequence(
    subject: str = "S9",
    action: str = "Walking 1",
    camera: str = "0",
    frames: int = 12,
    joints: int = 17,
    seed: int = 0,
    **fields: Any,
) -> PoseSequence:
    """A person 4 m away who moves at random, seen by a camera of 1000 pixels."""
    generator = np.random.default_rng([seed, *f"{subject}{action}{camera}".encode()])
    pose = 0.3 * generator.normal(size=(1, joints, 3))
    steps = 0.02 * generator.normal(size=(frames, joints, 3))
    world = pose + steps.cumsum(axis=0) + [0, 0, 4]
    made: dict[str, Any] = {
        "keypoints_2d": (1000 * world[..., :2] / world[..., 2:] + 499.5).astype(np.float32),
        "joints_3d": world.astype(np.float32),
        "valid": np.ones(frames, bool),
        "frame_size": (1000, 1000),
        "fps": 50.0,
        "focal_px": 1000.0,
    }
    return PoseSequence(subject=subject, action=action, camera=camera, **made | fields)


def make_dataset(
    *test: PoseSequence, name: str = "h36m", keypoints: str = "gt", skeleton: Skeleton = H36M17
) -> Dataset:
    return Dataset(name=name, keypoints=keypoints, skeleton=skeleton, train=(), test=test)


def h36m_like() -> Dataset:
    """Four actions in six sequences: S9 with two cameras, S11 with one."""
    actions = ("Walking", "Walking 1", "WalkDog", "Directions 1", "Sitting", "Sitting 2")
    return make_dataset(
        *(
            make_sequence(subject, action, camera, frames=len(action))
            for subject, cameras in (("S9", "01"), ("S11", "0"))
            for action in actions
            for camera in cameras
        )
    )


def make_checkpoint(
    seed: int = 0, skeleton: Skeleton = H36M17, frames: int = 3, **fields: Any
) -> Checkpoint:
    """A checkpoint of a small untrained network."""
    torch.manual_seed(seed)
    model = PoseFormer(frames=frames, joints=len(skeleton), embed_dim=8, depth=1).eval()
    made: dict[str, Any] = {"normalisation": "screen", "fps": 50.0, "skeleton": skeleton.name}
    return Checkpoint(model=model, **made | fields)
