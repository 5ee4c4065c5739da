"""Who is who from frame to frame, and one `Pose2D` of all people at the end.

`Tracker` works online and remembers only the people in sight. `PoseCollector` keeps what it
says, in h36m17; when the video has ended it undoes the detector's short mistakes and fills short
gaps. Nothing here counts frames: all limits are in seconds, so that 10 and 120 frames/s, and a
rate that varies, give the same people.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import maximum_filter1d
from scipy.optimize import linear_sum_assignment

from vidpose.detect.base import DISPUTED_SCORE, Detections, pose_sizes
from vidpose.poses import Pose2D
from vidpose.skeleton import H36M17, Skeleton, conversion

MAX_GAP_S = 0.5
"""For this long a person may be looked for in vain and is still the same one afterwards; a joint
is interpolated where it was missing no longer. A longer absence ends the track. It is counted to
the last picture without them: nobody is absent between two pictures, however far apart."""
MIN_OBSERVED_S = 0.3
"""A track seen for less time in all is a ghost."""
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
INTERPOLATED_SCORE = 0.5
"""An interpolated joint is this much as sure as the less sure of the two ends."""

CONFUSED_COST = 0.5
"""Mean body sizes a second: what taking left for right costs, as against joints that jump. A
detector that mistakes a back for a front and corrects itself makes every joint jump by about a
sixth of a body size, twice; so that is undone when it lasts less than half a second. It costs the
same for a pair of limbs as for all of the body, or halves of bodies would be turned round."""
DISPUTED_S = 0.1
"""It costs nothing in a frame in which the detector contradicts itself about the pair of limbs in
question (`DISPUTED_SCORE`), and in others less by the share of such frames among those this near,
before and after; of legs and arms the dearer counts."""
OUTLIER_SIZE = 0.06
OUTLIER_ACCELERATION = 70.0
OUTLIER_S = 0.25
"""A joint that leaves its path and is back within `OUTLIER_S` was never there, if it was further
away than detector noise (body sizes) and the strongest limb explain: some 125 m/s^2 for a body of
1.8 m, here in body sizes."""
JUMP_SPEED = 7.0
"""Body sizes a second, some 13 m/s. What goes away and comes back within `OUTLIER_S` with both of
these steps faster than that was never there either, even if a limb could have been so far away."""
PREVIEW_S = 1.0
"""Further away than this a frame hardly matters to how mistakes are undone."""
FAR = 256
"""Frames; what is further away has nothing to do with an excursion of `OUTLIER_FRAMES`."""
AT_ONCE = 4096
"""Frames that are worked on together, which bounds the memory that a long track takes for it."""
OUTLIER_FRAMES = 15
"""An excursion of more frames is not looked for: above 60 frames/s the longest ones stay. The work
grows with its square."""
OUTLIER_SHARE = 1 / 3
"""Where more of the joints jump at once the whole pose was mistaken, before or after as likely as
between, and is left alone."""


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

    def see(
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
        there = np.isfinite(keypoints).all(axis=1)
        self.keypoints = np.where(there[:, None], keypoints, self.keypoints)
        self.scores = np.where(there, scores, self.scores)
        self.seen_s = time_s


class Tracker:
    """Gives every detection the id of its person; people keep theirs.

    Detections are assigned to tracks so that the poses lie nearest to the expected ones in sum.
    A pose further away than anybody could have moved never moves a track: it starts another.
    """

    def __init__(self) -> None:
        self._tracks: list[_Track] = []
        self._next_id = 1
        self._last_s = -np.inf

    def update(self, found: Detections, time_s: float) -> list[int]:
        """The ids of the people in `found`, in its order; ids count from 1.

        Args:
            found: all detections of the next frame, each person once.
            time_s: seconds, rising from call to call.
        """
        self._tracks = [t for t in self._tracks if self._last_s - t.seen_s <= MAX_GAP_S]
        self._last_s = time_s
        ids = [0] * len(found)
        keypoints, scores = found.keypoints.astype(np.float64), found.scores.astype(np.float64)
        for t, n in self._assign(keypoints, scores, found.skeleton, time_s):
            self._tracks[t].see(keypoints[n], scores[n], time_s)
            ids[n] = self._tracks[t].id
        for n in range(len(found)):
            if not ids[n]:
                ids[n] = self._next_id
                self._tracks.append(_Track(self._next_id, keypoints[n], scores[n], time_s))
                self._next_id += 1
        return ids

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
        rows, columns = linear_sum_assignment(cost)
        return [
            (t, n) for t, n in zip(rows.tolist(), columns.tolist(), strict=True) if possible[t, n]
        ]


class _Record:
    """What was seen of one person: one entry a frame, packed."""

    def __init__(self) -> None:
        self.rows = array("q")
        self._keypoints, self._scores = array("f"), array("f")

    def add(
        self, row: int, keypoints: NDArray[np.floating[Any]], scores: NDArray[np.floating[Any]]
    ) -> None:
        """One frame's joints, (17, 2), and their scores, (17,)."""
        self.rows.append(row)
        self._keypoints.frombytes(np.asarray(keypoints, np.float32).tobytes())
        self._scores.frombytes(np.asarray(scores, np.float32).tobytes())

    def part(
        self, start: int, stop: int
    ) -> tuple[NDArray[np.int64], NDArray[np.float32], NDArray[np.float32]]:
        """Copies of some entries: rows (N,), joints (N, 17, 2), scores (N, 17)."""
        joints = len(H36M17)
        keypoints = self._keypoints[2 * joints * start : 2 * joints * stop]
        scores = self._scores[joints * start : joints * stop]
        return (
            np.frombuffer(self.rows[start:stop], np.int64),
            np.frombuffer(keypoints, np.float32).reshape(-1, joints, 2),
            np.frombuffer(scores, np.float32).reshape(-1, joints),
        )


class PoseCollector:
    """Detections in, frame by frame; `Pose2D` of all people out, at the end.

    Memory grows with people x frames of 17 joints only.
    """

    def __init__(self) -> None:
        self._tracker = Tracker()
        self._people: dict[int, _Record] = {}
        self._seen: list[int] = []  # in the last frame
        self._indices = array("q")
        self._times = array("d")

    @property
    def frames(self) -> int:
        """How many were added."""
        return len(self._times)

    def in_sight(self) -> dict[int, int]:
        """For each track seen in the last frame, the row of the first frame it was seen in."""
        return {person: self._people[person].rows[0] for person in self._seen}

    def time_of(self, row: int) -> float:
        """Seconds."""
        return self._times[row]

    def times(self, start: int, stop: int) -> NDArray[np.float64]:
        """(stop - start,) seconds, of the frames from one row to another."""
        return np.frombuffer(self._times[start:stop], np.float64)

    def rows_near(self, start: int, from_s: float, to_s: float, reach: int) -> slice:
        """The rows from `start` on that are between two times, and `reach` more on either side."""
        first = bisect_left(self._times, from_s, start) - reach
        last = bisect_left(self._times, to_s, start) + reach
        return slice(max(start, first), min(len(self._times), last))

    def preview(
        self, person: int, start: int, stop: int
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """What `finish` is going to say of a track between two rows, in all likelihood.

        Frames still to come, and those further away than `PREVIEW_S`, may change it.

        Returns:
            Joints (stop - start, 17, 2) and scores (stop - start, 17).
        """
        record = self._people[person]
        first = bisect_left(self._times, self._times[start] - PREVIEW_S)
        last = bisect_right(self._times, self._times[stop - 1] + PREVIEW_S)
        entries = bisect_left(record.rows, first), bisect_left(record.rows, last)
        rows, joints, scores = record.part(*entries)
        times = np.frombuffer(self._times[first:last], np.float64)
        keypoints = np.full((last - first, len(H36M17), 2), np.nan, np.float32)
        sureness = np.zeros((last - first, len(H36M17)), np.float32)
        _clean(joints, scores, times[rows - first])
        keypoints[rows - first], sureness[rows - first] = joints, scores
        interpolate_gaps(keypoints, sureness, times)
        some = slice(start - first, stop - first)
        return keypoints[some], sureness[some]

    def add(self, index: int, time_s: float, found: Detections) -> None:
        """The detections of the next frame.

        Args:
            index: position of the frame in the source video, rising.
            time_s: seconds, rising.
            found: in a skeleton that has a conversion to h36m17.
        """
        self._seen = ids = self._tracker.update(found, time_s)
        keypoints, scores = found.keypoints, found.scores
        if found.skeleton != H36M17:
            convert = conversion(found.skeleton.name, H36M17.name)
            keypoints, scores = convert(keypoints, scores)
        for n, person in enumerate(ids):
            record = self._people.setdefault(person, _Record())
            record.add(len(self._times), keypoints[n], scores[n])
        self._indices.append(index)
        self._times.append(time_s)

    def finish(
        self,
        fps: float,
        frame_size: tuple[int, int],
        longest: int | None = None,
        before: Callable[[int, int, int], None] = lambda people, left_out, frames: None,
    ) -> Pose2D:
        """All people on the video's time line, h36m17; P may be 0.

        Persons are in the order of their first frame and numbered from 1. A person is present
        from the first to the last frame they are observed in; between observations the joints
        are interpolated linearly in time, as are joints that jumped away and back, and left and
        right are put back where the detector confused them for a moment. A joint that is missing
        for longer than `MAX_GAP_S`, or that lies before its first or after its last sight, stays
        NaN with score 0. Tracks observed for less than `MIN_OBSERVED_S` are dropped.

        The collector is empty afterwards.

        Args:
            fps: average frames a second.
            frame_size: width and height, pixels, upright.
            longest: keep no more people than this, those who are observed for longest.
            before: is called with the numbers of people who are kept, of those who are not, and
                of frames, before arrays are made; what it raises is raised.

        Raises:
            ValueError: no frame was added.
        """
        times = np.array(self._times, np.float64)
        people = _without_ghosts(list(self._people.values()), times)
        people.sort(key=lambda record: record.rows[0])
        left_out = 0
        if longest is not None:
            most = np.argsort(-_seen_s(people, times), kind="stable")[:longest]
            left_out = len(people) - len(most)
            people = [people[p] for p in np.sort(most)]
        before(len(people), left_out, len(times))
        shape = (len(people), len(times))
        # A page that nothing was written to takes no memory yet; these grow as the records go.
        keypoints = np.empty((*shape, len(H36M17), 2), np.float32)
        scores = np.zeros((*shape, len(H36M17)), np.float32)
        present, observed = np.zeros(shape, bool), np.zeros(shape, bool)
        self._people.clear()
        for p in range(len(people)):
            rows, joints, sureness = people[p].part(0, len(people[p].rows))
            people[p] = _Record()  # its memory is needed for the next
            span = slice(int(rows[0]), int(rows[-1]) + 1)
            _clean(joints, sureness, times[rows])
            keypoints[p] = np.nan
            keypoints[p, rows], scores[p, rows] = joints, sureness
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


def _without_ghosts(people: list[_Record], times: NDArray[np.float64]) -> list[_Record]:
    """Those observed for `MIN_OBSERVED_S`, or for half of a video shorter than twice that."""
    enough = min(MIN_OBSERVED_S, _shown_s(times).sum() / 2)
    seen_s = _seen_s(people, times)
    return [record for record, seen in zip(people, seen_s, strict=True) if seen >= enough - 1e-6]


def _seen_s(people: list[_Record], times: NDArray[np.float64]) -> NDArray[np.float64]:
    """(P,), for how many seconds each is observed."""
    shown_s = _shown_s(times)
    return np.array([shown_s[np.array(record.rows)].sum() for record in people])


def _shown_s(times: NDArray[np.float64]) -> NDArray[np.float64]:
    """(T,), how long each frame stands; a picture by itself stands for no time."""
    steps = np.diff(times)
    return np.append(steps, np.median(steps) if len(steps) else 0.0)


def _exchanging(*joints: str) -> NDArray[np.intp]:
    """(17,) the permutation of h36m17 that exchanges left and right of these joints."""
    order = np.arange(len(H36M17))
    for joint in joints:
        left, right = H36M17.index(f"L{joint}"), H36M17.index(f"R{joint}")
        order[[left, right]] = right, left
    return order


LEGS = ((), ("Knee", "Foot"), ("Hip", "Knee", "Foot"))
ARMS = ((), ("Elbow", "Wrist"), ("Shoulder", "Elbow", "Wrist"))
LIMB_ENDS = {
    H36M17.index(f"{side}{end}"): H36M17.index(f"{side}{before}")
    for side in "LR"
    for end, before in (("Foot", "Knee"), ("Wrist", "Elbow"))
}
"""The joint before each foot and wrist."""
PAIRS = tuple(
    [H36M17.index(side + joint) for side in "LR" for joint in joints]
    for joints in (LEGS[1], ARMS[1])
)
"""The legs and the arms, without hips and shoulders."""
CONFUSIONS = np.array([_exchanging(*legs, *arms) for legs in LEGS for arms in ARMS])
"""(9, 17), what a detector may take left for right: the legs, the arms, or all of the body, where
hips and shoulders may be right all the same. The first is no confusion."""


def _clean(
    joints: NDArray[np.float32], scores: NDArray[np.float32], times: NDArray[np.float64]
) -> None:
    """Undo the detector's short mistakes in one person's sights, in place.

    Args:
        joints: (T, 17, 2), h36m17, NaN where missing.
        scores: (T, 17).
        times: (T,), seconds.
    """
    confusions = _confusions(joints, scores, times)
    for start in range(0, len(times), AT_ONCE):
        part = slice(start, start + AT_ONCE)
        sides = CONFUSIONS[confusions[part]]
        joints[part] = np.take_along_axis(joints[part], sides[..., None], axis=1)
        scores[part] = np.take_along_axis(scores[part], sides, axis=1)
    wrong = _is_outlier(joints, times)
    joints[wrong], scores[wrong] = np.nan, 0


def _confusions(
    keypoints: NDArray[np.float32], scores: NDArray[np.float32], times: NDArray[np.float64]
) -> NDArray[np.uint8]:
    """(T,), which of the `CONFUSIONS` each frame is in.

    The cheapest way through all frames, each in one of `CONFUSIONS`; see `CONFUSED_COST`.

    Args:
        keypoints: (T, 17, 2), h36m17, NaN where missing.
        scores: (T, 17).
        times: (T,), seconds.
    """
    exchanged = np.arange(len(H36M17)) != CONFUSIONS  # (9, 17)
    differ = exchanged[:, None] != exchanged[None]  # (from, to, 17)
    about = np.array([exchanged[:, pair].any(axis=1) for pair in PAIRS]).T  # (9, pairs)
    shown_s = np.gradient(times) if len(times) > 1 else np.ones(1)
    relied = _reliance(scores, times, shown_s)

    def prices(rows: slice) -> NDArray[np.float64]:  # (rows, 9)
        dearer = (about * relied[rows, None]).max(axis=2)
        return np.asarray(CONFUSED_COST * dearer * shown_s[rows, None])

    cost, before = prices(slice(1))[0], np.zeros((len(times), len(CONFUSIONS)), np.uint8)
    for start in range(0, len(times) - 1, AT_ONCE):
        longer = _longer_crossed(keypoints[start : start + AT_ONCE + 1])
        steps = longer @ differ.reshape(-1, len(H36M17)).T / len(H36M17)
        steps = steps.reshape(-1, *differ.shape[:2])
        priced = prices(slice(start + 1, start + 1 + len(steps)))
        for t, (step, price) in enumerate(zip(steps, priced, strict=True), start + 1):
            total = cost[:, None] + step
            before[t] = total.argmin(axis=0)
            cost = total.min(axis=0) + price
    confusions = np.empty(len(times), np.uint8)
    state = cost.argmin()
    for t in range(len(times) - 1, -1, -1):
        confusions[t] = state
        state = before[t, state]
    return confusions


def _reliance(
    scores: NDArray[np.float32], times: NDArray[np.float64], shown_s: NDArray[np.float64]
) -> NDArray[np.float32]:
    """(T, pairs), 0 to 1: what the detector's word on the left and right of `PAIRS` is worth.

    See `DISPUTED_S`.

    Args:
        scores: (T, 17).
        times, shown_s: (T,), seconds.
    """
    relied = np.ones((len(times), len(PAIRS)), np.float32)
    first = np.searchsorted(times, times - DISPUTED_S - 1e-6)
    after = np.searchsorted(times, times + DISPUTED_S + 1e-6)
    so_far = np.concatenate([[0], shown_s.cumsum()])
    for n, pair in enumerate(PAIRS):
        settled = ~(scores[:, pair] == DISPUTED_SCORE).all(axis=1)
        if not settled.all():
            before = np.concatenate([[0], (settled * shown_s).cumsum()])
            share = (before[after] - before[first]) / (so_far[after] - so_far[first])
            relied[:, n] = np.where(settled, share, 0)
    return relied


def _longer_crossed(keypoints: NDArray[np.float32]) -> NDArray[np.float64]:
    """(T - 1, 17), how much longer each joint's step gets when one of its ends is exchanged with
    its mirror image, body sizes; 0 where one is missing.
    """
    a, b = keypoints[:-1], keypoints[1:]
    kept = np.linalg.norm(b - a, axis=2)
    crossed = np.linalg.norm(b[:, H36M17.mirrored] - a, axis=2)
    sizes = np.maximum(np.maximum(pose_sizes(a), pose_sizes(b)), 1e-9)
    return np.asarray(np.nan_to_num(crossed - kept) / sizes[:, None])


def _is_outlier(keypoints: NDArray[np.float32], times: NDArray[np.float64]) -> NDArray[np.bool_]:
    """(T, J), joints that jump away from one person's body and back; see `OUTLIER_S`.

    The shortest excursions are taken out first, and of neighbours the furthest, so that no joint
    is measured by a wrong one beside it.

    Args:
        keypoints: (T, J, 2), NaN where missing.
        times: (T,), seconds.
    """
    there = np.isfinite(keypoints).all(axis=2)
    middle, sizes = np.zeros((len(times), 1, 2)), np.empty(len(times))
    for start in range(0, len(times), AT_ONCE):
        rows = slice(start, start + AT_ONCE)
        part = np.where(there[rows, :, None], keypoints[rows], np.nan).astype(np.float64)
        some = there[rows].any(axis=1)
        middle[rows][some] = np.nanmedian(part[some], axis=1, keepdims=True)
        sizes[rows] = pose_sizes(keypoints[rows])
    size = max(float(np.median(sizes)), 1e-9)

    def path(joints: slice, rows: slice = slice(None)) -> NDArray[np.float64]:
        own = np.where(there[rows, joints, None], keypoints[rows, joints], np.nan)
        return np.asarray((own.astype(np.float64) - middle[rows]) / size)

    # Joints have nothing to do with each other here; in a long track few are worked on at a time.
    count = keypoints.shape[1]
    step = max(1, AT_ONCE * count // len(times))
    groups = [slice(first, first + step) for first in range(0, count, step)]
    jumping = [np.zeros(max(0, len(times) - inner - 1), int) for inner in _lengths(times)]
    for joints in groups:
        own = path(joints)
        for inner, number in enumerate(jumping, 1):
            number += (_excess(own, times, inner) > 0).sum(axis=1)
    doubtful = np.zeros(len(times), bool)  # which of these poses are the mistaken ones?
    for inner, number in enumerate(jumping, 1):
        together = number / count > OUTLIER_SHARE
        for k in range(inner + 2):
            doubtful[k : k + len(together)] |= together

    outlier = np.zeros(there.shape, bool)
    for start in range(0, len(times), AT_ONCE):
        stop = min(start + AT_ONCE, len(times))
        rows = slice(max(0, start - FAR), min(len(times), stop + FAR))
        part = path(slice(None), rows)
        part[doubtful[rows]] = np.nan
        between = _is_between_jumps(part, times[rows])
        outlier[start:stop] = between[start - rows.start : stop - rows.start]
    for joints in groups:
        own = path(joints)
        own[doubtful] = np.nan
        own[outlier[:, joints]] = np.nan
        for inner in range(1, len(jumping) + 1):
            _mark_peaks(own, times, inner, outlier[:, joints])
    return outlier & there & ~doubtful[:, None]


def _mark_peaks(
    path: NDArray[np.float64],
    times: NDArray[np.float64],
    inner: int,
    outlier: NDArray[np.bool_],
) -> None:
    """Mark in `outlier`, and take out of `path`, excursions of one length; the furthest first."""
    while True:
        excess = _excess(path, times, inner)
        worst = maximum_filter1d(excess, 2 * inner + 1, axis=0)
        peaks = np.argwhere((excess > 0) & (excess == worst))
        if not len(peaks):
            return
        for start, joint in peaks:
            outlier[start + 1 : start + 1 + inner, joint] = True
        path[outlier] = np.nan


def _is_between_jumps(path: NDArray[np.float64], times: NDArray[np.float64]) -> NDArray[np.bool_]:
    """(T, 17), joints that left their way in one step and came back in one; see `JUMP_SPEED`.

    The longest excursions are taken first: a detector that mistakes a limb for something else
    sees it at changing places, between which it may jump as well. Where a foot or wrist was
    mistaken, so was the knee or elbow that left its way meanwhile, which has less far to go.

    Args:
        path: (T, 17, 2), h36m17, body sizes, NaN where missing.
        times: (T,), seconds.
    """
    steps = np.linalg.norm(np.diff(path, axis=0), axis=2)  # NaN is no jump
    jump = steps > OUTLIER_SIZE + JUMP_SPEED * np.diff(times)[:, None]
    outlier = np.zeros(path.shape[:2], bool)
    for inner in reversed(list(_lengths(times))):
        away = _distance_from_way(path, inner) > OUTLIER_SIZE
        spans = times[inner + 1 :] - times[: -inner - 1]
        both = jump[: len(away)] & jump[inner:] & away & (spans <= OUTLIER_S)[:, None]
        for start, joint in np.argwhere(both):
            end = start + inner + 1
            if outlier[[start, end], joint].any():
                continue  # it is the ends that were mistaken
            outlier[start + 1 : end, joint] = True
            before = LIMB_ENDS.get(int(joint))
            if before is not None and away[start, before]:
                outlier[start + 1 : end, before] = True
    return outlier


def _lengths(times: NDArray[np.float64]) -> Iterator[int]:
    """How many frames an excursion of `OUTLIER_S` can have: 1, 2 and so on."""
    for inner in range(1, min(OUTLIER_FRAMES + 1, len(times) - 1)):
        if (times[inner + 1 :] - times[: -inner - 1]).min() > OUTLIER_S:
            return
        yield inner


def _excess(
    path: NDArray[np.float64], times: NDArray[np.float64], inner: int
) -> NDArray[np.float64]:
    """(T - inner - 1, J), how much further than possible each joint goes away and comes back.

    Whoever leaves a straight way by d and is back on it after w seconds accelerates by 8 d / w^2
    at least. It counts how far away all the frames between are, so the nearest of them.

    Args:
        path: (T, J, 2), body sizes.
        times: (T,), seconds.
        inner: between every frame and the one it is compared with lie so many.

    Returns:
        Body sizes; negative where all is well, or where nothing can be told.
    """
    spans = times[inner + 1 :] - times[: -inner - 1]
    away = _distance_from_way(path, inner)
    possible = OUTLIER_SIZE + OUTLIER_ACCELERATION * spans**2 / 8
    told = np.isfinite(away) & (spans <= OUTLIER_S)[:, None]
    return np.where(told, away - possible[:, None], -1.0)


def _distance_from_way(path: NDArray[np.float64], inner: int) -> NDArray[np.float64]:
    """(T - inner - 1, J), how far from the straight way between every frame and the one `inner`
    frames on lies the nearest of those between; NaN where there is none, or no end.
    """
    starts, ends = path[: -inner - 1], path[inner + 1 :]
    way = ends - starts
    length = np.maximum((way**2).sum(axis=2, keepdims=True), 1e-12)
    away = np.full(starts.shape[:2], np.nan)
    for k in range(1, inner + 1):
        along = path[k : k - inner - 1] - starts
        share = np.clip((along * way).sum(axis=2, keepdims=True) / length, 0, 1)
        away = np.fmin(away, np.linalg.norm(along - share * way, axis=2))
    return away


def interpolate_gaps(
    keypoints: NDArray[np.float32], scores: NDArray[np.float32], times: NDArray[np.float64]
) -> None:
    """Put each joint of one person, in place, on a straight line over its gaps.

    Gaps longer than `MAX_GAP_S` stay, as do those before a joint's first and after its last
    sight. See `INTERPOLATED_SCORE` for the scores.

    Args:
        keypoints: (T, J, 2), NaN where missing.
        scores: (T, J).
        times: (T,), seconds, rising.
    """
    for j in range(keypoints.shape[1]):
        sights = np.flatnonzero(np.isfinite(keypoints[:, j]).all(axis=1))
        for gap in np.flatnonzero(np.diff(sights) > 1):
            a, b = sights[gap], sights[gap + 1]
            if times[b - 1] - times[a] > MAX_GAP_S:
                continue
            inner = slice(a + 1, b)
            share = ((times[inner] - times[a]) / (times[b] - times[a]))[:, None]
            keypoints[inner, j] = (1 - share) * keypoints[a, j] + share * keypoints[b, j]
            scores[inner, j] = INTERPOLATED_SCORE * min(scores[a, j], scores[b, j])


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
    shared = np.isfinite(step).all(axis=3)
    weight = np.where(shared, np.minimum(a_scores[:, None], b_scores[None]), 0)
    total = weight.sum(axis=2)
    weight = weight / np.where(total > 0, total, 1)[..., None]
    step = np.where(shared[..., None], step, 0)
    joints = (np.linalg.norm(step, axis=3) * weight).sum(axis=2)
    body = np.linalg.norm((step * weight[..., None]).sum(axis=2), axis=2)
    usable = (total > 0) & (sizes > 0)
    return np.where(usable, (joints + body) / 2 / np.where(usable, sizes, 1), np.inf)
