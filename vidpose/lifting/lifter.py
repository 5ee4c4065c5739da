"""Lifting of 2D joints to 3D joints: sliding-window inference over a person's track.

Input normalisation and frame rate follow the checkpoint. A track with another frame rate is
resampled, and its poses are interpolated back to the track's own frames.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from vidpose.camera import assumed_focal_px
from vidpose.errors import UsageError
from vidpose.lifting.resampling import EVEN_STEPS, nearest, resample, training_grid
from vidpose.lifting.sliding_window import mirror, new_batches, slide
from vidpose.models import Checkpoint, load_checkpoint
from vidpose.models.normalisation import NORMALISATIONS, fill_gaps
from vidpose.models.sliding import sliding_form
from vidpose.options import LiftOptions
from vidpose.poses import Pose2D, Pose3D, seen_joints
from vidpose.skeleton import H36M17
from vidpose.utils.devices import PRECISIONS, choose_device, choose_precision
from vidpose.utils.gaps import gaps_in, runs, runs_between
from vidpose.utils.progress import Progress, silent
from vidpose.zoo.registry import find_weights


class LiftedTrack(NamedTuple):
    """One person's poses."""

    joints: NDArray[np.float32]
    """(T, 17, 3) metres, camera frame, the root at 0."""
    flip_disagreement_m: NDArray[np.float32]
    """(T,) metres: distance between the poses of the original and the mirrored pass, averaged over
    joints; NaN without flip augmentation."""


class _Part(NamedTuple):
    """A part of a track without gaps."""

    run: slice
    grid: NDArray[np.float64] | None
    """Times to resample to for the network; None if the frames have the right rate."""

    @property
    def frames(self) -> int:
        """Number of frames that the network lifts."""
        return self.run.stop - self.run.start if self.grid is None else len(self.grid)

    def put(
        self, rows: NDArray[np.float32], timestamps: NDArray[np.float64], out: LiftedTrack
    ) -> None:
        """Write lifted rows, see `Lifter._rows`, to the track's own frames in `out`."""
        joints, apart = rows[:, :-1].reshape(len(rows), -1, 3), rows[:, -1]
        if self.grid is not None:
            times = timestamps[self.run]
            joints = resample(self.grid, joints, times).astype(np.float32)
            apart = np.interp(times, self.grid, apart).astype(np.float32)
        out.joints[self.run], out.flip_disagreement_m[self.run] = joints, apart


class LiftedPoses(NamedTuple):
    """The poses of all people, before postprocessing."""

    poses: Pose3D
    """`root_3d` is NaN: postprocessing estimates the global translation."""
    flip_disagreement_m: NDArray[np.float32]
    """(P, T) metres, see `LiftedTrack`; NaN where the person is not present."""
    focal_px: float
    """The focal length used, known or assumed, pixels."""


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
        """Move a checkpoint's network to a device.

        Args:
            checkpoint: from `load_checkpoint`.
            device: device to compute on.
            flip: test-time flip augmentation: average with the mirrored track's poses, as the
                paper does.
            precision: fp32, bf16 or auto, see `vidpose.utils.devices.choose_precision`.

        Raises:
            UsageError: the precision is unknown.
        """
        self.checkpoint = checkpoint
        self.device = torch.device(device)
        self.flip = flip
        self.precision = choose_precision(precision, self.device)
        model = checkpoint.model.to(self.device).eval()
        self.model = sliding_form(model, PRECISIONS[self.precision])
        self.batches = new_batches(self.model)
        self._block = self.batches.most
        self._mirrored = torch.from_numpy(H36M17.mirrored).to(self.device)

    def __call__(
        self,
        keypoints_px: NDArray[np.floating],
        timestamps: NDArray[np.float64],
        frame_size: tuple[int, int],
        focal_px: float,
        progress: Progress = silent,
    ) -> LiftedTrack:
        """Lift one person's track, with a pose for every frame; a gap in time splits the track.

        Args:
            keypoints_px: (T, 17, 2), h36m17, pixels; NaN = missing.
            timestamps: (T,) seconds, increasing.
            frame_size: width and height of the image, pixels.
            focal_px: focal length in pixels, known or assumed.
            progress: wraps the frames at the checkpoint's rate.

        Raises:
            ValueError: all joints are missing in all frames.
        """
        track, missing = self._filled(keypoints_px, timestamps)
        # A grid over a gap would grow with the gap's length and contain nothing observed.
        whole = np.ones(len(track), bool)
        parts = [
            _Part(run, training_grid(timestamps[run], self.checkpoint.fps))
            for run in runs_between(whole, gaps_in(timestamps))
        ]

        def rows() -> Iterator[NDArray[np.float32]]:
            for run, grid in parts:
                part, hidden = track[run], missing[run]
                if grid is not None:
                    times = timestamps[run]
                    part, hidden = resample(times, part, grid), hidden[nearest(times, grid)]
                part[hidden] = np.nan
                yield from self._rows(part, frame_size, focal_px)

        lifted = iter(progress(rows(), sum(part.frames for part in parts), "lifting"))
        out = LiftedTrack(
            np.empty((len(track), len(H36M17), 3), np.float32), np.empty(len(track), np.float32)
        )
        for part in parts:
            poses = np.empty((part.frames, 3 * len(H36M17) + 1), np.float32)
            for t, row in enumerate(islice(lifted, part.frames)):
                poses[t] = row
            part.put(poses, timestamps, out)
        for _ in lifted:  # lets the progress display finish
            pass
        return out

    def frame(
        self,
        keypoints_px: NDArray[np.floating],
        timestamps: NDArray[np.float64],
        at: int,
        frame_size: tuple[int, int],
        focal_px: float,
    ) -> NDArray[np.float32]:
        """Lift one frame of a live track with a single window.

        For a network that predicts all frames of a window, the window ends at the track's last
        frame so far, or half a window after the frame if the track is longer; no later frame
        is made up. For other networks, the frame is in the centre of the window, and the track's
        last frame is repeated after its end. In both, its first frame is repeated before its start.

        Args:
            keypoints_px: (T, 17, 2), h36m17, pixels; NaN = missing. Frames more than a window
                before the lifted frame have no effect.
            timestamps: (T,) seconds, increasing.
            at: index of the frame to lift.
            frame_size: width and height of the image, pixels.
            focal_px: focal length in pixels, known or assumed.

        Returns:
            (17, 3) metres, camera frame, the root at 0.

        Raises:
            ValueError: all joints are missing in all frames.
        """
        model, fps = self.checkpoint.model, self.checkpoint.fps
        track, missing = self._filled(keypoints_px, timestamps)
        frames = int(self.model.config.frames)
        ahead = frames // 2
        if model.all_frames:
            ahead = min(ahead, int((timestamps[-1] - timestamps[at]) * fps + EVEN_STEPS))
        slot = frames - 1 - ahead
        grid = timestamps[at] + (np.arange(frames) - slot) / fps
        grid = np.clip(grid, timestamps[0], timestamps[-1])
        window = resample(timestamps, track, grid) if len(timestamps) > 1 else track[[0] * frames]
        window[missing[nearest(timestamps, grid)]] = np.nan
        keypoints = torch.as_tensor(window, dtype=torch.float32, device=self.device)
        normalise = NORMALISATIONS[self.checkpoint.normalisation]
        inputs, rotation = normalise(keypoints, frame_size, focal_px)
        joints = self._in_window(inputs)[slot if model.all_frames else 0]
        lifted: NDArray[np.float32] = (joints @ rotation[slot]).cpu().numpy()
        lifted[0] = 0
        return lifted

    @torch.inference_mode()
    def _in_window(self, inputs: torch.Tensor) -> torch.Tensor:
        """Lift one window, (F, J, 2) -> (1 or F, J, 3), with flip augmentation if `flip`."""
        if not self.flip:
            return self.model.windows(inputs[None])[0]
        both = torch.stack([inputs, mirror(inputs, self._mirrored)])
        plain, flipped = self.model.windows(both)
        return (plain + mirror(flipped, self._mirrored)) / 2

    def _filled(
        self, keypoints_px: NDArray[np.floating], timestamps: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
        """Interpolate missing joints; also return (T, J), where the network gets NaN."""
        track = torch.from_numpy(np.array(keypoints_px, np.float64))
        if not track.isfinite().all(dim=-1).any():
            raise ValueError("all joints are missing in all frames")
        knows_missing = self.checkpoint.model.knows_missing
        times = torch.as_tensor(timestamps)
        filled, missing = fill_gaps(track, times, knows_missing=knows_missing)
        return filled.numpy(), missing.numpy()

    def _rows(
        self, track: NDArray[np.float64], frame_size: tuple[int, int], focal_px: float
    ) -> Iterator[NDArray[np.float32]]:
        """Lift (T, J, 2) at the checkpoint's rate to T rows (J * 3 + 1,): a pose, and its flip
        disagreement, see `LiftedTrack`.
        """
        normalise = NORMALISATIONS[self.checkpoint.normalisation]
        mirrored, context = self._mirrored if self.flip else None, self.model.context
        for start in range(0, len(track), self._block):  # block by block, to bound memory
            stop = min(start + self._block, len(track))
            first = max(0, start - context)
            keypoints_px = torch.as_tensor(
                track[first : stop + context], dtype=torch.float32, device=self.device
            )
            inputs, rotation = normalise(keypoints_px, frame_size, focal_px)
            lifted = slide(self.model, inputs, mirrored, start - first, stop - first, self.batches)
            joints = lifted.poses
            joints[:, 0] = 0
            turned = (joints @ rotation[start - first : stop - first]).flatten(1)
            yield from torch.column_stack([turned, lifted.disagreement]).cpu().numpy()


def lift_poses(
    poses: Pose2D, lifter: Lifter, focal_px: float | None = None, progress: Progress = silent
) -> LiftedPoses:
    """Lift all people in a video, root-relative; `meta` is empty.

    Args:
        poses: h36m17.
        lifter: the lifter.
        focal_px: focal length in pixels; by default the longer side of the image.
        progress: wraps the frames of each run in which a person is present.
    """
    focal_px = float(assumed_focal_px(poses.frame_size) if focal_px is None else focal_px)
    shape = poses.keypoints_2d.shape[:3]
    joints = np.full((*shape, 3), np.nan, np.float32)
    apart = np.full(shape[:2], np.nan, np.float32)
    for person in range(poses.people):
        for run in runs(poses.present[person]):
            seen = seen_joints(poses.keypoints_2d[person, run], poses.scores_2d[person, run])
            track = lifter(seen, poses.timestamps[run], poses.frame_size, focal_px, progress)
            joints[person, run], apart[person, run] = track
    fields = {name: getattr(poses, name) for name in Pose2D.__dataclass_fields__}
    nowhere = np.full((*shape[:2], 3), np.nan, np.float32)
    return LiftedPoses(Pose3D(**fields, joints_3d=joints, root_3d=nowhere), apart, focal_px)


def open_lifter(options: LiftOptions) -> Lifter:
    """Make a lifter from options.

    Raises:
        UsageError, WeightsError: the weights, the device or the precision cannot be used.
    """
    device, _ = choose_device(options.device)
    checkpoint = load_lifter_checkpoint(options.weights)
    return Lifter(checkpoint, device, flip=options.flip, precision=options.precision)


def load_lifter_checkpoint(weights: str | Path) -> Checkpoint:
    """Load weights by name or path, for 17 joints of h36m17.

    Raises:
        WeightsError: the weights do not exist or cannot be read.
        UsageError: the weights are for another skeleton.
    """
    checkpoint = load_checkpoint(find_weights(weights))
    if checkpoint.skeleton != H36M17.name:
        raise UsageError(
            f"{checkpoint.path} is for the skeleton {checkpoint.skeleton}; lifting a video needs "
            f"weights for {H36M17.name}."
        )
    return checkpoint
