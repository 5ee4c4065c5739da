"""One person's 2D track, from a dataset or a video, and a network's input window from it."""

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
"""Seconds of a video to process before and after the requested time."""


@dataclass(frozen=True, kw_only=True, eq=False)
class KeypointTrack:
    """One person's 2D joints over time."""

    name: str
    keypoints_px: NDArray[np.floating]
    """(T, J, 2), NaN where missing."""
    seconds: NDArray[np.float64]
    """(T,)."""
    frame_size: tuple[int, int]
    focal_px: float

    def nearest(self, at: float | None) -> int:
        """Find the frame nearest to a time in seconds, by default the middle.

        Raises:
            UsageError: the track does not cover that time.
        """
        first, last = float(self.seconds[0]), float(self.seconds[-1])
        wanted = (first + last) / 2 if at is None else at
        if not first <= wanted <= last:
            raise UsageError(
                f"--at {wanted:g}: {self.name} covers {first:.2f} to {last:.2f} s; give a time in "
                "it."
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
    """Return a person's track from --result or --video; None if neither is given.

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
    """Detect the people in a video, or around the time `at`."""
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
    """Return a person's track; by default of the person who is present longest."""
    if not result.present.any():
        raise UsageError(f"{name} has no people in it; give the result of another video.")
    longest = int(result.present.sum(axis=1).argmax())
    index = longest if person is None else result.index_of(person)
    present = np.flatnonzero(result.present[index])
    stay = slice(present[0], present[-1] + 1)
    width, height = result.frame_size
    return KeypointTrack(
        name=f"{name}, person {result.person_ids[index]}",
        keypoints_px=result.keypoints_2d[index, stay],
        seconds=result.timestamps[stay],
        frame_size=(width, height),
        focal_px=given_focal_px(result.meta) or assumed_focal_px((width, height)),
    )


class Window(NamedTuple):
    """A network's input window from a track; F frames, J joints."""

    inputs: Tensor
    """(F, J, 2), normalised."""
    rotation: Tensor
    """(3, 3), from the camera frame to the frame of the prediction, for the centre frame."""
    keypoints_px: NDArray[np.float64]
    """(J, 2) of the centre frame."""
    seconds: float
    """Time of the centre frame."""

    @property
    def centre(self) -> int:
        return len(self.inputs) // 2

    def pose(self, checkpoint: Checkpoint, answer: Tensor) -> NDArray[np.float64]:
        """Extract the centre frame's pose from a network's output, (1 or F, J, 3).

        Returns:
            (J, 3) metres, camera frame, root-relative.
        """
        slot = self.centre if checkpoint.model.all_frames else 0
        pose = (answer[slot] @ self.rotation).double().cpu().numpy()
        return np.asarray(pose - pose[SKELETONS[checkpoint.skeleton].root])


def window_of(
    checkpoint: Checkpoint,
    track: KeypointTrack,
    at: float | None,
    device: torch.device | str = "cpu",
) -> Window:
    """Make a network's input window at its own frame rate.

    Args:
        checkpoint: a checkpoint for the track's skeleton.
        track: the track; its first and last frame are repeated beyond its ends.
        at: seconds; the nearest frame becomes the centre. By default the middle.
        device: device of the inputs.

    Raises:
        UsageError: the track has another number of joints, or does not cover that time.
    """
    skeleton, frames = SKELETONS[checkpoint.skeleton], checkpoint.model.config.frames
    if track.keypoints_px.shape[1] != len(skeleton):
        raise UsageError(
            f"{track.name} has {track.keypoints_px.shape[1]} joints, the weights are for "
            f"{len(skeleton)} of {skeleton.name}; give other weights."
        )
    seconds = float(track.seconds[track.nearest(at)])
    times = seconds + (np.arange(frames) - frames // 2) / checkpoint.fps
    window = _between_frames(track, times.clip(track.seconds[0], track.seconds[-1]))
    inputs, rotation = NORMALISATIONS[checkpoint.normalisation](
        torch.tensor(window, dtype=torch.float32, device=device),
        track.frame_size,
        track.focal_px,
        skeleton.root,
    )
    return Window(inputs, rotation[frames // 2], window[frames // 2], seconds)


def _between_frames(track: KeypointTrack, times: NDArray[np.float64]) -> NDArray[np.float64]:
    """Interpolate to (F, J, 2) at these times, exact on frames; absent joints stay NaN."""
    joints = fill_missing(track.keypoints_px, track.seconds)
    if len(joints) == 1:
        return np.repeat(joints, len(times), axis=0)
    out = np.full((len(times), *joints.shape[1:]), np.nan)
    there = np.isfinite(joints).all(axis=(0, 2))
    out[:, there] = PchipInterpolator(track.seconds, joints[:, there], axis=0)(times)
    return out
