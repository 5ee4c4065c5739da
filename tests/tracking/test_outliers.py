from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from tests.detect.people import stick
from tests.tracking.scenes import (
    FPS,
    People,
    Pose,
    collect,
    kicking,
    running,
    somersault,
    striding,
    times_at,
    truth,
    waving,
)
from vidpose.skeleton import H36M17


@pytest.mark.parametrize("fps", [*FPS, 15])
@pytest.mark.parametrize("motion", [running, kicking, somersault, waving, striding])
def test_fast_motion_is_left_as_detected(motion: Callable[[float], Pose], fps: float) -> None:
    times = times_at(fps)
    noise = np.random.default_rng(2).normal(0, 1.5, (len(times), 17, 2))
    poses = dict(zip(times, (truth(motion, times) + noise).astype(np.float32), strict=True))
    found = collect(lambda time: (poses[time],), times)
    assert found.people == 1
    np.testing.assert_array_equal(found.scores_2d, np.float32(0.9))
    np.testing.assert_allclose(found.keypoints_2d[0], truth(motion, times), atol=10)


@pytest.mark.parametrize("fps", FPS)
def test_a_joint_that_jumps_away_and_back_is_interpolated(fps: float) -> None:
    times, foot = times_at(fps), H36M17.index("LFoot")

    def scene(time: float) -> People:
        pose = striding(time)
        if 0.95 < time < 1.04:
            pose[foot] += (90, -60)
        return (pose,)

    found = collect(scene, times)
    wrong = (times > 0.95) & (times < 1.04)
    assert wrong.any()
    np.testing.assert_allclose(found.keypoints_2d[0], truth(striding, times), atol=1e-3)
    np.testing.assert_allclose(found.scores_2d[0, wrong, foot], 0.45)
    np.testing.assert_allclose(found.scores_2d[0, ~wrong, foot], 0.9)
    assert found.observed.all()


def test_a_limb_detected_elsewhere_for_a_while_is_interpolated() -> None:
    """A fast limb could reach that far, but not in one step; the wrong places change meanwhile."""
    times, foot, knee = times_at(30), H36M17.index("LFoot"), H36M17.index("LKnee")
    imagined = [(80, -70), (84, -72), (86, -75), (60, -40), (62, -44), (58, -46)]

    def scene(time: float) -> People:
        pose = striding(time)
        if 0.95 < time < 1.15:
            step = np.array(imagined[round((time - 0.95) * 30 - 0.5)])
            pose[foot] += step
            pose[knee] += 0.4 * step
        return (pose,)

    found = collect(scene, times)
    np.testing.assert_allclose(found.keypoints_2d[0], truth(striding, times), atol=1e-3)


@pytest.mark.parametrize("fps", [30, 120])
def test_legs_that_fall_on_one_spot_are_interpolated(fps: float) -> None:
    times = times_at(fps)

    def scene(time: float) -> People:
        pose = striding(time)
        if 0.98 < time < 1.02:
            for joint in ("LKnee", "RKnee"), ("LFoot", "RFoot"):
                sides = [H36M17.index(name) for name in joint]
                pose[sides] = pose[sides].mean(axis=0)
        return (pose,)

    found = collect(scene, times)
    np.testing.assert_allclose(found.keypoints_2d[0], truth(striding, times), atol=12)


def test_a_whole_pose_that_jumps_is_left_as_detected() -> None:
    """Nothing tells which of the poses is wrong."""
    times = times_at(30)

    def scene(time: float) -> People:
        pose = stick(300)
        return (600 - pose if 0.95 < time < 1.02 else pose,)

    found = collect(scene, times)
    np.testing.assert_array_equal(found.scores_2d, np.float32(0.9))
