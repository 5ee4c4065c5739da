"""Noise models of 2D detectors for the lifting benchmark, which must never change.

Lengths are in body sizes in the image: the mean distance of the joints from the hip, about 0.45 m
for a standing person. Training has its own noise model (`vidpose.datasets.virtual_cameras`), which
may change.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.signal import lfilter

from vidpose.skeleton import H36M17

Floats = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Noise:
    """Noise model of one detector; by default without noise."""

    about: str
    jitter_sd: tuple[float, float] = (0.0, 0.0)
    """Range of the standard deviation, drawn once per view; independent between frames."""
    bias_sd: float = 0.0
    """Per joint and coordinate, constant over a view."""
    drift_sd: float = 0.0
    """Amplitude of a sine at `drift_hz`, per joint and coordinate."""
    drift_hz: tuple[float, float] = (0.3, 1.5)
    outlier_rate: float = 0.0
    """Outliers per joint and frame."""
    outlier_sd: float = 0.0
    dropout_rate: float = 0.0
    """Dropouts per joint per second."""
    dropout_s: tuple[float, float] = (0.0, 0.0)
    """Duration of a dropout."""
    dropout_missing: float = 0.0
    """Share of dropouts in which the joint is missing; in the others it is a guess."""
    dropout_guess_sd: float = 0.0
    """Error of such a guess."""
    correlated_sd: tuple[float, float] = (0.0, 0.0)
    """Noise that is correlated over time (a first-order Gauss-Markov process); drawn per view."""
    correlated_s: float = 0.0
    """Time constant of that noise."""
    missed_rate: float = 0.0
    """Complete misses of the person per second."""
    missed_s: tuple[float, float] = (0.0, 0.0)
    """Duration of a miss."""
    swap_rate: float = 0.0
    """Left/right swaps per second."""
    swap_s: tuple[float, float] = (0.0, 0.0)
    """Duration of a swap."""


CLEAN = Noise(about="the true 2D")
DEFAULT = Noise(
    about="what the first weights were trained on",
    # Training's noise 1 at that time. Its dropouts, 6 % of the joints in every window of 27 frames
    # at 30 frames/s, are converted to a rate per second.
    jitter_sd=(0.005, 0.035),
    bias_sd=0.7 * 0.04,
    drift_sd=0.7 * 0.04,
    outlier_rate=0.006,
    outlier_sd=0.4,
    dropout_rate=0.06 / 0.9,
    dropout_s=(0.0, 0.9),
    dropout_missing=0.5,
    dropout_guess_sd=0.25,
)

EMBEDDED = Noise(
    about="the embedded detector, as measured on real video",
    # `python benchmarks/detector_errors.py FOLDER demo_videos/demo.mp4` measures these. Against
    # four cameras, after the corrections of `infer`, the constant error is 0.015 and the varying
    # one 0.020. The triangulated point depends on each of the four cameras, so only 5/8 of the
    # variance is visible and the true errors are 1.26 times as large. 0.82 of the varying error's
    # variance is correlated with a time constant of 0.14 s, the rest is independent between frames.
    # The ranges are +-50 %: the jitter of still joints varies more than that between videos.
    jitter_sd=(0.005, 0.017),
    correlated_sd=(0.012, 0.034),
    correlated_s=0.14,
    bias_sd=0.019,
    # 0.7 % of the joints have errors above 0.3, about 0.6 on average, for one or a few frames.
    outlier_rate=0.007,
    outlier_sd=0.4,
    # 10 % of the joints have scores below one half in ordinary video, for 0.2 to 0.3 s on average.
    # The detector guesses all of them; their error in the four cameras was 0.13.
    dropout_rate=0.10 / 0.3,
    dropout_s=(0.05, 0.55),
    dropout_missing=0.0,
    dropout_guess_sd=0.13,
    # It misses a person who is there before and after in 1.5 % of the frames, for at most 0.17 s.
    missed_rate=0.015 / 0.1,
    missed_s=(0.03, 0.17),
    # 0.04 % of the limb joints are swapped after corrections.
    swap_rate=0.0004 / 0.1,
    swap_s=(0.05, 0.15),
)


def add_noise(rays: Floats, fps: float, noise: Noise, seed: Sequence[int]) -> Floats:
    """Add detector noise to (T, J, 2) true 2D joints, any unit; NaN where missing."""
    rng = np.random.default_rng(seed)
    frames, joints, _ = rays.shape
    seconds = np.arange(frames) / fps
    size = np.linalg.norm(rays - rays[:, :1], axis=-1).mean()
    # Draw lasting errors before single-frame ones, so that they do not depend on the frame rate.
    jitter_sd = rng.uniform(*noise.jitter_sd)
    bias, drift = rng.normal(size=(2, joints, 2)) * [[[noise.bias_sd]], [[noise.drift_sd]]]
    phase = rng.uniform(0, 2 * np.pi, (joints, 2))
    rate = 2 * np.pi * rng.uniform(*noise.drift_hz, (joints, 2))
    dropped = np.zeros((frames, joints), bool)
    missing = np.zeros_like(dropped)
    guess = np.zeros((frames, joints, 2))
    for joint in range(joints):
        for first, last in intervals(frames / fps, noise.dropout_rate, noise.dropout_s, rng):
            during = (seconds >= first) & (seconds < last)
            dropped[during, joint] = True
            missing[during, joint] = rng.random() < noise.dropout_missing
            guess[during, joint] = noise.dropout_guess_sd * rng.normal(size=2)
    error = jitter_sd * rng.normal(size=rays.shape) + guess
    error += bias + drift * np.sin(rate * seconds[:, None, None] + phase)
    outlier = rng.random((frames, joints, 1)) < noise.outlier_rate
    error += noise.outlier_sd * rng.normal(size=rays.shape) * outlier
    noisy: Floats = rays + size * error
    lasting = np.random.default_rng((*seed, 1))  # separate: it does not change the draws above
    if noise.correlated_s:
        sd = lasting.uniform(*noise.correlated_sd)
        noisy += (
            size * sd * _correlated(rays.shape, math.exp(-1 / (fps * noise.correlated_s)), lasting)
        )
    for first, last in intervals(frames / fps, noise.swap_rate, noise.swap_s, lasting):
        during = (seconds >= first) & (seconds < last)
        noisy[during] = noisy[during][:, H36M17.mirrored]
    noisy[dropped & missing] = np.nan
    for first, last in intervals(frames / fps, noise.missed_rate, noise.missed_s, lasting):
        noisy[1:-1][((seconds >= first) & (seconds < last))[1:-1]] = np.nan
    return noisy


def _correlated(shape: tuple[int, ...], keep: float, rng: np.random.Generator) -> Floats:
    """First-order Gauss-Markov noise of variance 1 with coefficient `keep`."""
    steps = rng.normal(size=shape)
    steps[1:] *= math.sqrt(1 - keep**2)
    return np.asarray(lfilter([1], [1, -keep], steps, axis=0))


def intervals(
    seconds: float, rate: float, lasting_s: tuple[float, float], rng: np.random.Generator
) -> list[tuple[float, float]]:
    """Intervals with random starts, `rate` per second on average, some before the first frame."""
    before = lasting_s[1]
    count = rng.poisson(rate * (seconds + before))
    begin = rng.uniform(-before, seconds, count)
    return [(first, first + rng.uniform(*lasting_s)) for first in begin.tolist()]


HIDDEN = {
    "legs": (("RKnee", "RFoot", "LKnee", "LFoot"),),
    "arm": (("LElbow", "LWrist"), ("RElbow", "RWrist")),
    "feet": (("RFoot", "LFoot"),),
}
"""Alternative sets of joints that an object in front of the person occludes."""
HIDDEN_S = (1.0, 2.0)
CUT_OFF = ("feet",)
"""Sets that are outside the image throughout."""
GUESS_SD = 0.25
"""Error, in each coordinate, of a detector's guess for a hidden joint."""


def hide(
    rays: Floats, fps: float, what: str, seed: Sequence[int], *, guessed: bool = False
) -> NDArray[np.bool_]:
    """Hide some joints in place: once for a second or two, or throughout.

    Args:
        rays: (T, J, 2).
        fps: frames a second.
        what: of `HIDDEN`.
        seed: determines which joints and when.
        guessed: give the joints a constant error instead of NaN. Such a guess moves with the hidden
            joint, which makes it easier than a real one.

    Returns:
        (T,), the frames in which they are hidden.
    """
    if what in CUT_OFF:
        rays[:, [H36M17.index(name) for name in HIDDEN[what][0]]] = np.nan
        return np.ones(len(rays), bool)
    rng = np.random.default_rng(seed)
    joints = HIDDEN[what][rng.integers(len(HIDDEN[what]))]
    seconds = len(rays) / fps
    lasts = min(float(rng.choice(HIDDEN_S)), 0.6 * seconds)  # visible before or after
    first = rng.uniform(0.1 * seconds, 0.9 * seconds - lasts)
    time = np.arange(len(rays)) / fps
    during = (time >= first) & (time < first + lasts)
    size = np.nanmean(np.linalg.norm(rays - rays[:, :1], axis=-1))
    for name in joints:
        off = size * GUESS_SD * rng.normal(size=2)
        rays[during, H36M17.index(name)] = (
            rays[during, H36M17.index(name)] + off if guessed else np.nan
        )
    return np.asarray(during)
