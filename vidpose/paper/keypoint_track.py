"""One person's 2D joints over time, from a dataset or a video, and a network's input window."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.interpolate import PchipInterpolator
from torch import Tensor

from vidpose.camera import assumed_focal_px
from vidpose.datasets.dataset import PoseSequence
from vidpose.errors import UsageError
from vidpose.models import Checkpoint
from vidpose.models.normalisation import NORMALISATIONS
from vidpose.paper.options import ExperimentOptions
from vidpose.paper.workspace import Workspace
from vidpose.poses import Pose3D, load
from vidpose.provenance import given_focal_px
from vidpose.skeleton import SKELETONS
from vidpose.utils.gaps import fill_missing

AROUND_S = 3.0
"""Seconds of video before and after `--at` in which people are detected."""


@dataclass(frozen=True, kw_only=True, eq=False)
class KeypointTrack:
    """One person's 2D joints over time, from any source."""

    name: str
    keypoints_px: NDArray[np.floating]
    """(T, J, 2), NaN where missing."""
    seconds: NDArray[np.float64]
    """(T,)."""
    frame_size: tuple[int, int]
    focal_px: float

    def nearest(self, at: float | None) -> int:
        """Return the frame nearest to a time in seconds, by default to the middle.

        Raises:
            UsageError: the track does not cover that time.
        """
        first, last = float(self.seconds[0]), float(self.seconds[-1])
        wanted = (first + last) / 2 if at is None else at
        if not first <= wanted <= last:
            raise UsageError(
                f"--at {wanted:g}: choose a time in {self.name}, {first:.2f} to {last:.2f} s."
            )
        return int(np.abs(self.seconds - wanted).argmin())


def track_of_sequence(sequence: PoseSequence) -> KeypointTrack:
    return KeypointTrack(
        name=sequence.name,
        keypoints_px=sequence.keypoints_2d,
        seconds=np.arange(len(sequence)) / sequence.fps,
        frame_size=sequence.frame_size,
        focal_px=sequence.focal_px or assumed_focal_px(sequence.frame_size),
    )


def own_track(options: ExperimentOptions, workspace: Workspace) -> KeypointTrack | None:
    """Return a person of the given --result or --video; None without either.

    Raises:
        UsageError: there is no such person.
        VidposeError: the result or the video cannot be used.
    """
    if options.result is not None:
        result = load(options.result)
        return _track_of_result(options.result.name, result, options.person)
    if options.video is None:
        return None
    result = _detect(options.video, workspace, options.at)
    return _track_of_result(options.video.name, result, options.person)


def _detect(video: Path, workspace: Workspace, at: float | None) -> Pose3D:
    """Detect and track the people of a video, or of the part around a time."""
    from vidpose.pipeline import infer

    return infer(
        video,
        device=workspace.device.type,
        flip=False,
        start=None if at is None else max(0.0, at - AROUND_S),
        end=None if at is None else at + AROUND_S,
        report=workspace.report,
        progress=workspace.progress,
    )


def _track_of_result(name: str, result: Pose3D, person: int | None) -> KeypointTrack:
    """Return a person's 2D joints; by default of the person present longest."""
    if not result.present.any():
        raise UsageError(f"{name} has no people; choose another video.")
    longest = int(result.present.sum(axis=1).argmax())
    index = longest if person is None else result.index_of(person)
    present = np.flatnonzero(result.present[index])
    span = slice(present[0], present[-1] + 1)
    width, height = result.frame_size
    return KeypointTrack(
        name=f"{name}, person {result.person_ids[index]}",
        keypoints_px=result.keypoints_2d[index, span],
        seconds=result.timestamps[span],
        frame_size=(width, height),
        focal_px=given_focal_px(result.meta) or assumed_focal_px((width, height)),
    )


class Window(NamedTuple):
    """A network's input around one moment of a track; F frames, J joints."""

    inputs: Tensor
    """(F, J, 2), normalised."""
    rotation: Tensor
    """(3, 3), camera frame to the output's frame, for the centre frame."""
    keypoints_px: NDArray[np.float64]
    """(J, 2) of the centre frame."""
    seconds: float
    """Time of the centre frame."""

    @property
    def centre(self) -> int:
        return len(self.inputs) // 2

    def pose(self, checkpoint: Checkpoint, output: Tensor) -> NDArray[np.float64]:
        """Turn the network's output, (1 or F, J, 3), into the pose of the centre frame.

        Returns:
            (J, 3) metres, camera frame, root-relative.
        """
        frame = self.centre if checkpoint.model.all_frames else 0
        pose = (output[frame] @ self.rotation).double().cpu().numpy()
        return np.asarray(pose - pose[SKELETONS[checkpoint.skeleton].root])


def window_of(
    checkpoint: Checkpoint,
    track: KeypointTrack,
    at: float | None,
    device: torch.device | str = "cpu",
) -> Window:
    """Return a network's input around one moment, at the network's frame rate.

    Args:
        checkpoint: a checkpoint for the track's skeleton.
        track: its first and last frames are repeated beyond its ends.
        at: seconds; the nearest frame is the centre. By default the middle.
        device: the device of the inputs.

    Raises:
        UsageError: the track has another number of joints, or does not cover that time.
    """
    skeleton, frames = SKELETONS[checkpoint.skeleton], checkpoint.model.config.frames
    if track.keypoints_px.shape[1] != len(skeleton):
        raise UsageError(
            f"{track.name} has {track.keypoints_px.shape[1]} joints, the weights are for "
            f"{len(skeleton)} of {skeleton.name}; choose other weights."
        )
    seconds = float(track.seconds[track.nearest(at)])
    times = seconds + (np.arange(frames) - frames // 2) / checkpoint.fps
    window = _interpolate(track, times.clip(track.seconds[0], track.seconds[-1]))
    inputs, rotation = NORMALISATIONS[checkpoint.normalisation](
        torch.tensor(window, dtype=torch.float32, device=device),
        track.frame_size,
        track.focal_px,
        skeleton.root,
    )
    return Window(inputs, rotation[frames // 2], window[frames // 2], seconds)


def _interpolate(track: KeypointTrack, times: NDArray[np.float64]) -> NDArray[np.float64]:
    """(F, J, 2) at these times, exact on frames. Joints missing in all frames stay NaN."""
    joints = fill_missing(track.keypoints_px, track.seconds)
    if len(joints) == 1:
        return np.repeat(joints, len(times), axis=0)
    out = np.full((len(times), *joints.shape[1:]), np.nan)
    known = np.isfinite(joints).all(axis=(0, 2))
    out[:, known] = PchipInterpolator(track.seconds, joints[:, known], axis=0)(times)
    return out
