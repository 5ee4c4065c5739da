"""Merged legs are distinguished from legs that pass each other, rest or are not visible."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from vidpose.postprocess.merged_legs import merged_legs_s
from vidpose.skeleton import H36M17

FPS, FRAMES = 30.0, 90
TIMES = np.arange(FRAMES) / FPS
APART, TOGETHER = 60.0, 4.0


def legs(knees_px: NDArray[np.float64], feet_px: NDArray[np.float64]) -> NDArray[np.float32]:
    """(T, 17, 2) of a person with legs of 200 pixels, from the distance between the sides."""
    keypoints = np.zeros((len(knees_px), 17, 2), np.float32)
    for joint, y, apart in (("Hip", 0, 10.0), ("Knee", 100, knees_px), ("Foot", 200, feet_px)):
        for side, sign in (("L", 0.5), ("R", -0.5)):
            keypoints[:, H36M17.index(side + joint), 0] = sign * np.asarray(apart)
            keypoints[:, H36M17.index(side + joint), 1] = y
    return keypoints


def together(start: int, stop: int, frames: int = FRAMES) -> NDArray[np.float64]:
    away = np.full(frames, APART)
    away[start:stop] = TOGETHER
    return away


def seconds(knees_px: NDArray[np.float64], feet_px: NDArray[np.float64]) -> NDArray[np.float32]:
    return merged_legs_s(legs(knees_px, feet_px), np.ones(len(knees_px), bool), TIMES)


def test_merged_legs_are_found() -> None:
    found = seconds(together(40, 52), together(40, 52))
    assert np.flatnonzero(found).tolist() == list(range(40, 52))
    np.testing.assert_allclose(found[40:52], 11 / FPS, atol=1e-6)


@pytest.mark.parametrize("fps", [24.0, 60.0])
def test_it_goes_by_the_time(fps: float) -> None:
    frames = round(3 * fps)
    away = together(round(fps), round(1.4 * fps), frames)
    found = merged_legs_s(legs(away, away), np.ones(frames, bool), np.arange(frames) / fps)
    assert 0.3 < found.max() < 0.45


@pytest.mark.parametrize(
    ("knees", "feet"),
    [
        pytest.param((40, 43), (40, 43), id="legs that pass"),
        pytest.param((40, 52), (0, 0), id="knees alone"),
        pytest.param((0, 0), (40, 52), id="ankles alone"),
        pytest.param((10, 70), (10, 70), id="somebody who stands for long"),
        pytest.param((78, FRAMES), (78, FRAMES), id="somebody who comes to a stand at the end"),
        pytest.param((0, 12), (0, 12), id="somebody who begins to walk"),
        pytest.param((0, 0), (0, 0), id="legs apart"),
    ],
)
def test_real_leg_motion_is_not_reported(knees: tuple[int, int], feet: tuple[int, int]) -> None:
    assert not seconds(together(*knees), together(*feet)).any()


def test_a_single_outlier_does_not_count_as_legs_apart() -> None:
    away = together(0, FRAMES)
    away[[39, 52]] = APART
    assert not seconds(away, away).any()


def test_a_frame_without_the_person_ends_it() -> None:
    away, observed = together(40, 52), np.ones(FRAMES, bool)
    observed[46] = False
    assert not merged_legs_s(legs(away, away), observed, TIMES).any()


def test_unknown_joints_and_few_frames() -> None:
    unknown = np.full((FRAMES, 17, 2), np.nan, np.float32)
    assert not merged_legs_s(unknown, np.ones(FRAMES, bool), TIMES).any()
    for frames in (0, 1):
        none = legs(np.zeros(frames), np.zeros(frames))
        assert len(merged_legs_s(none, np.ones(frames, bool), TIMES[:frames])) == frames
