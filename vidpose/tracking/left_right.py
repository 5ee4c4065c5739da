"""Left taken for right for a short while, and put back."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from vidpose.detect.base import pose_sizes
from vidpose.skeleton import H36M17
from vidpose.tracking.outliers import AT_ONCE

CONFUSED_COST = 0.5
"""Mean body sizes a second: what taking left for right costs, compared with joints that jump. A
detector that mistakes a back for a front and corrects itself makes every joint jump by about a
sixth of a body size, twice; so that is undone when it lasts less than half a second. It costs the
same for a pair of limbs as for all of the body, or halves of bodies would be turned round."""
DISPUTED_S = 0.1
"""It costs nothing in a frame in which the detector contradicts itself about the pair of limbs in
question (`Detections.disputed`), and in others less by the share of such frames among those this
near, before and after; of legs and arms the dearer counts."""


def _exchanging(*joints: str) -> NDArray[np.intp]:
    """(17,) the permutation of h36m17 that exchanges left and right of these joints."""
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
CONFUSIONS = np.array([_exchanging(*legs, *arms) for legs in LEGS for arms in ARMS])
"""(9, 17), what a detector may take left for right: the legs, the arms, or all of the body, where
hips and shoulders may be right all the same. The first is no confusion."""


def undo_confusions(
    joints: NDArray[np.float32],
    scores: NDArray[np.float32],
    disputed: NDArray[np.bool_],
    shift: NDArray[np.float32],
    times: NDArray[np.float64],
) -> None:
    """Put left and right of one person back, in place, where they were confused for a short while.

    Args:
        joints: (T, 17, 2), h36m17, NaN where missing.
        scores: (T, 17).
        disputed: (T, 17), see `Detections.disputed`; stays.
        shift: (T, 17, 2), see `Detections.shift`; is put back with the joints.
        times: (T,), seconds.
    """
    confusions = _confusions(joints, disputed, times)
    for start in range(0, len(times), AT_ONCE):
        part = slice(start, start + AT_ONCE)
        sides = CONFUSIONS[confusions[part]]
        joints[part] = np.take_along_axis(joints[part], sides[..., None], axis=1)
        shift[part] = np.take_along_axis(shift[part], sides[..., None], axis=1)
        scores[part] = np.take_along_axis(scores[part], sides, axis=1)


def _confusions(
    keypoints: NDArray[np.float32], disputed: NDArray[np.bool_], times: NDArray[np.float64]
) -> NDArray[np.uint8]:
    """(T,), which of the `CONFUSIONS` each frame is in.

    The cheapest way through all frames, each in one of `CONFUSIONS`; see `CONFUSED_COST`.

    Args:
        keypoints: (T, 17, 2), h36m17, NaN where missing.
        disputed: (T, 17).
        times: (T,), seconds.
    """
    exchanged = np.arange(len(H36M17)) != CONFUSIONS  # (9, 17)
    differ = exchanged[:, None] != exchanged[None]  # (from, to, 17)
    about = np.array([exchanged[:, pair].any(axis=1) for pair in PAIRS]).T  # (9, pairs)
    shown_s = np.gradient(times) if len(times) > 1 else np.ones(1)
    relied = _reliance(disputed, times, shown_s)

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
    disputed: NDArray[np.bool_], times: NDArray[np.float64], shown_s: NDArray[np.float64]
) -> NDArray[np.float32]:
    """(T, pairs), 0 to 1: how far the detector is trusted about left and right of `PAIRS`.

    See `DISPUTED_S`.

    Args:
        disputed: (T, 17).
        times, shown_s: (T,), seconds.
    """
    relied = np.ones((len(times), len(PAIRS)), np.float32)
    first = np.searchsorted(times, times - DISPUTED_S - 1e-6)
    after = np.searchsorted(times, times + DISPUTED_S + 1e-6)
    so_far = np.concatenate([[0], shown_s.cumsum()])
    for n, pair in enumerate(PAIRS):
        settled = ~disputed[:, pair].all(axis=1)
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
