"""Joints over time: where they are there, and what is missing between frames."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from torch import Tensor


def known_joints(values: NDArray[Any], axis: int | tuple[int, ...] = -1) -> NDArray[np.bool_]:
    """Where all numbers along some axes are finite: joints that are known, in (..., J, 2 or 3)."""
    return np.asarray(np.isfinite(values).all(axis=axis), np.bool_)


def fill_missing(
    joints: NDArray[np.floating], timestamps: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Interpolate missing joints in time, hold the first and last; a joint never seen stays NaN.

    Args:
        joints: (T, J, D), NaN where missing.
        timestamps: (T,) seconds.

    Raises:
        ValueError: no joint is there in any frame.
    """
    import torch

    tracks = np.array(joints, dtype=np.float64)
    if not np.isfinite(tracks).all(axis=-1).any():
        raise ValueError("no joint is there in any frame")
    filled: NDArray[np.float64] = interpolate(
        torch.from_numpy(tracks), torch.as_tensor(timestamps)
    ).numpy()
    return filled


def interpolate(joints: Tensor, timestamps: Tensor) -> Tensor:
    """`fill_missing` of many tracks at once: (..., T, J, D) and (T,) -> (..., T, J, D)."""
    import torch  # here, since most of those who count gaps need no PyTorch

    present = joints.isfinite().all(dim=-1)
    count = len(timestamps)
    frame = torch.arange(count, device=joints.device)[:, None]
    before = frame.where(present, -1).cummax(dim=-2).values
    after = frame.where(present, count).flip(-2).cummin(dim=-2).values.flip(-2)
    nearest = before.where(before >= 0, after).clamp(max=count - 1)
    other = after.where(after < count, nearest)
    first, last = (joints.take_along_dim(n[..., None], dim=-3) for n in (nearest, other))
    since, until = timestamps[nearest], timestamps[other]
    slope = (last - first) / (until - since)[..., None]
    between = slope * (timestamps[:, None] - since)[..., None] + first
    between = between.where((nearest != other)[..., None], first)
    kept = present | ~present.any(dim=-2, keepdim=True)
    return joints.where(kept[..., None], between)


def runs(flags: NDArray[np.bool_]) -> list[slice]:
    """The stretches of consecutive True."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], flags.astype(np.int8), [0]])))
    return [slice(int(a), int(b)) for a, b in zip(edges[::2], edges[1::2], strict=True)]


def runs_between(flags: NDArray[np.bool_], breaks: NDArray[np.bool_]) -> list[slice]:
    """`runs`, cut where there is a break between two frames.

    Args:
        flags: (T,)
        breaks: (T - 1,), whether there is one behind each frame.
    """
    cuts = np.flatnonzero(breaks) + 1
    parts = []
    for run in runs(flags):
        inner = cuts[(cuts > run.start) & (cuts < run.stop)].tolist()
        ends = [run.start, *inner, run.stop]
        parts += [slice(start, stop) for start, stop in pairwise(ends)]
    return parts
