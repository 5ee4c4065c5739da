from dataclasses import replace

import numpy as np
import pytest

from tests.export.people import ABSENT, passers_by, varying
from vidpose.errors import UsageError
from vidpose.export.motion import at_constant_rate, constant_rate, motion_of, of_people


@pytest.mark.parametrize("fps", [24.0, 30000 / 1001, 240.0])
def test_times_rounded_to_milliseconds_are_even(fps: float) -> None:
    times = 3 + np.arange(20_000) / fps
    assert constant_rate(times, fps) == fps
    assert constant_rate(np.round(times, 3), fps) == fps


def test_the_rate_of_the_times_is_taken_where_the_containers_drifts() -> None:
    times = np.arange(3000) / 29.9
    assert constant_rate(times, 30.0) == pytest.approx(29.9)
    assert constant_rate(np.zeros(1), 30.0) == 30.0


def test_uneven_times() -> None:
    assert constant_rate(varying(passers_by()).timestamps, 29.97) is None
    dropped = np.delete(np.arange(100) / 30, 50)
    assert constant_rate(dropped, 30.0) is None


def test_even_frames_stay_as_they_are() -> None:
    motion = motion_of(passers_by(), 0, axes="world", up="z")
    even = at_constant_rate(motion)
    assert even.joints is motion.joints
    np.testing.assert_allclose(even.times, motion.times, atol=1e-12)


def test_uneven_frames_are_interpolated_but_gaps_stay() -> None:
    result = varying(passers_by())
    motion = motion_of(result, 1, axes="world", up="z")
    # Joints that move evenly in time are where they should be at any time.
    speed = np.array([0.3, -0.2, 0.1])
    joints = np.where(motion.known[:, None, None], motion.times[:, None, None] * speed, np.nan)
    even = at_constant_rate(replace(motion, joints=np.repeat(joints, 17, axis=1)))
    assert np.ptp(np.diff(even.times)) < 1e-9
    assert even.times[0] == motion.times[0]
    assert motion.times[-1] - 1 / 29.97 < even.times[-1] <= motion.times[-1]
    known = even.known
    np.testing.assert_allclose(even.joints[known][:, 3], even.times[known, None] * speed, atol=1e-9)
    first, last = motion.times[motion.known][[0, -1]]
    assert not known[(even.times < first) | (even.times > last)].any()
    gap = motion.times[[ABSENT[1].start - 1, ABSENT[1].stop]]
    assert not known[(even.times > gap[0] + 1e-9) & (even.times < gap[1] - 1e-9)].any()
    assert known.sum() >= motion.known.sum() - 4


def test_axes() -> None:
    result = passers_by()
    camera, world = result.joints_camera()[0], result.joints_world()[0]
    z_up = motion_of(result, 0, axes="world", up="z").joints
    np.testing.assert_allclose(z_up, world, atol=1e-7)
    y_up = motion_of(result, 0, axes="world", up="y").joints
    np.testing.assert_allclose(y_up[..., 1], world[..., 2], atol=1e-7)
    np.testing.assert_allclose(y_up[..., 2], -world[..., 1], atol=1e-7)
    y_up = motion_of(result, 0, axes="camera", up="y").joints
    np.testing.assert_allclose(y_up, camera * [1, -1, -1], atol=1e-6)
    z_up = motion_of(result, 0, axes="camera", up="z").joints
    np.testing.assert_allclose(z_up, camera[..., [0, 2, 1]] * [1, 1, -1], atol=1e-6)


def test_some_of_the_people() -> None:
    assert of_people(passers_by(), (2,)).person_ids.tolist() == [2]
    with pytest.raises(UsageError, match="there is no person 3; there are 1, 2"):
        of_people(passers_by(), (1, 3))


def test_a_frame_next_to_a_gap_keeps_its_own_time() -> None:
    """Frames 3 and 4 of the grid are frames of the video; the person is in one of them only."""
    result = passers_by(fps=10.0, frames=8)
    motion = motion_of(result, 0, axes="world", up="z")
    times = np.array([0.0, 0.1, 0.2, 0.3, 0.4, 0.53, 0.61, 0.7])
    for absent, there in ((4, 3), (3, 4), (6, 7)):
        joints = motion.joints.copy()
        joints[absent] = np.nan
        even = at_constant_rate(replace(motion, joints=joints, times=times, fps=10.0))
        np.testing.assert_allclose(even.times, np.arange(8) / 10, atol=1e-12)
        np.testing.assert_array_equal(even.joints[there], joints[there])


def test_nothing_is_interpolated_across_a_gap_between_frames() -> None:
    """The video has no frames for 2 s, and the person is in the frames before and after."""
    motion = motion_of(passers_by(fps=10.0), 0, axes="world", up="z")
    times = np.arange(40) / 10 + np.where(np.arange(40) < 20, 0, 2.0)
    even = at_constant_rate(replace(motion, times=times, fps=40 / 6.0))
    # The rate is that of the frames, without the gap.
    assert even.fps == pytest.approx(10.0)
    assert len(even.times) == 60
    np.testing.assert_array_equal(even.known, (np.arange(60) < 20) | (np.arange(60) >= 40))
    np.testing.assert_allclose(even.joints[even.known], motion.joints, atol=1e-9)


def test_frames_of_a_slow_video_are_no_gaps() -> None:
    motion = motion_of(passers_by(), 0, axes="world", up="z")
    times = np.arange(40) + np.arange(40) % 2 * 0.2
    assert at_constant_rate(replace(motion, times=times, fps=1.0)).known.all()


@pytest.mark.parametrize("frames", [(11,), (11, 12)])
def test_a_short_track_between_two_even_times_is_kept(frames: tuple[int, ...]) -> None:
    motion = motion_of(passers_by(), 0, axes="world", up="z")
    joints = np.full_like(motion.joints, np.nan)
    joints[list(frames)] = motion.joints[list(frames)]
    times = np.arange(40) / 10
    times[[11, 12]] = 1.12, 1.18
    even = at_constant_rate(replace(motion, joints=joints, times=times, fps=10.0))
    assert np.flatnonzero(even.known).tolist() == [11]
    np.testing.assert_array_equal(even.joints[11], joints[11])
