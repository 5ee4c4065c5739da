"""People in frames that a caller has, frame after frame, with a delay and bounded memory."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vidpose.camera import assumed_focal_px, pixels_to_rays
from vidpose.detect.base import Detector, FrameDetections, detect_frames
from vidpose.errors import UsageError
from vidpose.lifting.lifter import Lifter
from vidpose.poses import seen_joints
from vidpose.postprocess.root_trajectory import root_positions
from vidpose.skeleton import H36M17
from vidpose.tracking.tracker import MAX_GAP_S, Tracker
from vidpose.video import Frame

BLOCK_S = 0.25
"""People are lifted so many seconds at a time: each time the frames around are lifted again."""


@dataclass(frozen=True, eq=False)
class Person:
    """One person in one frame; joints in the order of h36m17."""

    id: int
    keypoints_2d: NDArray[np.float32]
    """(17, 2) pixels; NaN where missing."""
    scores_2d: NDArray[np.float32]
    """(17,), 0 to 1."""
    joints_3d: NDArray[np.float32]
    """(17, 3) metres, camera frame, the root at 0."""
    root_3d: NDArray[np.float32]
    """(3,) metres, camera frame: where the root is; NaN where unknown."""


@dataclass(frozen=True, eq=False)
class FramePeople:
    """Everybody who was detected in one frame."""

    index: int
    """The frame's number among those given, from 0."""
    time_s: float
    people: tuple[Person, ...]


@dataclass(eq=False)
class _Seen:
    """One frame's tracked people: id -> joints (17, 2), pixels, and scores (17,)."""

    index: int
    time_s: float
    people: dict[int, tuple[NDArray[np.float32], NDArray[np.float32]]]


def stream(
    frames: Iterable[tuple[NDArray[np.uint8], float]],
    detector: Detector,
    lifter: Lifter,
    *,
    focal_px: float | None = None,
    delay_s: float = 1.0,
) -> Iterator[FramePeople]:
    """See `vidpose.Predictor.stream`."""
    if not 0 <= delay_s < np.inf:
        raise UsageError(f"delay_s {delay_s:g}: give 0 or more seconds.")
    size: list[tuple[int, int]] = []
    tracker = Tracker()
    around_s = lifter.model.context / lifter.checkpoint.fps
    seen: deque[_Seen] = deque()
    done = 0  # frames of `seen` that were given already

    def ready(until_s: float) -> Iterator[FramePeople]:
        nonlocal done
        block = [frame for frame in list(seen)[done:] if frame.time_s <= until_s]
        if block:
            focal = float(assumed_focal_px(size[0]) if focal_px is None else focal_px)
            yield from _lift_block(seen, block, lifter, size[0], focal)
            done += len(block)
        while done and seen[0].time_s < seen[done - 1].time_s - around_s:
            seen.popleft()
            done -= 1

    detector.reset()
    for found in detect_frames(detector, _checked(frames, size)):
        seen.append(_tracked(tracker, found))
        waiting_s = found.time_s - seen[done].time_s
        if waiting_s >= delay_s + min(BLOCK_S, delay_s):
            yield from ready(found.time_s - delay_s)
    yield from ready(np.inf)


def _checked(
    frames: Iterable[tuple[NDArray[np.uint8], float]], size: list[tuple[int, int]]
) -> Iterator[Frame]:
    """The frames with their numbers; notes their size."""
    last_s = -np.inf
    for index, (image, time_s) in enumerate(frames):
        if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
            raise UsageError(
                f"frame {index}: give (H, W, 3) RGB uint8, not {image.dtype} {image.shape}."
            )
        now = image.shape[1], image.shape[0]
        if size and now != size[0]:
            raise UsageError(
                f"frame {index} is {now[0]}x{now[1]}, not {size[0][0]}x{size[0][1]} as before."
            )
        if not last_s < time_s < np.inf:
            raise UsageError(f"frame {index}: times must be finite and rise, but this is {time_s}.")
        size[:] = [now]
        last_s = time_s
        yield Frame(index, time_s, image, duration_s=0.0)


def _tracked(tracker: Tracker, found: FrameDetections) -> _Seen:
    ids = tracker.update(found.detections, found.time_s)
    joints = found.detections.converted(H36M17)
    people = {person: (joints.keypoints[n], joints.scores[n]) for n, person in enumerate(ids)}
    return _Seen(found.frame_index, found.time_s, people)


def _lift_block(
    seen: Iterable[_Seen],
    block: list[_Seen],
    lifter: Lifter,
    frame_size: tuple[int, int],
    focal_px: float,
) -> Iterator[FramePeople]:
    """Lift everybody in the frames of a block, with the frames around them as context."""
    people: dict[int, dict[int, Person]] = {frame.index: {} for frame in block}
    for person in sorted({person for frame in block for person in frame.people}):
        for track in _stretches(seen, person):
            if not any(frame.index in people for frame in track):
                continue
            times = np.array([frame.time_s for frame in track])
            keypoints = np.stack([frame.people[person][0] for frame in track])
            scores = np.stack([frame.people[person][1] for frame in track])
            pixels = seen_joints(keypoints, scores)
            joints = lifter(pixels, times, frame_size, focal_px).joints
            rays = pixels_to_rays(pixels, frame_size, focal_px)
            roots = root_positions(joints, rays, scores, times).astype(np.float32)
            for n, frame in enumerate(track):
                if frame.index in people:
                    people[frame.index][person] = Person(
                        person, keypoints[n], scores[n], joints[n], roots[n]
                    )
    for frame in block:
        yield FramePeople(frame.index, frame.time_s, tuple(people[frame.index].values()))


def _stretches(seen: Iterable[_Seen], person: int) -> Iterator[list[_Seen]]:
    """The frames in which a person was detected, parted where they were away for longer."""
    track: list[_Seen] = []
    for frame in seen:
        if person not in frame.people:
            continue
        if track and frame.time_s - track[-1].time_s > MAX_GAP_S:
            yield track
            track = []
        track.append(frame)
    if track:
        yield track
