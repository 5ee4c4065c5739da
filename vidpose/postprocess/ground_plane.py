"""Estimate the floor from foot contacts, and derive the world frame.

The floor is the lowest level of foot contacts. The up direction is given, or estimated from the
people (`vidpose.postprocess.gravity`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import compress
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vidpose.camera import pixels_to_rays
from vidpose.options import Horizon, check_camera
from vidpose.poses import Pose3D
from vidpose.postprocess.foot_contact import ANKLE_HEIGHT_M, FEET, FootContacts, foot_contacts
from vidpose.postprocess.gravity import CAMERA_UP, estimate_up, unit_vectors
from vidpose.postprocess.rays import focal_px_of
from vidpose.utils.gaps import known_joints

AXES = "x right, y away from the camera, z up; metres; floor at z = 0, origin below the camera"
SURE_SD = np.radians(10.0)
"""Largest expected error of an up direction that counts as certain."""
LOWEST_SHARE, FLOOR_BAND_M = 0.15, 0.3
"""The floor is the lowest band of this height that holds this share of the contact time."""
TOO_SMALL = 1.2
"""Of three or more people, one whose feet are this many times as far below the camera as those of
the median person is smaller than assumed, a child for example, and so placed too far away and too
low. Of two, the upper one may as well stand on an object."""
FLOOR_PERCENTILE = 20.0
"""Percentile of the lower foot's height to take if there are no contacts: the foot is near the
floor in some frames and in the air in others."""


@dataclass(frozen=True, eq=False)
class Ground:
    """The floor, camera frame (x right, y down, z away), metres."""

    up: NDArray[np.float64]
    """(3,) unit vector away from the floor."""
    point: NDArray[np.float64]
    """(3,) a point on the floor."""
    tilt_sd: float = 0.0
    """Expected error of `up`, radians; 0 if it was given."""
    floor_sd: float = np.nan
    """Spread of contact heights on the floor, metres; NaN if there are no contacts."""

    @property
    def world_from_camera(self) -> NDArray[np.float64]:
        """(3, 3) rotation to axes x right, y away from the camera along the floor, z up."""
        # If the camera looks straight down, "away" is towards the top of the image; if straight up,
        # towards the bottom.
        steep = abs(self.up[2]) >= 0.98
        looking = -np.sign(self.up[2]) * CAMERA_UP if steep else np.array([0.0, 0.0, 1.0])
        right = np.cross(looking, self.up)
        right /= np.linalg.norm(right)
        return np.stack([right, np.cross(self.up, right), self.up])

    @property
    def camera_to_world(self) -> NDArray[np.float64]:
        """(4, 4) camera frame -> world frame: x right, y away, z height above the floor; the origin
        is the point on the floor below the camera.
        """
        matrix = np.eye(4)
        matrix[:3, :3] = self.world_from_camera
        matrix[2, 3] = -self.point @ self.up
        return matrix

    @classmethod
    def from_matrix(cls, camera_to_world: NDArray[np.float64]) -> Ground:
        """The inverse of `camera_to_world`."""
        up = camera_to_world[2, :3]
        return cls(up, -camera_to_world[2, 3] * up)

    def to_world(self, points: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
        """(..., 3) camera frame -> world frame, see `camera_to_world`."""
        world: NDArray[np.float64] = points @ self.world_from_camera.T
        world[..., 2] -= self.point @ self.up
        return world

    @property
    def pitch_deg(self) -> float:
        """Camera pitch below the horizontal; negative if it looks up."""
        return float(np.degrees(np.arcsin(np.clip(-self.up[2], -1, 1))))

    @property
    def roll_deg(self) -> float:
        """Camera roll: clockwise lean of upright objects in the image."""
        return float(np.degrees(np.arctan2(self.up[0], -self.up[1])))

    @property
    def camera_height(self) -> float:
        """Height of the camera above the floor, metres."""
        return float(-self.point @ self.up)


def up_of_camera(pitch_deg: float, roll_deg: float = 0.0) -> NDArray[np.float64]:
    """(3,) up in the camera frame; the inverse of `Ground.pitch_deg` and `Ground.roll_deg`.

    Args:
        pitch_deg: camera pitch below the horizontal.
        roll_deg: clockwise lean of upright objects in the image.
    """
    pitch, roll = np.radians([pitch_deg, roll_deg])
    return np.array([np.sin(roll) * np.cos(pitch), -np.cos(roll) * np.cos(pitch), -np.sin(pitch)])


def up_of_horizon(
    horizon_px: Horizon, frame_size: tuple[int, int], focal_px: float
) -> NDArray[np.float64]:
    """(3,) up in the camera frame, from the horizon in the image.

    Args:
        horizon_px: its height, pixels from the top; or two points on it, x1, y1, x2, y2. It may
            lie outside the image.
        frame_size: width and height, pixels.
        focal_px: focal length, pixels.
    """
    line = np.array(horizon_px, np.float64)
    points = (np.array([0.0, line, 1.0, line]) if line.ndim == 0 else line).reshape(2, 2)
    rays = pixels_to_rays(points[points[:, 0].argsort()], frame_size, focal_px)
    # Up is perpendicular to both lines of sight.
    towards = np.column_stack([rays, np.ones(2)])
    return unit_vectors(np.cross(towards[1], towards[0]))


def place_in_world(
    result: Pose3D,
    *,
    camera_pitch: float | None = None,
    camera_roll: float | None = None,
    horizon: Horizon | None = None,
) -> Pose3D:
    """Add a world frame: `camera_to_world`, and `meta["world"]` with its provenance.

    Args:
        result: the people, seen by a static camera.
        camera_pitch: degrees below the horizontal; by default the up direction is estimated from
            the people's motion, see `estimate_ground`.
        camera_roll: clockwise lean of upright objects in the image, degrees; 0 by default.
        horizon: instead of the pitch, the horizon in the image, see `up_of_horizon`.

    Raises:
        UsageError: the pitch, the roll or the horizon is invalid.
    """
    check_camera(camera_pitch, camera_roll, horizon)
    up: NDArray[np.float64] | None = None
    source = "motion"
    if camera_pitch is not None:
        up, source = up_of_camera(camera_pitch, camera_roll or 0.0), "--camera-pitch"
    elif horizon is not None:
        up, source = up_of_horizon(horizon, result.frame_size, focal_px_of(result)), "--horizon"
    ground = estimate_ground(result, up)
    meta = result.meta | {"world": _describe(result, ground, source)}
    return replace(result, camera_to_world=ground.camera_to_world, meta=meta)


def _describe(result: Pose3D, ground: Ground, source: str) -> dict[str, Any]:
    """`meta["world"]`; JSON values only."""
    found = source == "motion"
    heights = ground.to_world(result.joints_camera()[:, :, FEET].astype(np.float64))[..., 2]
    lowest = heights.min(axis=2) - ANKLE_HEIGHT_M
    return {
        "axes": AXES,
        "up": source,
        "tilt_sd_deg": round(float(np.degrees(ground.tilt_sd)), 2) if found else None,
        "sure": bool(ground.tilt_sd <= SURE_SD),
        "camera_pitch_deg": round(ground.pitch_deg, 2),
        "camera_roll_deg": round(ground.roll_deg, 2),
        "camera_height_m": round(ground.camera_height, 3),
        "floor": "lowest feet" if np.isnan(ground.floor_sd) else "feet at rest",
        "floor_sd_m": None if np.isnan(ground.floor_sd) else round(ground.floor_sd, 3),
        "feet_over_floor_m": {
            str(person): round(float(np.nanmedian(feet)), 3)
            for person, feet in zip(result.person_ids.tolist(), lowest, strict=True)
            if np.isfinite(feet).any()
        },
    }


def ground_of(result: Pose3D) -> Ground:
    """The floor of the result's world frame, or if it has none, an estimate."""
    known = result.camera_to_world
    return estimate_ground(result) if known is None else Ground.from_matrix(known)


def estimate_ground(result: Pose3D, up: NDArray[np.float64] | None = None) -> Ground:
    """Estimate the floor from the people of a result; the camera must be static.

    It lies `ANKLE_HEIGHT_M` below the ankles of feet in contact. With contacts on several levels,
    as when a person stands on an object, the lowest level counts.

    Args:
        result: the people.
        up: (3,) unit vector, camera frame; by default from `estimate_up`.
    """
    joints = result.joints_camera()[:, :, (0, *FEET)].astype(np.float64)
    known = known_joints(joints, (2, 3))
    contacts = [
        foot_contacts(joints[person, :, 1:], known[person], result.timestamps)
        for person in range(result.people)
    ]
    tilt_sd = 0.0
    if up is None:
        up, tilt_sd = estimate_up(result, contacts)
    seen = joints[known]
    if len(seen) == 0:  # nobody's position is known: put the floor under the root-relative poses
        seen = result.joints_3d[result.present][:, (0, *FEET)].astype(np.float64)
    if len(seen) == 0:
        return Ground(up, -up, tilt_sd)
    height, floor_sd = _floor_height(contacts, seen[:, 1:], up)
    middle = np.median(seen[:, 0], axis=0)
    point = middle + (height - ANKLE_HEIGHT_M - middle @ up) * up
    return Ground(up, point, tilt_sd, floor_sd)


def _floor_height(
    contacts: Sequence[FootContacts], feet: NDArray[np.float64], up: NDArray[np.float64]
) -> tuple[float, float]:
    """Height of ankles on the floor, along `up`, and the spread of these heights, metres.

    People who are placed too low do not count, see `TOO_SMALL`.

    Args:
        contacts: by person.
        feet: (N, 2, 3) of all people and frames.
        up: (3,).
    """
    people = [(one.places @ up, one.seconds) for one in contacts if len(one.seconds)]
    if not people:
        return float(np.percentile((feet @ up).min(axis=1), FLOOR_PERCENTILE)), np.nan
    below = np.array([-_median(*person) for person in people])  # the camera
    usual = np.sort(below)[len(below) // 2]
    counts = below <= max(usual, TOO_SMALL * usual)  # it is negative if all stand above the camera
    heights, seconds = map(np.concatenate, zip(*compress(people, counts), strict=True))
    low = _lowest_level(heights, seconds)
    height = _median(heights[low], seconds[low])
    return height, float(1.4826 * _median(np.abs(heights[low] - height), seconds[low]))


def _lowest_level(heights: NDArray[np.float64], seconds: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Select the contacts on the lowest level: `LOWEST_SHARE` of all, within `FLOOR_BAND_M`."""
    enough = LOWEST_SHARE * seconds.sum()
    for bottom in np.sort(heights):
        band = (heights >= bottom) & (heights <= bottom + FLOOR_BAND_M)
        if seconds[band].sum() >= enough:
            return np.asarray(band)
    return np.ones(len(heights), bool)  # no level has enough contacts


def _median(values: NDArray[np.float64], weights: NDArray[np.float64]) -> float:
    order = values.argsort()
    reached = weights[order].cumsum()
    return float(values[order[np.searchsorted(reached, reached[-1] / 2)]])
