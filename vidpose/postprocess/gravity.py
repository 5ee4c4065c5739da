"""Which way is up, from the people.

Nothing in a picture of unknown pitch says where up is, except the people: on average somebody who
stands or walks stands upright, and the places where their feet rest are level with each other.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from vidpose.poses import Pose3D
from vidpose.postprocess.foot_contact import FootContacts
from vidpose.skeleton import H36M17

CAMERA_UP = np.array([0.0, -1.0, 0.0])

# How people stand. Left to right they are level; forward they lean, and more so when they walk.
SIDEWAYS_SD = np.radians(8.0)
FORWARD_SD = np.radians(20.0)
CAMERA_SD = np.radians(30.0)
"""How far from level a camera is held: what is left to believe where nobody stands."""
POSES_PER_SECOND = 2.0
"""Poses closer in time than half a second say the same."""
BENT_DEG, STRAIGHT_DEG = 110.0, 150.0
"""Opening of knees and hips of somebody who does not stand, and of somebody who does."""
FARTHEST_TILT_DEG = 60.0
"""Somebody further from the camera's own up than this lies rather than stands."""
FARTHEST_LEAN_DEG = 30.0
"""Somebody further from the others' up than this leans rather than stands."""

# How level the places are where feet rest.
CONTACT_SD = 0.05
"""Metres; how well the height of a resting foot is known ..."""
DEPTH_SD = 0.04
"""... and how well its distance, as a fraction: under a camera that looks down it is height."""
LEVEL_M, LEVEL_SLOPE = 0.3, 0.15
"""A foot that comes to rest higher or lower than before by more than this, and by more than this
fraction of the way, rests on something else."""
SLOPE_SD = np.radians(5.0)
"""Floors are level to about this."""

BIAS_SD = np.radians(2.0)
"""What is wrong with all poses alike, however many there are."""


def estimate_up(
    result: Pose3D, contacts: Sequence[FootContacts]
) -> tuple[NDArray[np.float64], float]:
    """The direction in which people stand.

    It is the direction that fits best to four things, each as much as it can be trusted: who
    stands is level from left to right (`SIDEWAYS_SD`) and upright from front to back
    (`FORWARD_SD`); the places where somebody's feet rest are level with each other
    (`CONTACT_SD`, `DEPTH_SD`); and the camera is about level (`CAMERA_SD`), which is all there is
    where nobody stands.

    Args:
        result: the people; the camera must have stood still.
        contacts: where their feet rest, by person.

    Returns:
        (3,) unit vector, camera frame; and how far off it is expected to be, radians.
    """
    leftward, forward, body, straight = _standing_poses(result)
    stands = straight * _within(body, CAMERA_UP, FARTHEST_TILT_DEG)
    # Each pose counts for this many independent ones.
    weight = min(1.0, POSES_PER_SECOND / result.fps)
    # Up is at right angles to all of these directions: it is where their spread is least.
    camera = np.diag([1.0, 0.0, 1.0]) / CAMERA_SD**2
    up, _ = _least_spread(camera + _spread(leftward, forward, weight * stands))
    stands *= _within(body, up, FARTHEST_LEAN_DEG)
    bodies = camera + _spread(leftward, forward, weight * stands)
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
    """Of all N poses: to the left, forward and from the feet up, each (N, 3) unit vectors; and how
    straight knees and hips are, (N,), 0 to 1.
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
    openings = [_opening(at(f"{s}Hip"), at(f"{s}Knee"), at(f"{s}Foot")) for s in "RL"]
    openings.append(_opening(at("Thorax"), at("Hip"), ankles))
    straight = (np.min(openings, axis=0) - BENT_DEG) / (STRAIGHT_DEG - BENT_DEG)
    return leftward, forward, body, np.clip(straight, 0, 1)


def _spread_of_contacts(
    contacts: FootContacts, standing: NDArray[np.float64], up: NDArray[np.float64]
) -> NDArray[np.float64]:
    """(3, 3) scatter of the ways between places where one person's feet rest, in standard
    deviations of their height; `up` is what is believed so far.

    Args:
        contacts: of the person.
        standing: (T,) how far the person stands, 0 to 1.
        up: (3,).
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
        # Robust against feet that rest on something, or not at all (Cauchy).
        allowed = variance + (SLOPE_SD * np.linalg.norm(apart, axis=1)) ** 2
        weight = weight / (1 + (apart @ up) ** 2 / (4 * allowed))
        scatter += (apart * weight[:, None]).T @ apart
    return scatter


def _spread(
    leftward: NDArray[np.float64], forward: NDArray[np.float64], weights: NDArray[np.float64]
) -> NDArray[np.float64]:
    """(N, 3) directions and (N,) weights to their (3, 3) scatter in standard deviations."""
    scatter: NDArray[np.float64] = np.zeros((3, 3))
    for directions, sd in ((leftward, SIDEWAYS_SD), (forward, FORWARD_SD)):
        scatter += (directions * weights[:, None]).T @ directions / sd**2
    return scatter


def _least_spread(scatter: NDArray[np.float64]) -> tuple[NDArray[np.float64], float]:
    """(3, 3) scatter to the (3,) unit vector along which it is least, on the camera's up side,
    and how far off that is expected to be, radians.
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


def _opening(
    a: NDArray[np.float64], corner: NDArray[np.float64], b: NDArray[np.float64]
) -> NDArray[np.float64]:
    """(N, 3) points to the (N,) angles a-corner-b in degrees."""
    cosine = (unit_vectors(a - corner) * unit_vectors(b - corner)).sum(axis=-1)
    opening: NDArray[np.float64] = np.degrees(np.arccos(np.clip(cosine, -1, 1)))
    return opening


def unit_vectors(vectors: NDArray[np.float64]) -> NDArray[np.float64]:
    """(..., 3) of any length -> (..., 3) of length 1."""
    length = np.linalg.norm(vectors, axis=-1, keepdims=True)
    unit: NDArray[np.float64] = vectors / np.maximum(length, 1e-9)
    return unit
