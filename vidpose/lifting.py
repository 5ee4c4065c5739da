"""2D joints to 3D joints: a trained PoseFormer slid over a track.

The checkpoint decides: how the input is normalised, and the frame rate of its windows, to which
a track of another rate is resampled and from which its poses come back.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.interpolate import PchipInterpolator

from vidpose.devices import PRECISIONS, choose_device, choose_precision
from vidpose.errors import UsageError
from vidpose.models import Checkpoint, load_checkpoint
from vidpose.normalise import NORMALISATIONS
from vidpose.poses import Pose2D, Pose3D
from vidpose.progress import Progress, silent
from vidpose.root import assumed_focal_px, pixels_to_rays, root_positions
from vidpose.skeleton import H36M17
from vidpose.sliding import slide
from vidpose.timeline import fill_missing
from vidpose.weights import find_weights

SAME_RATE = 0.02
"""A rate this near to the checkpoint's, as a fraction, is not resampled (29.97 is 30),"""
EVEN_STEPS = 0.25
"""if no step between frames differs more than this (containers round times to milliseconds)."""


class Lifter:
    """A checkpoint ready to lift tracks."""

    def __init__(
        self,
        checkpoint: Checkpoint,
        device: torch.device | str = "cpu",
        *,
        flip: bool = True,
        precision: str = "auto",
    ) -> None:
        """Take a checkpoint to a device.

        Args:
            checkpoint: from `load_checkpoint`.
            device: where to compute.
            flip: lift the mirrored track too and average, as the paper does.
            precision: fp32, bf16 or auto, see `vidpose.devices.choose_precision`.

        Raises:
            UsageError: the precision is none of these.
        """
        self.checkpoint = checkpoint
        self.device = torch.device(device)
        self.flip = flip
        self.precision = choose_precision(precision, self.device)
        model = checkpoint.model.to(self.device).eval()
        self.model = model.prepared(PRECISIONS[self.precision])
        self._mirrored = torch.from_numpy(H36M17.mirrored).to(self.device)

    def __call__(
        self,
        keypoints_px: NDArray[np.floating],
        timestamps: NDArray[np.float64],
        frame_size: tuple[int, int],
        focal_px: float,
        progress: Progress = silent,
    ) -> NDArray[np.float32]:
        """Lift one person's track.

        Args:
            keypoints_px: (T, 17, 2), h36m17, pixels; NaN = missing.
            timestamps: (T,) seconds, rising.
            frame_size: width and height of the picture, pixels.
            focal_px: focal length in pixels, known or assumed.
            progress: wraps the frames.

        Returns:
            (T, 17, 3) metres, camera frame, the root at 0: a pose for every frame.

        Raises:
            ValueError: no joint is there in any frame.
        """
        track = fill_missing(keypoints_px, timestamps)
        grid = _training_grid(timestamps, self.checkpoint.fps)
        if grid is not None:
            track = _resample(timestamps, track, grid)
        joints = np.stack(
            list(progress(self._poses(track, frame_size, focal_px), len(track), "lifting"))
        )
        if grid is not None:
            joints = _resample(grid, joints, timestamps)
        return joints.astype(np.float32)

    def _poses(
        self, keypoints_px: NDArray[np.floating], frame_size: tuple[int, int], focal_px: float
    ) -> Iterator[NDArray[np.float32]]:
        """(T, J, 2) at the checkpoint's rate -> T times (J, 3)."""
        normalise = NORMALISATIONS[self.checkpoint.normalisation]
        track = torch.as_tensor(keypoints_px, dtype=torch.float32, device=self.device)
        inputs, rotation = normalise(track, frame_size, focal_px)
        done = 0
        for joints in slide(self.model, inputs, self._mirrored if self.flip else None):
            joints[:, 0] = 0
            yield from (joints @ rotation[done : done + len(joints)]).cpu().numpy()
            done += len(joints)


def _training_grid(timestamps: NDArray[np.float64], fps: float) -> NDArray[np.float64] | None:
    """The times at which the network wants its frames; None if it has them already."""
    if len(timestamps) < 2:
        return None
    steps = np.diff(timestamps) * fps
    if abs(steps.mean() - 1) <= SAME_RATE and (np.abs(steps - 1) <= EVEN_STEPS).all():
        return None
    count = max(2, round((timestamps[-1] - timestamps[0]) * fps) + 1)
    return np.linspace(timestamps[0], timestamps[-1], count)


def _resample(
    times: NDArray[np.float64], values: NDArray[np.floating], at: NDArray[np.float64]
) -> NDArray[np.floating]:
    """(T, J, D) at `times` -> (len(at), J, D); joints that are never there stay NaN."""
    out = np.full((len(at), *values.shape[1:]), np.nan)
    there = np.isfinite(values).all(axis=(0, 2))
    # PCHIP does not overshoot where a joint jumps.
    out[:, there] = PchipInterpolator(times, values[:, there], axis=0)(at)
    return out


def lift_poses(
    poses: Pose2D, lifter: Lifter, focal_px: float, progress: Progress = silent
) -> Pose3D:
    """Lift every person of a video and place them in the scene.

    Args:
        poses: h36m17.
        lifter: what lifts.
        focal_px: focal length in pixels, known or assumed.
        progress: wraps the frames of each person.

    Returns:
        The same people in 3D; `meta` is empty.
    """
    shape = poses.keypoints_2d.shape[:3]
    joints = np.full((*shape, 3), np.nan, np.float32)
    root = np.full((*shape[:2], 3), np.nan, np.float32)
    seen = _seen(poses.keypoints_2d, poses.scores_2d)
    rays = pixels_to_rays(seen, poses.frame_size, focal_px)
    for person in range(poses.people):
        for run in runs(poses.present[person]):
            times = poses.timestamps[run]
            joints[person, run] = lifter(
                seen[person, run], times, poses.frame_size, focal_px, progress
            )
            root[person, run] = root_positions(
                joints[person, run], rays[person, run], poses.scores_2d[person, run], times
            )
    fields = {name: getattr(poses, name) for name in poses.__dataclass_fields__}
    return Pose3D(**fields, joints_3d=joints, root_3d=root)


def _seen(keypoints_px: NDArray[np.floating], scores: NDArray[np.floating]) -> NDArray[np.floating]:
    """(..., J, 2) pixels; a joint with score 0 is missing, NaN."""
    return np.where(scores[..., None] > 0, keypoints_px, np.nan)


def runs(flags: NDArray[np.bool_]) -> list[slice]:
    """The stretches of consecutive True."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], flags.astype(np.int8), [0]])))
    return [slice(int(a), int(b)) for a, b in zip(edges[::2], edges[1::2], strict=True)]


def lift(
    keypoints_2d: NDArray[np.floating],
    frame_size: tuple[int, int],
    fps: float,
    scores: NDArray[np.floating] | None = None,
    weights: str | Path = "default",
    device: str = "auto",
    focal_px: float | None = None,
    precision: str = "auto",
) -> NDArray[np.float32]:
    """Lift one person's 2D joints to 3D.

    Args:
        keypoints_2d: (T, 17, 2) pixels, h36m17 order; NaN = missing.
        frame_size: width and height in pixels.
        fps: frames a second.
        scores: (T, 17) confidence, 0 to 1; joints at 0 count as missing.
        weights: name of weights that come with vidpose, or a checkpoint's path.
        device: auto, cpu or cuda.
        focal_px: focal length in pixels; by default the picture's longer side.
        precision: fp32, bf16, or auto: bf16 where the hardware computes in it.

    Returns:
        (T, 17, 3) metres, camera frame (x right, y down, z away from the camera), root at 0.

    Raises:
        ValueError: the arrays have the wrong shape, or no joint is there.
        VidposeError: the weights, the device or the precision cannot be used.
    """
    keypoints_2d = np.asarray(keypoints_2d, dtype=np.float64)
    if focal_px is None:
        focal_px = assumed_focal_px(frame_size)
    if keypoints_2d.ndim != 3 or keypoints_2d.shape[1:] != (17, 2) or not len(keypoints_2d):
        raise ValueError(f"keypoints_2d: expected (T, 17, 2), got {keypoints_2d.shape}")
    for name, value in (("fps", fps), ("focal_px", focal_px)):
        if not 0 < value < np.inf:
            raise ValueError(f"{name}: expected a positive number, got {value}")
    scores = np.ones(keypoints_2d.shape[:2]) if scores is None else np.asarray(scores)
    if scores.shape != keypoints_2d.shape[:2]:
        raise ValueError(f"scores: expected (T, 17), got {scores.shape}")
    seen = _seen(keypoints_2d, scores)
    chosen, _ = choose_device(device)
    lifter = Lifter(load_lifter_checkpoint(weights), chosen, precision=precision)
    return lifter(seen, np.arange(len(seen)) / fps, frame_size, focal_px)


def load_lifter_checkpoint(weights: str | Path) -> Checkpoint:
    """Load weights by name or path, for 17 joints of h36m17.

    Raises:
        WeightsError: they are not there or cannot be read.
        UsageError: they are for another skeleton.
    """
    checkpoint = load_checkpoint(find_weights(weights))
    if checkpoint.skeleton != H36M17.name:
        raise UsageError(
            f"{checkpoint.path} is for the skeleton {checkpoint.skeleton}; lifting a video needs "
            f"weights for {H36M17.name}."
        )
    return checkpoint
