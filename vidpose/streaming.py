"""3D people in a stream of frames from the caller, with a delay and bounded memory."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

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

ROOT_BEFORE_S, ROOT_AFTER_S = 1.0, 0.25
"""The part of the root trajectory that is estimated around a frame. The frames after it are not
lifted yet, so its own pose replaces theirs; only the size of the pose matters here."""


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
    """(3,) metres, camera frame: position of the root; NaN where unknown."""


@dataclass(frozen=True, eq=False)
class FramePeople:
    """The people detected in one frame."""

    index: int
    """Position among the given frames, from 0."""
    time_s: float
    people: tuple[Person, ...]


@dataclass(eq=False)
class _Seen:
    """One frame's tracked people, by id."""

    index: int
    time_s: float
    people: dict[int, tuple[NDArray[np.float32], NDArray[np.float32]]]
    """Joints (17, 2), pixels, and scores (17,)."""
    joints_3d: dict[int, NDArray[np.float32]] = field(default_factory=dict)
    """By id: (17, 3) metres, once the frame is lifted."""


def stream(
    frames: Iterable[tuple[NDArray[np.uint8], float]],
    detector: Detector,
    lifter: Lifter,
    *,
    focal_px: float | None = None,
    delay_s: float = 1.0,
) -> Iterator[FramePeople]:
    """See `vidpose.Predictor.stream`."""
    check_delay(delay_s)
    people: PeopleStream | None = None
    size: list[tuple[int, int]] = []
    detector.reset()
    for found in detect_frames(detector, _checked(frames, size)):
        if people is None:
            people = PeopleStream(lifter, size[0], focal_px=focal_px, delay_s=delay_s)
        yield from people.add(found)
    if people is not None:
        yield from people.rest()


def check_delay(delay_s: float) -> None:
    """Raise UsageError unless the delay is 0 or more seconds."""
    if not 0 <= delay_s < np.inf:
        raise UsageError(f"delay_s {delay_s:g}: give 0 or more seconds.")


class PeopleStream:
    """Takes detections frame by frame, yields 3D people some frames later, in bounded memory."""

    def __init__(
        self,
        lifter: Lifter,
        frame_size: tuple[int, int],
        *,
        focal_px: float | None = None,
        delay_s: float = 1.0,
    ) -> None:
        """Start a stream.

        Args:
            lifter: lifts 2D joints to 3D.
            frame_size: width and height of the frames, pixels.
            focal_px: focal length in pixels; by default the longer side of the frame.
            delay_s: how many seconds of later frames the lifter sees.
        """
        self._lifter, self._frame_size, self._delay_s = lifter, frame_size, delay_s
        self._focal_px = float(assumed_focal_px(frame_size) if focal_px is None else focal_px)
        self._tracker = Tracker()
        self._seen: deque[_Seen] = deque()
        self._given = 0  # frames of `_seen` that were yielded already
        window_s = lifter.model.config.frames / lifter.checkpoint.fps
        self._memory_s = max(window_s, ROOT_BEFORE_S)

    def add(self, found: FrameDetections) -> Iterator[FramePeople]:
        """Add a frame; yield the people of the frames whose delay is over, in order.

        Args:
            found: detections of the next frame; their skeleton has a conversion to h36m17.
        """
        ids = self._tracker.update(found.detections, found.time_s, begins_shot=found.begins_shot)
        joints = found.detections.converted(H36M17)
        people = {person: (joints.keypoints[n], joints.scores[n]) for n, person in enumerate(ids)}
        self._seen.append(_Seen(found.frame_index, found.time_s, people))
        return self._until(found.time_s - self._delay_s)

    def rest(self) -> Iterator[FramePeople]:
        """Yield the people of the remaining frames, at the end of the stream."""
        return self._until(np.inf)

    def _until(self, time_s: float) -> Iterator[FramePeople]:
        while self._given < len(self._seen) and self._seen[self._given].time_s <= time_s + 1e-6:
            frame = self._seen[self._given]
            self._given += 1
            yield FramePeople(
                frame.index,
                frame.time_s,
                tuple(self._lift(frame, person) for person in frame.people),
            )
            while self._seen[0].time_s < frame.time_s - self._memory_s:
                self._seen.popleft()
                self._given -= 1

    def _lift(self, frame: _Seen, person: int) -> Person:
        track = self._track(frame, person)
        at = track.index(frame)
        times = np.array([other.time_s for other in track])
        keypoints, scores = (np.stack([other.people[person][n] for other in track]) for n in (0, 1))
        pixels = seen_joints(keypoints, scores)
        size, focal_px = self._frame_size, self._focal_px
        lifted = self._lifter.frame(pixels, times, at, size, focal_px)
        near = (times >= frame.time_s - ROOT_BEFORE_S) & (times <= frame.time_s + ROOT_AFTER_S)
        joints = np.stack([other.joints_3d.get(person, lifted) for other in track])[near]
        rays = pixels_to_rays(pixels[near], size, focal_px)
        roots = root_positions(joints, rays, scores[near], times[near])
        frame.joints_3d[person] = lifted
        root = roots[int(near[:at].sum())].astype(np.float32)
        return Person(person, keypoints[at], scores[at], lifted, root)

    def _track(self, frame: _Seen, person: int) -> list[_Seen]:
        """Return the frames around this one with the person, without a gap above `MAX_GAP_S`."""
        track: list[_Seen] = []
        for other in self._seen:
            if person not in other.people:
                continue
            if track and other.time_s - track[-1].time_s > MAX_GAP_S:
                if frame in track:
                    break
                track = []
            track.append(other)
        return track


def _checked(
    frames: Iterable[tuple[NDArray[np.uint8], float]], size: list[tuple[int, int]]
) -> Iterator[Frame]:
    """Check and number the frames; store their size in `size`."""
    last_s = -np.inf
    image: Any
    for index, (image, time_s) in enumerate(frames):
        if not isinstance(image, np.ndarray):
            kind = type(image).__name__
            raise UsageError(f"frame {index}: give an array (H, W, 3) RGB uint8, not a {kind}.")
        if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8 or not image.size:
            raise UsageError(
                f"frame {index}: give (H, W, 3) RGB uint8, not {image.dtype} {image.shape}."
            )
        now = image.shape[1], image.shape[0]
        if size and now != size[0]:
            raise UsageError(
                f"frame {index} is {now[0]}x{now[1]}, not {size[0][0]}x{size[0][1]} as before."
            )
        if not last_s < time_s < np.inf:
            raise UsageError(
                f"frame {index}: times must be finite and increasing; this one is {time_s}."
            )
        size[:] = [now]
        last_s = time_s
        yield Frame(index, time_s, image, duration_s=0.0)
