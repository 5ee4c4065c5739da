"""Synthetic people for the benchmarks that need no detector."""

from __future__ import annotations

import numpy as np

from vidpose.poses import Pose2D, Pose3D
from vidpose.skeleton import H36M17

# A standing person who faces the camera; metres, x right, y down, root-relative.
STANDING = {
    "Hip": (0.0, 0.0), "RHip": (-0.12, 0.0), "RKnee": (-0.14, 0.43), "RFoot": (-0.15, 0.86),
    "LHip": (0.12, 0.0), "LKnee": (0.14, 0.43), "LFoot": (0.15, 0.86), "Spine": (0.0, -0.25),
    "Thorax": (0.0, -0.5), "Neck/Nose": (0.0, -0.62), "Head": (0.0, -0.78),
    "LShoulder": (0.17, -0.48), "LElbow": (0.28, -0.24), "LWrist": (0.32, 0.0),
    "RShoulder": (-0.17, -0.48), "RElbow": (-0.28, -0.24), "RWrist": (-0.32, 0.0),
}  # fmt: skip
FPS = 30.0


def people(count: int, frames: int, frame_size: tuple[int, int] = (1280, 720)) -> Pose3D:
    """Swaying people side by side, with a jitter of 2 pixels in their keypoints."""
    rng = np.random.default_rng(0)
    times = np.arange(frames) / FPS
    joints = np.zeros((count, frames, 17, 3))
    joints[..., :2] = [STANDING[name] for name in H36M17.joint_names]
    phase = rng.uniform(0, 2 * np.pi, (count, 1, 17, 3))
    joints += 0.05 * np.sin(3 * times[:, None, None] + phase)
    joints -= joints[:, :, :1]
    root = np.zeros((count, frames, 3))
    root[..., 0] = (np.arange(count) - (count - 1) / 2)[:, None] * 0.8
    root[..., 2] = 4.0
    seen = joints + root[:, :, None]
    focal_px = max(frame_size)
    keypoints = seen[..., :2] / seen[..., 2:] * focal_px + (np.array(frame_size) - 1) / 2
    keypoints += rng.normal(scale=2, size=keypoints.shape)
    there = np.ones((count, frames), bool)
    return Pose3D(
        keypoints_2d=keypoints.astype(np.float32),
        scores_2d=np.full((count, frames, 17), 0.9, np.float32),
        present=there,
        observed=there.copy(),
        person_ids=np.arange(1, count + 1, dtype=np.int32),
        frame_indices=np.arange(frames, dtype=np.int64),
        timestamps=times,
        fps=FPS,
        frame_size=frame_size,
        joints_3d=joints.astype(np.float32),
        root_3d=root.astype(np.float32),
        meta={},
    )


def in_2d(result: Pose3D) -> Pose2D:
    """The same people before they are lifted."""
    return Pose2D(**{name: getattr(result, name) for name in Pose2D.__dataclass_fields__})
