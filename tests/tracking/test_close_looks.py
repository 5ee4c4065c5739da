from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.tracking.scenes import exchanged, kicking, striding, truth
from vidpose.detect.base import Detections, FrameDetections, pose_sizes
from vidpose.skeleton import H36M17
from vidpose.tracking.close_looks import LONGEST_S, correct_between
from vidpose.tracking.collector import PoseCollector
from vidpose.tracking.left_right import undo_confusions

FPS = 30
TIMES = np.arange(31) / FPS
EVERY = 3
FOOT = H36M17.index("RFoot")


def shifts(every: int = EVERY) -> NDArray[np.float32]:
    """Every third look is a close one, which moves nothing."""
    shift = np.full((len(TIMES), 17, 2), np.nan, np.float32)
    shift[::every] = 0
    return shift


def size_of(joints: NDArray[np.float32]) -> float:
    return float(pose_sizes(joints).mean())


def test_the_noise_of_quick_looks_goes() -> None:
    joints = truth(striding, TIMES)
    seen = joints.copy()
    quick = np.arange(len(TIMES)) % EVERY != 0
    noise = np.random.default_rng(0).uniform(-1, 1, joints.shape) * 0.01 * size_of(joints)
    seen[quick] += noise[quick]
    correct_between(seen, shifts(), TIMES)
    np.testing.assert_allclose(seen, joints, atol=0.05)


@pytest.mark.parametrize("far", [0.3, 5.0])
def test_a_blunder_of_a_quick_look_goes(far: float) -> None:
    joints = truth(striding, TIMES)
    seen = joints.copy()
    seen[13, FOOT] += far * size_of(joints)
    seen[14] = exchanged(seen[14], ("Hip", "Knee", "Foot"))
    correct_between(seen, shifts(), TIMES)
    np.testing.assert_allclose(seen, joints, atol=0.05)


def test_who_moves_fast_is_seen_by_quick_looks() -> None:
    """A foot is where the quick looks see it, and not on the way from close look to close look."""
    joints = truth(kicking, TIMES)
    seen = joints.copy()
    correct_between(seen, shifts(), TIMES)
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
    correct_between(seen, shifts(), TIMES)
    np.testing.assert_allclose(seen, shaken, atol=0.5)
    assert np.abs(np.diff(away, axis=0)).max() > 30


def test_quick_looks_are_corrected_by_the_close_look_after_them() -> None:
    """The quick network sees a fast foot too low by ever more, from the first close look on."""
    joints = truth(kicking, TIMES)
    size = size_of(joints)
    seen, shift = joints.copy(), shifts()
    drift = np.array([0, 0.05 * size], np.float32)
    for row in range(len(TIMES)):
        part = (row % EVERY) / EVERY
        seen[row, FOOT] += part * drift
    shift[EVERY::EVERY, FOOT] = -drift
    correct_between(seen, shift, TIMES)
    unaware = joints.copy()
    correct_between(unaware, shifts(), TIMES)
    np.testing.assert_allclose(seen, unaware, atol=0.5)  # of 2.8


def test_a_joint_that_the_quick_network_sees_elsewhere_is_on_the_line() -> None:
    joints = truth(striding, TIMES)
    size = size_of(joints)
    seen, shift = joints.copy(), shifts()
    aside = np.array([0.15 * size, 0], np.float32)
    seen[np.arange(len(TIMES)) % EVERY != 0, FOOT] += aside
    shift[::EVERY, FOOT] = -aside
    correct_between(seen, shift, TIMES)
    np.testing.assert_allclose(seen, joints, atol=0.05)


def test_nothing_is_said_about_other_frames() -> None:
    """Before the first and after the last close look, and where these are far apart."""
    joints = truth(kicking, TIMES)
    shift = np.full((len(TIMES), 17, 2), np.nan, np.float32)
    shift[[3, 3 + round(LONGEST_S * FPS) + 1]] = 0
    seen = joints.copy()
    correct_between(seen, shift, TIMES)
    np.testing.assert_array_equal(seen, joints)
    for alike in (np.zeros_like(shift), np.full_like(shift, np.nan)):
        correct_between(seen, alike, TIMES)
        np.testing.assert_array_equal(seen, joints)


def test_a_joint_missing_in_a_close_look_stays_as_it_was_seen() -> None:
    joints = truth(striding, TIMES)
    joints[12, FOOT] = np.nan
    seen = joints.copy()
    correct_between(seen, shifts(), TIMES)
    np.testing.assert_array_equal(seen[10:15, FOOT], joints[10:15, FOOT])
    assert np.isfinite(np.delete(seen, FOOT, axis=1)).all()


def test_a_collector_corrects_what_a_detector_took_quick_looks_at() -> None:
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


def test_everybody_is_corrected_by_their_own_close_looks() -> None:
    """Two people, one moving and one still, whom the detector lists in changing order."""
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
        correct_between(alone, shift[n], TIMES)
        np.testing.assert_allclose(poses.keypoints_2d[n], alone, atol=0.01)
    assert np.abs(poses.keypoints_2d[1] - people[1]).max() < 0.05


def test_a_close_look_that_exchanges_legs_is_put_back_with_its_shift() -> None:
    """The foot's shift belongs to the foot, not to its name at the moment."""
    joints, shift = truth(kicking, TIMES), shifts()
    drift = np.array([0, 0.04 * size_of(joints)], np.float32)
    for row in range(len(TIMES)):
        joints[row, FOOT] += row % EVERY / EVERY * drift
    shift[EVERY::EVERY, FOOT] = -drift
    straight, exchanging = joints.copy(), joints.copy()
    straight_shift, exchanging_shift = shift.copy(), shift.copy()
    for row in (26, 27, 28):
        exchanging[row] = exchanged(exchanging[row], ("Hip", "Knee", "Foot"))
        exchanging_shift[row] = exchanged(exchanging_shift[row], ("Hip", "Knee", "Foot"))
    for seen, moved in ((straight, straight_shift), (exchanging, exchanging_shift)):
        undo_confusions(seen, np.ones((len(TIMES), 17), np.float32), SURE, moved, TIMES)
        correct_between(seen, moved, TIMES)
    np.testing.assert_allclose(exchanging, straight, atol=1e-3)


SURE = np.zeros((len(TIMES), 17), bool)


def test_one_close_look_may_be_missing() -> None:
    joints = truth(striding, TIMES)
    shift = shifts()
    shift[EVERY::6] = np.nan
    seen = joints.copy()
    quick = ~np.isfinite(shift).any(axis=(1, 2))
    noise = np.random.default_rng(0).uniform(-1, 1, joints.shape) * 0.01 * size_of(joints)
    seen[quick] += noise[quick]
    correct_between(seen, shift, TIMES)
    np.testing.assert_allclose(seen, joints, atol=0.05)


def test_what_a_quick_look_does_not_show_stays_missing() -> None:
    joints = truth(striding, TIMES)
    joints[13, FOOT] = np.nan
    correct_between(joints, shifts(), TIMES)
    assert np.isnan(joints[13, FOOT]).all()
    assert np.isfinite(np.delete(joints, FOOT, axis=1)).all()
