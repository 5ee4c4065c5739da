"""Alignments, matching of people, and errors."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from tests.results import make_result
from vidpose.errors import UsageError
from vidpose.evaluation.alignment import ALIGNMENTS, distances
from vidpose.evaluation.distances import measure, summary, write_csv, write_json
from vidpose.evaluation.options import ALIGNMENTS as NAMES
from vidpose.evaluation.reference import Reference, of_result
from vidpose.metrics import mpjpe_per_joint, n_mpjpe_per_joint, p_mpjpe_per_joint
from vidpose.skeleton import H36M17

RNG = np.random.default_rng(3)
TRUE = RNG.normal(size=(20, 17, 3)) + RNG.normal(size=(20, 1, 3))
TURN = Rotation.from_euler("xyz", [20, 130, -40], degrees=True).as_matrix()


def test_option_names_match_the_alignments() -> None:
    assert tuple(ALIGNMENTS) == NAMES


def test_what_each_alignment_removes() -> None:
    moved = TRUE + RNG.normal(size=(20, 1, 3))
    grown = TRUE[:, :1] + 1.3 * (TRUE - TRUE[:, :1])
    turned = TRUE @ TURN.T * 0.8 + np.array([1.0, 2.0, 3.0])
    turned_each = np.stack([pose @ TURN.T * (1 + t / 9) + t for t, pose in enumerate(TRUE)])
    zero = {
        "none": (True, False, False, False, False),
        "root": (True, True, False, False, False),
        "scale": (True, True, True, False, False),
        "procrustes": (True, True, True, True, True),
        "procrustes-sequence": (True, False, False, True, False),
    }
    for how, expected in zero.items():
        for other, is_zero in zip((TRUE, moved, grown, turned, turned_each), expected, strict=True):
            assert (distances(other, TRUE, how).max() < 1e-9) == is_zero, how


def test_distances_agree_with_the_metrics() -> None:
    other = TRUE + RNG.normal(0, 0.1, TRUE.shape)
    rooted = [joints - joints[:, :1] for joints in (other, TRUE)]
    np.testing.assert_allclose(distances(other, TRUE, "root"), mpjpe_per_joint(*rooted))
    np.testing.assert_allclose(distances(other, TRUE, "scale"), n_mpjpe_per_joint(*rooted))
    np.testing.assert_allclose(distances(other, TRUE, "procrustes"), p_mpjpe_per_joint(other, TRUE))


@pytest.mark.parametrize("how", ALIGNMENTS)
def test_missing_joints_are_ignored(how: str) -> None:
    """Missing joints are NaN and do not affect the other joints."""
    other = TRUE + RNG.normal(0, 0.1, TRUE.shape)
    other[:, [3, 8]] = np.nan
    other[5] = np.nan
    target = TRUE.copy()
    target[7:, 16] = np.nan
    found = distances(other, target, how)
    assert np.isnan(found[:, [3, 8]]).all()
    assert np.isnan(found[5]).all()
    assert np.isnan(found[7:, 16]).all()
    kept = [j for j in range(17) if j not in (3, 8, 16)]
    assert np.isfinite(found[np.arange(20) != 5][:, kept]).all()
    if how == "procrustes":
        alone = p_mpjpe_per_joint(other[7:][:, kept], target[7:][:, kept])
        np.testing.assert_allclose(found[7:][:, kept], alone)


def test_too_few_points_for_a_rotation_are_not_measured() -> None:
    other = np.full_like(TRUE, np.nan)
    other[:, :2] = TRUE[:, :2]
    assert np.isnan(distances(other, TRUE, "procrustes")).all()


def test_root_needs_hips() -> None:
    target = TRUE.copy()
    target[:, 0] = np.nan
    with pytest.raises(UsageError, match="--align root needs the hips"):
        distances(TRUE, target, "root")


def test_somebody_who_is_only_in_another_part_of_the_reference() -> None:
    """The result is of the first half of the reference's video, and two people come later."""
    whole = make_result(people=3, frames=20)
    for array in (whole.joints_3d, whole.root_3d):
        array[1:, :10] = np.nan
    whole.present[1:, :10] = whole.observed[1:, :10] = False
    part = whole.part([0], slice(0, 10))
    for how in ALIGNMENTS:
        (found,) = measure(part, of_result(whole, "whole"), how, label="me")
        assert (found.person, found.reference_person, found.frames) == (1, "1", 10), how


def test_people_are_matched_by_smallest_error() -> None:
    result = make_result(people=3, frames=30)
    swapped = of_result(result, "other")
    swapped = Reference(
        name="other",
        joints=swapped.joints[[2, 0]],
        seconds=swapped.seconds,
        people=("a", "b"),
        in_camera=True,
    )
    for how in ALIGNMENTS:
        found = measure(result, swapped, how, label="me")
        assert [(e.person, e.reference_person) for e in found] == [(1, "b"), (3, "a")], how
        assert all(e.mean_mm < 1e-3 for e in found)
        assert found[0].label == "me, person 1"
    (one,) = measure(result, swapped, "none", label="me", person=3)
    assert one.reference_person == "a"
    with pytest.raises(UsageError, match=r"there is no person 9; there are 1, 2, 3"):
        measure(result, swapped, "none", label="me", person=9)


def test_a_person_present_in_one_frame_is_not_the_best_match() -> None:
    """A single frame fits perfectly after sequence alignment, but the other person is right."""
    result = make_result(people=2, frames=30)
    joints = result.joints_camera().astype(np.float64)[1]
    joints += np.random.default_rng(2).normal(0, 0.02, joints.shape)
    present = np.ones((2, 30), bool)
    present[0, 1:] = False
    shown = result.joints_3d.copy()
    shown[~present] = np.nan
    passer_by = make_result(people=2, frames=30, joints_3d=shown, present=present, observed=present)
    reference = Reference(
        name="r", joints=joints[None], seconds=result.timestamps, people=("",), in_camera=False
    )
    (found,) = measure(passer_by, reference, "procrustes-sequence", label="me")
    assert found.person == 2


def test_no_overlap_in_time() -> None:
    result = make_result(frames=10)
    late = of_result(make_result(frames=10, timestamps=20 + np.arange(10) / 29.97), "late")
    with pytest.raises(UsageError, match=r"covers 0\.00 to 0\.30 s and late 20\.00 .*--offset"):
        measure(result, late, "root", label="me")
    assert measure(result, late, "root", label="me", offset_s=-20.0)[0].mean_mm < 1e-3
    slow = of_result(make_result(frames=2, timestamps=np.array([-0.05, 0.35])), "slow")
    with pytest.raises(UsageError, match="too few samples per second"):
        measure(result, slow, "root", label="me")


def test_different_axes_need_an_alignment_with_rotation() -> None:
    lab = Reference(
        name="lab.trc",
        joints=TRUE[None],
        seconds=np.arange(20) / 30,
        people=("",),
        in_camera=False,
    )
    with pytest.raises(UsageError, match=r"lab\.trc has its own; use procrustes or"):
        measure(make_result(), lab, "scale", label="me")


def test_errors_in_csv_and_json(tmp_path: Path) -> None:
    result = make_result(people=1, frames=10)
    other = of_result(result, "other")
    other.joints[:, :, 3] += [0.03, 0, 0.04]
    other.joints[:, :, 10] = np.nan
    errors = measure(result, other, "none", label="me")
    (one,) = errors
    assert one.label == "me"
    assert one.by_joint()[3] == pytest.approx(50, abs=1e-3)
    np.testing.assert_allclose(one.over_time(), 50 / 16, atol=1e-3)
    np.testing.assert_allclose(one.cumulative(np.array([10.0, 60.0])), [100 * 15 / 16, 100])
    numbers = json.loads(
        write_json(tmp_path / "e.json", summary(errors, other, "none")).read_text()
    )
    assert numbers["missing_joints"] == ["Head"]
    assert numbers["people"][0]["mean_mm"] == pytest.approx(50 / 16, abs=1e-3)
    assert set(numbers["people"][0]["joints"]) == set(H36M17.joint_names) - {"Head"}
    with open(write_csv(tmp_path / "e.csv", errors), newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert len(rows) == 10 * 16
    foot = [float(row["error_mm"]) for row in rows if row["joint"] == "RFoot"]
    np.testing.assert_allclose(foot, 50, atol=1e-3)


def test_a_reference_person_in_few_frames_is_not_preferred() -> None:
    """The result has one of two people: the one present throughout, with some noise."""
    result = make_result(people=1, frames=60)
    own = result.joints_camera()[0].astype(np.float64)
    noisy = own + np.random.default_rng(0).normal(0, 0.03, own.shape)
    stranger = np.full_like(own, np.nan)
    stranger[:5] = (
        own[:5] + np.array([3, 0, 0]) + np.random.default_rng(1).normal(0, 0.5, own[:5].shape)
    )
    both = Reference(
        name="two",
        joints=np.stack([stranger, noisy]),
        seconds=result.timestamps,
        people=("stranger", "same"),
        in_camera=True,
    )
    for how in ("none", "root", "procrustes-sequence"):
        (one,) = measure(result, both, how, label="me")
        assert one.reference_person == "same", how


def test_people_of_one_video_are_matched_by_2d_joints() -> None:
    """In the other result, with another focal length, the two people have swapped 3D positions."""
    result = make_result(people=2, frames=30)
    where = result.root_3d[::-1] * np.float32(1.01)
    other = make_result(people=2, frames=30, root_3d=where, joints_3d=result.joints_3d[::-1])
    other.keypoints_2d[:] = result.keypoints_2d + 1
    for how in ALIGNMENTS:
        found = measure(result, of_result(other, "other"), how, label="me", same_video=other)
        assert [(e.person, e.reference_person) for e in found] == [(1, "1"), (2, "2")], how
    apart = measure(result, of_result(other, "other"), "root", label="me")
    assert [(e.person, e.reference_person) for e in apart] == [(1, "2"), (2, "1")]


@pytest.mark.parametrize("lacks", ["result", "reference", "both"])
def test_root_relative_errors_need_no_positions(lacks: str) -> None:
    complete = make_result(people=2, frames=10)
    no_roots = make_result(people=2, frames=10, root_3d=np.full_like(complete.root_3d, np.nan))
    result = complete if lacks == "reference" else no_roots
    reference = of_result(complete if lacks == "result" else no_roots, "other")
    assert not reference.missing
    for how in ("root", "scale", "procrustes"):
        found = measure(result, reference, how, label="me")
        assert [(e.person, e.reference_person) for e in found] == [(1, "1"), (2, "2")]
        assert all(e.frames == 10 and e.mean_mm < 1e-3 for e in found)
    for how in ("none", "procrustes-sequence"):
        with pytest.raises(UsageError, match=r"has no positions of people .*; use --align root"):
            measure(result, reference, how, label="me")
