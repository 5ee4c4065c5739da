import numpy as np
import pytest
from numpy.typing import NDArray

from vidpose.camera import assumed_focal_px, pixels_to_rays, rays_to_pixels
from vidpose.postprocess.root_trajectory import root_positions

FRAMES = 120


def scene(seed: int = 0) -> tuple[NDArray[np.float64], ...]:
    """A person who walks back and forth in front of the camera: joints, root, rays, times."""
    rng = np.random.default_rng(seed)
    time = np.arange(FRAMES) / 30
    pose = rng.normal(size=(1, 17, 3)) * 0.35
    joints = np.repeat(pose - pose[:, :1], FRAMES, 0)
    root = np.stack([np.sin(time), 0.2 * np.cos(time), 5 + np.sin(0.7 * time)], 1)
    points = joints + root[:, None]
    return joints, root, points[..., :2] / points[..., 2:], time


def test_exact_2d_gives_the_position() -> None:
    joints, root, rays, time = scene()
    found = root_positions(joints, rays, np.ones((FRAMES, 17)), time)
    np.testing.assert_allclose(found, root, atol=0.03)


def test_outliers_noise_and_gaps_have_little_effect() -> None:
    joints, root, rays, time = scene()
    rng = np.random.default_rng(1)
    rays = rays + 0.005 * rng.normal(size=rays.shape)
    rays[rng.random(rays.shape[:2]) < 0.03] += 0.3
    rays[40:46] = np.nan
    rays[:, 5] = np.nan
    found = root_positions(joints, rays, np.ones((FRAMES, 17)), time)
    assert np.abs(found - root)[:, :2].max() < 0.06
    assert np.abs(found - root)[:, 2].max() < 0.35
    assert np.abs(np.diff(found, 2, axis=0)).max() < 0.02  # smooth: no frame jumps


def test_confidence_is_a_weight() -> None:
    joints, root, rays, time = scene()
    rays[:, 8:] += 0.1  # half of the joints are off, and the detector says so
    scores = np.ones((FRAMES, 17))
    scores[:, 8:] = 0.05
    trusting = root_positions(joints, rays, np.ones((FRAMES, 17)), time)
    knowing = root_positions(joints, rays, scores, time)
    assert np.abs(knowing - root).mean() < 0.5 * np.abs(trusting - root).mean()


@pytest.mark.parametrize("frames", [1, 2, 3])
def test_short_tracks(frames: int) -> None:
    joints, root, rays, time = (part[:frames] for part in scene())
    found = root_positions(joints, rays, np.ones((frames, 17)), time)
    np.testing.assert_allclose(found, root, atol=0.03)


def test_too_few_joints_give_nan() -> None:
    joints, _, rays, time = scene()
    scores = np.ones((FRAMES, 17))
    assert np.isnan(root_positions(joints, np.full_like(rays, np.nan), scores, time)).all()
    assert np.isnan(root_positions(joints, np.zeros_like(rays), scores, time)).all()


def test_nobody_is_placed_behind_the_camera() -> None:
    joints, _, rays, time = scene()
    found = root_positions(joints, rays * 50, np.ones((FRAMES, 17)), time)
    assert (found[:, 2] >= 0.3).all()


def test_pixels_and_rays_are_inverse() -> None:
    pixels = np.random.default_rng(0).uniform(0, 1000, (4, 17, 2))
    rays = pixels_to_rays(pixels, (1920, 1080), 1500.0)
    np.testing.assert_allclose(rays_to_pixels(rays, (1920, 1080), 1500.0), pixels)
    np.testing.assert_allclose(pixels_to_rays(np.array([959.5, 539.5]), (1920, 1080), 900.0), 0)
    assert assumed_focal_px((1080, 1920)) == assumed_focal_px((1920, 1080)) == 1920
