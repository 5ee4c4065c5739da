"""Which detection is which person, frame by frame.

`Tracker` works online and remembers only people who were seen lately. Nothing here counts
frames: all limits are in seconds, so that 10 and 120 frames/s, and a rate that varies, give the
same people.
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
"""For this long a person may be missing and is still the same one afterwards; a joint that is
missing for longer is not interpolated. A longer absence ends the track. It is counted to the last
frame without them: nobody is absent between two frames of a time-lapse, however far apart. But all
tracks end where a video pauses (`vidpose.utils.gaps.PAUSE_S`)."""
USUAL_STEPS = 15
"""The usual step between frames is the median of the last so many."""
GATE_STILL = 0.3
GATE_SPEED = 2.5
GATE_MAX = 0.8
"""How far, in body sizes, a pose may lie from where its track expects it: detector noise and
moving limbs, plus what a change of speed makes of each second unseen, and never more than would
reach a bystander. The expectation moves along, so this is no limit to the speed itself."""
HIDDEN_COST = 0.4
"""Body sizes a second unseen: while one person hides another, the one pose to be seen belongs to
the one in front, who was seen all the time."""
VELOCITY_MEMORY_S = 0.1
"""A track's velocity is averaged over about this time; less is detector noise."""
SIZE_MEMORY_S = 0.5
"""A track's body size is averaged over about this time."""
VELOCITY_FADE_S = 0.3
"""An unseen person is expected to slow down with this time constant."""


@dataclass(eq=False)
class _Track:
    id: int
    keypoints: NDArray[np.float64]
    """(J, 2), pixels, as last seen; a joint that was missing then, as before."""
    scores: NDArray[np.float64]
    seen_s: float
    velocity: NDArray[np.float64] = field(default_factory=lambda: np.zeros(2))
    """(2,) pixels a second, of the body as a whole: single joints are too noisy for it."""
    size: float = field(init=False)
    """Pixels, the body's; who curls up for a moment does not get smaller."""
    age_s: float = 0.0

    def __post_init__(self) -> None:
        self.size = float(pose_sizes(self.keypoints[None])[0])

    def expected(self, time_s: float) -> NDArray[np.float64]:
        """(J, 2), pixels: straight on from where it was last seen, slowing down."""
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
    """Gives every detection the id of its person; people keep theirs.

    Detections are assigned to tracks so that the poses lie nearest to the expected ones in sum.
    A pose further away than anybody could have moved never moves a track: it starts another.
    A pause right after the first frame is not known as one, since no step came before it.
    """

    def __init__(self) -> None:
        self._tracks: list[_Track] = []
        self._next_id = 1
        self._last_s = -np.inf
        self._steps_s: deque[float] = deque(maxlen=USUAL_STEPS)

    def update(self, found: Detections, time_s: float) -> list[int]:
        """The ids of the people in `found`, in its order; ids count from 1.

        Args:
            found: all detections of the next frame, each person once.
            time_s: seconds, rising from call to call.
        """
        step_s = time_s - self._last_s
        self._tracks = [t for t in self._tracks if self._last_s - t.seen_s <= MAX_GAP_S]
        if self._pauses(step_s):
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
        """Whether the video pauses for a step. Pauses are among the usual steps, too: a video that
        becomes a time-lapse does not pause again and again.
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
        sureness = np.array([track.scores for track in self._tracks])
        # A detector that takes a back for a front swaps left and right; it is the same person.
        turned = skeleton.mirrored
        tall = np.array([track.size for track in self._tracks])
        sizes = np.maximum(tall[:, None], pose_sizes(keypoints)[None])
        distance = np.minimum(
            pose_distances(expected, sureness, keypoints, scores, sizes),
            pose_distances(expected, sureness, keypoints[:, turned], scores[:, turned], sizes),
        )
        unseen = time_s - np.array([track.seen_s for track in self._tracks])
        gate = np.minimum(GATE_STILL + GATE_SPEED * unseen, GATE_MAX)[:, None]
        possible = distance <= gate
        # An impossible pair costs more than any set of possible ones, so it is never preferred.
        cost = distance + HIDDEN_COST * unseen[:, None]
        cost = np.where(possible, cost, 1 + cost[possible].sum())
        return [(t, n) for t, n in _least_cost_pairs(cost) if possible[t, n]]


def _least_cost_pairs(cost: NDArray[np.float64]) -> list[tuple[int, int]]:
    """Each row with one column, or each column with one row, so that the sum is the least."""
    if 1 in cost.shape:  # one person needs no solver, which takes a while to import
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
    """How far the poses `a` (N, J, 2) lie from the poses `b` (M, J, 2), in body sizes.

    Half of it is the mean distance joint by joint, half how far the body as a whole has moved:
    in a somersault the joints go anywhere, but the body stays on its way.

    Args:
        a, b: any unit, the same for both; NaN where a joint is missing.
        a_scores, b_scores: (N, J) and (M, J), 0 to 1: the lower of the two is a joint's weight.
        sizes: (N, M), what counts as one body size for each pair, same unit.

    Returns:
        (N, M); infinite where no joint is shared.
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
