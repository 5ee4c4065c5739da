"""2D joints to 3D joints: a trained PoseFormer slid over a track.

The checkpoint decides: how the input is normalised, and the frame rate of its windows, to which
a track of another rate is resampled and from which its poses come back.
"""

from __future__ import annotations

from collections import deque
from hashlib import blake2b
from math import ceil
from mmap import mmap
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.interpolate import PchipInterpolator
from torch import Tensor

from vidpose.camera import assumed_focal_px, pixels_to_rays
from vidpose.errors import UsageError
from vidpose.lifting.sliding_window import slide
from vidpose.models import Checkpoint, load_checkpoint
from vidpose.models.normalisation import NORMALISATIONS
from vidpose.poses import Pose2D, Pose3D
from vidpose.postprocess.bone_lengths import bone_lengths, keep_lengths
from vidpose.postprocess.root_trajectory import root_positions
from vidpose.skeleton import H36M17
from vidpose.utils.devices import PRECISIONS, choose_device, choose_precision
from vidpose.utils.gaps import fill_missing, runs
from vidpose.utils.progress import Progress, silent
from vidpose.zoo.registry import find_weights

SAME_RATE = 0.02
"""A rate this near to the checkpoint's, as a fraction, is not resampled (29.97 is 30),"""
EVEN_STEPS = 0.25
"""if no step between frames differs more than this (containers round times to milliseconds)."""
BLOCK = 576
"""Frames at the checkpoint's rate that are lifted together. Blocks count from a track's first
frame, so that one can be lifted before the next is there; each lifts again what its windows share
with its neighbours', so longer ones cost less. A multiple of most strides, as that of `sliding` is:
windows then begin at the same frames whatever is lifted together."""
KEPT_TOGETHER = 7
"""Blocks lifted ahead that share a piece of memory, just under a megabyte."""
RESAMPLED_AT_ONCE = 4096
"""Frames; bounds memory."""
PCHIP_REACH = 4
"""PCHIP's value at a time depends on no more frames than this on either side."""


class Lifter:
    """A checkpoint ready to lift tracks, a block of frames at a time.

    A block's poses follow from nothing but the 2D joints of its frames and of those its windows
    reach. `lift_ahead` lifts one before the rest of the track is known and keeps the poses under
    the very joints they were lifted from. Whether that was done never shows in a result.
    """

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
            precision: fp32, bf16 or auto, see `vidpose.utils.devices.choose_precision`.

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
        self._ahead = _PosesAhead()

    def __call__(
        self,
        keypoints_px: NDArray[np.floating],
        timestamps: NDArray[np.float64],
        frame_size: tuple[int, int],
        focal_px: float,
        progress: Progress = silent,
        out: NDArray[np.float32] | None = None,
        flip_disagreement_m: NDArray[np.float32] | None = None,
    ) -> NDArray[np.float32]:
        """Lift one person's track.

        Args:
            keypoints_px: (T, 17, 2), h36m17, pixels; NaN = missing.
            timestamps: (T,) seconds, rising.
            frame_size: width and height of the picture, pixels.
            focal_px: focal length in pixels, known or assumed.
            progress: wraps the frames.
            out: where to write the result to; by default a new array.
            flip_disagreement_m: (T,), is filled with how far the plain and the mirrored pass lie
                apart in each frame, metres, mean over the joints; NaN without `flip`.

        Returns:
            (T, 17, 3) metres, camera frame, the root at 0: a pose for every frame.

        Raises:
            ValueError: no joint is there in any frame.
        """
        track, missing = self._filled(keypoints_px, timestamps)
        grid = training_grid(timestamps, self.checkpoint.fps)
        count = len(track if grid is None else grid)
        if out is None:
            out = np.empty((*track.shape[:2], 3), np.float32)
        joints = out if grid is None else np.empty((count, *out.shape[1:]), np.float32)
        apart = np.empty(count, np.float32)
        rows = (
            row
            for block in range(ceil(count / BLOCK))
            for row in self._block(track, missing, timestamps, grid, block, frame_size, focal_px)
        )
        for t, row in enumerate(progress(rows, count, "lifting")):
            joints[t], apart[t] = row[:-1].reshape(joints.shape[1:]), row[-1]
        if flip_disagreement_m is not None:
            flip_disagreement_m[:] = apart if grid is None else np.interp(timestamps, grid, apart)
        if grid is not None:
            _resample(grid, joints, timestamps, out)
        return out

    def reach_of(self, block: int, count: int | None = None) -> slice:
        """The frames at the checkpoint's rate that a block's poses depend on, of `count` or of
        any number.
        """
        reach = self.model.reach
        stop = (block + 1) * BLOCK + reach
        return slice(max(0, block * BLOCK - reach), stop if count is None else min(count, stop))

    def lift_ahead(
        self,
        track: int,
        block: int,
        keypoints_px: NDArray[np.floating],
        timestamps: NDArray[np.float64],
        at: NDArray[np.float64] | None,
        frame_size: tuple[int, int],
        focal_px: float,
    ) -> None:
        """Lift one block of a track that may still grow, and keep its poses.

        Args:
            track: which one; a track's blocks rise.
            block: which one.
            keypoints_px: (N, 17, 2), the track's frames in `reach_of`; or, where it has another
                rate than the checkpoint, its `frames_near` those times.
            timestamps: (N,) seconds, of these frames.
            at: (M,) seconds, of the frames in `reach_of`, if they are not these.
            frame_size, focal_px: see `__call__`.
        """
        if not np.isfinite(keypoints_px).all(axis=2).any():
            return
        filled, missing = self._filled(keypoints_px, timestamps)
        inputs = np.array(filled, np.float64) if at is None else _resample(timestamps, filled, at)
        if missing is not None:
            inputs[missing if at is None else missing[nearest(timestamps, at)]] = np.nan
        key, first, last = self._key(block, inputs, frame_size, focal_px)
        poses = self._poses(inputs, first, last, frame_size, focal_px)
        self._ahead.keep(track, key, poses)

    def _block(
        self,
        track: NDArray[np.floating],
        missing: NDArray[np.bool_] | None,
        timestamps: NDArray[np.float64],
        grid: NDArray[np.float64] | None,
        block: int,
        frame_size: tuple[int, int],
        focal_px: float,
    ) -> NDArray[np.float32]:
        """A block's `_poses`, now that all of the track is there."""
        around = self.reach_of(block, len(timestamps if grid is None else grid))
        if grid is None:
            inputs = np.array(track[around], np.float64)
            rows: slice | NDArray[np.int64] = around
        else:
            near = frames_near(timestamps, grid[around])
            times = np.minimum(grid[around], timestamps[-1])  # the last one may lie just behind
            inputs = _resample(timestamps[near], track[near], times)
            rows = near.start + nearest(timestamps[near], times)
        if missing is not None:
            inputs[missing[rows]] = np.nan
        key, first, last = self._key(block, inputs, frame_size, focal_px)
        poses = self._ahead.take(key)
        return self._poses(inputs, first, last, frame_size, focal_px) if poses is None else poses

    def _filled(
        self, keypoints_px: NDArray[np.floating], timestamps: NDArray[np.float64]
    ) -> tuple[NDArray[np.floating], NDArray[np.bool_] | None]:
        """The track without gaps, and where they were, (T, J), if the network wants to know.

        The root is not among them: it is what the person is turned and sized around.
        """
        missing = ~np.isfinite(keypoints_px).all(axis=-1)
        if not missing.any():
            return keypoints_px, None
        track = fill_missing(keypoints_px, timestamps)
        if not self.checkpoint.model.knows_missing:
            return track, None
        missing[:, H36M17.root] = False
        return track, missing

    def _key(
        self,
        block: int,
        inputs: NDArray[np.float64],
        frame_size: tuple[int, int],
        focal_px: float,
    ) -> tuple[bytes, int, int]:
        """What a block's poses are kept under, and which of the inputs they are of."""
        first = block * BLOCK - self.reach_of(block).start
        last = min(first + BLOCK, len(inputs))
        key = blake2b(np.ascontiguousarray(inputs).tobytes(), digest_size=16)
        key.update(repr((first, last, frame_size, focal_px)).encode())
        return key.digest(), first, last

    def _poses(
        self,
        keypoints_px: NDArray[np.floating],
        first: int,
        last: int,
        frame_size: tuple[int, int],
        focal_px: float,
    ) -> NDArray[np.float32]:
        """(N, J, 2) at the checkpoint's rate -> (last - first, J * 3 + 1).

        A row is a frame's pose and, last, how far the plain and the mirrored pass lie apart.
        """
        normalise = NORMALISATIONS[self.checkpoint.normalisation]
        track = torch.as_tensor(keypoints_px, dtype=torch.float32, device=self.device)
        inputs, rotation = normalise(track, frame_size, focal_px)
        mirrored = self._mirrored if self.flip else None
        apart: list[Tensor] = []
        joints = torch.cat(list(slide(self.model, inputs, mirrored, first, last, apart)))
        joints[:, 0] = 0
        joints = (joints @ rotation[first:last]).flatten(1)
        told = torch.cat(apart) if apart else joints.new_full((len(joints),), torch.nan)
        return np.asarray(torch.column_stack([joints, told]).cpu().numpy(), np.float32)


class _PosesAhead:
    """Blocks of poses that were lifted ahead, until they are taken.

    Each track's lie together in pieces of memory that come straight from the system and go back to
    it, piece by piece, while the result's arrays grow. As thousands of small arrays between a
    network's large temporary ones they would leave holes that nothing fits in.
    """

    def __init__(self) -> None:
        self._kept: dict[bytes, tuple[NDArray[np.float32], deque[bytes]]] = {}
        self._keys: dict[int, deque[bytes]] = {}
        self._room: dict[int, NDArray[np.float32]] = {}

    def keep(self, track: int, key: bytes, poses: NDArray[np.float32]) -> None:
        """Keep a track's next block, see `Lifter._poses`, under a key."""
        room = self._room.get(track, poses[:0].ravel())
        if len(room) < poses.size:
            room = np.frombuffer(mmap(-1, KEPT_TOGETHER * poses.nbytes), np.float32)
        kept, self._room[track] = room[: poses.size].reshape(poses.shape), room[poses.size :]
        kept[:] = poses
        keys = self._keys.setdefault(track, deque())
        keys.append(key)
        self._kept[key] = kept, keys

    def take(self, key: bytes) -> NDArray[np.float32] | None:
        """The block under a key, if there is one. It is forgotten, and so are the track's before
        it: blocks are taken in their order, and those were lifted in vain.
        """
        self._room.clear()  # the track has ended; a rest would hold the piece it is of
        if key not in self._kept:
            return None
        poses, keys = self._kept[key]
        while key in self._kept:
            self._kept.pop(keys.popleft(), None)
        return poses


def training_grid(timestamps: NDArray[np.float64], fps: float) -> NDArray[np.float64] | None:
    """The times at which the network wants its frames; None if it has them already.

    They count from the first frame on; the last one lies at the track's end or just behind it.
    """
    if len(timestamps) < 2:
        return None
    steps = np.diff(timestamps) * fps
    if abs(steps.mean() - 1) <= SAME_RATE and (np.abs(steps - 1) <= EVEN_STEPS).all():
        return None
    seconds = float(timestamps[-1] - timestamps[0])
    count = max(2, ceil(seconds * fps - 1e-6) + 1)
    return np.asarray(timestamps[0] + np.arange(count) / fps)


def nearest(timestamps: NDArray[np.float64], at: NDArray[np.float64]) -> NDArray[np.int64]:
    """For each time the number of the frame that is nearest to it."""
    return np.searchsorted((timestamps[:-1] + timestamps[1:]) / 2, at)


def frames_near(timestamps: NDArray[np.float64], at: NDArray[np.float64]) -> slice:
    """The frames that decide what is at these times, which rise."""
    first, last = np.searchsorted(timestamps, (at[0], at[-1])).tolist()
    return slice(max(0, first - PCHIP_REACH), min(len(timestamps), last + PCHIP_REACH))


def _resample(
    times: NDArray[np.float64],
    values: NDArray[np.floating],
    at: NDArray[np.float64],
    out: NDArray[Any] | None = None,
) -> NDArray[Any]:
    """(T, J, D) at `times` -> (len(at), J, D); joints that are never there are NaN."""
    if out is None:
        out = np.empty((len(at), *values.shape[1:]))
    out[:] = np.nan
    there = np.isfinite(values).all(axis=(0, 2))
    for start in range(0, len(at), RESAMPLED_AT_ONCE):
        some = at[start : start + RESAMPLED_AT_ONCE]
        near = frames_near(times, some)
        # PCHIP does not overshoot where a joint jumps.
        path = PchipInterpolator(times[near], values[near][:, there], axis=0)
        out[start : start + len(some), there] = path(some)
    return out


def lift_poses(poses: Pose2D, lifter: Lifter, focal_px: float, *, rigid: bool = True) -> Pose3D:
    """Lift every person of a video and place them: `lift_joints`, then `place_people`."""
    result = lift_joints(poses, lifter, focal_px)
    place_people(result, focal_px, rigid=rigid)
    return result


def lift_joints(
    poses: Pose2D,
    lifter: Lifter,
    focal_px: float,
    progress: Progress = silent,
    flip_disagreement_m: NDArray[np.float32] | None = None,
) -> Pose3D:
    """Lift every person of a video, and place nobody yet.

    Args:
        poses: h36m17.
        lifter: what lifts.
        focal_px: focal length in pixels, known or assumed.
        progress: wraps the frames of each person.
        flip_disagreement_m: (P, T), is filled where people are present, see `Lifter`.

    Returns:
        The same people in 3D, as the network sees them; `root_3d` is NaN, and `meta` is empty.
    """
    shape = poses.keypoints_2d.shape[:3]
    # A page that nothing was written to takes no memory yet; this grows as what was lifted ahead
    # is taken.
    joints = np.empty((*shape, 3), np.float32)
    for person in range(poses.people):
        joints[person, ~poses.present[person]] = np.nan
        for run in runs(poses.present[person]):
            seen = seen_joints(poses.keypoints_2d[person, run], poses.scores_2d[person, run])
            apart = None if flip_disagreement_m is None else flip_disagreement_m[person, run]
            times, out = poses.timestamps[run], joints[person, run]
            lifter(seen, times, poses.frame_size, focal_px, progress, out, apart)
    fields = {name: getattr(poses, name) for name in poses.__dataclass_fields__}
    nowhere = np.full((*shape[:2], 3), np.nan, np.float32)
    return Pose3D(**fields, joints_3d=joints, root_3d=nowhere)


def place_people(result: Pose3D, focal_px: float, *, rigid: bool) -> None:
    """Give everybody's bones one length, and everybody their place, in the result's own arrays.

    Args:
        result: from `lift_joints`.
        focal_px: as it was lifted with.
        rigid: give every bone of a person one length; else only places.
    """
    for person in range(result.people):
        present = runs(result.present[person])
        lengths = bone_lengths(result.joints_3d[person]) if rigid and present else None
        for run in present:
            joints, scores = result.joints_3d[person, run], result.scores_2d[person, run]
            rays = seen_joints(result.keypoints_2d[person, run], scores)
            for start in range(0, len(rays), RESAMPLED_AT_ONCE):  # in place, for it may be long
                part = slice(start, start + RESAMPLED_AT_ONCE)
                rays[part] = pixels_to_rays(rays[part], result.frame_size, focal_px)
            if lengths is not None:
                keep_lengths(joints, rays, lengths)
            root = root_positions(joints, rays, scores, result.timestamps[run])
            result.root_3d[person, run] = root


def seen_joints(
    keypoints_px: NDArray[np.floating], scores: NDArray[np.floating]
) -> NDArray[np.floating]:
    """(..., J, 2) pixels; a joint with score 0 is missing, NaN."""
    return np.where(scores[..., None] > 0, keypoints_px, np.nan)


def lift(
    keypoints_2d: NDArray[np.floating],
    frame_size: tuple[int, int],
    fps: float,
    scores: NDArray[np.floating] | None = None,
    weights: str | Path = "default",
    device: str = "auto",
    focal_px: float | None = None,
    precision: str = "auto",
    rigid: bool = True,
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
        rigid: give every bone one length, see `vidpose.postprocess.bone_lengths`.

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
    seen = seen_joints(keypoints_2d, scores)
    chosen, _ = choose_device(device)
    lifter = Lifter(load_lifter_checkpoint(weights), chosen, precision=precision)
    joints = lifter(seen, np.arange(len(seen)) / fps, frame_size, focal_px)
    if rigid:
        rays = pixels_to_rays(seen, frame_size, focal_px)
        keep_lengths(joints, rays, bone_lengths(joints))
    return joints


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
