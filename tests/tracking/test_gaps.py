from __future__ import annotations

import numpy as np
import pytest

from tests.detect.people import stick
from tests.tracking.scenes import People, collect, times_at


def test_a_short_gap_is_interpolated_and_marked() -> None:
    def scene(time: float) -> People:
        return (None if 0.99 < time < 1.29 else stick(100 + 100 * time),)

    found = collect(scene, times_at(30))
    gap = np.arange(30, 39)
    assert np.flatnonzero(~found.observed[0]).tolist() == gap.tolist()
    assert found.present.all()
    np.testing.assert_allclose(found.keypoints_2d[0, gap, 0, 0], 100 + 100 * gap / 30, rtol=1e-5)
    np.testing.assert_allclose(found.scores_2d[0, gap], 0.45, rtol=1e-5)


def test_gaps_are_measured_in_seconds_and_not_in_frames() -> None:
    """The same three frames without a person: 0.1 s at 30 frames/s, 0.8 s at 5."""

    def people(fps: float) -> int:
        times = times_at(fps, 12 / fps)
        return collect(
            lambda time: (None if 4 < time * fps + 0.5 < 8 else stick(300),), times
        ).people

    assert (people(30), people(5)) == (1, 2)


def test_a_joint_missing_for_one_picture_before_a_pause_is_interpolated() -> None:
    times = times_at(30)
    times[30:] += 0.7

    def scene(time: float) -> People:
        pose = stick(300)
        pose[3] = np.nan if time == times[29] else pose[3]
        return (pose,)

    assert np.allclose(collect(scene, times).keypoints_2d, stick(300))


def test_a_missing_joint_is_interpolated_where_that_is_short() -> None:
    def scene(time: float) -> People:
        pose = stick(300)
        if 0.49 < time < 0.7:
            pose[3] = np.nan
        if time > 1:
            pose[16] = np.nan
        return (pose,)

    found = collect(scene, times_at(30))
    assert found.observed.all()
    assert np.allclose(found.keypoints_2d[0, :, 3], stick(300)[3])
    assert found.scores_2d[0, 15:21, 3] == pytest.approx(0.45)
    assert np.isnan(found.keypoints_2d[0, 31:, 16]).all()
    assert not found.scores_2d[0, 31:, 16].any()
