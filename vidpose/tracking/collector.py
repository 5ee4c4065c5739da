"""Turn frame-by-frame detections into one `Pose2D` of all people.

`PoseCollector` stores the detections of each track, in h36m17. When the video has ended it corrects
short detector errors (`left_right`, `keyframes`, `outliers`) and fills short gaps (`gaps`).
"""

from __future__ import annotations

from array import array
from collections.abc import Callable
from itertools import compress
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from vidpose.detect.base import Detections, FrameDetections
from vidpose.poses import Pose2D
from vidpose.skeleton import H36M17
from vidpose.tracking.gaps import interpolate_gaps
from vidpose.tracking.keyframes import correct_between
from vidpose.tracking.left_right import undo_swaps
from vidpose.tracking.outliers import is_outlier
from vidpose.tracking.tracker import Tracker
from vidpose.utils.gaps import pauses_in

MIN_OBSERVED_S = 0.3
"""A track observed for less time in total is a false detection; in a shot shorter than twice that,
one observed for less than half of it."""
JOINTS = len(H36M17)

BeforeArrays = Callable[[int, int, int], None]
"""Called with the numbers of people kept, people dropped and frames, before arrays of that size are
allocated. Exceptions that it raises propagate."""


class _Arrays(NamedTuple):
    """The detections of one person in N frames."""

    rows: NDArray[np.int64]
    """(N,), positions among the frames that were added."""
    joints: NDArray[np.float32]
    """(N, 17, 2), pixels."""
    scores: NDArray[np.float32]
    """(N, 17)."""
    disputed: NDArray[np.bool_]
    """(N, 17), see `Detections`."""
    shift: NDArray[np.float32]
    """(N, 17, 2), see `Detections`."""


class _Record:
    """The detections of one person: one entry a frame, packed."""

    def __init__(self) -> None:
        self.rows = array("q")
        self._keypoints, self._scores, self._shift = array("f"), array("f"), array("f")
        self._disputed = bytearray()

    def add(self, row: int, detections: Detections, n: int) -> None:
        """Add the joints of one frame: the n-th person of its detections."""
        self.rows.append(row)
        self._keypoints.frombytes(detections.keypoints[n].tobytes())
        self._scores.frombytes(detections.scores[n].tobytes())
        self._disputed += detections.disputed[n].tobytes()
        self._shift.frombytes(detections.shift[n].tobytes())

    def arrays(self) -> _Arrays:
        """Copies."""
        return _Arrays(
            np.array(self.rows, np.int64),
            np.array(self._keypoints, np.float32).reshape(-1, JOINTS, 2),
            np.array(self._scores, np.float32).reshape(-1, JOINTS),
            np.frombuffer(bytes(self._disputed), np.bool_).reshape(-1, JOINTS),
            np.array(self._shift, np.float32).reshape(-1, JOINTS, 2),
        )


class PoseCollector:
    """Collects detections frame by frame and returns the `Pose2D` of all people at the end.

    Memory grows only with the 17 joints of people x frames.
    """

    def __init__(self) -> None:
        self._tracker = Tracker()
        self._people: dict[int, _Record] = {}
        self._indices, self._shots = array("q"), array("q", [0])
        self._times = array("d")

    def add(self, frame: FrameDetections) -> None:
        """Add the detections of the next frame.

        Index and time increase from call to call. The skeleton must have a conversion to h36m17.
        """
        detections = frame.detections.converted(H36M17)
        people = self._tracker.update(frame.detections, frame.time_s, begins_shot=frame.begins_shot)
        if frame.begins_shot:
            self._shots.append(len(self._times))
        for n, person in enumerate(people):
            record = self._people.setdefault(person, _Record())
            record.add(len(self._times), detections, n)
        self._indices.append(frame.frame_index)
        self._times.append(frame.time_s)

    def finish(
        self,
        fps: float,
        frame_size: tuple[int, int],
        longest: int | None = None,
        before_arrays: BeforeArrays = lambda people, dropped, frames: None,
    ) -> Pose2D:
        """Return all people on the video's time line, h36m17; P may be 0.

        Persons are in the order of their first frame and numbered from 1. A person is present
        from the first to the last frame in which they are observed. Between observations the
        joints are interpolated linearly in time, as are joints that jumped away and back. Short
        left/right swaps are undone. A joint stays NaN with score 0 in gaps longer than
        `gaps.MAX_GAP_S`, before its first and after its last observation. Tracks that are too short
        are dropped, see `MIN_OBSERVED_S`.

        The collector is empty afterwards.

        Args:
            fps: average frames a second.
            frame_size: width and height, pixels, upright.
            longest: keep at most this many people, those observed for longest.
            before_arrays: see `BeforeArrays`.

        Raises:
            ValueError: no frame was added.
        """
        times = np.array(self._times, np.float64)
        people = _long_enough(list(self._people.values()), times, np.array(self._shots))
        people.sort(key=lambda record: record.rows[0])
        dropped = 0
        if longest is not None:
            most = np.argsort(-_observed_s(people, times), kind="stable")[:longest]
            dropped = len(people) - len(most)
            people = [people[p] for p in np.sort(most)]
        before_arrays(len(people), dropped, len(times))
        shape = (len(people), len(times))
        # Pages take no memory before they are written, so these grow as the records are freed.
        keypoints = np.empty((*shape, JOINTS, 2), np.float32)
        scores = np.zeros((*shape, JOINTS), np.float32)
        present, observed = np.zeros(shape, bool), np.zeros(shape, bool)
        self._people.clear()
        for p in range(len(people)):
            rows, joints, confidence, disputed, shift = people[p].arrays()
            people[p] = _Record()  # free its memory for the next
            span = slice(int(rows[0]), int(rows[-1]) + 1)
            undo_swaps(joints, confidence, disputed, shift, times[rows])
            correct_between(joints, confidence, shift, times[rows])
            wrong = is_outlier(joints, times[rows])
            joints[wrong], confidence[wrong] = np.nan, 0
            keypoints[p] = np.nan
            keypoints[p, rows], scores[p, rows] = joints, confidence
            observed[p, rows], present[p, span] = True, True
            interpolate_gaps(keypoints[p, span], scores[p, span], times[span])
        return Pose2D(
            keypoints_2d=keypoints,
            scores_2d=scores,
            present=present,
            observed=observed,
            person_ids=np.arange(1, len(people) + 1, dtype=np.int32),
            frame_indices=np.array(self._indices, np.int64),
            timestamps=times,
            fps=fps,
            frame_size=frame_size,
        )


def _long_enough(
    people: list[_Record], times: NDArray[np.float64], shots: NDArray[np.int64]
) -> list[_Record]:
    """Keep people observed for long enough, see `MIN_OBSERVED_S`.

    Args:
        people: nobody is in two shots.
        times: (T,) seconds.
        shots: the first frame of each shot.
    """
    enough = np.minimum(MIN_OBSERVED_S, np.add.reduceat(_shown_s(times), shots) / 2)
    of_shot = np.searchsorted(shots, [record.rows[0] for record in people], side="right") - 1
    keep = _observed_s(people, times) >= enough[of_shot] - 1e-6
    return list(compress(people, keep))


def _observed_s(people: list[_Record], times: NDArray[np.float64]) -> NDArray[np.float64]:
    """(P,), for how many seconds each person is observed."""
    shown_s = _shown_s(times)
    return np.array([shown_s[np.array(record.rows)].sum() for record in people])


def _shown_s(times: NDArray[np.float64]) -> NDArray[np.float64]:
    """(T,), for how many seconds each frame is shown.

    A single frame counts as no time, a pause as one usual step.
    """
    steps = np.diff(times)
    usual = np.median(steps) if len(steps) else 0.0
    return np.append(np.where(pauses_in(times), usual, steps), usual)
