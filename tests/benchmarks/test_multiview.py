"""Calibrated cameras, triangulation, and errors against triangulated joints."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from vidpose.skeleton import H36M17


def ring(module: Any) -> Any:
    """Four cameras around the origin that face it; x right, y down."""
    multiview = module("multiview")
    cameras = []
    for turn in (0.3, 1.7, 3.2, 4.9):
        position = np.array([4 * np.cos(turn), 4 * np.sin(turn), 1.0])
        forward = -position / np.linalg.norm(position)
        right = np.cross(forward, [0, 0, 1.0])
        right /= np.linalg.norm(right)
        rotation = np.stack([right, np.cross(forward, right), forward])
        matrix = np.array([[1000.0, 0, 500], [0, 1000, 400], [0, 0, 1]])
        cameras.append(
            multiview.Calibrated(
                matrix=matrix, lens=np.zeros(4), rotation=rotation, position=position
            )
        )
    return cameras


def seen_by(cameras: Any, points: Any) -> Any:
    places = [camera.camera(points) for camera in cameras]
    return np.stack([place[..., :2] / place[..., 2:] for place in places])


def test_triangulation_ignores_an_outlier_camera(module: Any) -> None:
    multiview, cameras = module("multiview"), ring(module)
    points = np.random.default_rng(0).normal(size=(5, 17, 3)) * 0.5
    rays = seen_by(cameras, points)
    rays[2, 1, 3] += 0.2
    rays[0, 2, 4] = np.nan
    rays[:2, 4, 5] = np.nan
    found, agree = multiview.triangulate(cameras, rays)
    assert not agree[2, 1, 3]
    assert np.isnan(found[4, 5]).all()  # two cameras are not enough
    found[4, 5] = points[4, 5]
    np.testing.assert_allclose(found, points, atol=1e-6)


def test_a_constant_shift_of_a_camera_is_subtracted(module: Any) -> None:
    multiview, cameras = module("multiview"), ring(module)
    points = np.random.default_rng(0).normal(size=(40, 17, 3)) * 0.5
    rays = seen_by(cameras, points)
    rays[1] += [0.01, -0.005]
    rays += 0.0005 * np.random.default_rng(1).normal(size=rays.shape)
    plain, _ = multiview.triangulate(cameras, rays)
    found = multiview.triangulate_person(cameras, rays)
    off = np.linalg.norm(found.off, axis=-1).mean()
    seen = seen_by(cameras, plain)
    assert off < 0.4 * np.linalg.norm(rays - seen, axis=-1).mean()


def test_a_qualisys_calibration_is_read(module: Any, tmp_path: Path) -> None:
    turn = " ".join(
        f'r{i}{j}="{value}"'
        for i, row in enumerate(((1, 0, 0), (0, 0, 1), (0, -1, 0)), 1)
        for j, value in enumerate(row, 1)
    )
    path = tmp_path / "calibration.qca.txt"
    path.write_text(
        f'<calibration><cameras><camera><transform {turn} x="0" y="-3000" z="1000"/>'
        '<intrinsic focalLengthU="64000" focalLengthV="64000" centerPointU="32000" '
        'centerPointV="25600" radialDistortion1="0" radialDistortion2="0" '
        'tangentalDistortion1="0" tangentalDistortion2="0"/></camera></cameras></calibration>'
    )
    (camera,) = module("multiview").read_qualisys(path)
    assert camera.focal_px == 1000
    np.testing.assert_allclose(camera.camera(np.array([0.5, 0, 1.2])), [0.5, -0.2, 3.0])
    np.testing.assert_allclose(camera.rays(np.array([[600.0, 300.0]])), [[0.1, -0.1]], atol=1e-9)


def test_swapped_limbs_and_outliers_are_counted(module: Any) -> None:
    detector_errors, real_cameras = module("detector_errors"), module("real_cameras")
    multiview, cameras = module("multiview"), ring(module)
    points = np.random.default_rng(0).normal(size=(50, 17, 3)) * 0.5
    rays = seen_by(cameras, points)
    assert len(real_cameras.LIMBS) == len(set(real_cameras.LIMBS.tolist())) == 12
    joints = points[:, :, None] @ np.eye(3)
    errors = real_cameras.errors(cameras[0].camera(joints[:, :, 0]), points, cameras[0])
    assert errors["MPJPE"].mean() == pytest.approx(0, abs=1e-6)
    true = multiview.triangulate_person(cameras, rays)

    def crossed(pixels: Any) -> float:
        poses = type("Poses", (), {})()
        poses.people, poses.observed = 1, np.ones((1, 50), bool)
        poses.keypoints_2d = pixels[None].astype(np.float32)
        seen = multiview.Detected(raw=[], poses=poses)
        return float(detector_errors._crossed(seen, cameras[0], true, 0))

    pixels = rays[0] * 1000 + [500, 400]
    assert crossed(pixels) == 0
    assert crossed(pixels[:, H36M17.mirrored]) > 0.5
