from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.tracking.scenes import exchanged, kicking, striding, truth
from vidpose.detect.base import Detections, FrameDetections, pose_sizes
from vidpose.skeleton import H36M17
from vidpose.tracking.collector import PoseCollector
from vidpose.tracking.keyframes import LONGEST_S, correct_between
from vidpose.tracking.left_right import undo_swaps

FPS = 30
TIMES = np.arange(31) / FPS
EVERY = 3
FOOT = H36M17.index("RFoot")
CONFIDENT = np.full((len(TIMES), 17), 0.9, np.float32)


def shifts(every: int = EVERY) -> NDArray[np.float32]:
    """Every third frame is a keyframe, in which both networks agree."""
    shift = np.full((len(TIMES), 17, 2), np.nan, np.float32)
    shift[::every] = 0
    return shift


def size_of(joints: NDArray[np.float32]) -> float:
    return float(pose_sizes(joints).mean())


def test_noise_in_in_between_frames_is_removed() -> None:
    joints = truth(striding, TIMES)
    seen = joints.copy()
    between = np.arange(len(TIMES)) % EVERY != 0
    noise = np.random.default_rng(0).uniform(-1, 1, joints.shape) * 0.01 * size_of(joints)
    seen[between] += noise[between]
    correct_between(seen, CONFIDENT, shifts(), TIMES)
    np.testing.assert_allclose(seen, joints, atol=0.05)


@pytest.mark.parametrize("far", [0.3, 5.0])
def test_a_blunder_in_an_in_between_frame_is_removed(far: float) -> None:
    joints = truth(striding, TIMES)
    seen = joints.copy()
    seen[13, FOOT] += far * size_of(joints)
    seen[14] = exchanged(seen[14], ("Hip", "Knee", "Foot"))
    correct_between(seen, CONFIDENT, shifts(), TIMES)
    np.testing.assert_allclose(seen, joints, atol=0.05)


def test_fast_motion_is_kept_in_in_between_frames() -> None:
    """A fast foot stays where it was detected, not on the line between the keyframes."""
    joints = truth(kicking, TIMES)
    seen = joints.copy()
    correct_between(seen, CONFIDENT, shifts(), TIMES)
    straight = joints.copy()
    for column in straight.reshape(len(TIMES), -1).T:
        column[:] = np.interp(TIMES, TIMES[::EVERY], column[::EVERY])
    size = size_of(joints)
    off, cut = (np.linalg.norm(j - joints, axis=2)[:, FOOT].max() / size for j in (seen, straight))
    assert cut > 0.08
    assert off < 0.4 * cut


def test_a_camera_that_shakes_is_followed() -> None:
    shaken = truth(striding, TIMES)
    away = np.random.default_rng(0).uniform(-1, 1, (len(TIMES), 1, 2)) * size_of(shaken)
    shaken += away
    seen = shaken.copy()
    correct_between(seen, CONFIDENT, shifts(), TIMES)
    np.testing.assert_allclose(seen, shaken, atol=0.5)
    assert np.abs(np.diff(away, axis=0)).max() > 30


def test_in_between_frames_are_corrected_from_the_next_keyframe() -> None:
    """After each keyframe the fast network's error at a foot grows from frame to frame."""
    joints = truth(kicking, TIMES)
    size = size_of(joints)
    seen, shift = joints.copy(), shifts()
    drift = np.array([0, 0.05 * size], np.float32)
    for row in range(len(TIMES)):
        part = (row % EVERY) / EVERY
        seen[row, FOOT] += part * drift
    shift[EVERY::EVERY, FOOT] = -drift
    correct_between(seen, CONFIDENT, shift, TIMES)
    unaware = joints.copy()
    correct_between(unaware, CONFIDENT, shifts(), TIMES)
    np.testing.assert_allclose(seen, unaware, atol=0.5)  # of 2.8


def test_a_joint_that_the_fast_network_sees_elsewhere_is_put_on_the_line() -> None:
    joints = truth(striding, TIMES)
    size = size_of(joints)
    seen, shift = joints.copy(), shifts()
    aside = np.array([0.15 * size, 0], np.float32)
    seen[np.arange(len(TIMES)) % EVERY != 0, FOOT] += aside
    shift[::EVERY, FOOT] = -aside
    correct_between(seen, CONFIDENT, shift, TIMES)
    np.testing.assert_allclose(seen, joints, atol=0.05)


def test_other_frames_are_left_as_detected() -> None:
    """Before the first and after the last keyframe, and between keyframes that are far apart."""
    joints = truth(kicking, TIMES)
    shift = np.full((len(TIMES), 17, 2), np.nan, np.float32)
    shift[[3, 3 + round(LONGEST_S * FPS) + 1]] = 0
    seen = joints.copy()
    correct_between(seen, CONFIDENT, shift, TIMES)
    np.testing.assert_array_equal(seen, joints)
    for alike in (np.zeros_like(shift), np.full_like(shift, np.nan)):
        correct_between(seen, CONFIDENT, alike, TIMES)
        np.testing.assert_array_equal(seen, joints)


@pytest.mark.parametrize(("confidence", "left"), [(0.3, 0.0), (0.54, 0.5), (0.72, 1.0)])
def test_a_joint_that_a_keyframe_doubts_is_interpolated(confidence: float, left: float) -> None:
    """A keyframe, and with it the frames around it, has the foot elsewhere at low confidence."""
    joints, shift = truth(striding, TIMES), shifts()
    scores = CONFIDENT.copy()
    scores[12, FOOT] = confidence
    aside = np.array([0.25 * size_of(joints), 0], np.float32)
    seen = joints.copy()
    seen[12, FOOT] += aside
    correct_between(seen, scores, shift, TIMES)
    np.testing.assert_allclose(seen[12, FOOT] - joints[12, FOOT], left * aside, atol=0.1)
    np.testing.assert_allclose(
        np.delete(seen, FOOT, axis=1), np.delete(joints, FOOT, axis=1), atol=0.1
    )


def test_a_joint_of_low_confidence_in_several_keyframes_stays_as_detected() -> None:
    joints, shift = truth(kicking, TIMES), shifts()
    plain, doubted = joints.copy(), joints.copy()
    scores = CONFIDENT.copy()
    scores[9:16, FOOT] = 0.1
    correct_between(plain, CONFIDENT, shifts(), TIMES)
    correct_between(doubted, scores, shift, TIMES)
    np.testing.assert_array_equal(doubted, plain)


def test_an_in_between_detection_that_agrees_with_a_doubted_keyframe_does_not_count() -> None:
    """Both networks put the foot in the same wrong place; the line goes past it."""
    joints, shift = truth(striding, TIMES), shifts()
    scores = CONFIDENT.copy()
    scores[12, FOOT] = 0.1
    seen = joints.copy()
    seen[[11, 12, 13], FOOT] += np.array([0.09 * size_of(joints), 0], np.float32)
    correct_between(seen, scores, shift, TIMES)
    np.testing.assert_allclose(seen[[11, 12], FOOT], joints[[11, 12], FOOT], atol=0.1)


def test_a_joint_missing_in_a_keyframe_is_not_corrected() -> None:
    joints = truth(striding, TIMES)
    joints[12, FOOT] = np.nan
    seen = joints.copy()
    correct_between(seen, CONFIDENT, shifts(), TIMES)
    np.testing.assert_array_equal(seen[10:15, FOOT], joints[10:15, FOOT])
    assert np.isfinite(np.delete(seen, FOOT, axis=1)).all()


def test_a_collector_corrects_in_between_frames() -> None:
    joints, shift = truth(striding, TIMES), shifts()
    seen = joints.copy()
    seen[13, FOOT] += 0.3 * size_of(joints)
    collector = PoseCollector()
    scores = np.full((1, 17), 0.9, np.float32)
    for row, time in enumerate(TIMES):
        found = Detections(seen[row][None], scores, H36M17, shift=shift[row][None])
        collector.add(FrameDetections(row, time, found))
    poses = collector.finish(FPS, (640, 480))
    np.testing.assert_allclose(poses.keypoints_2d[0], joints, atol=0.05)


def test_each_person_is_corrected_from_their_own_keyframes() -> None:
    """Two people, one kicking and one in a fixed pose; their order changes between frames."""
    people = np.stack([truth(kicking, TIMES), truth(striding, TIMES) + np.float32(300)])
    drift = np.float32(0.03 * size_of(people[0]))
    seen, shift = people.copy(), np.stack([shifts(), shifts()])
    for row in range(len(TIMES)):
        seen[0, row, FOOT, 1] += row % EVERY / EVERY * drift
    shift[0, EVERY::EVERY, FOOT, 1] = -drift
    seen[1, 13, FOOT] += 0.3 * size_of(people[1])
    collector = PoseCollector()
    scores = np.full((2, 17), 0.9, np.float32)
    for row, time in enumerate(TIMES):
        order = [1, 0] if row % 4 == 2 else [0, 1]
        found = Detections(seen[order, row], scores, H36M17, shift=shift[order, row])
        collector.add(FrameDetections(row, time, found))
    poses = collector.finish(FPS, (800, 600))
    for n in range(len(people)):
        alone = seen[n].copy()
        correct_between(alone, CONFIDENT, shift[n], TIMES)
        np.testing.assert_allclose(poses.keypoints_2d[n], alone, atol=0.01)
    assert np.abs(poses.keypoints_2d[1] - people[1]).max() < 0.05


def test_undoing_a_swap_also_swaps_the_shift() -> None:
    """The shift belongs to the foot, whichever name the detector gave it."""
    joints, shift = truth(kicking, TIMES), shifts()
    drift = np.array([0, 0.04 * size_of(joints)], np.float32)
    for row in range(len(TIMES)):
        joints[row, FOOT] += row % EVERY / EVERY * drift
    shift[EVERY::EVERY, FOOT] = -drift
    plain, swapped = joints.copy(), joints.copy()
    plain_shift, swapped_shift = shift.copy(), shift.copy()
    for row in (26, 27, 28):
        swapped[row] = exchanged(swapped[row], ("Hip", "Knee", "Foot"))
        swapped_shift[row] = exchanged(swapped_shift[row], ("Hip", "Knee", "Foot"))
    for seen, moved in ((plain, plain_shift), (swapped, swapped_shift)):
        undo_swaps(seen, np.ones((len(TIMES), 17), np.float32), UNDISPUTED, moved, TIMES)
        correct_between(seen, CONFIDENT, moved, TIMES)
    np.testing.assert_allclose(swapped, plain, atol=1e-3)


UNDISPUTED = np.zeros((len(TIMES), 17), bool)


def test_a_person_may_be_missing_in_one_keyframe() -> None:
    joints = truth(striding, TIMES)
    shift = shifts()
    shift[EVERY::6] = np.nan
    seen = joints.copy()
    between = ~np.isfinite(shift).any(axis=(1, 2))
    noise = np.random.default_rng(0).uniform(-1, 1, joints.shape) * 0.01 * size_of(joints)
    seen[between] += noise[between]
    correct_between(seen, CONFIDENT, shift, TIMES)
    np.testing.assert_allclose(seen, joints, atol=0.05)


def test_a_joint_missing_in_an_in_between_frame_stays_missing() -> None:
    joints = truth(striding, TIMES)
    joints[13, FOOT] = np.nan
    correct_between(joints, CONFIDENT, shifts(), TIMES)
    assert np.isnan(joints[13, FOOT]).all()
    assert np.isfinite(np.delete(joints, FOOT, axis=1)).all()
