from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.render.people import walk
from vidpose.errors import UsageError
from vidpose.postprocess.smoothing import (
    METHODS,
    check_method,
    smooth_joints,
    smooth_pictures,
    smooth_track,
)

EVEN = np.arange(90) / 30
UNEVEN = EVEN + np.random.default_rng(0).uniform(-0.012, 0.012, 90)
both_methods = pytest.mark.parametrize("method", METHODS)


def noise(frames: int, sd: float = 0.01) -> NDArray[np.float64]:
    return np.random.default_rng(1).normal(0, sd, (frames, 5, 3))


def acceleration(track: NDArray[np.floating]) -> float:
    return float(np.nanmean(np.abs(np.diff(track, 2, axis=0))))


@both_methods
@pytest.mark.parametrize("times", [EVEN, UNEVEN, EVEN / 2], ids=["30/s", "uneven", "60/s"])
def test_noise_becomes_less(method: str, times: NDArray[np.float64]) -> None:
    noisy = noise(len(times))
    smooth = smooth_track(noisy, times, method)
    assert acceleration(smooth) < 0.4 * acceleration(noisy)
    assert smooth.std() < 0.7 * noisy.std()


def test_a_slow_video_is_smoothed_too() -> None:
    noisy = noise(90)
    assert acceleration(smooth_track(noisy, EVEN * 3, "savgol")) < 0.4 * acceleration(noisy)


@both_methods
@pytest.mark.parametrize("times", [EVEN, UNEVEN, EVEN[:4], EVEN[:3]], ids=len)
@pytest.mark.parametrize("speed", [0.3, 5.0])
def test_uniform_motion_does_not_lag(method: str, times: NDArray[np.float64], speed: float) -> None:
    track = 1.0 + speed * times[:, None, None] * np.ones((1, 2, 3))
    np.testing.assert_allclose(smooth_track(track, times, method), track, atol=2e-3)


@both_methods
def test_a_swing_keeps_its_phase_and_reach(method: str) -> None:
    """A leg that swings by 0.2 m, twice a second."""
    swing = 0.2 * np.sin(4 * np.pi * EVEN)[:, None, None] * np.ones((1, 1, 3))
    smooth = smooth_track(swing, EVEN, method)
    at_rest = slice(10, -10)
    lags = [np.sum(np.roll(swing, k, axis=0)[at_rest] * smooth[at_rest]) for k in range(-3, 4)]
    assert np.argmax(lags) == 3
    assert np.abs(smooth[at_rest]).max() > 0.92 * 0.2


@both_methods
def test_gaps_stay_and_nothing_is_smoothed_across_them(method: str) -> None:
    track = noise(90)
    track[40:50] = np.nan
    track[60:62, 2] = np.nan
    smooth = smooth_track(track, EVEN, method)
    np.testing.assert_array_equal(np.isnan(smooth), np.isnan(track))
    alone = smooth_track(track[:40], EVEN[:40], method)
    np.testing.assert_allclose(smooth[:40], alone)
    moved = track.copy()
    moved[50:] += 100.0
    np.testing.assert_allclose(smooth_track(moved, EVEN, method)[:40], alone)


@both_methods
def test_frames_far_apart_are_not_smoothed_across(method: str) -> None:
    times = EVEN.copy()
    times[45:] += 2.0
    track = noise(90)
    track[45:] += 1.0
    smooth = smooth_track(track, times, method)
    np.testing.assert_allclose(smooth[:45], smooth_track(track[:45], times[:45], method))


@both_methods
@pytest.mark.parametrize("frames", [0, 1, 2, 3, 5])
def test_short_tracks(method: str, frames: int) -> None:
    track = noise(frames)
    smooth = smooth_track(track, EVEN[:frames], method)
    assert smooth.shape == track.shape
    assert np.isfinite(smooth).all()
    if frames < 3:
        np.testing.assert_array_equal(smooth, track)


def test_the_one_euro_filter_smooths_rest_more_than_fast_motion() -> None:
    still, fast = noise(90), noise(90) + 3.0 * EVEN[:, None, None]
    left = [
        np.std(smooth_track(track, EVEN, "one-euro") - true)
        for track, true in ((still, 0.0), (fast, 3.0 * EVEN[:, None, None]))
    ]
    assert left[0] < 0.7 * left[1]


def test_none_and_unknown() -> None:
    track = noise(9)
    np.testing.assert_array_equal(smooth_track(track, EVEN[:9], "none"), track)
    with pytest.raises(UsageError, match="--smooth kalman: give one of none, one-euro, savgol"):
        check_method("kalman")


@both_methods
def test_joints_are_smoothed_where_they_are(method: str) -> None:
    result = walk(frames=60)
    roots = result.root_3d.copy()
    roots[0, 30:] = np.nan
    shaken = (result.joints_3d + np.random.default_rng(2).normal(0, 0.01, (1, 60, 17, 3))).astype(
        np.float32
    )
    shaken[:, :, 0] = 0
    result = dataclasses.replace(result, joints_3d=shaken, root_3d=roots)
    smooth = smooth_joints(result, method)
    assert (smooth.joints_3d[:, :, 0] == 0).all()
    np.testing.assert_array_equal(np.isnan(smooth.root_3d), np.isnan(roots))
    np.testing.assert_array_equal(smooth.keypoints_2d, result.keypoints_2d)
    placed, before = smooth.joints_camera()[0, :30], result.joints_camera()[0, :30]
    expected = smooth_track(before, result.timestamps[:30], method)
    np.testing.assert_allclose(placed, expected, atol=1e-5)
    assert acceleration(smooth.joints_3d[0, 30:]) < 0.7 * acceleration(result.joints_3d[0, 30:])


def test_drawings_are_smooth_and_data_stays() -> None:
    result = walk(frames=60)
    shaken = result.keypoints_2d + np.random.default_rng(3).normal(0, 3, (1, 60, 17, 2))
    shaken[0, 20:24, 5] = np.nan
    result = dataclasses.replace(result, keypoints_2d=shaken.astype(np.float32))
    drawn = smooth_pictures(result)
    assert acceleration(drawn.keypoints_2d[0]) < 0.5 * acceleration(result.keypoints_2d[0])
    assert not np.array_equal(drawn.joints_3d, result.joints_3d)
    np.testing.assert_array_equal(np.isnan(drawn.keypoints_2d), np.isnan(result.keypoints_2d))
    assert smooth_pictures(result, "none") is result

    told = dataclasses.replace(result, meta={"smoothing": {"data": "savgol", "pictures": "savgol"}})
    np.testing.assert_array_equal(smooth_pictures(told).joints_3d, told.joints_3d)
    np.testing.assert_array_equal(smooth_pictures(told).keypoints_2d, drawn.keypoints_2d)
    off = dataclasses.replace(result, meta={"smoothing": {"data": "none", "pictures": "none"}})
    assert smooth_pictures(off) is off
