"""Estimate the vertical from people.

In an image of unknown pitch, people are the only cue: on average, a person who stands or walks is
upright, the trunk of a person who stands still is above the feet, and the positions of feet at rest
are level with each other.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from vidpose.poses import Pose3D
from vidpose.postprocess.foot_contact import FEET, FootContacts
from vidpose.skeleton import H36M17

CAMERA_UP = np.array([0.0, -1.0, 0.0])

# Standing people are level from left to right; they lean forward, and more so when they walk.
SIDEWAYS_SD = np.radians(8.0)
FORWARD_SD = np.radians(20.0)
CAMERA_SD = np.radians(30.0)
"""Prior on the tilt of a camera, which is all there is if nobody stands."""
POSES_PER_SECOND = 2.0
"""Poses less than half a second apart are not independent."""
BENT_DEG, STRAIGHT_DEG = 110.0, 150.0
"""Angle at knees and hips below which a person is not standing, and above which they are."""
FARTHEST_TILT_DEG = 60.0
"""A person tilted further from the camera's up direction counts as lying."""
FARTHEST_LEAN_DEG = 30.0
"""A person tilted further from the estimated vertical counts as leaning."""
BALANCE_SD = np.radians(8.0)
"""Angle between the vertical and the direction from a foot that rests to the middle of the trunk:
nobody stands still for long with their weight next to their feet, not even on one leg."""
BALANCE_S = 1.0
"""Seconds that a foot rests, at least, for the person to be in balance."""
MOST_SWAY = np.radians(10.0)
"""Somebody whose trunk sways further around its mean direction takes slow steps."""

# How level foot contacts are.
CONTACT_SD = 0.05
"""Metres; uncertainty of the height of a foot at rest ..."""
DEPTH_SD = 0.04
"""... and of its distance, as a fraction; if the camera looks down, distance affects height."""
LEVEL_M, LEVEL_SLOPE = 0.3, 0.15
"""A foot that comes to rest higher or lower than before by more than this, and by more than this
fraction of the distance moved, is on another surface."""
SLOPE_SD = np.radians(5.0)
"""Typical slope of floors."""

BIAS_SD = np.radians(2.0)
"""Systematic error common to all poses, which more poses do not reduce."""


def estimate_up(
    result: Pose3D, contacts: Sequence[FootContacts]
) -> tuple[NDArray[np.float64], float]:
    """Estimate the up direction.

    It is the best fit to five cues, each weighted by its uncertainty: standing people are level
    from left to right (`SIDEWAYS_SD`) and upright from front to back (`FORWARD_SD`); the trunk of
    people who stand still is above their feet (`BALANCE_SD`); a person's foot contacts are level
    with each other (`CONTACT_SD`, `DEPTH_SD`); and the camera is about level (`CAMERA_SD`), the
    only cue if nobody stands.

    Args:
        result: the people; the camera must be static.
        contacts: foot contacts, by person.

    Returns:
        (3,) unit vector, camera frame; and its expected error, radians.
    """
    leftward, forward, body, straight = _standing_poses(result)
    stands = straight * _within(body, CAMERA_UP, FARTHEST_TILT_DEG)
    # Each pose counts for this many independent ones.
    weight = min(1.0, POSES_PER_SECOND / result.fps)
    # Up is perpendicular to all of these directions: their scatter along it is smallest.
    camera = np.diag([1.0, 0.0, 1.0]) / CAMERA_SD**2
    up, _ = _least_spread(camera + _spread(leftward, forward, weight * stands))
    stands *= _within(body, up, FARTHEST_LEAN_DEG)
    bodies = camera + _spread(leftward, forward, weight * stands)
    for person, contact in enumerate(contacts):
        bodies += weight * _spread_of_balance(result, person, contact)
    up, tilt_sd = _least_spread(bodies)

    standing = np.zeros(result.present.shape)
    standing[result.present] = stands
    for _ in range(3):
        levels = [
            _spread_of_contacts(contact, standing[person], up)
            for person, contact in enumerate(contacts)
        ]
        up, tilt_sd = _least_spread(bodies + sum(levels, np.zeros((3, 3))))
    return up, tilt_sd


def _standing_poses(result: Pose3D) -> tuple[NDArray[np.float64], ...]:
    """For all N poses: left, forward and feet-to-thorax directions, (N, 3) unit vectors each; and
    how straight knees and hips are, (N,), 0 to 1.
    """
    poses = result.joints_3d[result.present].astype(np.float64)

    def at(name: str) -> NDArray[np.float64]:
        return poses[:, H36M17.index(name)]

    ankles = (at("RFoot") + at("LFoot")) / 2
    body = unit_vectors(at("Thorax") - ankles)
    leftward = unit_vectors(
        unit_vectors(at("LHip") - at("RHip")) + unit_vectors(at("LShoulder") - at("RShoulder"))
    )
    forward = unit_vectors(np.cross(leftward, body))
    hips = _straightness(at("Thorax"), at("Hip"), ankles)
    straight = np.min([hips, *_straight_legs(poses).T], axis=0)
    return leftward, forward, body, straight


def _spread_of_balance(result: Pose3D, person: int, contacts: FootContacts) -> NDArray[np.float64]:
    """(3, 3) scatter of directions at right angles to those from one person's resting feet to the
    trunk, in standard deviations.
    """
    long = contacts.seconds >= BALANCE_S
    middles, half = result.timestamps[contacts.frames[long]], contacts.seconds[long] / 2
    starts = np.searchsorted(result.timestamps, middles - half)
    stops = np.searchsorted(result.timestamps, middles + half, "right")
    parts = [slice(*ends) for ends in zip(starts.tolist(), stops.tolist(), strict=True)]
    rests = np.zeros((result.frames, len(FEET)), bool)
    for part, foot in zip(parts, contacts.feet[long], strict=True):
        rests[part, foot] = True
    over, straight = _over_feet(result.joints_3d[person].astype(np.float64), rests)
    weight = straight * _within(over, CAMERA_UP, FARTHEST_TILT_DEG)
    still = np.zeros(result.frames, bool)
    for part in parts:
        scatter = _around(over[part], weight[part])
        sway = np.linalg.eigvalsh(scatter)[0] / max(weight[part].sum(), 1e-9)
        still[part] |= sway <= MOST_SWAY**2
    still &= result.present[person]
    return _around(over[still], weight[still]) / BALANCE_SD**2


def _over_feet(
    poses: NDArray[np.float64], rests: NDArray[np.bool_]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Directions from resting feet to the middle of the trunk, (T, 3), and how straight the body is
    above them, (T,), 0 to 1; of poses (T, 17, 3), and the feet that rest, (T, 2).
    """
    hip, thorax = poses[:, H36M17.index("Hip")], poses[:, H36M17.index("Thorax")]
    share = rests / np.maximum(rests.sum(axis=1, keepdims=True), 1)
    feet = (poses[:, FEET] * share[..., None]).sum(axis=1)
    # Somebody who sits, kneels or rests on the hands is held by more than the feet.
    legs = np.where(rests, _straight_legs(poses), 1).min(axis=1)
    straight = np.minimum(legs, _straightness(thorax, hip, feet))
    return unit_vectors((hip + thorax) / 2 - feet), straight


def _around(axes: NDArray[np.float64], weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """(N, 3) unit vectors and (N,) weights -> (3, 3) scatter of what is at right angles to them."""
    scatter: NDArray[np.float64] = weights.sum() * np.eye(3) - (axes * weights[:, None]).T @ axes
    return scatter


def _spread_of_contacts(
    contacts: FootContacts, standing: NDArray[np.float64], up: NDArray[np.float64]
) -> NDArray[np.float64]:
    """(3, 3) scatter of one person's foot contacts, in standard deviations of their height.

    Args:
        contacts: of the person.
        standing: (T,) how upright the person stands, 0 to 1.
        up: (3,) current estimate.
    """
    scatter: NDArray[np.float64] = np.zeros((3, 3))
    stands = standing[contacts.frames]
    kept = stands > 0
    places, stands = contacts.places[kept], stands[kept]
    if len(places) < 2:
        return scatter
    height = places @ up
    way = np.linalg.norm(np.diff(places, axis=0), axis=1)
    new_level = np.abs(np.diff(height)) > np.maximum(LEVEL_M, LEVEL_SLOPE * way)
    for part in np.split(np.arange(len(places)), np.flatnonzero(new_level) + 1):
        variance = CONTACT_SD**2 + (DEPTH_SD * height[part]) ** 2
        weight = stands[part] / variance
        apart = places[part] - np.average(places[part], axis=0, weights=weight)
        # Cauchy weights, against feet on objects and false contacts.
        allowed = variance + (SLOPE_SD * np.linalg.norm(apart, axis=1)) ** 2
        weight = weight / (1 + (apart @ up) ** 2 / (4 * allowed))
        scatter += (apart * weight[:, None]).T @ apart
    return scatter


def _spread(
    leftward: NDArray[np.float64], forward: NDArray[np.float64], weights: NDArray[np.float64]
) -> NDArray[np.float64]:
    """(N, 3) directions and (N,) weights -> their (3, 3) scatter in standard deviations."""
    scatter: NDArray[np.float64] = np.zeros((3, 3))
    for directions, sd in ((leftward, SIDEWAYS_SD), (forward, FORWARD_SD)):
        scatter += (directions * weights[:, None]).T @ directions / sd**2
    return scatter


def _least_spread(scatter: NDArray[np.float64]) -> tuple[NDArray[np.float64], float]:
    """(3, 3) scatter -> (3,) unit vector along which it is smallest, in the half-space of the
    camera's up, and its expected error, radians.
    """
    values, vectors = np.linalg.eigh(scatter)
    direction: NDArray[np.float64] = vectors[:, 0]
    up = direction if direction @ CAMERA_UP > 0 else -direction
    variance = (1 / np.maximum(values[1:] - values[0], 1e-9)).sum() + BIAS_SD**2
    return up, float(np.sqrt(min(variance, np.pi**2)))


def _within(
    directions: NDArray[np.float64], axis: NDArray[np.float64], degrees: float
) -> NDArray[np.bool_]:
    near: NDArray[np.bool_] = directions @ axis > np.cos(np.radians(degrees))
    return near


def _straight_legs(poses: NDArray[np.float64]) -> NDArray[np.float64]:
    """(N, 17, 3) -> (N, 2) how straight the right and the left knee are, 0 to 1, as in `FEET`."""
    legs = [[H36M17.index(f"{s}{joint}") for joint in ("Hip", "Knee", "Foot")] for s in "RL"]
    return np.stack([_straightness(*poses[:, leg].swapaxes(0, 1)) for leg in legs], axis=1)


def _straightness(
    a: NDArray[np.float64], corner: NDArray[np.float64], b: NDArray[np.float64]
) -> NDArray[np.float64]:
    """(N, 3) points -> (N,) 0 to 1: at the angle a-corner-b of `BENT_DEG` and `STRAIGHT_DEG`."""
    cosine = (unit_vectors(a - corner) * unit_vectors(b - corner)).sum(axis=-1)
    opening = np.degrees(np.arccos(np.clip(cosine, -1, 1)))
    straight: NDArray[np.float64] = (opening - BENT_DEG) / (STRAIGHT_DEG - BENT_DEG)
    return np.clip(straight, 0, 1)


def unit_vectors(vectors: NDArray[np.float64]) -> NDArray[np.float64]:
    """(..., 3) of any length -> (..., 3) of length 1."""
    length = np.linalg.norm(vectors, axis=-1, keepdims=True)
    unit: NDArray[np.float64] = vectors / np.maximum(length, 1e-9)
    return unit
