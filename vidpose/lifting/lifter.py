"""2D joints to 3D joints: sliding-window inference over a person's track.

The checkpoint decides: how the input is normalised, and the frame rate of its windows. A track of
another rate is resampled to it, and its poses come back to the track's own frames.
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
    """(T,) metres: how far the plain and the mirrored pass lie apart, mean over the joints; NaN
    without flip augmentation."""


class _Part(NamedTuple):
    """A part of a track without gaps."""

    run: slice
    grid: NDArray[np.float64] | None
    """The times at which the network wants frames; None if it has them."""

    @property
    def frames(self) -> int:
        """That the network lifts."""
        return self.run.stop - self.run.start if self.grid is None else len(self.grid)

    def put(
        self, rows: NDArray[np.float32], timestamps: NDArray[np.float64], out: LiftedTrack
    ) -> None:
        """Put what was lifted, see `Lifter._rows`, into the track's own frames."""
        joints, apart = rows[:, :-1].reshape(len(rows), -1, 3), rows[:, -1]
        if self.grid is not None:
            times = timestamps[self.run]
            joints = resample(self.grid, joints, times).astype(np.float32)
            apart = np.interp(times, self.grid, apart).astype(np.float32)
        out.joints[self.run], out.flip_disagreement_m[self.run] = joints, apart


class LiftedPoses(NamedTuple):
    """Everybody's poses, as the network gives them."""

    poses: Pose3D
    """`root_3d` is NaN: postprocessing finds where people are."""
    flip_disagreement_m: NDArray[np.float32]
    """(P, T) metres, see `LiftedTrack`; NaN where nobody is present."""
    focal_px: float
    """The focal length in pixels, known or assumed, that they were lifted with."""


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
            flip: test-time flip augmentation: lift the mirrored track, too, and average, as the
                paper does.
            precision: fp32, bf16 or auto, see `vidpose.utils.devices.choose_precision`.

        Raises:
            UsageError: the precision is none of these.
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
        """Lift one person's track; every frame gets a pose. Parts between gaps are lifted apart.

        Args:
            keypoints_px: (T, 17, 2), h36m17, pixels; NaN = missing.
            timestamps: (T,) seconds, rising.
            frame_size: width and height of the picture, pixels.
            focal_px: focal length in pixels, known or assumed.
            progress: wraps the frames at the checkpoint's rate.

        Raises:
            ValueError: no joint is there in any frame.
        """
        track, missing = self._filled(keypoints_px, timestamps)
        # A grid over a gap would grow with its length, and hold nothing that was seen.
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
        for _ in lifted:  # lets the progress come to its end
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
        """Lift one frame of a track that goes on, from one window of the network.

        A network that answers for all frames of a window gets one that ends where the track ends
        so far, so that no frame is made up; up to the middle of the window the frame has a future.
        Any other network has the frame in the middle of its window, and the track's end repeated.

        Args:
            keypoints_px: (T, 17, 2), h36m17, pixels; NaN = missing. What lies more than a window
                before the frame does not matter.
            timestamps: (T,) seconds, rising.
            at: which of the frames.
            frame_size: width and height of the picture, pixels.
            focal_px: focal length in pixels, known or assumed.

        Returns:
            (17, 3) metres, camera frame, the root at 0.

        Raises:
            ValueError: no joint is there in any frame.
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
        """(F, J, 2) -> (1 or F, J, 3), with flip augmentation if it is asked for."""
        if not self.flip:
            return self.model.windows(inputs[None])[0]
        both = torch.stack([inputs, mirror(inputs, self._mirrored)])
        plain, flipped = self.model.windows(both)
        return (plain + mirror(flipped, self._mirrored)) / 2

    def _filled(
        self, keypoints_px: NDArray[np.floating], timestamps: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
        """The track without gaps, and (T, J) where the network sees a joint as missing."""
        track = torch.from_numpy(np.array(keypoints_px, np.float64))
        if not track.isfinite().all(dim=-1).any():
            raise ValueError("no joint is there in any frame")
        knows_missing = self.checkpoint.model.knows_missing
        times = torch.as_tensor(timestamps)
        filled, missing = fill_gaps(track, times, knows_missing=knows_missing)
        return filled.numpy(), missing.numpy()

    def _rows(
        self, track: NDArray[np.float64], frame_size: tuple[int, int], focal_px: float
    ) -> Iterator[NDArray[np.float32]]:
        """(T, J, 2) at the checkpoint's rate -> T rows (J * 3 + 1,): a pose, and how far the plain
        and the mirrored pass lie apart.
        """
        normalise = NORMALISATIONS[self.checkpoint.normalisation]
        mirrored, context = self._mirrored if self.flip else None, self.model.context
        for start in range(0, len(track), self._block):  # not all at once, which bounds memory
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
    """Lift every person of a video, root-relative; `meta` is empty.

    Args:
        poses: h36m17.
        lifter: what lifts.
        focal_px: focal length in pixels; by default the picture's longer side.
        progress: wraps the frames of each stretch in which a person is present.
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
    """The lifter that is asked for.

    Raises:
        UsageError, WeightsError: the weights, the device or the precision cannot be used.
    """
    device, _ = choose_device(options.device)
    checkpoint = load_lifter_checkpoint(options.weights)
    return Lifter(checkpoint, device, flip=options.flip, precision=options.precision)


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
