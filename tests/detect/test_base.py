from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.detect.people import detections, stick
from vidpose.detect import Detections
from vidpose.detect.base import is_distinct, is_plausible, pose_sizes
from vidpose.skeleton import BLAZEPOSE33, H36M17

POINTS = np.zeros((2, 17, 2), np.float32)
SCORES = np.ones((2, 17), np.float32)
A_HOLE = POINTS.copy()
A_HOLE[0, 3] = np.nan


@pytest.mark.parametrize(
    ("keypoints", "scores", "message"),
    [
        (POINTS[:, :16], SCORES, "keypoints: expected"),
        (POINTS, SCORES[:1], "scores: expected"),
        (POINTS.astype(np.float64), SCORES, "keypoints: expected float32"),
        (POINTS, SCORES * 2, "scores: not between 0 and 1"),
        (POINTS, SCORES * np.nan, "scores: not between 0 and 1"),
        (A_HOLE, SCORES, "scores: not 0 where"),
    ],
)
def test_contradictions_are_refused(
    keypoints: NDArray[np.float32], scores: NDArray[np.float32], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        Detections(keypoints, scores, H36M17)


@pytest.mark.parametrize("disputed", [SCORES, np.ones((2, 16), bool)])
def test_a_mask_that_does_not_fit_is_refused(disputed: NDArray[Any]) -> None:
    with pytest.raises(ValueError, match="disputed: expected"):
        Detections(POINTS, SCORES, H36M17, disputed)


@pytest.mark.parametrize("shift", [SCORES, POINTS.astype(np.float64), POINTS + np.inf])
def test_a_shift_that_does_not_fit_is_refused(shift: NDArray[Any]) -> None:
    with pytest.raises(ValueError, match="shift: "):
        Detections(POINTS, SCORES, H36M17, shift=shift)


def test_a_shift_is_converted_to_another_skeleton() -> None:
    """A joint between two others moves half as far as one of them; NaN stays NaN."""
    keypoints = np.random.default_rng(0).uniform(0, 99, (2, 33, 2)).astype(np.float32)
    scores = np.full((2, 33), 0.9, np.float32)
    shift = np.zeros_like(keypoints)
    shift[0, BLAZEPOSE33.index("left_hip")] = 4, 2
    shift[1] = np.nan
    found = Detections(keypoints, scores, BLAZEPOSE33, shift=shift).converted(H36M17)
    np.testing.assert_allclose(found.shift[0, H36M17.index("LHip")], (4, 2), atol=1e-4)
    np.testing.assert_allclose(found.shift[0, H36M17.index("Hip")], (2, 1), atol=1e-4)
    np.testing.assert_allclose(found.shift[0, H36M17.index("LFoot")], 0, atol=1e-4)
    assert np.isnan(found.shift[1]).all()
    assert np.isnan(found[[1]].shift).all()


def test_disputed_joints_stay_disputed_in_another_skeleton() -> None:
    keypoints = np.random.default_rng(0).uniform(0, 99, (2, 33, 2)).astype(np.float32)
    disputed = np.zeros((2, 33), bool)
    disputed[1, [BLAZEPOSE33.index(f"{side}_{joint}") for side, joint in DISPUTED]] = True
    scores = np.full((2, 33), 0.9, np.float32)
    found = Detections(keypoints, scores, BLAZEPOSE33, disputed).converted(H36M17)
    assert found.disputed[0].tolist() == [False] * 17
    there = [H36M17.joint_names[j] for j in np.flatnonzero(found.disputed[1])]
    assert there == ["LKnee", "LFoot", "RElbow"]
    nobody = Detections(keypoints, scores, BLAZEPOSE33)[[]].converted(H36M17)
    assert nobody.disputed.shape == (0, 17)


DISPUTED = (("left", "knee"), ("left", "ankle"), ("right", "elbow"))


def test_people_can_be_chosen() -> None:
    found = detections([stick(100), stick(200), stick(300)])
    assert found[np.array([2, 0])].keypoints[:, 0, 0].tolist() == [300, 100]
    assert len(found[np.zeros(3, bool)]) == 0
    assert not found.disputed.any()


def test_the_skeleton_counts_and_not_the_number_of_joints() -> None:
    with pytest.raises(ValueError, match="33"):
        Detections(POINTS, SCORES, BLAZEPOSE33)


def test_pose_size_leaves_missing_joints_out() -> None:
    pose = np.array([[[0, 0], [30, 40], [np.nan, 7]], [[np.nan] * 2] * 3])
    assert pose_sizes(pose).tolist() == [50, 0]


@pytest.mark.parametrize(
    ("second", "same"),
    [
        (stick(104), True),  # nearly the same
        (stick(100)[H36M17.mirrored], True),  # turned round
        (stick(100) * (1, 0.5) + (0, 170), True),  # half a body
        (stick(145), False),  # shoulder to shoulder
        (stick(400), False),
        (stick(130, 380, scale=0.4), False),  # a child at their feet
    ],
)
def test_a_person_found_twice_counts_once(second: NDArray[np.float32], same: bool) -> None:
    first = stick(100)
    sure, unsure = detections([first], 0.9), detections([second.astype(np.float32)], 0.6)
    found = Detections(
        np.concatenate([unsure.keypoints, sure.keypoints]),
        np.concatenate([unsure.scores, sure.scores]),
        H36M17,
    )
    assert is_distinct(found).tolist() == [not same, True]


def test_duplicates_among_missing_joints() -> None:
    no_arms, nothing = stick(100), stick(100)
    no_arms[11:] = np.nan
    nothing[:] = np.nan
    found = detections([stick(102), no_arms, nothing])
    assert is_distinct(found).tolist() == [True, False, True]
    assert is_distinct(detections([])).tolist() == []


@pytest.mark.parametrize(
    ("pose", "score", "plausible"),
    [
        (stick(100), 0.9, True),
        (stick(100), 0.2, False),  # unsure
        (stick(100, scale=0.05), 0.9, False),  # tiny
        (stick(-10), 0.9, True),  # walking out of the picture
        (stick(-100), 0.9, False),  # outside
    ],
)
def test_implausible_poses(pose: NDArray[np.float32], score: float, plausible: bool) -> None:
    assert is_plausible(detections([pose], score), 640, 480).tolist() == [plausible]
