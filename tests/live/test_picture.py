"""The content of the live window."""

from __future__ import annotations

import numpy as np

from tests.results import make_result
from vidpose.live.picture import AT_MOST_EVERY_S, LivePicture, as_result
from vidpose.poses import Pose3D
from vidpose.render.view import VIEWS
from vidpose.streaming import FramePeople, Person
from vidpose.video import Image


def frames_of(result: Pose3D, away: float = 0.0) -> list[FramePeople]:
    """The frames of a result as a stream yields them, `away` metres to the right."""
    return [
        FramePeople(
            int(result.frame_indices[t]),
            float(result.timestamps[t]),
            tuple(
                Person(
                    int(result.person_ids[p]),
                    result.keypoints_2d[p, t],
                    result.scores_2d[p, t],
                    result.joints_3d[p, t],
                    result.root_3d[p, t] + np.array([away, 0, 0], np.float32),
                )
                for p in np.flatnonzero(result.present[:, t])
            ),
        )
        for t in range(result.frames)
    ]


def test_frames_become_a_result_again() -> None:
    result = make_result(people=2)
    again = as_result(frames_of(result), result.frame_size)
    np.testing.assert_array_equal(again.joints_3d, result.joints_3d)
    np.testing.assert_array_equal(again.root_3d, result.root_3d)
    np.testing.assert_array_equal(again.present, result.present)
    np.testing.assert_array_equal(again.timestamps, result.timestamps)
    nobody = as_result([FramePeople(0, 0.0, ())], (64, 48))
    assert (nobody.people, nobody.frames) == (0, 1)


def test_the_scene_does_not_move_until_somebody_leaves_it() -> None:
    result = make_result(people=1)
    picture = LivePicture(result.frame_size, VIEWS["three-quarter"], 400)
    image = np.zeros((*picture.layout.picture[::-1], 3), np.uint8)
    width = picture.layout.picture[0]

    def panel(frame: FramePeople, time_s: float) -> Image:
        moved = FramePeople(round(1000 * time_s), time_s, frame.people)
        drawn = picture.draw(image, moved)
        assert drawn.shape == (*picture.layout.size[::-1], 3)
        return drawn[:, width:]

    here, there = frames_of(result)[0], frames_of(result, away=30.0)[0]
    nobody = FramePeople(0, 0.0, ())
    empty = panel(nobody, 0.0)
    assert (panel(here, 0.5) != empty).any()
    for n in range(50):  # it settles
        panel(here, 1 + n / 10)
    before = picture._scene
    panel(here, 6.5)
    panel(nobody, 6.6)
    assert picture._scene is before
    panel(there, 7.0)
    assert picture._scene is not before
    soon = picture._scene
    panel(here, 7.0 + AT_MOST_EVERY_S / 2)  # not too often
    assert picture._scene is soon
