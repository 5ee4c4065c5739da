"""Gait analysis: foot strikes, cadence, steps, strides and walking speed.

A foot strike is where the ankle is furthest ahead of the hip: J. Zeni, J. Richards, J. Higginson,
"Two simple methods for determining gait events during treadmill and overground walking using
kinematic data", Gait & Posture 27 (2008), 710-714. Ahead means the direction that the hips face.
This needs only the pose, not the distance from the camera, the least certain quantity with a single
camera. A person counts as walking if strikes alternate, the feet are in contact with the ground
after them (`vidpose.postprocess.foot_contact`), and the hip advances with each step.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import uniform_filter1d
from scipy.signal import find_peaks

from vidpose.poses import Pose3D, unseen_joints
from vidpose.postprocess.foot_contact import FEET, FootContacts, foot_contacts
from vidpose.postprocess.gravity import unit_vectors
from vidpose.postprocess.joint_angles import SIDES
from vidpose.skeleton import H36M17
from vidpose.utils.gaps import gaps_in, known_joints, runs_between

SHORTEST_SWING_M = 0.2
"""Minimum forward and backward motion of the ankle in a step."""
STEP_S = (0.25, 1.5)
"""Shortest and longest step; anything outside is not a step, or a step was missed."""
HEADING_OVER_S = 1.0
"""The hips turn with each step; averaged over about two steps, they face the walking direction."""
RESTS_WITHIN_S = 0.3
"""After a strike, the foot is in contact with the ground within this time ..."""
RESTING_SHARE = 0.5
"""... for at least this fraction of strikes; jitter may hide the others. Cycling fails this."""
SETTLES_S = 0.15
"""The foot still moves forward for this long after its strike."""
SEEN_OVER_S, SEEN_SHARE = 0.6, 0.5
"""Both ankles must be visible in this share of the frames around a strike: for ankles that it only
guesses, the network makes steps too short."""
PROGRESS = 0.5
"""Minimum advance of the hip in a step, as a fraction of step length; less is walking in place, or
backwards."""
FEWEST_STEPS = 4
"""Minimum number of steps for measures."""
HIPS = (H36M17.index("RHip"), H36M17.index("LHip"))
NOTE = (
    "sd is over the steps; it does not include the error of the 3D joints, which is larger "
    "(see docs/angles.md)"
)

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class FootStrike:
    side: str
    """`right` or `left`."""
    time_s: float
    """On the scale of `timestamps`; accurate to a frame or two."""
    step_m: float
    """Distance of its ankle ahead of the other one, in the direction that the hips face."""
    row: int
    """The frame, in the arrays of the result."""


@dataclass(frozen=True)
class Measure:
    """A mean over steps or strides."""

    mean: float
    sd: float
    """Standard deviation over the steps or strides, not of the mean: see `NOTE`."""
    count: int
    """Number of steps or strides."""


@dataclass(frozen=True)
class Gait:
    """Gait of one person."""

    person: int
    strikes: tuple[FootStrike, ...]
    """Foot strikes of all walks, in order of time."""
    measures: Mapping[str, Measure] = field(default_factory=dict)
    """By name: `cadence_per_min`, `step_time_s`, `step_length_m`, `stride_time_s`,
    `stride_length_m`, `speed_m_s`; all except cadence and speed also with the prefix `right_` or
    `left_`. A right step ends with the strike of the right foot. Empty if there is a `reason`."""
    reason: str = ""
    """Why there are no measures, one sentence."""
    note: str = NOTE


def gait(result: Pose3D) -> tuple[Gait, ...]:
    """The gait of each person, in the order of `person_ids`.

    Lengths and speeds are only as accurate as the body height: give `--height-cm`. Walking on a
    treadmill is not detected, because the hip does not advance. In running, strikes are slightly
    early.

    Args:
        result: with a world frame, for the vertical and the foot contacts.
    """
    return tuple(_gait(person) for person in result)


def _gait(one: Pose3D) -> Gait:
    """The gait of a single person."""
    person = int(one.person_ids[0])
    if one.camera_to_world is None:
        return Gait(
            person, (), reason="The result has no world frame; run `vidpose infer --world`."
        )
    feet = one.joints_camera()[0][:, FEET].astype(np.float64)
    contacts = foot_contacts(feet, known_joints(feet, (1, 2)), one.timestamps)
    hip = one.root_3d[0].astype(np.float64)
    walks = [
        walk
        for walk in _walks(_strikes(one))
        if _feet_rest(walk, contacts, one.timestamps) and _advances(walk, feet, hip)
    ]
    strikes = tuple(strike for walk in walks for strike in walk)
    steps = len(strikes) - len(walks)
    if steps < FEWEST_STEPS:
        seen = ~unseen_joints(one)[0][:, FEET].any(axis=1)
        if one.present.any() and seen[one.present[0]].mean() < SEEN_SHARE:
            return Gait(person, strikes, reason="The feet are not visible in most frames.")
        found = f"are {steps} steps of a walk" if steps else "is no walk"
        return Gait(person, strikes, reason=f"There {found}; it takes {FEWEST_STEPS} steps.")
    return Gait(person, strikes, _measures(walks))


def _strikes(one: Pose3D) -> list[FootStrike]:
    """Candidate foot strikes, in order of time."""
    assert one.camera_to_world is not None
    axes = one.camera_to_world[:3, :3]
    joints = one.joints_3d[0].astype(np.float64) @ axes.T  # z up, the hip at 0
    found = []
    steps = np.diff(one.timestamps)
    frame_s = float(np.median(steps)) if len(steps) else 1.0
    unseen = unseen_joints(one)[0][:, FEET].astype(np.float64)
    for run in runs_between(one.present[0], gaps_in(one.timestamps)):
        ahead = _ahead(joints[run], frame_s)
        around = max(1, round(SEEN_OVER_S / frame_s))
        guessed = uniform_filter1d(unseen[run], around, axis=0).max(axis=1) > 1 - SEEN_SHARE
        for foot, side in enumerate(SIDES):
            apart = max(1.0, STEP_S[0] / frame_s)
            rows, _ = find_peaks(ahead[:, foot], prominence=SHORTEST_SWING_M, distance=apart)
            for row in rows[~guessed[rows]].tolist():
                settled = ahead[row : row + 1 + round(SETTLES_S / frame_s)]
                step = float((settled[:, foot] - settled[:, 1 - foot]).max())
                row += run.start
                found.append(FootStrike(side, float(one.timestamps[row]), step, row))
    return sorted(found, key=lambda strike: strike.time_s)


def _ahead(joints: Floats, frame_s: float) -> Floats:
    """(T, 2) distance of the ankles ahead of the hip, metres; joints (T, 17, 3), z up."""
    across = (joints[:, HIPS[0]] - joints[:, HIPS[1]])[:, :2]
    across /= np.maximum(np.linalg.norm(across, axis=1, keepdims=True), 1e-9)
    across = uniform_filter1d(across, max(1, round(HEADING_OVER_S / frame_s)), axis=0)
    across /= np.maximum(np.linalg.norm(across, axis=1, keepdims=True), 1e-9)
    forward = np.stack([-across[:, 1], across[:, 0]], axis=1)
    return np.einsum("tfd,td->tf", joints[:, FEET, :2], forward)


def _walks(strikes: list[FootStrike]) -> Iterator[list[FootStrike]]:
    """Sequences of alternating strikes with at least two steps."""
    walk: list[FootStrike] = []
    for strike in strikes:
        if walk and not (
            strike.side != walk[-1].side
            and STEP_S[0] <= strike.time_s - walk[-1].time_s <= STEP_S[1]
        ):
            if len(walk) >= 3:
                yield walk
            walk = []
        walk.append(strike)
    if len(walk) >= 3:
        yield walk


def _feet_rest(walk: list[FootStrike], contacts: FootContacts, timestamps: Floats) -> bool:
    middle = timestamps[contacts.frames]
    begins, ends = middle - contacts.seconds / 2, middle + contacts.seconds / 2
    resting = [
        (
            (contacts.feet == SIDES.index(strike.side))
            & (begins <= strike.time_s + RESTS_WITHIN_S)
            & (ends >= strike.time_s)
        ).any()
        for strike in walk
    ]
    return bool(np.mean(resting) >= RESTING_SHARE)


def _advances(walk: list[FootStrike], feet: Floats, hip: Floats) -> bool:
    """Whether the hip (T, 3) moves towards the foot (T, 2, 3) that strikes. In backward walking it
    moves away: the foot that is furthest ahead lifts off there.
    """
    rows = [strike.row for strike in walk]
    front = np.array([SIDES.index(strike.side) for strike in walk])
    ahead = unit_vectors(feet[rows, front] - feet[rows, 1 - front])[1:]
    moved = (np.diff(hip[rows], axis=0) * ahead).sum(axis=1)
    return bool(np.nanmedian(moved) >= PROGRESS * np.median([s.step_m for s in walk[1:]]))


def _measures(walks: list[list[FootStrike]]) -> dict[str, Measure]:
    steps = [
        (last.side, last.time_s - first.time_s, last.step_m)
        for walk in walks
        for first, last in pairwise(walk)
    ]
    strides = [
        (last.side, last.time_s - first.time_s, between.step_m + last.step_m)
        for walk in walks
        for first, between, last in zip(walk, walk[1:], walk[2:], strict=False)
    ]
    cadence = _measure([60 / seconds for _, seconds, _ in steps])
    # Steps over time: the mean over steps would count the short steps of a limp too much.
    mean = 60 * len(steps) / sum(seconds for _, seconds, _ in steps)
    out = {
        "cadence_per_min": replace(cadence, mean=mean),
        "speed_m_s": _measure([metres / seconds for _, seconds, metres in strides]),
    }
    for name, rows in (("step", steps), ("stride", strides)):
        for side in ("", *SIDES):
            chosen = [row for row in rows if row[0] == side or not side]
            if chosen:
                prefix = f"{side}_{name}" if side else name
                out[f"{prefix}_time_s"] = _measure([seconds for _, seconds, _ in chosen])
                out[f"{prefix}_length_m"] = _measure([metres for _, _, metres in chosen])
    return out


def _measure(values: list[float]) -> Measure:
    sd = float(np.std(values, ddof=1)) if len(values) > 1 else float("nan")
    return Measure(float(np.mean(values)), sd, len(values))
