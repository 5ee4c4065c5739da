"""Missing joints, gaps between frames, and interpolation over time."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from torch import Tensor

NEAREST_S = 5e-5
"""Minimum time between frames; no camera records 20,000 frames/s, so smaller steps are errors."""

LONGEST_STEP_S = 0.5
"""A longer step between frames is a gap; nothing is interpolated, lifted or smoothed across it."""

PAUSE_S, PAUSE_STEPS = 2.0, 10.0
"""A step longer than this, and than this many median steps, is a pause in the video, across which
people cannot be tracked. In a time-lapse all steps are long, and none is a pause."""

LONGEST_SHOWN_S, SHOWN_S = 60.0, 1.0
"""Overlay videos and players show a frame for the second duration if it lasts longer than the
first."""


def gaps_in(timestamps: NDArray[np.float64]) -> NDArray[np.bool_]:
    """(T - 1,), whether there is a gap after each frame; see `LONGEST_STEP_S`."""
    return np.asarray(np.diff(timestamps) > LONGEST_STEP_S, np.bool_)


def pauses_in(timestamps: NDArray[np.float64]) -> NDArray[np.bool_]:
    """(T - 1,), whether there is a pause after each frame; see `PAUSE_S`."""
    steps = np.diff(timestamps)
    usual = float(np.median(steps)) if len(steps) else 0.0
    return np.asarray((steps > PAUSE_S) & (steps > PAUSE_STEPS * usual), np.bool_)


def average_rate(timestamps: NDArray[np.float64]) -> float | None:
    """Average frame rate without pauses; None for a single frame."""
    steps = np.diff(timestamps)[~pauses_in(timestamps)]
    return float(len(steps) / steps.sum()) if len(steps) else None


def shown_times(timestamps: NDArray[np.float64]) -> NDArray[np.float64]:
    """(T,) seconds at which a video or player shows the frames; see `LONGEST_SHOWN_S`."""
    steps = np.diff(timestamps)
    too_long = steps > LONGEST_SHOWN_S
    if not too_long.any():
        return timestamps
    steps[too_long] = SHOWN_S
    return np.asarray(timestamps[0] + np.concatenate([[0.0], steps.cumsum()]), np.float64)


def shown_s(duration_s: float) -> float:
    """Duration for which to show a frame, seconds; see `LONGEST_SHOWN_S`."""
    return duration_s if duration_s <= LONGEST_SHOWN_S else SHOWN_S


def gaps_sentence(timestamps: NDArray[np.float64], first_s: float = 0.0) -> str | None:
    """A warning about gaps between frames; None if there are none.

    Args:
        timestamps: (T,) seconds.
        first_s: timestamp of the video's first frame, the origin of times in the message.
    """
    gaps = np.flatnonzero(gaps_in(timestamps))
    if not len(gaps):
        return None
    longest = float(np.diff(timestamps)[gaps].max())
    at = float(timestamps[gaps[0]]) - first_s
    first = f"{len(gaps)} gaps between frames, the first" if len(gaps) > 1 else "a gap"
    most = f"{'of up to' if len(gaps) > 1 else 'of'} {_seconds(longest)} s"
    return (
        f"There {'are' if len(gaps) > 1 else 'is'} {first} after {clock(at)}, {most}; "
        "poses are not interpolated or smoothed across."
    )


def clock(seconds: float) -> str:
    """75.28 -> 1:15.3"""
    sign = "-" if seconds < -0.05 else ""
    minutes, tenths = divmod(round(abs(seconds) * 10), 600)
    return f"{sign}{minutes}:{tenths // 10:02d}.{tenths % 10}"


def known_joints(values: NDArray[Any], axis: int | tuple[int, ...] = -1) -> NDArray[np.bool_]:
    """Whether all numbers along some axes are finite: known joints, for (..., J, 2 or 3)."""
    return np.asarray(np.isfinite(values).all(axis=axis), np.bool_)


def fill_missing(
    joints: NDArray[np.floating], timestamps: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Interpolate missing joints in time, and hold the first and last; unseen joints stay NaN.

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
    import torch  # imported here, because most users of this module need no PyTorch

    # This must export to ONNX: no len(), which becomes a constant, no cummax, which ONNX lacks, and
    # no take_along_dim, which makes all sizes constant.
    present = joints.isfinite().all(dim=-1)
    count = joints.shape[-3]
    # Per joint, the list of frames in which it is present.
    times_there = present.cumsum(dim=-2)
    frame = torch.arange(count, device=joints.device)[:, None].expand(present.shape)
    there = frame.new_zeros(*present.shape[:-2], count + 1, present.shape[-1])
    there = there.scatter(-2, times_there * present, frame)  # index 0 collects all other frames
    total = times_there[..., -1:, :]
    nearest = there.gather(-2, times_there.clamp(min=1))
    other = there.gather(-2, (times_there + 1).minimum(total).clamp(min=1))
    first, last = (joints.gather(-3, n[..., None].expand_as(joints)) for n in (nearest, other))
    since, until = timestamps[nearest], timestamps[other]
    slope = (last - first) / (until - since)[..., None]
    between = slope * (timestamps[:, None] - since)[..., None] + first
    between = between.where((nearest != other)[..., None], first)
    kept = present | ~present.any(dim=-2, keepdim=True)
    return joints.where(kept[..., None], between)


def runs(flags: NDArray[np.bool_]) -> list[slice]:
    """Slices of consecutive True."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], flags.astype(np.int8), [0]])))
    return [slice(int(a), int(b)) for a, b in zip(edges[::2], edges[1::2], strict=True)]


def runs_between(flags: NDArray[np.bool_], breaks: NDArray[np.bool_]) -> list[slice]:
    """`runs`, split at breaks between frames.

    Args:
        flags: (T,)
        breaks: (T - 1,), whether there is a break after each frame.
    """
    cuts = np.flatnonzero(breaks) + 1
    parts = []
    for run in runs(flags):
        inner = cuts[(cuts > run.start) & (cuts < run.stop)].tolist()
        ends = [run.start, *inner, run.stop]
        parts += [slice(start, stop) for start, stop in pairwise(ends)]
    return parts


def _seconds(value: float) -> str:
    """`0.75` and `86,400`."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
