"""Calibrated cameras, as the recorded datasets publish them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

import numpy as np
from numpy.typing import NDArray

MILLIMETRE = 0.001
TOLERANCE_PX = 5.0
"""Largest median error of a fitted focal length to attribute to distortion and noise."""


@dataclass(frozen=True, kw_only=True)
class Camera:
    """A still, calibrated camera; world frame in metres.

    Camera frame: x right in the image, y down, z away from the camera.
    """

    id: str
    frame_size: tuple[int, int]
    """Width and height of the image, pixels."""
    focal_px: tuple[float, float]
    """Focal length along x and y."""
    centre_px: tuple[float, float]
    """Principal point."""
    radial: tuple[float, float, float] = (0.0, 0.0, 0.0)
    tangential: tuple[float, float] = (0.0, 0.0)
    orientation: tuple[float, float, float, float] = (1.0, 0.0, 0.0, 0.0)
    """Quaternion w, x, y, z of the rotation from the camera frame to the world frame."""
    translation: tuple[float, float, float] = (0.0, 0.0, 0.0)
    """Position of the camera in the world, metres."""

    def world_to_camera(self, points: NDArray[np.floating]) -> NDArray[np.float64]:
        """(..., 3) metres, world -> (..., 3) metres, camera frame."""
        return (np.asarray(points, np.float64) - self.translation) @ rotation(self.orientation)

    def camera_to_world(self, points: NDArray[np.floating]) -> NDArray[np.float64]:
        """(..., 3) metres, camera frame -> (..., 3) metres, world."""
        return np.asarray(points, np.float64) @ rotation(self.orientation).T + self.translation

    def project(self, points: NDArray[np.floating]) -> NDArray[np.float64]:
        """Project points to pixels.

        The distortion is that of Human3.6M's own tools: Brown's model, with half its tangential
        cross terms. Nothing is clamped, so points far outside the image are meaningless.

        Args:
            points: (..., 3), camera frame, any unit; z above 0.

        Returns:
            (..., 2), pixels, origin top left.
        """
        points = np.asarray(points, np.float64)
        rays = points[..., :2] / points[..., 2:]
        square = np.square(rays).sum(axis=-1, keepdims=True)
        k1, k2, k3 = self.radial
        tangential = np.asarray(self.tangential)
        bent = 1 + square * (k1 + square * (k2 + square * k3)) + (rays @ tangential)[..., None]
        return self.focal_px * (rays * bent + tangential * square) + self.centre_px


def rotation(orientation: tuple[float, float, float, float]) -> NDArray[np.float64]:
    """Convert a quaternion w, x, y, z of any length above 0 to a (3, 3) rotation matrix."""
    w, x, y, z = np.asarray(orientation, np.float64) / np.linalg.norm(orientation)
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
            [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
            [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
        ]
    )


@cache
def h36m_cameras() -> dict[str, tuple[Camera, ...]]:
    """Return Human3.6M's four cameras for every subject with public poses.

    Returns:
        By subject ("S1"), in the order of the views in the field's files: 54138969, 55011271,
        58860488, 60457274.
    """
    facts = read_facts("h36m_cameras.json")
    return {
        subject: tuple(
            Camera(
                id=lens["id"],
                frame_size=(lens["res_w"], lens["res_h"]),
                focal_px=tuple(lens["focal_length"]),
                centre_px=tuple(lens["center"]),
                radial=tuple(lens["radial_distortion"]),
                tangential=tuple(lens["tangential_distortion"]),
                **placed(place),
            )
            for lens, place in zip(facts["intrinsics"], places, strict=True)
        )
        for subject, places in facts["extrinsics"].items()
    }


def read_facts(name: str) -> Any:
    """Read a JSON file from this folder."""
    return json.loads(files("vidpose.datasets").joinpath(name).read_text(encoding="utf-8"))


def placed(place: dict[str, list[float]]) -> dict[str, Any]:
    """Make `Camera`'s fields from an orientation and a translation in millimetres."""
    return {
        "orientation": tuple(place["orientation"]),
        "translation": tuple(MILLIMETRE * mm for mm in place["translation"]),
    }


def fit_focal(joints_3d: NDArray[np.floating], keypoints_2d: NDArray[np.floating]) -> float | None:
    """Estimate the focal length from 3D points and their projections, ignoring distortion.

    Args:
        joints_3d: (N, J, 3), camera frame, any unit.
        keypoints_2d: (N, J, 2), pixels.

    Returns:
        Pixels, the mean of both axes; None if no focal length explains the projections.
    """
    points = joints_3d.reshape(-1, 3).astype(np.float64)
    pixels = keypoints_2d.reshape(-1, 2).astype(np.float64)
    before = points[:, 2] > 0
    if before.sum() < 2:
        return None
    rays = points[before, :2] / points[before, 2:]
    pixels = pixels[before]
    spread = rays - rays.mean(axis=0)
    if (np.square(spread).sum(axis=0) <= 0).any():
        return None
    # Per axis, pixels are a linear function of rays: the focal length is its slope.
    focal = (spread * pixels).sum(axis=0) / np.square(spread).sum(axis=0)
    error = np.linalg.norm(spread * focal - (pixels - pixels.mean(axis=0)), axis=1)
    if np.median(error) > TOLERANCE_PX or (focal <= 0).any():
        return None
    return float(focal.mean())
