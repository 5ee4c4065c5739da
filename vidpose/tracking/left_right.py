"""Undo short left/right swaps."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from vidpose.detect.base import pose_sizes
from vidpose.skeleton import H36M17
from vidpose.tracking.outliers import AT_ONCE

SWAP_COST = 0.5
"""Body sizes a second, averaged over the joints: the cost of assuming a swap, against the cost of
joints that jump. A detector that mistakes a back for a front and corrects itself makes every joint
jump by about a sixth of a body size, twice; so a swap is undone when it lasts less than half a
second. The cost is the same for one pair of limbs as for the whole body; otherwise half a body
would be swapped."""
DISPUTED_S = 0.1
"""A swap costs nothing in a frame where the detector contradicts itself about that pair of limbs
(`Detections.disputed`). In other frames its cost falls by the share of such frames within this time
before and after. If both legs and arms are swapped, the higher cost counts."""


def _swapping(*joints: str) -> NDArray[np.intp]:
    """(17,) the permutation of h36m17 that swaps left and right of these joints."""
    order = np.arange(len(H36M17))
    for joint in joints:
        left, right = H36M17.index(f"L{joint}"), H36M17.index(f"R{joint}")
        order[[left, right]] = right, left
    return order


LEGS = ((), ("Knee", "Foot"), ("Hip", "Knee", "Foot"))
ARMS = ((), ("Elbow", "Wrist"), ("Shoulder", "Elbow", "Wrist"))
PAIRS = tuple(
    [H36M17.index(side + joint) for side in "LR" for joint in joints]
    for joints in (LEGS[1], ARMS[1])
)
"""The legs and the arms, without hips and shoulders."""
SWAPS = np.array([_swapping(*legs, *arms) for legs in LEGS for arms in ARMS])
"""(9, 17), the left/right swaps that a detector may make: legs, arms or the whole body, with or
without hips and shoulders. The first is no swap."""


def undo_swaps(
    joints: NDArray[np.float32],
    scores: NDArray[np.float32],
    disputed: NDArray[np.bool_],
    shift: NDArray[np.float32],
    times: NDArray[np.float64],
) -> None:
    """Undo short left/right swaps of one person, in place.

    Args:
        joints: (T, 17, 2), h36m17, NaN where missing.
        scores: (T, 17).
        disputed: (T, 17), see `Detections.disputed`; not changed.
        shift: (T, 17, 2), see `Detections.shift`; swapped back with the joints.
        times: (T,), seconds.
    """
    swaps = _swaps(joints, disputed, times)
    for start in range(0, len(times), AT_ONCE):
        part = slice(start, start + AT_ONCE)
        sides = SWAPS[swaps[part]]
        joints[part] = np.take_along_axis(joints[part], sides[..., None], axis=1)
        shift[part] = np.take_along_axis(shift[part], sides[..., None], axis=1)
        scores[part] = np.take_along_axis(scores[part], sides, axis=1)


def _swaps(
    keypoints: NDArray[np.float32], disputed: NDArray[np.bool_], times: NDArray[np.float64]
) -> NDArray[np.uint8]:
    """(T,), which of `SWAPS` each frame has.

    The cheapest path through all frames (Viterbi), with `SWAPS` as the states; see `SWAP_COST`.

    Args:
        keypoints: (T, 17, 2), h36m17, NaN where missing.
        disputed: (T, 17).
        times: (T,), seconds.
    """
    swapped = np.arange(len(H36M17)) != SWAPS  # (9, 17)
    differ = swapped[:, None] != swapped[None]  # (from, to, 17)
    about = np.array([swapped[:, pair].any(axis=1) for pair in PAIRS]).T  # (9, pairs)
    shown_s = np.gradient(times) if len(times) > 1 else np.ones(1)
    trust = _trust(disputed, times, shown_s)

    def prices(rows: slice) -> NDArray[np.float64]:  # (rows, 9)
        higher = (about * trust[rows, None]).max(axis=2)
        return np.asarray(SWAP_COST * higher * shown_s[rows, None])

    cost, before = prices(slice(1))[0], np.zeros((len(times), len(SWAPS)), np.uint8)
    for start in range(0, len(times) - 1, AT_ONCE):
        longer = _longer_crossed(keypoints[start : start + AT_ONCE + 1])
        steps = longer @ differ.reshape(-1, len(H36M17)).T / len(H36M17)
        steps = steps.reshape(-1, *differ.shape[:2])
        priced = prices(slice(start + 1, start + 1 + len(steps)))
        for t, (step, price) in enumerate(zip(steps, priced, strict=True), start + 1):
            total = cost[:, None] + step
            before[t] = total.argmin(axis=0)
            cost = total.min(axis=0) + price
    swaps = np.empty(len(times), np.uint8)
    state = cost.argmin()
    for t in range(len(times) - 1, -1, -1):
        swaps[t] = state
        state = before[t, state]
    return swaps


def _trust(
    disputed: NDArray[np.bool_], times: NDArray[np.float64], shown_s: NDArray[np.float64]
) -> NDArray[np.float32]:
    """(T, pairs), 0 to 1: how much to trust the detector about left and right of `PAIRS`.

    See `DISPUTED_S`.

    Args:
        disputed: (T, 17).
        times, shown_s: (T,), seconds.
    """
    trust = np.ones((len(times), len(PAIRS)), np.float32)
    first = np.searchsorted(times, times - DISPUTED_S - 1e-6)
    after = np.searchsorted(times, times + DISPUTED_S + 1e-6)
    so_far = np.concatenate([[0], shown_s.cumsum()])
    for n, pair in enumerate(PAIRS):
        settled = ~disputed[:, pair].all(axis=1)
        if not settled.all():
            before = np.concatenate([[0], (settled * shown_s).cumsum()])
            share = (before[after] - before[first]) / (so_far[after] - so_far[first])
            trust[:, n] = np.where(settled, share, 0)
    return trust


def _longer_crossed(keypoints: NDArray[np.float32]) -> NDArray[np.float64]:
    """(T - 1, 17), body sizes: how much longer the step of each joint gets if one of its ends is
    replaced by the joint of the other side; 0 where one is missing.
    """
    a, b = keypoints[:-1], keypoints[1:]
    kept = np.linalg.norm(b - a, axis=2)
    crossed = np.linalg.norm(b[:, H36M17.mirrored] - a, axis=2)
    sizes = np.maximum(np.maximum(pose_sizes(a), pose_sizes(b)), 1e-9)
    return np.asarray(np.nan_to_num(crossed - kept) / sizes[:, None])
