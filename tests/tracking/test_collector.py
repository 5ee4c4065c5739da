from __future__ import annotations

import numpy as np
import pytest

from tests.detect.people import stick
from tests.tracking.scenes import People, collect, times_at
from vidpose.detect.base import Detections, FrameDetections
from vidpose.skeleton import BLAZEPOSE33, H36M17
from vidpose.tracking.collector import PoseCollector


@pytest.mark.parametrize("step_s", [0.7, 1.0, 5.0])
def test_nobody_is_absent_between_two_frames_of_a_time_lapse(step_s: float) -> None:
    found = collect(lambda time: (stick(300),), np.arange(20, dtype=np.float64) * step_s)
    assert found.people == 1
    assert found.observed.all()


def test_nobody_is_absent_while_the_video_pauses() -> None:
    times = times_at(30)
    times[30:] += 0.7
    assert collect(lambda time: (stick(300),), times).people == 1


def test_an_absent_person_has_no_joints() -> None:
    def scene(time: float) -> People:
        return stick(100), stick(400) if 0.5 <= time < 1.5 else None

    found = collect(scene, times_at(30))
    assert found.person_ids.tolist() == [1, 2]
    assert np.flatnonzero(found.present[1]).tolist() == list(range(15, 45))
    assert np.isnan(found.keypoints_2d[1, ~found.present[1]]).all()
    assert not found.scores_2d[1, ~found.present[1]].any()


@pytest.mark.parametrize("fps", [10, 30, 120])
def test_a_short_false_detection_is_dropped(fps: float) -> None:
    def scene(time: float) -> People:
        return stick(100), stick(400) if 0.99 < time < 1.15 else None

    found = collect(scene, times_at(fps))
    assert found.person_ids.tolist() == [1]
    assert np.nanmax(found.keypoints_2d[..., 0]) < 200


def test_a_short_track_is_dropped_except_in_a_short_video() -> None:
    def scene(time: float) -> People:
        return (stick(100) if 0.99 < time < 1.15 else None,)

    assert collect(scene, times_at(30)).people == 0
    assert collect(scene, times_at(30)[28:36]).people == 1


@pytest.mark.parametrize(("longest", "kept"), [(1, [300]), (2, [300, 500]), (9, [100, 300, 500])])
def test_the_people_seen_longest_are_kept_in_their_order(longest: int, kept: list[int]) -> None:
    def scene(time: float) -> People:
        return stick(100) if time < 0.5 else None, stick(300), stick(500) if time > 1 else None

    found = collect(scene, times_at(30), longest)
    assert found.person_ids.tolist() == list(range(1, len(kept) + 1))
    hips = np.nanmedian(found.keypoints_2d[:, :, 0, 0], axis=1)
    np.testing.assert_allclose(hips, kept, atol=20)


def test_a_single_frame() -> None:
    found = collect(lambda time: (stick(100), stick(400)), np.array([0.0]))
    assert found.person_ids.tolist() == [1, 2]
    assert found.observed.all()


def test_nobody_at_all() -> None:
    found = collect(lambda time: (), times_at(30))
    assert found.keypoints_2d.shape == (0, 60, 17, 2)


def test_other_skeletons_arrive_as_h36m17() -> None:
    collector = PoseCollector()
    pose = np.random.default_rng(0).uniform(0, 100, (1, 33, 2)).astype(np.float32)
    scores = np.full((1, 33), 0.5, np.float32)
    collector.add(FrameDetections(7, 0.25, Detections(pose, scores, BLAZEPOSE33)))
    found = collector.finish(30.0, (640, 480))
    knee = BLAZEPOSE33.index("left_knee")
    assert found.keypoints_2d[0, 0, H36M17.index("LKnee")].tolist() == pose[0, knee].tolist()
    assert found.frame_indices.tolist() == [7]
    assert found.timestamps.tolist() == [0.25]
