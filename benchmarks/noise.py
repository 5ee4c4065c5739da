"""What 2D detectors do wrong, for the measuring stick: stated once and left alone.

Lengths are in the person's size in the picture: the mean distance of the joints from the hip,
about 0.45 m of a standing person. Training has noise of its own
(`vidpose.datasets.virtual_cameras`), which may change; what weights are measured with must not.
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
    """One detector's errors; 0 everywhere is none."""

    about: str
    jitter_sd: tuple[float, float] = (0.0, 0.0)
    """From frame to frame, drawn per stretch."""
    bias_sd: float = 0.0
    """Per joint and coordinate, for a whole stretch."""
    swing_sd: float = 0.0
    """Amplitude of a swing at `swing_hz`, per joint and coordinate."""
    swing_hz: tuple[float, float] = (0.3, 1.5)
    outlier_rate: float = 0.0
    """Per joint and frame,"""
    outlier_sd: float = 0.0
    lost_rate: float = 0.0
    """Of spells in which a joint is lost, per joint and second,"""
    lost_s: tuple[float, float] = (0.0, 0.0)
    """and how long they last."""
    lost_gone: float = 0.0
    """Share of the lost ones that are absent; the rest is guessed, this badly:"""
    lost_guess_sd: float = 0.0
    wobble_sd: tuple[float, float] = (0.0, 0.0)
    """Errors that outlast a frame, drawn per stretch;"""
    wobble_s: float = 0.0
    """they are forgotten in about this time (a first-order Gauss-Markov process)."""
    blind_rate: float = 0.0
    """Of spells without the whole person, a second,"""
    blind_s: tuple[float, float] = (0.0, 0.0)
    """and how long they last."""
    swap_rate: float = 0.0
    """Of spells with left and right exchanged, a second,"""
    swap_s: tuple[float, float] = (0.0, 0.0)
    """and how long they last."""


CLEAN = Noise(about="the true 2D")
DEFAULT = Noise(
    about="what the first weights were trained on",
    # As training had it at noise 1, and frozen here. Its dropouts, 6 % of the joints in every
    # window of 27 frames at 30 frames/s, are written as a rate a second.
    jitter_sd=(0.005, 0.035),
    bias_sd=0.7 * 0.04,
    swing_sd=0.7 * 0.04,
    outlier_rate=0.006,
    outlier_sd=0.4,
    lost_rate=0.06 / 0.9,
    lost_s=(0.0, 0.9),
    lost_gone=0.5,
    lost_guess_sd=0.25,
)

EMBEDDED = Noise(
    about="the embedded detector, as measured on real video",
    # `python benchmarks/detector_noise.py FOLDER demo_videos/demo.mp4`: docs/weights.md has its
    # table. Against four cameras, after the mending that `infer` does, 0.015 stays and 0.020 comes
    # and goes; the point that four cameras agree on follows each of them, so that 5/8 of the
    # variance is left to see, and the true ones are 1.26 times as large. Of what comes and goes
    # 0.82 of the variance is forgotten in 0.14 s, the rest from frame to frame. The ranges go half
    # their middle to either side: still joints differ more than that from video to video.
    jitter_sd=(0.005, 0.017),
    wobble_sd=(0.012, 0.034),
    wobble_s=0.14,
    bias_sd=0.019,
    # 0.7 % of the joints are further off than 0.3, some 0.6 on average, for a frame or a few.
    outlier_rate=0.007,
    outlier_sd=0.4,
    # 10 % of the joints have scores below one half in ordinary video, for 0.2 to 0.3 s on average.
    # It guesses all of them and leaves none out; those of the four cameras were 0.13 off.
    lost_rate=0.10 / 0.3,
    lost_s=(0.05, 0.55),
    lost_gone=0.0,
    lost_guess_sd=0.13,
    # 1.5 % of the frames without a person who is there before and after, for 0.17 s at most.
    blind_rate=0.015 / 0.1,
    blind_s=(0.03, 0.17),
    # 0.04 % of the limbs' joints are on the other side's place, after mending.
    swap_rate=0.0004 / 0.1,
    swap_s=(0.05, 0.15),
)


def disturb(rays: Floats, fps: float, noise: Noise, seed: Sequence[int]) -> Floats:
    """(T, J, 2) true 2D joints, any unit -> as a detector would give them, NaN where lost."""
    rng = np.random.default_rng(seed)
    frames, joints, _ = rays.shape
    seconds = np.arange(frames) / fps
    size = np.linalg.norm(rays - rays[:, :1], axis=-1).mean()
    # What lasts is drawn before what is drawn frame by frame, so that it is the same at any rate.
    jitter_sd = rng.uniform(*noise.jitter_sd)
    bias, swing = rng.normal(size=(2, joints, 2)) * [[[noise.bias_sd]], [[noise.swing_sd]]]
    phase = rng.uniform(0, 2 * np.pi, (joints, 2))
    rate = 2 * np.pi * rng.uniform(*noise.swing_hz, (joints, 2))
    lost = np.zeros((frames, joints), bool)
    gone = np.zeros_like(lost)
    guess = np.zeros((frames, joints, 2))
    for joint in range(joints):
        for first, last in spells(frames / fps, noise.lost_rate, noise.lost_s, rng):
            spell = (seconds >= first) & (seconds < last)
            lost[spell, joint] = True
            gone[spell, joint] = rng.random() < noise.lost_gone
            guess[spell, joint] = noise.lost_guess_sd * rng.normal(size=2)
    error = jitter_sd * rng.normal(size=rays.shape) + guess
    error += bias + swing * np.sin(rate * seconds[:, None, None] + phase)
    outlier = rng.random((frames, joints, 1)) < noise.outlier_rate
    error += noise.outlier_sd * rng.normal(size=rays.shape) * outlier
    disturbed: Floats = rays + size * error
    lasting = np.random.default_rng((*seed, 1))  # of its own: the rest stays as it is without it
    if noise.wobble_s:
        sd = lasting.uniform(*noise.wobble_sd)
        disturbed += size * sd * _wobble(rays.shape, math.exp(-1 / (fps * noise.wobble_s)), lasting)
    for first, last in spells(frames / fps, noise.swap_rate, noise.swap_s, lasting):
        spell = (seconds >= first) & (seconds < last)
        disturbed[spell] = disturbed[spell][:, H36M17.mirrored]
    disturbed[lost & gone] = np.nan
    for first, last in spells(frames / fps, noise.blind_rate, noise.blind_s, lasting):
        disturbed[1:-1][((seconds >= first) & (seconds < last))[1:-1]] = np.nan
    return disturbed


def _wobble(shape: tuple[int, ...], keep: float, rng: np.random.Generator) -> Floats:
    """Noise of variance 1 of which a step keeps a part."""
    steps = rng.normal(size=shape)
    steps[1:] *= math.sqrt(1 - keep**2)
    return np.asarray(lfilter([1], [1, -keep], steps, axis=0))


def spells(
    seconds: float, rate: float, lasting_s: tuple[float, float], rng: np.random.Generator
) -> list[tuple[float, float]]:
    """Spells that begin at random, `rate` a second on average, some before the first frame."""
    before = lasting_s[1]
    count = rng.poisson(rate * (seconds + before))
    begin = rng.uniform(-before, seconds, count)
    return [(first, first + rng.uniform(*lasting_s)) for first in begin.tolist()]


HIDDEN = {
    "legs": (("RKnee", "RFoot", "LKnee", "LFoot"),),
    "arm": (("LElbow", "LWrist"), ("RElbow", "RWrist")),
    "feet": (("RFoot", "LFoot"),),
}
"""Sets of joints, one of which something in front of the person hides."""
HIDDEN_S = (1.0, 2.0)
CUT_OFF = ("feet",)
"""What the picture's edge hides throughout, rather than something for a second or two."""
GUESS_SD = 0.25
"""How far off, each way, a detector is that guesses what it does not see."""


def hide(
    rays: Floats, fps: float, what: str, seed: Sequence[int], *, guessed: bool = False
) -> NDArray[np.bool_]:
    """Hide some joints, in place: for a second or two, once, or throughout.

    Args:
        rays: (T, J, 2).
        fps: frames a second.
        what: of `HIDDEN`.
        seed: decides which and when.
        guessed: they are not taken away, but off by as much throughout; so the guess moves as
            the hidden joint does, which is easier than a real one.

    Returns:
        (T,), the frames in which they are hidden.
    """
    if what in CUT_OFF:
        rays[:, [H36M17.index(name) for name in HIDDEN[what][0]]] = np.nan
        return np.ones(len(rays), bool)
    rng = np.random.default_rng(seed)
    joints = HIDDEN[what][rng.integers(len(HIDDEN[what]))]
    seconds = len(rays) / fps
    lasts = min(float(rng.choice(HIDDEN_S)), 0.6 * seconds)  # it is seen before or after
    first = rng.uniform(0.1 * seconds, 0.9 * seconds - lasts)
    time = np.arange(len(rays)) / fps
    spell = (time >= first) & (time < first + lasts)
    size = np.nanmean(np.linalg.norm(rays - rays[:, :1], axis=-1))
    for name in joints:
        off = size * GUESS_SD * rng.normal(size=2)
        rays[spell, H36M17.index(name)] = (
            rays[spell, H36M17.index(name)] + off if guessed else np.nan
        )
    return np.asarray(spell)
