"""A noise model of 2D detectors, applied to perfect 2D joints.

B is windows, F frames, J joints (h36m17). Lengths are in units of the person's size in the image:
the mean distance of the joints from the hip, about 0.45 m for a standing person.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from vidpose.datasets.random_tensors import RandomTensors
from vidpose.skeleton import H36M17
from vidpose.utils.constants import constant

# At noise 1.
JITTER_SD = (0.005, 0.035)  # independent per frame; drawn per window
DRIFT_SD = 0.04  # slow: a bias per joint, and an oscillation over about a second
OUTLIER_RATE, OUTLIER_SD = 0.006, 0.4  # per joint and frame
DROP_RATE, DROP_S = 0.067, 0.9  # dropouts per joint and second, and their longest duration
DROP_MISSING = 0.5  # share of dropouts that are missing joints; the others are bad guesses
DROP_GUESS_SD = 0.25

CORRELATION_S = 0.14
"""Time constant of correlated errors; measured on the embedded detector."""
SWAP_S = 0.3
"""Longest duration of a left/right swap."""
SWAPPED_LIMBS = [
    [H36M17.index(side + name) for name in names for side in "RL"]
    for names in (("Hip", "Knee", "Foot"), ("Shoulder", "Elbow", "Wrist"))
]
"""Groups of joints whose left and right are swapped together."""
DROPPED_LIMBS = [
    [H36M17.index(name) for name in names]
    for names in (
        ("RKnee", "LKnee", "RFoot", "LFoot"),
        ("RFoot", "LFoot"),
        ("RKnee", "RFoot"),
        ("LKnee", "LFoot"),
        ("RElbow", "RWrist"),
        ("LElbow", "LWrist"),
    )
]
"""Groups of joints that are dropped together."""


def add_detector_noise(
    rays: Tensor,
    size: Tensor,
    fps: float,
    noise: float,
    random: RandomTensors,
    scale: Tensor | float = 1.0,
) -> Tensor:
    """Add jitter, drift, outliers and dropout; (B, F, J, 2), NaN where a joint is missing.

    Args:
        rays: true 2D joints.
        size: (B, 1, 1, 1), the person's size in the image, see `sizes`.
        fps: frame rate.
        noise: scale of all errors.
        random: source of randomness.
        scale: (B, 1, 1, 1), scale of each window's jitter and drift.
    """
    count, frames, joints, _ = rays.shape
    jitter = random.uniform(JITTER_SD, count, 1, 1, 1) * random.normal(*rays.shape)
    seconds = (torch.arange(frames, device=rays.device) / fps)[None, :, None, None]
    phase = random.uniform((0, 2 * math.pi), count, 1, joints, 2)
    rate = random.uniform((0.3, 1.5), count, 1, joints, 2) * 2 * math.pi
    bias, swing = random.normal(2, count, 1, joints, 2)
    drift = DRIFT_SD * (0.7 * bias + 0.7 * swing * torch.sin(rate * seconds + phase))
    outlier = random.flag(noise * OUTLIER_RATE, count, frames, joints, 1)
    jump = OUTLIER_SD * random.normal(*rays.shape) * outlier

    lost = _intervals((count, frames, joints), fps, noise * DROP_RATE, DROP_S, random)[..., None]
    missing = lost & random.flag(DROP_MISSING, count, 1, joints, 1)
    guess = DROP_GUESS_SD * random.normal(count, 1, joints, 2) * lost

    noisy = rays + noise * size * (scale * (jitter + drift) + jump + guess)
    return noisy.masked_fill(missing, math.nan)


def add_correlated_noise(
    rays: Tensor,
    size: Tensor,
    fps: float,
    sd: tuple[float, float],
    random: RandomTensors,
) -> Tensor:
    """Add first-order autoregressive errors with time constant `CORRELATION_S`; (B, F, J, 2).

    Their standard deviation, in units of `size` (B, 1, 1, 1), is drawn from `sd` per window.
    """
    keep = math.exp(-1 / (CORRELATION_S * fps))
    fresh = random.normal(*rays.shape)
    errors = [fresh[:, 0]]
    for t in range(1, rays.shape[1]):
        errors.append(keep * errors[-1] + (1 - keep**2) ** 0.5 * fresh[:, t])
    return rays + size * random.uniform(sd, len(rays), 1, 1, 1) * torch.stack(errors, dim=1)


def swap_left_right(rays: Tensor, fps: float, rate: float, random: RandomTensors) -> Tensor:
    """Swap left and right legs or arms for up to `SWAP_S`; (B, F, J, 2)."""
    count, frames = rays.shape[:2]
    during = _intervals((count, frames, 1), fps, rate, SWAP_S, random)[..., 0]
    wrong = _one_of(SWAPPED_LIMBS, during, rays, random)
    mirrored = constant(tuple(H36M17.mirrored.tolist()), rays.device, torch.long)
    return torch.where(wrong, rays[:, :, mirrored], rays)


def drop_limbs(rays: Tensor, share: float, random: RandomTensors) -> Tensor:
    """Drop a limb in a share of the windows, half of them in all frames; (B, F, J, 2)."""
    always = random.flag(0.5, len(rays), 1)
    during = (_run(rays, random) | always) & random.flag(share, len(rays), 1)
    return rays.masked_fill(_one_of(DROPPED_LIMBS, during, rays, random), math.nan)


def _one_of(
    groups: Sequence[Sequence[int]], during: Tensor, rays: Tensor, random: RandomTensors
) -> Tensor:
    """Flag the joints of a random group per window in the frames `during`, (B, F): (B, F, J, 1)."""
    group = random.integers(len(groups), len(rays))
    members = tuple(tuple(j in joints for j in range(rays.shape[2])) for joints in groups)
    theirs = constant(members, rays.device, torch.bool)[group]  # (B, J)
    return (during[..., None] & theirs[:, None])[..., None]


def _run(rays: Tensor, random: RandomTensors) -> Tensor:
    """Flag a random run of frames in each window: (B, F)."""
    count, frames = rays.shape[:2]
    first, length = random.integers(frames, count, 1), 1 + random.integers(frames, count, 1)
    time = torch.arange(frames, device=rays.device)
    return (time >= first) & (time < first + length)


def _intervals(
    shape: tuple[int, int, int], fps: float, rate: float, longest: float, random: RandomTensors
) -> Tensor:
    """Flag the frames of random intervals, at most one per window and joint: (B, F, N).

    An interval may start before the window, so the chance that a frame is in one does not depend
    on the length of the window.

    Args:
        shape: (B, F, N).
        fps: frame rate.
        rate: intervals per second.
        longest: intervals last from 0 to this many seconds, uniformly.
        random: source of randomness.
    """
    count, frames, each = shape
    span = longest + frames / fps
    first = random.uniform((-longest, frames / fps), count, 1, each)
    length = random.uniform((0.0, longest), count, 1, each)
    time = torch.arange(frames, device=random.device)[None, :, None] / fps
    chosen = random.flag(min(1.0, rate * span), count, 1, each)
    return chosen & (time >= first) & (time < first + length)


def sizes(rays: Tensor) -> Tensor:
    """Compute people's sizes in the image, (B, 1, 1, 1): the mean distance of the joints, none of
    them missing, from the hip.
    """
    distance = (rays - rays[:, :, :1]).norm(dim=-1)
    return distance.mean(dim=(1, 2))[:, None, None, None]
