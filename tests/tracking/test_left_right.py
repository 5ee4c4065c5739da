from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pytest

from tests.detect.people import stick
from tests.tracking.scenes import (
    ARMS,
    FPS,
    LEGS,
    People,
    Pose,
    add,
    collect,
    exchanged,
    facing,
    joints_of,
    running,
    striding,
    times_at,
    truth,
)
from vidpose.skeleton import H36M17
from vidpose.tracking.collector import PoseCollector


def test_a_short_swap_is_undone_and_keeps_the_person() -> None:
    def scene(time: float) -> People:
        turned = 1 <= time < 1.2
        return ((stick(300)[H36M17.mirrored] if turned else stick(300)),)

    found = collect(scene, times_at(30))
    assert found.people == 1
    assert np.allclose(found.keypoints_2d, stick(300))


def test_a_lasting_swap_is_left_as_detected() -> None:
    def scene(time: float) -> People:
        return ((stick(300)[H36M17.mirrored] if time >= 1 else stick(300)),)

    found = collect(scene, times_at(30, 4))
    assert np.allclose(found.keypoints_2d[0, -1], stick(300)[H36M17.mirrored])


@pytest.mark.parametrize("fps", FPS)
@pytest.mark.parametrize("joints", [LEGS, LEGS[1:], ARMS, ARMS[1:], LEGS + ARMS])
def test_swapped_limbs_are_put_back(joints: Sequence[str], fps: float) -> None:
    times = times_at(fps)

    def scene(time: float) -> People:
        wrong = 0.95 < time < 1.08
        return (exchanged(striding(time), joints) if wrong else striding(time),)

    found = collect(scene, times)
    np.testing.assert_allclose(found.keypoints_2d[0], truth(striding, times), atol=1e-3)
    np.testing.assert_allclose(found.scores_2d, 0.9)


def test_a_disputed_swap_is_undone_even_if_it_lasts() -> None:
    """A second of swapped legs is undone if the detector disputed three quarters of its frames, but
    not if those joints only have low scores.
    """
    times = times_at(60)
    found = {}
    for disputes in (True, False):
        collector = PoseCollector()
        for index, time in enumerate(times):
            wrong = 0.45 < time < 1.45
            scores = np.full(17, 0.9, np.float32)
            doubtful = joints_of(LEGS[1:]) if wrong and index % 4 else []
            scores[doubtful] = 0.4
            pose = exchanged(striding(time), LEGS[1:]) if wrong else striding(time)
            add(collector, index, time, pose, scores, doubtful if disputes else [])
        found[disputes] = collector.finish(60.0, (640, 480)).keypoints_2d[0]
    np.testing.assert_allclose(found[True], truth(striding, times), atol=1e-3)
    assert np.abs(found[False] - truth(striding, times)).max() > 10


def test_a_whole_body_is_swapped_back_while_its_limbs_are_disputed() -> None:
    """A back mistaken for a front; only the limbs are disputed, and only in every other frame."""
    times = times_at(60)
    collector = PoseCollector()
    limbs = joints_of(LEGS[1:] + ARMS[1:])
    for index, time in enumerate(times):
        wrong = 0.45 < time < 0.75
        pose = exchanged(facing(time), LEGS + ARMS) if wrong else facing(time)
        add(collector, index, time, pose, disputed=limbs if wrong and index % 2 else [])
    found = collector.finish(60.0, (640, 480)).keypoints_2d[0]
    np.testing.assert_allclose(found, truth(facing, times), atol=1e-3)


@pytest.mark.parametrize("fps", FPS)
def test_arms_that_pass_are_left_alone_while_legs_are_disputed(fps: float) -> None:
    times = times_at(fps)
    collector = PoseCollector()
    legs = joints_of(LEGS)
    for index, pose in enumerate(truth(running, times)):
        add(collector, index, times[index], pose, disputed=legs)
    found = collector.finish(fps, (640, 480)).keypoints_2d[0]
    upper = np.delete(np.arange(17), legs)
    np.testing.assert_allclose(found[:, upper], truth(running, times)[:, upper], atol=1e-3)


def test_scores_are_swapped_with_their_joints() -> None:
    collector = PoseCollector()
    for index, time in enumerate(times_at(30)):
        wrong = index in (20, 21)
        scores = np.full(17, 0.9, np.float32)
        scores[H36M17.index("RFoot" if wrong else "LFoot")] = 0.4
        pose = exchanged(striding(time), LEGS) if wrong else striding(time)
        add(collector, index, time, pose, scores)
    found = collector.finish(30.0, (640, 480))
    assert found.scores_2d[0, :, H36M17.index("LFoot")] == pytest.approx(0.4)
    assert found.scores_2d[0, :, H36M17.index("RFoot")] == pytest.approx(0.9)


@pytest.mark.parametrize("motion", [striding, running])
def test_a_mirrored_video_gives_mirrored_poses(motion: Callable[[float], Pose]) -> None:
    times = times_at(30)
    rng = np.random.default_rng(3)
    poses = truth(motion, times) + rng.normal(0, 3, (len(times), 17, 2)).astype(np.float32)
    for frame in (10, 11, 40):
        poses[frame] = exchanged(poses[frame], LEGS)
    poses[25, 6] += 100
    mirrored = (poses * (-1, 1) + (639, 0)).astype(np.float32)[:, H36M17.mirrored]
    found = collect(lambda time: (poses[np.searchsorted(times, time)],), times)
    turned = collect(lambda time: (mirrored[np.searchsorted(times, time)],), times)
    back = (turned.keypoints_2d * (-1, 1) + (639, 0))[:, :, H36M17.mirrored]
    np.testing.assert_allclose(found.keypoints_2d, back, atol=0.01)
    np.testing.assert_allclose(found.scores_2d, turned.scores_2d[:, :, H36M17.mirrored])


@pytest.mark.parametrize("motion", [running, striding])
@pytest.mark.parametrize("score", [0.4, 0.3])
def test_a_joint_with_a_low_score_is_not_a_disputed_one(
    motion: Callable[[float], Pose], score: float
) -> None:
    times = times_at(30)
    noise = np.random.default_rng(2).normal(0, 3, (len(times), 17, 2))
    poses = (truth(motion, times) + noise).astype(np.float32)
    found = {}
    for value in (score, 0.9):
        collector = PoseCollector()
        for index, pose in enumerate(poses):
            add(collector, index, times[index], pose, np.full(17, value, np.float32))
        found[value] = collector.finish(30.0, (640, 480)).keypoints_2d
    np.testing.assert_array_equal(found[score], found[0.9])
