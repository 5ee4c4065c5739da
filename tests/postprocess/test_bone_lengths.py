from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import vidpose
from tests.clips import make_clip
from tests.fakes import tiny_weights, use_fake_detector
from tests.render.people import walk
from vidpose.postprocess.bone_lengths import (
    bone_lengths,
    equal_bone_lengths,
    with_bone_lengths,
)
from vidpose.postprocess.refinement import refine
from vidpose.postprocess.root_trajectory import root_trajectory
from vidpose.skeleton import H36M17

Floats = NDArray[np.floating]
ROOT = np.array([0.4, 0.2, 4.0])


def lengths_of(joints: Floats) -> Floats:
    """(T, J, 3) -> (T, J), length of the bone from each joint to its parent."""
    lengths = np.zeros(joints.shape[:2])
    for parent, child in H36M17.bones:
        lengths[:, child] = np.linalg.norm(joints[:, child] - joints[:, parent], axis=1)
    return lengths


def somebody() -> tuple[Floats, Floats]:
    """Root-relative joints (T, 17, 3) of a walking person, and rays (T, 17, 2)."""
    joints = walk(frames=60).joints_3d[0].astype(np.float64)
    seen = joints + ROOT
    return joints, seen[..., :2] / seen[..., 2:]


def test_a_length_is_the_median_of_frames_and_sides() -> None:
    joints, _ = somebody()
    knee, foot = H36M17.index("LKnee"), H36M17.index("LFoot")
    usual = bone_lengths(joints)
    assert usual[0] == 0
    np.testing.assert_array_equal(usual, usual[H36M17.mirrored])
    joints[:10, foot] += 3 * (joints[:10, foot] - joints[:10, knee])
    joints[20:30] = np.nan
    np.testing.assert_allclose(bone_lengths(joints), usual, rtol=0.01)
    joints[:, foot] = joints[:, knee] + 0.8 * (joints[:, foot] - joints[:, knee])
    joints[30:50] = np.nan
    joints[50:, foot] = np.nan  # of the right shin there are more frames
    assert bone_lengths(joints)[foot] == pytest.approx(usual[foot], rel=0.01)


def test_bones_keep_their_length_and_right_ones_stay() -> None:
    joints, rays = somebody()
    usual = bone_lengths(joints)
    fixed = with_bone_lengths(joints, rays, usual)
    np.testing.assert_allclose(lengths_of(fixed), np.broadcast_to(usual, (60, 17)), rtol=1e-6)
    np.testing.assert_allclose(with_bone_lengths(fixed, rays, usual), fixed, atol=1e-9)
    assert (fixed[:, 0] == 0).all()


def test_a_bone_of_wrong_length_rotates_and_keeps_its_projection() -> None:
    joints, rays = somebody()
    usual = bone_lengths(joints)
    joints = with_bone_lengths(joints, rays, usual)
    wrong = joints.copy()
    elbow, wrist = H36M17.index("LElbow"), H36M17.index("LWrist")
    sight = np.append(rays[0, wrist], 1) / np.linalg.norm(np.append(rays[0, wrist], 1))
    across = np.cross(sight, [0, 1, 0])
    across /= np.linalg.norm(across)
    half_turned = 0.6 * sight + 0.8 * across
    wrong[0, wrist] = wrong[0, elbow] + 1.2 * usual[wrist] * half_turned
    right = with_bone_lengths(wrong, rays, usual)
    moved = right[0, wrist] - wrong[0, wrist]
    assert abs(moved @ sight) > 3 * abs(moved @ across)
    np.testing.assert_allclose(lengths_of(right)[0], usual, rtol=1e-6)
    np.testing.assert_allclose(right[1:], joints[1:], atol=1e-9)


@pytest.mark.parametrize("degrees", [-20, -5, 0, 5, 20])
@pytest.mark.parametrize("factor", [0.3, 0.7, 1.0, 1.6])
def test_a_bone_never_flips_its_inclination(degrees: float, factor: float) -> None:
    angle, child = np.radians(degrees), H36M17.index("RKnee")
    joints, rays = np.zeros((1, 17, 3)), np.zeros((1, 17, 2))
    for parent, end in H36M17.bones:
        joints[0, end] = joints[0, parent] + [0, np.cos(angle), np.sin(angle)]
    lengths = np.r_[0, np.full(16, factor)]
    joints = with_bone_lengths(joints, rays, lengths)
    bone = joints[0, child] - joints[0, H36M17.index("RHip")]
    assert np.linalg.norm(bone) == pytest.approx(factor)
    assert bone[2] * degrees >= 0


def test_bones_of_no_length_stay() -> None:
    joints = np.zeros((2, 17, 3))
    fixed = with_bone_lengths(joints, np.zeros((2, 17, 2)), bone_lengths(joints))
    assert (fixed == 0).all()


def test_errors_of_depth_get_smaller() -> None:
    joints, rays = somebody()
    joints = with_bone_lengths(joints, rays, bone_lengths(joints))
    rng = np.random.default_rng(0)
    sight = np.concatenate([rays, np.ones((60, 17, 1))], axis=2)
    lifted = joints + rng.normal(0, 0.05, (60, 17, 1)) * sight
    lifted[:, 0] = 0
    rays[5:9, 3:6] = np.nan
    fixed = with_bone_lengths(lifted, rays, bone_lengths(joints))
    before, after = (np.linalg.norm(p - joints, axis=2).mean() for p in (lifted, fixed))
    assert np.isfinite(fixed).all()
    assert after < 0.95 * before


def test_bone_lengths_are_per_person() -> None:
    two = walk(frames=40, starts=((-1.0, 4.0), (1.0, 5.0)), speeds=((0.5, 0.0), (-0.4, 0.0)))
    joints, present = two.joints_3d.copy(), two.present.copy()
    root = two.root_3d.copy()
    joints[1] *= 0.8
    present[1, 10:15] = False
    joints[1, 10:15] = root[1, 10:15] = np.nan
    rng = np.random.default_rng(0)
    joints[:, :, 1:] += rng.normal(0, 0.02, joints[:, :, 1:].shape)
    observed, scores = two.observed & present, np.where(present[..., None], two.scores_2d, 0)
    result = replace(
        two,
        joints_3d=joints,
        root_3d=root,
        present=present,
        observed=observed,
        scores_2d=scores,
    )
    focal_px = float(max(two.frame_size))
    before = joints.copy(), root.copy()
    fixed = root_trajectory(equal_bone_lengths(result, focal_px), focal_px)
    for person in range(2):
        seen = lengths_of(fixed.joints_3d[person][present[person]])
        np.testing.assert_allclose(seen, np.broadcast_to(seen[:1], seen.shape), rtol=1e-4)
    ratio = bone_lengths(fixed.joints_3d[1])[1:] / bone_lengths(fixed.joints_3d[0])[1:]
    assert np.median(ratio) == pytest.approx(0.8, abs=0.03)
    assert np.isnan(fixed.joints_3d[1, 10:15]).all()
    assert np.isnan(fixed.root_3d[1, 10:15]).all()
    assert np.isfinite(fixed.root_3d[present]).all()
    assert not np.array_equal(fixed.root_3d[0], root[0])
    for array, was in zip((result.joints_3d, result.root_3d), before, strict=True):
        np.testing.assert_array_equal(array, was)


def test_somebody_who_is_never_there_is_no_reason_to_warn() -> None:
    result = walk(frames=5)
    nobody = replace(
        result,
        present=np.zeros_like(result.present),
        observed=np.zeros_like(result.observed),
        joints_3d=np.full_like(result.joints_3d, np.nan),
    )
    fixed = root_trajectory(equal_bone_lengths(nobody, 1000.0), 1000.0)
    assert np.isnan(fixed.joints_3d).all()


@pytest.mark.parametrize("frames", [1, 7, 30])
def test_long_tracks_are_processed_in_chunks(frames: int, monkeypatch: pytest.MonkeyPatch) -> None:
    result = walk(frames=30)
    rng = np.random.default_rng(0)
    noise = rng.normal(0, 0.02, result.joints_3d.shape).astype(np.float32)
    noise[:, :, 0] = 0
    result = replace(result, joints_3d=result.joints_3d + noise)
    at_once = root_trajectory(equal_bone_lengths(result, 900.0), 900.0)
    monkeypatch.setattr("vidpose.postprocess.rays.FRAMES_AT_ONCE", frames)
    in_parts = root_trajectory(equal_bone_lengths(result, 900.0), 900.0)
    np.testing.assert_array_equal(in_parts.joints_3d, at_once.joints_3d)
    np.testing.assert_array_equal(in_parts.root_3d, at_once.root_3d)


def test_infer_and_lift_keep_bone_lengths_by_default(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_fake_detector(monkeypatch)
    weights: Any = tiny_weights(tmp_path / "tiny.safetensors")
    video = make_clip(tmp_path / "in.mp4", frames=25)
    kept = vidpose.infer(video, weights=weights)
    free = vidpose.infer(video, weights=weights, rigid=False)
    assert (kept.meta["options"]["rigid"], free.meta["options"]["rigid"]) == (True, False)
    assert np.ptp(lengths_of(kept.joints_3d[0]), axis=0).max() < 1e-5
    assert np.ptp(lengths_of(free.joints_3d[0]), axis=0).max() > 1e-4
    assert kept.meta["trust"]["people"] == free.meta["trust"]["people"]

    focal_px = free.meta["camera"]["focal_px"]
    fixed = root_trajectory(refine(free, focal_px), focal_px)
    np.testing.assert_array_equal(fixed.joints_3d, kept.joints_3d)
    np.testing.assert_array_equal(fixed.root_3d, kept.root_3d)
    vidpose.infer(video, tmp_path, weights=weights)
    again = vidpose.infer(video, tmp_path, weights=weights, rigid=False, relift=True)
    assert np.ptp(lengths_of(again.joints_3d[0]), axis=0).max() > 1e-4
    for rigid in (True, False):
        lifted = vidpose.lift_file(tmp_path / "in.npz", weights=weights, rigid=rigid)
        assert lifted.meta["options"]["rigid"] is rigid
        assert (np.ptp(lengths_of(lifted.joints_3d[0]), axis=0).max() < 1e-5) == rigid
    pixels = kept.keypoints_2d[0].astype(np.float64)
    size = (int(kept.frame_size[0]), int(kept.frame_size[1]))
    for rigid in (True, False):
        joints = vidpose.lift(pixels, size, kept.fps, weights=weights, rigid=rigid)
        assert (np.ptp(lengths_of(joints), axis=0).max() < 1e-5) == rigid
