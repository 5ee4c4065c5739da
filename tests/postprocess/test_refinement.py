"""Lifted joints move towards their lines of sight, weighted by the reliability of the 2D joints."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.postprocess.test_bone_lengths import ROOT, Floats, lengths_of, somebody
from tests.render.people import walk
from vidpose.postprocess.refinement import TRUNK, refine, refine_track, towards_rays
from vidpose.skeleton import H36M17

FPS = 30.0
WRIST, FOOT = H36M17.index("LWrist"), H36M17.index("RFoot")


def times(joints: Floats) -> NDArray[np.float64]:
    return np.asarray(np.arange(len(joints)) / FPS)


def lateral(joints: Floats, true: Floats) -> Floats:
    """(T, J) metres, across the line of sight, that is, nearly parallel to the image plane."""
    return np.linalg.norm((joints - true)[..., :2], axis=-1)


def lifted(sd: float = 0.03) -> Floats:
    """(17, 3) metres, constant errors; none at the root."""
    off = np.random.default_rng(1).normal(0, sd, (17, 3))
    off[0] = 0
    return off


def test_joints_go_towards_lines_of_sight_and_keep_their_depth() -> None:
    true, rays = somebody()
    wrong = true + lifted()
    nearer = towards_rays(wrong, rays, times(true))
    # The person's place, which is sought from the wrong joints, leaves a part of the error.
    left = lateral(nearer, true).mean(axis=0) / lateral(wrong, true).mean(axis=0).clip(1e-9)
    assert np.median(np.delete(left, TRUNK)) < 0.35
    assert 0.5 < left[TRUNK[1:]].mean() < 1
    np.testing.assert_allclose(nearer[..., 2], wrong[..., 2], atol=0.015)
    assert not nearer[:, 0].any()


def test_detections_with_jitter_have_little_weight() -> None:
    true, rays = somebody()
    wrong = true + lifted()
    moved = []
    for sd_m in (0.0, 0.006, 0.03):
        shaking = np.random.default_rng(0).normal(0, sd_m / ROOT[2], rays.shape)
        nearer = towards_rays(wrong, rays + shaking, times(true))
        moved.append(np.linalg.norm(nearer - wrong, axis=-1).mean())
    assert 0.4 < moved[1] / moved[0] < 0.8
    assert moved[2] / moved[0] < 0.15


def test_poses_do_not_follow_detection_jitter() -> None:
    true, rays = somebody()
    shaking = rays + np.random.default_rng(0).normal(0, 0.006 / ROOT[2], rays.shape)
    nearer = towards_rays(true, shaking, times(true))
    assert np.abs(np.diff(nearer - true, 2, axis=0)).mean() < 0.001


def test_an_outlier_has_little_weight() -> None:
    true, rays = somebody()
    wrong = rays.copy()
    wrong[20:40, WRIST] += 0.5 / ROOT[2]
    nearer = towards_rays(true, wrong, times(true))
    assert lateral(nearer, true)[20:40, WRIST].max() < 0.05
    assert np.delete(lateral(nearer, true), WRIST, axis=1).max() < 0.03


def test_unseen_joints_stay() -> None:
    true, rays = somebody()
    wrong = true + lifted()
    hidden = rays.copy()
    hidden[:, FOOT] = np.nan
    nearer = towards_rays(wrong, hidden, times(true))
    of_root = (nearer - wrong)[:, FOOT]
    # It moves with the root alone, to which all joints are relative.
    other = rays.copy()
    other[:, [FOOT, WRIST]] = np.nan
    np.testing.assert_allclose(
        of_root, (towards_rays(wrong, other, times(true)) - wrong)[:, WRIST], atol=0.01
    )
    everything = np.full_like(rays, np.nan)
    np.testing.assert_array_equal(towards_rays(wrong, everything, times(true)), wrong)


@pytest.mark.parametrize("frames", [1, 2, 14])
def test_a_short_track_has_half_weight(frames: int) -> None:
    true, rays = somebody()
    wrong = (true + lifted())[:frames]
    short = towards_rays(wrong, rays[:frames], times(wrong))
    assert 0.3 < lateral(short, true[:frames]).mean() / lateral(wrong, true[:frames]).mean() < 0.9


def test_types_stay_and_bones_keep_their_length() -> None:
    true, rays = somebody()
    wrong = (true + np.random.default_rng(0).normal(0, 0.02, true.shape)).astype(np.float32)
    wrong[:, 0] = 0
    before = wrong.copy()
    fixed = refine_track(wrong, rays, times(true))
    assert fixed.dtype == np.float32
    np.testing.assert_array_equal(wrong, before)
    assert np.ptp(lengths_of(fixed), axis=0).max() < 1e-5


def test_interpolated_frames_have_no_weight() -> None:
    result = walk(frames=60)
    focal_px = float(max(result.frame_size))
    keypoints, observed = result.keypoints_2d.copy(), result.observed.copy()
    observed[0, 20:40] = False
    unseen = replace(result, observed=observed)
    keypoints[0, 20:40] += 40
    made_up = replace(unseen, keypoints_2d=keypoints)
    moved = refine(unseen, focal_px).joints_3d - refine(made_up, focal_px).joints_3d
    believed = (
        refine(unseen, focal_px).joints_3d
        - refine(replace(made_up, observed=result.observed), focal_px).joints_3d
    )
    # Lengths turn bones about the same lines of sight, interpolated or not.
    assert np.abs(moved[0]).max() < 0.2 * np.abs(believed[0]).max()
