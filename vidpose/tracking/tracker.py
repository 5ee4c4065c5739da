"""Assign detections to people, frame by frame.

`Tracker` works online and remembers only recently seen people. All limits are in seconds, not in
frames, so that 10 and 120 frames/s, and a variable frame rate, give the same people.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from statistics import median_low
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vidpose.detect.base import Detections, pose_sizes
from vidpose.skeleton import Skeleton
from vidpose.utils.gaps import PAUSE_S, PAUSE_STEPS, known_joints

MAX_GAP_S = 0.5
"""A person may be missing for this long and keep their track; a joint missing for longer is not
interpolated. The absence is counted up to the last frame without the person, so nobody is absent
between two frames of a time-lapse, however far apart these are. All tracks end where a video pauses
(`vidpose.utils.gaps.PAUSE_S`)."""
USUAL_STEPS = 15
"""The usual step between frames is the median of this many recent steps."""
GATE_STILL = 0.3
GATE_SPEED = 2.5
GATE_MAX = 0.8
"""How far, in body sizes, a pose may be from where its track predicts it: `GATE_STILL` for detector
noise and moving limbs, plus `GATE_SPEED` for each second unseen (changes of speed), at most
`GATE_MAX`, so that it does not reach a bystander. The prediction moves, so this does not limit
the speed itself."""
HIDDEN_COST = 0.4
"""Body sizes a second unseen: during an occlusion the only visible pose belongs to the person in
front, who was seen all the time."""
CLEAR = 3
"""A pair that costs less than every alternative of its track and of its detection divided by this
is matched first. Otherwise a false detection on a person would take their track, and the person
that of somebody unseen, because more pairs are possible that way."""
VELOCITY_MEMORY_S = 0.1
"""A track's velocity is averaged over about this time; over less it is mostly detector noise."""
SIZE_MEMORY_S = 0.5
"""A track's body size is averaged over about this time."""
VELOCITY_FADE_S = 0.3
"""The predicted velocity of an unseen person decays with this time constant."""


@dataclass(eq=False)
class _Track:
    id: int
    keypoints: NDArray[np.float64]
    """(J, 2), pixels: where each joint was last seen."""
    scores: NDArray[np.float64]
    seen_s: float
    velocity: NDArray[np.float64] = field(default_factory=lambda: np.zeros(2))
    """(2,) pixels a second, of the body as a whole: single joints are too noisy."""
    size: float = field(init=False)
    """Body size, pixels, averaged so that it does not shrink when a person curls up briefly."""
    age_s: float = 0.0

    def __post_init__(self) -> None:
        self.size = float(pose_sizes(self.keypoints[None])[0])

    def expected(self, time_s: float) -> NDArray[np.float64]:
        """(J, 2), pixels: extrapolated from the last observation, with decaying velocity."""
        unseen = time_s - self.seen_s
        drift = VELOCITY_FADE_S * (1 - np.exp(-unseen / VELOCITY_FADE_S))
        return np.asarray(self.keypoints + self.velocity * drift)

    def update(
        self, keypoints: NDArray[np.float64], scores: NDArray[np.float64], time_s: float
    ) -> None:
        step_s = time_s - self.seen_s
        moved = keypoints - self.keypoints
        both = np.isfinite(moved).all(axis=1)
        if both.any():
            self.age_s += step_s
            # A running mean while the track is young, an exponential one afterwards.
            share = step_s / min(self.age_s, VELOCITY_MEMORY_S + step_s)
            now = np.median(moved[both], axis=0) / step_s
            self.velocity = self.velocity + share * (now - self.velocity)
        share = step_s / (SIZE_MEMORY_S + step_s)
        self.size += share * (float(pose_sizes(keypoints[None])[0]) - self.size)
        there = known_joints(keypoints)
        self.keypoints = np.where(there[:, None], keypoints, self.keypoints)
        self.scores = np.where(there, scores, self.scores)
        self.seen_s = time_s


class Tracker:
    """Gives every detection a person ID that stays the same over the video.

    Detections are assigned to tracks so that the total distance to the predicted poses is smallest.
    A pose further away than a person could have moved starts a new track. A pause right after the
    first frame is not recognised, since there is no earlier step to compare it with.
    """

    def __init__(self) -> None:
        self._tracks: list[_Track] = []
        self._next_id = 1
        self._last_s = -np.inf
        self._steps_s: deque[float] = deque(maxlen=USUAL_STEPS)

    def update(self, found: Detections, time_s: float, *, begins_shot: bool = False) -> list[int]:
        """Return the IDs of the people in `found`, in its order; IDs count from 1.

        Args:
            found: all detections of the next frame, each person once.
            time_s: seconds, increasing from call to call.
            begins_shot: whether there is a cut before this frame, at which all tracks end.
        """
        step_s = time_s - self._last_s
        self._tracks = [t for t in self._tracks if self._last_s - t.seen_s <= MAX_GAP_S]
        if begins_shot or self._pauses(step_s):
            self._tracks = []
        if np.isfinite(step_s):
            self._steps_s.append(step_s)
        self._last_s = time_s
        ids = [0] * len(found)
        keypoints, scores = found.keypoints.astype(np.float64), found.scores.astype(np.float64)
        for t, n in self._assign(keypoints, scores, found.skeleton, time_s):
            self._tracks[t].update(keypoints[n], scores[n], time_s)
            ids[n] = self._tracks[t].id
        for n in range(len(found)):
            if not ids[n]:
                ids[n] = self._next_id
                self._tracks.append(_Track(self._next_id, keypoints[n], scores[n], time_s))
                self._next_id += 1
        return ids

    def _pauses(self, step_s: float) -> bool:
        """Whether this step is a pause of the video.

        Pauses count towards the usual step, so a video that becomes a time-lapse does not pause at
        every frame.
        """
        if step_s <= PAUSE_S or not self._steps_s:
            return False
        return step_s > PAUSE_STEPS * median_low(self._steps_s)

    def _assign(
        self,
        keypoints: NDArray[np.float64],
        scores: NDArray[np.float64],
        skeleton: Skeleton,
        time_s: float,
    ) -> Iterable[tuple[int, int]]:
        """(track, detection) pairs, positions in their lists."""
        if not self._tracks or not len(keypoints):
            return []
        expected = np.array([track.expected(time_s) for track in self._tracks])
        confidence = np.array([track.scores for track in self._tracks])
        # A detector that mistakes a back for a front swaps left and right: still the same person.
        swapped = skeleton.mirrored
        track_sizes = np.array([track.size for track in self._tracks])
        sizes = np.maximum(track_sizes[:, None], pose_sizes(keypoints)[None])
        distance = np.minimum(
            pose_distances(expected, confidence, keypoints, scores, sizes),
            pose_distances(expected, confidence, keypoints[:, swapped], scores[:, swapped], sizes),
        )
        unseen = time_s - np.array([track.seen_s for track in self._tracks])
        gate = np.minimum(GATE_STILL + GATE_SPEED * unseen, GATE_MAX)[:, None]
        possible = distance <= gate
        # An impossible pair costs more than any set of possible ones, so it is never preferred.
        cost = distance + HIDDEN_COST * unseen[:, None]
        cost = np.where(possible, cost, 1 + cost[possible].sum())
        clear = possible & (CLEAR * cost < _cheapest_other(cost))
        left, new = np.flatnonzero(~clear.any(axis=1)), np.flatnonzero(~clear.any(axis=0))
        pairs = [(int(t), int(n)) for t, n in np.argwhere(clear)]
        if len(left) and len(new):
            rest = _least_cost_pairs(cost[np.ix_(left, new)])
            pairs += [(int(left[t]), int(new[n])) for t, n in rest]
        return [(t, n) for t, n in pairs if possible[t, n]]


def _cheapest_other(cost: NDArray[np.float64]) -> NDArray[np.float64]:
    """The lowest cost of another pair in the same row or column of each pair; inf if alone."""
    lowest = np.full(cost.shape, np.inf)
    for axis in (0, 1):
        if cost.shape[axis] > 1:
            first, second = np.split(np.partition(cost, 1, axis=axis).take([0, 1], axis), 2, axis)
            lowest = np.minimum(lowest, np.where(cost > first, first, second))
    return lowest


def _least_cost_pairs(cost: NDArray[np.float64]) -> list[tuple[int, int]]:
    """Match each row to one column, or each column to one row, with the lowest total cost."""
    if 1 in cost.shape:  # one person needs no solver, which is slow to import
        return [divmod(int(cost.argmin()), cost.shape[1])]
    from scipy.optimize import linear_sum_assignment

    rows, columns = linear_sum_assignment(cost)
    return list(zip(rows.tolist(), columns.tolist(), strict=True))


def pose_distances(
    a: NDArray[np.floating[Any]],
    a_scores: NDArray[np.floating[Any]],
    b: NDArray[np.floating[Any]],
    b_scores: NDArray[np.floating[Any]],
    sizes: NDArray[np.floating[Any]],
) -> NDArray[np.float64]:
    """Distances between the poses `a` (N, J, 2) and the poses `b` (M, J, 2), in body sizes.

    The mean of two terms: the mean distance between corresponding joints, and how far the body as a
    whole has moved. In a somersault the joints go anywhere, but the body stays on its path.

    Args:
        a, b: any unit, the same for both; NaN where a joint is missing.
        a_scores, b_scores: (N, J) and (M, J), 0 to 1: the lower of the two is a joint's weight.
        sizes: (N, M), the body size of each pair, same unit.

    Returns:
        (N, M); infinite for pairs without a common joint.
    """
    step = b[None] - a[:, None]  # (N, M, J, 2)
    shared = known_joints(step)
    weight = np.where(shared, np.minimum(a_scores[:, None], b_scores[None]), 0)
    total = weight.sum(axis=2)
    weight = weight / np.where(total > 0, total, 1)[..., None]
    step = np.where(shared[..., None], step, 0)
    joints = (np.linalg.norm(step, axis=3) * weight).sum(axis=2)
    body = np.linalg.norm((step * weight[..., None]).sum(axis=2), axis=2)
    usable = (total > 0) & (sizes > 0)
    return np.where(usable, (joints + body) / 2 / np.where(usable, sizes, 1), np.inf)
